"""One window of traffic, counted: by Elasticsearch, or in Python from the API's log files.

    window = from_elasticsearch(server, start, end, reference)    # counted by the server
    window = from_records(read_log(Path("logs/predictions.jsonl")), start, end, reference)

Histograms have the edges of the model's reference, so that the two can be compared bin by bin. The
first and the last bin are open: what lies outside the reference's range is counted there. Only that
model's predictions are in them: another one's scores say nothing about its reference.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from drift.log_files import LogRecord, record_errors
from drift.search import earliest, search
from drift.times import moment
from errors import ElasticError
from monitoring.elastic import Elastic, JsonObject
from monitoring.reference import ReferenceModel
from prediction.types import LOW_CONFIDENCE

# The volume of a window is compared with the mean of this many windows before it, if they are
# covered: with a new service's few predictions over seven windows, its first ones would warn.
PREVIOUS_WINDOWS = 7

# Smallest share of predictions that must be in the histograms: Elasticsearch stores a score that is
# no number, but counts it in no bin.
MIN_BINNED_SHARE = 0.99


@dataclass
class Window:
    """What one window of predictions looks like: counts and sums over [start, end).

    They are of the predictions by the reference's model, unless they say otherwise.
    """

    start: datetime
    end: datetime
    score_histogram: list[int]
    length_histogram: list[int]

    count: int = 0
    """Predictions by the reference's model."""

    labels: Counter[str] = field(default_factory=Counter)

    models: Counter[str] = field(default_factory=Counter)
    """Predictions per model version, of all models."""

    tokens: int = 0
    unknown_tokens: int = 0

    low_confidence: int = 0
    """Predictions with a score below ``LOW_CONFIDENCE``."""

    truncated: int = 0
    """Sentences that were cut."""

    score_sum: float = 0.0
    """Sum of the scores: their mean is the accuracy to expect, if scores are calibrated."""

    texts: int = 0
    """Records of all models that carry a text; with LOG_TEXT=none there are none."""

    distinct_texts: int = 0

    previous_mean: float | None = None
    """Predictions by all models per covered window before this one; None if there is none."""

    is_covered: bool = True
    """Whether the records reach back to the start of the window."""

    @property
    def total(self) -> int:
        """Predictions by all models."""
        return self.models.total()


def from_elasticsearch(
    server: Elastic, start: datetime, end: datetime, reference: ReferenceModel
) -> Window:
    """Count the window [start, end) in one search, after one for the oldest prediction.

    Raises:
        ElasticError: The server does not answer, or refuses, or does not know all predictions.
    """
    previous = _covered_windows(earliest(server) or end, start, end)
    aggregations = search(server, query(start, end, reference, previous))["aggregations"]
    everything = aggregations["window"]
    counts = everything["expected"]

    # A sum over nothing is null.
    window = Window(
        start=start,
        end=end,
        count=counts["doc_count"],
        labels=Counter(_terms(counts["labels"])),
        models=Counter(_terms(everything["models"])),
        score_histogram=[bucket["doc_count"] for bucket in counts["score"]["buckets"]],
        length_histogram=[bucket["doc_count"] for bucket in counts["length"]["buckets"]],
        tokens=round(counts["tokens"]["value"] or 0),
        unknown_tokens=round(counts["unknown_tokens"]["value"] or 0),
        low_confidence=counts["low_confidence"]["doc_count"],
        truncated=counts["truncated"]["doc_count"],
        score_sum=counts["score_sum"]["value"] or 0.0,
        texts=everything["texts"]["value"],
        distinct_texts=everything["distinct_texts"]["value"],
        previous_mean=aggregations["previous"]["doc_count"] / previous if previous else None,
    )
    _require_binned(window)
    return window


def _require_binned(window: Window) -> None:
    """Refuse a window whose histograms say too little about its predictions.

    Raises:
        ElasticError: They lack predictions that are in the window.
    """
    binned = min(sum(window.score_histogram), sum(window.length_histogram))
    if binned < MIN_BINNED_SHARE * window.count:
        raise ElasticError(
            f"{window.count - binned} of {window.count} predictions from "
            f"{window.start:%Y-%m-%d %H:%M} on have no score or no length in Elasticsearch: "
            "run `make provision`, then delete that day's index or wait for the next day"
        )


def _covered_windows(oldest: datetime, start: datetime, end: datetime) -> int:
    """Return how many whole windows before [start, end) the predictions cover."""
    return min(max((start - oldest) // (end - start), 0), PREVIOUS_WINDOWS)


def query(start: datetime, end: datetime, reference: ReferenceModel, previous: int) -> JsonObject:
    """Build the search behind ``from_elasticsearch``: all that a check needs, as aggregations."""
    before = start - previous * (end - start)
    known = reference.distributions

    # Only counts and sums come back: a window of a million predictions costs what a small one does.
    by_the_model = {
        "labels": {"terms": {"field": "prediction.label.keyword", "size": 10}},
        "score": _ranges("prediction.probability_acceptable", known.score_histogram.edges),
        "length": _ranges("input.tokens", known.length_histogram.edges),
        "tokens": {"sum": {"field": "input.tokens"}},
        "unknown_tokens": {"sum": {"field": "input.unknown_tokens"}},
        "low_confidence": {"filter": {"range": {"prediction.score": {"lt": LOW_CONFIDENCE}}}},
        "truncated": {"filter": {"term": {"input.truncated": True}}},
        "score_sum": {"sum": {"field": "prediction.score"}},
    }
    by_all = {
        "expected": {
            "filter": {"term": {"model.version": reference.version}},
            "aggs": by_the_model,
        },
        "models": {"terms": {"field": "model.version", "size": 50}},
        "texts": {"value_count": {"field": "text.keyword"}},
        "distinct_texts": {"cardinality": {"field": "text.keyword", "precision_threshold": 40000}},
    }

    # One search for both, so that they are of the same moment.
    return {
        "size": 0,
        "query": {"bool": {"filter": [{"term": {"event": "prediction"}}, _between(before, end)]}},
        "aggs": {
            "window": {"filter": _between(start, end), "aggs": by_all},
            "previous": {"filter": _between(before, start)},
        },
    }


def _between(start: datetime, end: datetime) -> JsonObject:
    return {"range": {"@timestamp": {"gte": start.isoformat(), "lt": end.isoformat()}}}


def _ranges(name: str, edges: list[float]) -> JsonObject:
    """Build a range aggregation with one bucket per bin, the outer ones open."""
    inner = edges[1:-1]
    buckets: list[dict[str, float]] = [{"to": inner[0]}]
    buckets += [{"from": low, "to": high} for low, high in pairwise(inner)]
    return {"range": {"field": name, "ranges": [*buckets, {"from": inner[-1]}]}}


def _terms(aggregation: JsonObject) -> dict[str, int]:
    return {str(bucket["key"]): int(bucket["doc_count"]) for bucket in aggregation["buckets"]}


def from_records(
    records: Iterable[LogRecord], start: datetime, end: datetime, reference: ReferenceModel
) -> Window:
    """Count the window [start, end) in log records, oldest first.

    Raises:
        ColaError: A record lacks a field of the log line.
    """
    known = reference.distributions
    score_bins, length_bins = len(known.score_histogram.shares), len(known.length_histogram.shares)
    window = Window(start, end, [0] * score_bins, [0] * length_bins)
    oldest = end
    totals: Counter[int] = Counter()
    texts: set[str] = set()

    with record_errors():
        for record in records:
            at = moment(record["@timestamp"])
            oldest = min(oldest, at)

            # This window is number 0, the one before it -1.
            number = (at - start) // (end - start)
            totals[number] += 1
            if number == 0:
                _count(window, record, reference, texts)

    window.is_covered = oldest <= start
    if previous := _covered_windows(oldest, start, end):
        window.previous_mean = sum(totals[-n] for n in range(1, previous + 1)) / previous
    window.distinct_texts = len(texts)
    return window


def _count(window: Window, record: LogRecord, reference: ReferenceModel, texts: set[str]) -> None:
    prediction, input_ = record["prediction"], record["input"]
    version = record["model"]["version"]

    window.models[version] += 1
    if (text := record.get("text")) is not None:
        window.texts += 1
        texts.add(text)

    if version != reference.version:
        return

    known = reference.distributions
    score_edges, length_edges = known.score_histogram.edges, known.length_histogram.edges
    score_bin = bisect_right(score_edges[1:-1], prediction["probability_acceptable"])
    length_bin = bisect_right(length_edges[1:-1], input_["tokens"])

    window.count += 1
    window.labels[prediction["label"]] += 1
    window.score_histogram[score_bin] += 1
    window.length_histogram[length_bin] += 1
    window.tokens += input_["tokens"]
    window.unknown_tokens += input_["unknown_tokens"]
    window.low_confidence += prediction["score"] < LOW_CONFIDENCE
    window.truncated += input_["truncated"]
    window.score_sum += prediction["score"]
