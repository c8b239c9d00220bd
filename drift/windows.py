"""One window of traffic, counted: by Elasticsearch's aggregations, or in Python from a JSONL log file.

    window = from_elasticsearch(server, start, end, edges)        # one search, no documents come back
    window = from_records(read_log(Path("logs/predictions.jsonl")), start, end, edges)

Histograms have the edges of the model's reference, so that the two can be compared bin by bin. The first and
the last bin are open: what lies outside the reference's range is counted there.
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from errors import ColaError
from monitoring.elastic import Elastic
from prediction.types import LOW_CONFIDENCE

INDEX = "cwl-*"
PREVIOUS_WINDOWS = 7  # the volume is compared with the mean of these


@dataclass(frozen=True)
class Edges:
    """The bin edges of the reference's histograms: of probability_acceptable, and of the length in tokens."""

    score: list[float]
    length: list[float]


@dataclass
class Window:
    """What one window of predictions looks like: counts and sums."""

    start: datetime
    end: datetime
    score_histogram: list[int]
    length_histogram: list[int]
    count: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    unknown_tokens: int = 0
    low_confidence: int = 0
    truncated: int = 0
    score_sum: float = 0.0
    texts: int = 0  # how many records carry a text (LOG_TEXT=none leaves it out)
    distinct_texts: int = 0
    previous_count: int = 0  # predictions in the PREVIOUS_WINDOWS windows before this one


def from_elasticsearch(server: Elastic, start: datetime, end: datetime, edges: Edges) -> Window:
    """Count the window [start, end) in one search. Raises ElasticError."""
    answer = server.request(
        "POST", f"/{INDEX}/_search?ignore_unavailable=true", query(start, end, edges)
    )
    found = answer["aggregations"]["window"]
    return Window(
        start=start,
        end=end,
        count=found["doc_count"],
        labels=Counter(_terms(found["labels"])),
        models=Counter(_terms(found["models"])),
        score_histogram=[bucket["doc_count"] for bucket in found["score"]["buckets"]],
        length_histogram=[bucket["doc_count"] for bucket in found["length"]["buckets"]],
        tokens=round(found["tokens"]["value"] or 0),
        unknown_tokens=round(found["unknown_tokens"]["value"] or 0),
        low_confidence=found["low_confidence"]["doc_count"],
        truncated=found["truncated"]["doc_count"],
        score_sum=found["score_sum"]["value"] or 0.0,
        texts=found["texts"]["value"],
        distinct_texts=found["distinct_texts"]["value"],
        previous_count=answer["aggregations"]["previous"]["doc_count"],
    )


def query(start: datetime, end: datetime, edges: Edges) -> dict[str, Any]:
    """The search behind `from_elasticsearch`: everything that a drift check needs, as aggregations."""
    before = start - PREVIOUS_WINDOWS * (end - start)
    inside = {
        "labels": {"terms": {"field": "prediction.label.keyword", "size": 10}},
        "models": {"terms": {"field": "model.version", "size": 50}},
        "score": _ranges("prediction.probability_acceptable", edges.score),
        "length": _ranges("input.tokens", edges.length),
        "tokens": {"sum": {"field": "input.tokens"}},
        "unknown_tokens": {"sum": {"field": "input.unknown_tokens"}},
        "low_confidence": {"filter": {"range": {"prediction.score": {"lt": LOW_CONFIDENCE}}}},
        "truncated": {"filter": {"term": {"input.truncated": True}}},
        "score_sum": {"sum": {"field": "prediction.score"}},
        "texts": {"value_count": {"field": "text.keyword"}},
        "distinct_texts": {"cardinality": {"field": "text.keyword", "precision_threshold": 40000}},
    }
    return {
        "size": 0,
        "query": {"bool": {"filter": [{"term": {"event": "prediction"}}, _between(before, end)]}},
        "aggs": {
            "window": {"filter": _between(start, end), "aggs": inside},
            "previous": {"filter": _between(before, start)},
        },
    }


def _between(start: datetime, end: datetime) -> dict[str, Any]:
    return {"range": {"@timestamp": {"gte": start.isoformat(), "lt": end.isoformat()}}}


def _ranges(name: str, edges: list[float]) -> dict[str, Any]:
    """A range aggregation with one bucket a bin, the outer ones open."""
    inner = edges[1:-1]
    buckets: list[dict[str, float]] = [{"to": inner[0]}]
    buckets += [{"from": low, "to": high} for low, high in pairwise(inner)]
    return {"range": {"field": name, "ranges": [*buckets, {"from": inner[-1]}]}}


def _terms(aggregation: dict[str, Any]) -> dict[str, int]:
    return {str(bucket["key"]): int(bucket["doc_count"]) for bucket in aggregation["buckets"]}


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The prediction records of a JSONL log file, in order; other lines are passed over. Raises ColaError."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except ValueError:  # the last line may be half written
                    continue
                if isinstance(record, dict) and record.get("event") == "prediction":
                    yield record
    except OSError as error:
        raise ColaError(
            f"{path}: {error.strerror}: set LOG_FILE for the API, or give its log with --log"
        ) from None


def from_records(
    records: Iterable[Mapping[str, Any]], start: datetime, end: datetime, edges: Edges
) -> Window:
    """Count the window [start, end) in log records. Raises ColaError if one lacks a field of the log line."""
    window = Window(start, end, [0] * (len(edges.score) - 1), [0] * (len(edges.length) - 1))
    before = start - PREVIOUS_WINDOWS * (end - start)
    texts: set[str] = set()
    for record in records:
        try:
            at = moment(str(record["@timestamp"]))
            window.previous_count += before <= at < start
            if start <= at < end:
                _count(window, record, edges, texts)
        except (KeyError, TypeError) as error:
            raise ColaError(
                f"a prediction record lacks {error}: was the log written by another program?"
            ) from None
    window.distinct_texts = len(texts)
    return window


def _count(window: Window, record: Mapping[str, Any], edges: Edges, texts: set[str]) -> None:
    prediction, input_ = record["prediction"], record["input"]
    window.count += 1
    window.labels[prediction["label"]] += 1
    window.models[record["model"]["version"]] += 1
    window.score_histogram[
        bisect_right(edges.score[1:-1], prediction["probability_acceptable"])
    ] += 1
    window.length_histogram[bisect_right(edges.length[1:-1], input_["tokens"])] += 1
    window.tokens += input_["tokens"]
    window.unknown_tokens += input_["unknown_tokens"]
    window.low_confidence += prediction["score"] < LOW_CONFIDENCE
    window.truncated += input_["truncated"]
    window.score_sum += prediction["score"]
    if record.get("text") is not None:
        window.texts += 1
        texts.add(record["text"])


def moment(text: str) -> datetime:
    """A UTC time from ISO 8601; without an offset it counts as UTC. Raises ColaError."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ColaError(f"{text!r} is not an ISO 8601 time, e.g. 2026-11-21T12:00:00Z") from None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def duration(text: str) -> timedelta:
    """A time span such as 30s, 15m, 24h or 7d. Raises ColaError."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if not (text[:-1].isdecimal() and text[-1:] in units and int(text[:-1]) > 0):
        raise ColaError(f"{text!r} is not a time span: give a number and s, m, h or d, e.g. 24h")
    return timedelta(**{units[text[-1]]: int(text[:-1])})
