"""What Elasticsearch answers to the drift check: as the log file does, in full or not at all."""

import json
import random
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from drift import label
from drift.log_files import read_log
from drift.windows import from_elasticsearch, from_records
from errors import ElasticError
from monitoring.elastic import Elastic
from tests.helpers.drift_data import END, HOUR, REFERENCE, VALIDATION, population, record
from tests.helpers.servers import ANY_PATH


@pytest.mark.parametrize("hours", [10, 50])
def test_elasticsearch_and_the_log_file_give_the_same_window(
    server: Elastic, tmp_path: Path, hours: int
) -> None:
    rng = random.Random(0)
    items = list(islice(population(3, unknown=0.05), 1000))
    lines = [record(item, END - rng.uniform(0, hours) * HOUR) for item in [*items, *items[:40]]]
    lines += [
        record(VALIDATION[0], END - HOUR / 3, version="ffffffffffff"),
        record(VALIDATION[1], END + HOUR),
    ]
    error = {"@timestamp": (END - HOUR / 2).isoformat(), "event": "error", "error": {"code": "x"}}
    path = tmp_path / "predictions.jsonl"
    path.write_text(
        "".join(json.dumps(line) + "\n" for line in [*lines, error]) + '{"event": "predic', "utf-8"
    )
    body = "".join(
        json.dumps({"create": {"_index": "cwl-2026.11.21"}}) + "\n" + json.dumps(line) + "\n"
        for line in [*lines, error]
    )
    answer = server.request(
        "POST", "/_bulk?refresh=true", body.encode(), content_type="application/x-ndjson"
    )
    assert not answer["errors"]
    start = END - 4 * HOUR
    expected = from_records(read_log(path), start, END, REFERENCE)
    assert expected.count > 50
    assert expected.total == expected.count + 1
    assert expected.previous_mean == pytest.approx(1040 * 4 / hours, rel=0.2)
    found = from_elasticsearch(server, start, END, REFERENCE)
    assert found.score_sum == pytest.approx(expected.score_sum, rel=1e-6)
    assert replace(found, score_sum=0.0) == replace(expected, score_sum=0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timed_out": True, "_shards": {"total": 2, "failed": 0}},
        {"timed_out": False, "_shards": {"total": 2, "failed": 1}},
    ],
    ids=["out of time", "a shard failed"],
)
def test_an_answer_for_a_part_of_the_predictions_is_refused(
    httpserver: HTTPServer, wrong: dict[str, Any]
) -> None:
    """Elasticsearch answers 200, as it does here."""
    answer = {**wrong, "hits": {"hits": []}, "aggregations": {}}
    httpserver.expect_request(ANY_PATH).respond_with_json(answer)
    server = Elastic(httpserver.url_for(""))

    with pytest.raises(ElasticError, match="a part of the predictions only.*try again"):
        from_elasticsearch(server, END - HOUR, END, REFERENCE)
    with pytest.raises(ElasticError, match="a part of the predictions only.*try again"):
        list(label.from_elasticsearch(server, END))


def test_an_index_without_predictions_is_an_empty_window(server: Elastic) -> None:
    """As `make provision` leaves it."""
    counted = from_elasticsearch(server, END - HOUR, END, REFERENCE)
    assert (counted.total, counted.previous_mean) == (0, None)


def test_a_server_without_predictions_says_what_to_do(httpserver: HTTPServer) -> None:
    answer = {"timed_out": False, "_shards": {"total": 0, "failed": 0}, "hits": {"hits": []}}
    httpserver.expect_request(ANY_PATH).respond_with_json(answer)
    with pytest.raises(ElasticError, match="make provision"):
        from_elasticsearch(Elastic(httpserver.url_for("")), END - HOUR, END, REFERENCE)


@pytest.mark.parametrize(("unreadable", "is_refused"), [(2, False), (10, True), (300, True)])
def test_predictions_without_a_score_are_not_judged_by_the_others(
    server: Elastic, unreadable: int, is_refused: bool
) -> None:
    """Elasticsearch keeps a number that is none, and counts it in no bin."""
    lines: list[Any] = [record(item, END - HOUR / 2) for item in VALIDATION[:300]]
    for line in lines[:unreadable]:
        line["prediction"]["probability_acceptable"] = "high"

    action = json.dumps({"create": {"_index": "cwl-2026.11.21"}})
    body = "".join(f"{action}\n{json.dumps(line)}\n" for line in lines)
    server.request(
        "POST", "/_bulk?refresh=true", body.encode(), content_type="application/x-ndjson"
    )

    if is_refused:
        with pytest.raises(ElasticError, match=f"{unreadable} of 300 predictions .* provision"):
            from_elasticsearch(server, END - HOUR, END, REFERENCE)
    else:
        assert from_elasticsearch(server, END - HOUR, END, REFERENCE).count == 300
