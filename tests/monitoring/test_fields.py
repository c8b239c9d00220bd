"""What is logged, mapped, drawn and queried are the same fields."""

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from drift.log_files import LogRecord
from drift.verdict import judge
from drift.windows import from_records, query
from monitoring.kibana_7_10 import saved_objects
from monitoring.kibana_objects import read, read_dashboard
from serving.prediction_log import PredictionLog
from tests.helpers.fake_predictor import INFO, expected
from tests.helpers.fields import esql, flat, kql, mapped, named
from tests.helpers.paths import ROOT
from tests.helpers.reference import REFERENCE

HOUR = timedelta(hours=1)


def log_lines(tmp_path: Path) -> list[dict[str, Any]]:
    """Return a prediction and an error that the real writer wrote."""
    with (tmp_path / "log").open("w+b") as file:
        log = PredictionLog("api", INFO, descriptor=file.fileno(), background=False)
        log.write([expected("A sentence.")], request_id="1", latency_ms=1.0)
        log.error(503, "overloaded", "try again later", request_id="2")
        log.close()

        file.seek(0)
        return [json.loads(line) for line in file]


# --- Documents -------------------------------------------------------------------------------


def test_every_field_of_the_log_line_is_mapped(tmp_path: Path) -> None:
    prediction, error = (set(flat(line)) for line in log_lines(tmp_path))

    assert len(prediction) >= 15
    assert {"error.code", "error.message", "status"} <= error
    assert prediction | error <= mapped("cwl_template.json")


def test_every_field_that_the_forwarder_adds_is_mapped() -> None:
    added = {"@id", "@timestamp", "@message", "@owner", "@log_group", "@log_stream"}
    figures = ("duration_ms", "billed_ms", "memory_mb", "max_memory_mb", "init_ms")
    reported = {f"report.{name}" for name in figures}

    assert added | reported <= mapped("cwl_template.json")


def test_every_field_of_a_drift_document_is_mapped(tmp_path: Path) -> None:
    prediction, _ = log_lines(tmp_path)
    now = datetime.now(UTC)
    record = cast(LogRecord, prediction)
    counted = from_records([record], now - HOUR, now + HOUR, REFERENCE)
    window = replace(counted, is_covered=True)
    verdict = judge(window, window, REFERENCE, min_sample=1)

    document = verdict.document()
    assert len(document["metrics"]) >= 10
    assert set(flat(document)) | {"dispatched"} <= mapped("drift_template.json")


def test_every_field_of_an_alert_is_mapped() -> None:
    for rule in read("rules.json")["rules"]:
        for action in rule["actions"]:
            (document,) = action["params"]["documents"]
            assert set(document) <= mapped("alerts_template.json")


def test_filebeat_drops_no_field_of_ours() -> None:
    text = (ROOT / "monitoring/filebeat.yml").read_text(encoding="utf-8")
    processors = {
        name: value for step in yaml.safe_load(text)["processors"] for name, value in step.items()
    }
    ours = mapped("cwl_template.json")

    dropped = processors["drop_fields"]["fields"]
    assert not [
        (name, field) for name in dropped for field in ours if f"{field}.".startswith(f"{name}.")
    ]
    assert set(processors["fingerprint"]["fields"]) - ours == {"log.offset"}


# --- Panels, rules and queries ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["dashboard.json", "data_views.json", "rules.json"])
def test_every_field_that_kibana_names_is_mapped(name: str) -> None:
    fields = set(named(read(name)))
    assert fields
    assert fields <= mapped()


def test_every_field_of_the_old_dashboard_is_mapped() -> None:
    objects = saved_objects(read_dashboard(0.5), read("data_views.json"))
    fields = set(named(objects))
    some = {"prediction.label.keyword", "error.code", "metrics.score_psi", "reference.share"}
    assert some <= fields

    # Both dashboards show the same.
    assert fields == set(named([read("dashboard.json"), read("data_views.json")]))
    assert fields <= mapped()


def test_every_field_of_the_drift_query_is_mapped() -> None:
    now = datetime.now(UTC)
    fields = set(named(query(now, now + HOUR, REFERENCE, previous=7)))
    some = {"prediction.probability_acceptable", "input.tokens", "model.version", "event"}
    assert {*some, "@timestamp"} <= fields
    assert fields <= mapped("cwl_template.json")


# --- The tests above can fail ----------------------------------------------------------------


def test_an_unmapped_field_would_be_seen() -> None:
    """Each way of naming a field is understood."""
    dashboard = copy.deepcopy(read("dashboard.json"))
    for change in (
        {"field": "not.mapped"},
        {"fields": ["not.mapped"]},
        {"formula": "sum(not.mapped) / count(kql='event: x')"},
        {"formula": "count(kql='not.mapped < 1')"},
        {"filter": {"language": "kql", "expression": "event: error and not.mapped: 3"}},
        {"data_source": {"type": "esql", "query": "FROM cwl-* | STATS n = COUNT(*) BY not.mapped"}},
    ):
        dashboard["panels"][0]["config"]["metrics"] = [change]
        assert set(named(dashboard)) - mapped() == {"not.mapped"}


def test_queries_are_understood() -> None:
    assert kql("event: prediction and prediction.score < 0.6") == ["event", "prediction.score"]

    steps = [
        "FROM cwl-*",
        'WHERE event == "a b"',
        "STATS n = COUNT(x.y) BY bin = FLOOR(@z * 20)",
        "WHERE n > 3",
    ]
    assert esql(" | ".join(steps)) == {"event", "x.y", "@z"}
