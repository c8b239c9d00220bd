"""What the API counts, for Prometheus to read at /metrics. One registry per application."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from prediction.types import ModelInfo, Prediction

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of requests, rows and predictions of one model."""

    def __init__(self, model: ModelInfo) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)

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
        Info("cola_model", "The model that answers.", registry=registry).info(facts)

        # To look a child up by its labels costs more than to count.
        self._label = cache(self._predictions.labels)
        self._route = cache(self._route_children)

    def watch(self, waiting: Callable[[], int], lines_lost: Callable[[], int]) -> None:
        """Add the gauges whose values are asked for when the page is read.

        Args:
            waiting: Returns how many sentences wait.
            lines_lost: Returns how many log lines were lost so far.
        """
        for name, description, function in (
            ("cola_waiting_sentences", "Sentences waiting for a free worker.", waiting),
            ("cola_log_lines_lost", "Log lines lost to a slow reader or a full disk.", lines_lost),
        ):
            Gauge(name, description, registry=self._registry).set_function(function)

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

    def page(self) -> bytes:
        """Return everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _route_children(self, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(route, str(status)), self._latency.labels(route)


def _histogram(
    registry: CollectorRegistry,
    name: str,
    description: str,
    buckets: Sequence[float],
    labels: Sequence[str] = (),
) -> Histogram:
    return Histogram(f"cola_{name}", description, labels, buckets=buckets, registry=registry)
