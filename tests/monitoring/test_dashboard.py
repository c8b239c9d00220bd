"""What the dashboard's panels ask for is answered by servers that speak Elasticsearch's API.

Kibana itself draws the panels in CI (test_compose.py); that every field they name is mapped is
checked in test_fields.py. Here each filter and each aggregation that a panel names runs over a few
documents whose figures can be counted by hand. A panel that asks for something new fails the first
test until a figure for it stands here.
"""

import functools
import itertools
import json
import re
from typing import Any

import pytest

from export.reference import SCORE_EDGES
from monitoring.elastic import Elastic
from monitoring.kibana_objects import FILES, read_dashboard
from prediction.types import LOW_CONFIDENCE
from tests.helpers.fields import objects
from tests.helpers.servers import has_percentiles, search

PANELS = read_dashboard(0.2)["panels"]
CHARTS = [panel for panel in PANELS if panel["type"] == "vis"]
INDICES = {"cwl": "cwl-2026.11.21", "drift": "drift-2026.11", "reference": "cola-reference"}


# --- Documents to count ----------------------------------------------------------------------


def at(hour: int) -> str:
    return f"2026-11-21T{hour:02}:30:00Z"


def prediction(
    hour: int, probability: float, tokens: int, unknown: int, latency: float, version: str
) -> dict[str, Any]:
    return {
        "@timestamp": at(hour),
        "event": "prediction",
        "prediction": {
            "label": "acceptable" if probability >= 0.5 else "unacceptable",
            "score": max(probability, 1 - probability),
            "probability_acceptable": probability,
        },
        "model": {"version": version},
        "input": {"tokens": tokens, "unknown_tokens": unknown, "truncated": tokens > 20},
        "latency_ms": latency,
        "request_id": f"{hour}",
    }


def error(hour: int, code: str) -> dict[str, Any]:
    return {
        "@timestamp": at(hour),
        "event": "error",
        "error": {"code": code},
        "request_id": f"{hour}-{code}",
    }


DOCUMENTS: dict[str, list[dict[str, Any]]] = {
    "cwl": [
        prediction(0, 0.875, tokens=4, unknown=0, latency=1, version="aaaa"),
        prediction(0, 0.5625, tokens=6, unknown=1, latency=2, version="aaaa"),
        prediction(1, 0.125, tokens=10, unknown=0, latency=3, version="bbbb"),
        prediction(1, 0.4375, tokens=22, unknown=3, latency=4, version="bbbb"),
        prediction(2, 0.9375, tokens=12, unknown=0, latency=5, version="bbbb"),
        error(2, "too_long"),
        error(2, "invalid_text"),
        error(2, "invalid_text"),
    ],
    "drift": [
        {
            "@timestamp": at(hour),
            "verdict": ("ok", "warning", "drift")[hour],
            "model": {"expected": "bbbb"},
            "expected_accuracy": 0.75,
            "metrics": {"score_psi": hour / 4, "length_psi": hour / 8, "label_difference": 0.125},
        }
        for hour in range(3)
    ],
    "reference": [
        {"reference": {"center": 0.125, "share": 0.25}},
        {"reference": {"center": 0.475, "share": 0.125}},
        {"reference": {"center": 0.875, "share": 0.5}},
        {"reference": {"center": 0.925, "share": 0.125}},
    ],
}


@pytest.fixture
def filled(server: Elastic) -> Elastic:
    """Return the server with all documents, in the indices that Filebeat would write to."""
    for view, documents in DOCUMENTS.items():
        lines: list[dict[str, Any]] = []
        for number, document in enumerate(documents):
            lines.append({"create": {"_index": INDICES[view], "_id": str(number)}})
            lines.append(document)

        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        answer = server.request("POST", "/_bulk", body, content_type="application/x-ndjson")
        assert not answer["errors"]
    return server


# --- Figures ---------------------------------------------------------------------------------

PREDICTED = {"term": {"event": "prediction"}}
ERROR = {"term": {"event": "error"}}
UNCERTAIN = {"range": {"prediction.score": {"lt": LOW_CONFIDENCE}}}
UNCERTAIN_BINS = {"gt": 1 - LOW_CONFIDENCE, "lt": LOW_CONFIDENCE}

FILTERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "event: prediction": ("cwl", PREDICTED, 5),
    "event: error": ("cwl", ERROR, 3),
    "event: prediction or event: error": (
        "cwl",
        {"bool": {"should": [PREDICTED, ERROR], "minimum_should_match": 1}},
        8,
    ),
    "input.truncated: true": ("cwl", {"term": {"input.truncated": True}}, 1),
    f"event: prediction and prediction.score < {LOW_CONFIDENCE}": (
        "cwl",
        {"bool": {"filter": [PREDICTED, UNCERTAIN]}},
        2,
    ),
    # The bins of a score below the limit, whichever the label.
    f"reference.center > {1 - LOW_CONFIDENCE} and reference.center < {LOW_CONFIDENCE}": (
        "reference",
        {"range": {"reference.center": UNCERTAIN_BINS}},
        1,
    ),
}
"""A panel's filter (KQL): its data view, the query that Kibana makes of it, how many match."""

BINS = [{"from": low, "to": high} for low, high in itertools.pairwise([*SCORE_EDGES[:-1], None])]
"""Those of a model's reference; the last one is open, so that 1.0 belongs to it."""

AGGREGATIONS: dict[str, dict[str, Any]] = {
    "terms": {"terms": {}},
    "range": {
        "range": {"ranges": [{k: v for k, v in bin_.items() if v is not None} for bin_ in BINS]}
    },
    "date_histogram": {"date_histogram": {"fixed_interval": "1h", "min_doc_count": 1}},
    "unique_count": {"cardinality": {}},
    "sum": {"sum": {}},
    "max": {"max": {}},
    "percentile": {"percentiles": {"percents": [50]}},
}
"""A panel's operation, and the aggregation that Kibana makes of it."""

MIDNIGHT = 1_795_219_200_000
HOUR = 3_600_000

FIGURES: dict[tuple[str, str, str], Any] = {
    ("cwl", "terms", "prediction.label.keyword"): {"acceptable": 3, "unacceptable": 2},
    ("cwl", "terms", "error.code"): {"invalid_text": 2, "too_long": 1},
    ("cwl", "terms", "model.version"): {"bbbb": 3, "aaaa": 2},
    ("cwl", "unique_count", "model.version"): 2,
    ("cwl", "unique_count", "request_id"): 5,
    ("cwl", "date_histogram", "@timestamp"): {
        MIDNIGHT: 2,
        MIDNIGHT + HOUR: 2,
        MIDNIGHT + 2 * HOUR: 4,
    },
    ("cwl", "range", "prediction.probability_acceptable"): {
        0.1: 1,
        0.4: 1,
        0.55: 1,
        0.85: 1,
        0.9: 1,
    },
    ("cwl", "last_value", "model.version"): "bbbb",
    ("cwl", "percentile", "latency_ms"): 3,
    ("cwl", "percentile", "input.tokens"): 10,
    ("cwl", "sum", "input.tokens"): 54,
    ("cwl", "sum", "input.unknown_tokens"): 4,
    ("reference", "range", "reference.center"): {0.1: 1, 0.45: 1, 0.85: 1, 0.9: 1},
    ("reference", "sum", "reference.share"): 1,
    ("drift", "date_histogram", "@timestamp"): {
        MIDNIGHT: 1,
        MIDNIGHT + HOUR: 1,
        MIDNIGHT + 2 * HOUR: 1,
    },
    ("drift", "last_value", "verdict"): "drift",
    ("drift", "last_value", "model.expected"): "bbbb",
    ("drift", "max", "metrics.score_psi"): 0.5,
    ("drift", "max", "metrics.length_psi"): 0.25,
    ("drift", "max", "metrics.label_difference"): 0.125,
    ("drift", "max", "expected_accuracy"): 0.75,
}
"""Data view, operation and field of a panel, and the answer: counts per bucket, or a figure."""


def asked_of_server() -> set[tuple[str, str, str]]:
    """Return data view, operation and field of everything that the charts aggregate."""
    asked = set()
    for chart in CHARTS:
        for layer in chart["config"].get("layers", [chart["config"]]):
            view = layer["data_source"]["ref_id"]
            for item in objects(layer):
                for field in [item.get("field"), *item.get("fields", [])]:
                    if field:
                        asked.add((view, item["operation"], field))
                formula = item.get("formula", "")
                for name, field in re.findall(r"(sum|unique_count)\(([\w.]+)[,)]", formula):
                    asked.add((view, name, field))
    return asked


def test_every_filter_and_aggregation_of_a_panel_has_a_figure_here() -> None:
    text = (FILES / "dashboard.json").read_text(encoding="utf-8")
    expressions = re.findall(r'"expression": "([^"]+)"', text)
    in_formulas = re.findall(r"kql='([^']+)'", text)

    assert {*expressions, *in_formulas} == set(FILTERS)
    assert asked_of_server() == set(FIGURES)


@pytest.mark.parametrize("kql", FILTERS)
def test_a_filter_finds_its_documents(filled: Elastic, kql: str) -> None:
    view, query, count = FILTERS[kql]
    answer = search(filled, {"size": 0, "query": query}, INDICES[view])
    assert answer["hits"]["total"]["value"] == count


@pytest.mark.parametrize(("view", "operation", "field"), FIGURES, ids=map("-".join, FIGURES))
def test_a_chart_shows_the_right_figures(
    filled: Elastic, view: str, operation: str, field: str
) -> None:
    if operation == "last_value":
        latest = {
            "size": 1,
            "sort": [{"@timestamp": "desc"}],
            "query": {"exists": {"field": field}},
        }
        (hit,) = search(filled, latest, INDICES[view])["hits"]["hits"]
        assert (
            functools.reduce(dict.__getitem__, field.split("."), hit["_source"])
            == FIGURES[view, operation, field]
        )
        return

    ((name, parameters),) = AGGREGATIONS[operation].items()
    if name == "percentiles" and not has_percentiles(filled):
        pytest.skip("this server has no percentiles")

    aggregation = {name: {"field": field, **parameters}}
    answer = search(filled, {"size": 0, "aggs": {"figure": aggregation}}, INDICES[view])
    figure = answer["aggregations"]["figure"]

    expected = FIGURES[view, operation, field]
    if "buckets" in figure:
        counts = {
            bucket.get("from", bucket["key"]): bucket["doc_count"] for bucket in figure["buckets"]
        }
        assert {key: count for key, count in counts.items() if count} == expected
    elif "values" in figure:
        # Percentiles are approximate by design: a t-digest interpolates in its own way.
        assert next(iter(figure["values"].values())) == pytest.approx(expected, rel=0.15)
    else:
        assert figure["value"] == pytest.approx(expected)
