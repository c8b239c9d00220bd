"""What is logged, mapped, drawn and queried are the same fields."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drift.windows import Edges, query
from monitoring import kibana_7_10
from monitoring.kibana_objects import read
from serving.prediction_log import PredictionLog
from tests.drift.test_drift import verdict_document
from tests.helpers.fake_predictor import INFO, expected
from tests.helpers.fields import MONITORING, esql, flat, kql, mapped, named

ALERTS = {"rule", "state", "value", "message"}


def log_lines(tmp_path: Path) -> list[dict[str, Any]]:
    """A prediction and an error that the real writer wrote."""
    with (tmp_path / "log").open("w+b") as file:
        log = PredictionLog("api", INFO, descriptor=file.fileno(), background=False)
        log.write([expected("A sentence.")], request_id="1", latency_ms=1.0)
        log.error(503, "overloaded", "try again later", request_id="2")
        log.close()
        file.seek(0)
        return [json.loads(line) for line in file]


def test_every_field_of_the_log_line_is_mapped(tmp_path: Path) -> None:
    prediction, error = [set(flat(line)) for line in log_lines(tmp_path)]
    assert len(prediction) >= 15
    assert {"error.code", "error.message", "status"} <= error
    assert prediction | error <= mapped("cwl_template.json")


def test_every_field_that_the_forwarder_adds_is_mapped() -> None:
    added = {"@id", "@timestamp", "@message", "@owner", "@log_group", "@log_stream"}
    reported = {
        f"report.{name}"
        for name in ("duration_ms", "billed_ms", "memory_mb", "max_memory_mb", "init_ms")
    }
    assert added | reported <= mapped("cwl_template.json")


def test_every_field_of_a_drift_document_is_mapped() -> None:
    assert set(flat(verdict_document())) | {"dispatched"} <= mapped("drift_template.json")


def test_every_field_of_an_alert_is_mapped() -> None:
    rules = read("rules.json")["rules"]
    for rule in rules:
        for action in rule["actions"]:
            (document,) = action["params"]["documents"]
            assert set(document) <= mapped("alerts_template.json")


@pytest.mark.parametrize(
    "name", ["dashboard.json", "data_views.json", "saved_search.json", "rules.json"]
)
def test_every_field_that_kibana_names_is_mapped(name: str) -> None:
    fields = set(named(read(name)))
    assert fields
    assert fields <= mapped()


def test_every_field_of_the_old_dashboard_is_mapped() -> None:
    fields = set(named(kibana_7_10.saved_objects()))
    assert {
        "prediction.label.keyword",
        "error.code",
        "metrics.score_psi",
        "reference.share",
    } <= fields
    assert fields <= mapped()


def test_every_field_of_the_drift_query_is_mapped() -> None:
    now = datetime.now(UTC)
    fields = set(named(query(now, now + timedelta(hours=1), Edges([0, 0.5, 1], [0, 5, 10]))))
    assert {"prediction.probability_acceptable", "input.tokens", "event", "@timestamp"} <= fields
    assert fields <= mapped("cwl_template.json")


def test_an_unmapped_field_would_be_seen() -> None:
    """The tests above can fail: each way of naming a field is understood."""
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
    text = 'FROM cwl-* | WHERE event == "a b" | STATS n = COUNT(x.y) BY bin = FLOOR(@z * 20) | WHERE n > 3'
    assert esql(text) == {"event", "x.y", "@z"}


def test_the_old_dashboard_file_is_up_to_date_and_has_the_same_panels() -> None:
    assert kibana_7_10.TARGET.read_text(encoding="utf-8") == kibana_7_10.ndjson()
    old = [json.loads(line) for line in kibana_7_10.ndjson().splitlines()]
    titles = {saved["attributes"]["title"] for saved in old if saved["type"] == "visualization"}
    new = {
        panel["config"]["title"]
        for panel in read("dashboard.json")["panels"]
        if panel["type"] == "vis"
    }
    assert new - titles == {
        "Model versions",
        "Score against the training reference",
    }  # one figure, one pair
    assert {"Score", "Training reference", "Model version over time"} <= titles
    references = {(r["type"], r["id"]) for saved in old for r in saved["references"]}
    assert references <= {(saved["type"], saved["id"]) for saved in old}


def test_filebeat_drops_no_field_of_ours() -> None:
    yaml = pytest.importorskip("yaml")
    settings = yaml.safe_load((MONITORING / "filebeat.yml").read_text(encoding="utf-8"))
    (dropped,) = [
        step["drop_fields"]["fields"] for step in settings["processors"] if "drop_fields" in step
    ]
    ours = mapped("cwl_template.json")
    assert not [
        (name, field) for name in dropped for field in ours if f"{field}.".startswith(f"{name}.")
    ]
    (identity,) = [
        step["fingerprint"]["fields"] for step in settings["processors"] if "fingerprint" in step
    ]
    assert set(identity) - ours == {"log.offset"}


def test_panels_do_not_overlap_and_have_different_names() -> None:
    panels = read("dashboard.json")["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["grid"]["x"], panel["grid"]["x"] + panel["grid"]["w"])
        for y in range(panel["grid"]["y"], panel["grid"]["y"] + panel["grid"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 48
