"""What the API counts, for Prometheus to read at /metrics. One registry per application.

Several workers keep their counters in files (``share_counters``), which whoever is asked adds up.
"""

import os
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
    values,
)
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from prediction.types import ModelInfo, Prediction

# The variable that tells prometheus_client in which folder all workers keep their counters.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of requests, rows and predictions of one model."""

    def __init__(self, model: ModelInfo) -> None:
        registry = CollectorRegistry()
        folder = os.environ.get(FOLDER)
        if folder is None:
            self._page = registry
            ProcessCollector(registry=registry)
        else:
            self._page = CollectorRegistry()
            MultiProcessCollector(self._page, folder)  # type: ignore[no-untyped-call]

        self._requests = Counter(
            "cola_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._latency = _histogram(
            registry,
            "request_seconds",
            "From a request's arrival to its answer.",
            SECONDS,
            ["route"],
        )

        # How well requests are packed: full rows mean that the model is the bottleneck.
        self._row_sentences = _histogram(
            registry, "row_sentences", "Sentences packed in a row.", (1, 2, 4, 8, 16, 32)
        )
        self._row_tokens = _histogram(
            registry, "row_tokens", "Tokens packed in a row.", (8, 16, 32, 64, 96, 128, 256)
        )
        self._row_seconds = _histogram(registry, "row_seconds", "Time that a row took.", SECONDS)

        self._predictions = Counter(
            "cola_predictions", "Predictions by label.", ["label"], registry=registry
        )
        # The scores' distribution is the first thing to look at when the traffic changes.
        tenths = [n / 10 for n in range(1, 11)]
        self._score = _histogram(
            registry, "probability_acceptable", "Probability of acceptable.", tenths
        )

        facts = {"version": model.version, "name": model.name, "precision": model.precision}
        self._gauges = _Gauges(facts)
        self._page.register(self._gauges)

        # To look a child up by its labels costs more than to count.
        self._label = cache(self._predictions.labels)
        self._route = cache(self._route_children)

    def watch(self, name: str, description: str, function: Callable[[], int]) -> None:
        """Add a gauge whose value is asked for when the page is read."""
        self._gauges.functions[f"cola_{name}", description] = function

    def record_row(self, sentences: int, tokens: int, seconds: float) -> None:
        """Count a row that has run."""
        self._row_sentences.observe(sentences)
        self._row_tokens.observe(tokens)
        self._row_seconds.observe(seconds)

    def record_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Count predictions by label and by score."""
        for label, count in Tally(prediction.label for prediction in predictions).items():
            self._label(label).inc(count)

        for prediction in predictions:
            self._score.observe(prediction.probability_acceptable)

    def record_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that has ended; a status of 0 means that the client has left."""
        answered, latency = self._route(route, status)
        answered.inc()
        latency.observe(seconds)

    def record_unread(self, status: int) -> None:
        """Count a request that was refused before there was a route to answer it."""
        self._requests.labels("unread", str(status)).inc()

    def page(self) -> bytes:
        """Return everything, in Prometheus' text format."""
        return generate_latest(self._page)

    def _route_children(self, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(route, str(status)), self._latency.labels(route)


class _Gauges(Collector):
    """What is not counted but asked for: facts of the model, and numbers of the moment."""

    def __init__(self, model: dict[str, str]) -> None:
        self._model = InfoMetricFamily("cola_model", "The model that answers.", value=model)
        self.functions: dict[tuple[str, str], Callable[[], int]] = {}

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        yield self._model
        for (name, description), function in self.functions.items():
            yield GaugeMetricFamily(name, description, value=function())


def count_alone() -> None:
    """Keep the counters in this process, whichever folder the environment names for another's."""
    os.environ.pop(FOLDER, None)
    values.ValueClass = values.MutexValue


def share_counters(folder: Path, worker: int) -> None:
    """Keep the counters of this process in a folder that all workers share.

    A worker that takes another one's place goes on with its counters.

    Args:
        folder: Where the files are.
        worker: This process's number.
    """
    os.environ[FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]


def _histogram(
    registry: CollectorRegistry,
    name: str,
    description: str,
    buckets: Sequence[float],
    labels: Sequence[str] = (),
) -> Histogram:
    return Histogram(f"cola_{name}", description, labels, buckets=buckets, registry=registry)
