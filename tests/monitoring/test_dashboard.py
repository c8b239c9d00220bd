"""Every chart of the dashboard, run as the aggregations that Kibana makes of it: the figures are exact.

A chart's settings are read from kibana/dashboard.json, turned into an Elasticsearch query, and its answer is
compared with the same figure computed in Python from the same documents.
"""

import json
import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from monitoring.elastic import Elastic
from monitoring.kibana_objects import read
from tests.helpers.servers import has_percentiles, search

INTERVAL = 1 / 32  # of histograms: Kibana chooses it, here one that floats hold exactly
START = datetime(2026, 11, 21, tzinfo=UTC)
Document = dict[str, Any]
LAYERS = [
    (panel["config"]["title"], layer)
    for panel in read("dashboard.json")["panels"]
    if panel["type"] == "vis"
    for layer in panel["config"].get("layers", [panel["config"]])
    if layer["data_source"]["type"] == "data_view_reference"
    and layer.get("type") != "reference_lines"
]


def documents() -> list[Document]:
    """Predictions over five hours, errors among them, and drift checks."""
    random_ = random.Random(0)
    found: list[Document] = []
    for _ in range(400):
        at = (START + timedelta(minutes=random_.randrange(300))).isoformat()
        if random_.random() < 0.1:
            code = random_.choice(("too_long", "invalid_text"))
            found.append(
                {"@timestamp": at, "event": "error", "error": {"code": code, "message": "..."}}
            )
            continue
        probability = random_.randrange(1, 64) / 64  # exact in single precision
        tokens = random_.randrange(3, 40)
        found.append(
            {
                "@timestamp": at,
                "event": "prediction",
                "text": f"sentence {random_.randrange(300)}",
                "prediction": {
                    "label": "acceptable" if probability >= 0.5 else "unacceptable",
                    "score": max(probability, 1 - probability),
                    "probability_acceptable": probability,
                },
                "model": {"name": "m", "version": random_.choice(("aaaaaaaaaaaa", "bbbbbbbbbbbb"))},
                "input": {
                    "characters": 5 * tokens,
                    "tokens": tokens,
                    "unknown_tokens": random_.choice((0, 0, 1)),
                    "truncated": random_.random() < 0.2,
                },
                "latency_ms": random_.randrange(1, 200) / 8,
            }
        )
    return found


def drift_documents() -> list[Document]:
    values = {"score_psi": 0.25, "length_psi": 0.5, "label_difference": 0.125}
    return [
        {
            "@timestamp": (START + timedelta(hours=n)).isoformat(),
            "expected_accuracy": 0.75,
            "metrics": values,
        }
        for n in range(3)
    ]


def reference_documents() -> list[Document]:
    return [{"reference": {"center": 0.025 + n / 20, "share": n / 256}} for n in range(20)]


DOCUMENTS = {"cwl": documents, "drift": drift_documents, "reference": reference_documents}
INDICES = {"cwl": "cwl-2026.11.21", "drift": "drift-2026.11", "reference": "cola-reference"}


def value(document: Document, name: str) -> Any:
    """A field by its dotted name; a multi-field has the value of its field."""
    for part in name.removesuffix(".keyword").split("."):
        document = document.get(part) if isinstance(document, dict) else None  # type: ignore[assignment]
    return document


def clauses(kql: str) -> Iterator[tuple[str, str, str]]:
    for clause in filter(None, kql.split(" and ")):
        match = re.fullmatch(r"([\w.@]+)\s*(:|<)\s*(\S+)", clause)
        assert match, clause
        yield match[1], match[2], match[3]


def to_query(kql: str) -> dict[str, Any]:
    """KQL as Kibana translates it, as far as the dashboard uses it."""
    filters: list[dict[str, Any]] = [
        {"range": {name: {"lt": float(right)}}} if operator == "<" else {"term": {name: right}}
        for name, operator, right in clauses(kql)
    ]
    return {"bool": {"filter": filters}}


def matches(kql: str) -> Callable[[Document], bool]:
    """The same in Python."""

    def check(document: Document) -> bool:
        for name, operator, right in clauses(kql):
            found = value(document, name)
            if found is None:
                return False
            if not (
                found < float(right) if operator == "<" else json.dumps(found).strip('"') == right
            ):
                return False
        return True

    return check


def parts(metric: dict[str, Any]) -> list[dict[str, Any]]:
    """A metric as the plain ones it is made of: a formula here is always a quotient of two."""
    if metric["operation"] != "formula":
        return [metric]
    found = []
    for part in metric["formula"].split(" / "):
        count = re.fullmatch(r"count\(kql='([^']*)'\)", part)
        total = re.fullmatch(r"sum\(([\w.]+)\)", part)
        assert count or total, part
        if count:
            found.append({"operation": "count", "filter": {"expression": count[1]}})
        elif total:
            found.append({"operation": "sum", "field": total[1]})
    return found


def aggregation(metric: dict[str, Any]) -> dict[str, Any]:
    kql = metric.get("filter", {}).get("expression", "")
    operation, field = metric["operation"], metric.get("field")
    if operation == "count":
        return {"filter": to_query(kql)}
    inner = {
        "sum": lambda: {"sum": {"field": field}},
        "max": lambda: {"max": {"field": field}},
        "unique_count": lambda: {"cardinality": {"field": field}},
        "percentile": lambda: {"percentiles": {"field": field, "percents": [metric["percentile"]]}},
        "median": lambda: {"percentiles": {"field": field, "percents": [50]}},
    }[operation]()
    return {"filter": to_query(kql), "aggs": {"value": inner}}


def expected(metric: dict[str, Any], group: list[Document]) -> float:
    kept = [
        document
        for document in group
        if matches(metric.get("filter", {}).get("expression", ""))(document)
    ]
    operation = metric["operation"]
    values = [
        found
        for document in kept
        if (found := value(document, metric.get("field", ""))) is not None
    ]
    if operation == "count":
        return len(kept)
    if operation == "unique_count":
        return len(set(values))
    if operation in ("percentile", "median"):
        return float(np.percentile(values, metric.get("percentile", 50)))
    return float(sum(values) if operation == "sum" else max(values))


def answered(found: dict[str, Any]) -> float:
    inner = found.get("value", {"value": found["doc_count"]})
    return float(next(iter(inner["values"].values())) if "values" in inner else inner["value"])


def buckets(layer: dict[str, Any]) -> list[dict[str, Any]]:
    return [layer[name] for name in ("x", "breakdown_by") if name in layer]


def bucket_aggregation(bucket: dict[str, Any]) -> dict[str, Any]:
    if bucket["operation"] == "date_histogram":
        return {
            "date_histogram": {"field": bucket["field"], "fixed_interval": "1h", "min_doc_count": 1}
        }
    if bucket["operation"] == "histogram":
        return {"histogram": {"field": bucket["field"], "interval": INTERVAL, "min_doc_count": 1}}
    (field,) = bucket["fields"]
    return {"terms": {"field": field, "size": bucket["limit"]}}


def bucket_key(bucket: dict[str, Any], document: Document) -> Any:
    if bucket["operation"] == "date_histogram":
        at = datetime.fromisoformat(value(document, bucket["field"])).replace(minute=0)
        return round(at.timestamp() * 1000)
    if bucket["operation"] == "histogram":
        found = value(document, bucket["field"])
        return None if found is None else math.floor(found / INTERVAL) * INTERVAL
    return value(document, bucket["fields"][0])


def run_layer(
    server: Elastic, layer: dict[str, Any], index: str
) -> dict[tuple[Any, ...], list[float]]:
    """Bucket keys -> the metrics, as the server computes them."""
    plain = [part for metric in layer.get("y", layer.get("metrics", [])) for part in parts(metric)]
    aggregations: dict[str, Any] = {
        str(number): aggregation(metric) for number, metric in enumerate(plain)
    }
    for bucket in reversed(buckets(layer)):
        aggregations = {"bucket": {**bucket_aggregation(bucket), "aggs": aggregations}}
    answer = search(server, {"size": 0, "aggs": aggregations}, index)["aggregations"]
    found: dict[tuple[Any, ...], list[float]] = {}

    def walk(level: dict[str, Any], keys: tuple[Any, ...]) -> None:
        if "bucket" in level:
            for bucket in level["bucket"]["buckets"]:
                walk(bucket, (*keys, bucket["key"]))
        else:
            found[keys] = [answered(level[str(number)]) for number in range(len(plain))]

    walk(answer, ())
    return found


@pytest.fixture
def filled(server: Elastic) -> Elastic:
    """The server with all documents, as the forwarder or Filebeat would have written them."""
    for view, index in INDICES.items():
        body = "".join(
            json.dumps({"create": {"_index": index, "_id": str(number)}})
            + "\n"
            + json.dumps(document)
            + "\n"
            for number, document in enumerate(DOCUMENTS[view]())
        )
        answer = server.request(
            "POST", "/_bulk", body.encode(), content_type="application/x-ndjson"
        )
        assert not answer["errors"]
    return server


@pytest.mark.parametrize(("title", "layer"), LAYERS, ids=[title for title, _ in LAYERS])
def test_a_chart_shows_the_right_figures(
    filled: Elastic, title: str, layer: dict[str, Any]
) -> None:
    metrics = layer.get("y", layer.get("metrics", []))
    plain = [part for metric in metrics for part in parts(metric)]
    if any(m["operation"] in ("percentile", "median") for m in plain) and not has_percentiles(
        filled
    ):
        pytest.skip("this server has no percentiles")
    view = layer["data_source"]["ref_id"]
    found = run_layer(filled, layer, INDICES[view])
    groups: dict[tuple[Any, ...], list[Document]] = defaultdict(list)
    for document in DOCUMENTS[view]():
        keys = tuple(bucket_key(bucket, document) for bucket in buckets(layer))
        if None not in keys:
            groups[keys].append(document)
    assert set(found) == set(groups)
    for keys, group in groups.items():
        # Percentiles are approximate by design (t-digest interpolates in its own way); the rest is exact.
        for metric, figure in zip(plain, found[keys], strict=True):
            loose = metric["operation"] in ("percentile", "median")
            assert figure == pytest.approx(
                expected(metric, group), rel=0.15 if loose else 1e-9, abs=1e-9
            )
