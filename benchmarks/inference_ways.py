"""The ways to predict that ``inference`` compares, and what a round of each took."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks.documents import InferenceRow
from export import model_file, packing, quantization
from export.evaluation import EvaluationSet
from export.feeds import Feed, open_plain_session, packed_rows, padded_batches, torch_logits
from export.matrix_inputs import collect_ranges
from prediction.model_file import Reference
from prediction.onnx_predictor import ColaONNXPredictor

BATCH_SIZES = (1, 8, 32)
PADDED_SENTENCES = 32
"""Sentences per round of the slowest way."""
TUTORIAL_LENGTH = 128
"""Tokens that the tutorial pads each sentence to."""


@dataclass(frozen=True)
class Way:
    """One way to predict all sentences of a round, and what it took."""

    name: str
    batch: int
    sentences: int
    make_batches: Callable[[], Iterable[Any]]
    run: Callable[[Any], object]
    speeds: list[float] = field(default_factory=list)
    """Sentences/s of each round."""
    latencies: list[float] = field(default_factory=list)
    """Seconds of each batch."""

    def run_round(self, *, is_warm_up: bool) -> None:
        """Predict all sentences once, and keep what it took."""
        # Batches are made before the clock starts: predicting them is what is timed.
        seconds = []
        for batch in list(self.make_batches()):
            start = time.perf_counter()
            self.run(batch)
            seconds.append(time.perf_counter() - start)

        if not is_warm_up:
            self.speeds.append(self.sentences / sum(seconds))
            self.latencies.extend(seconds)

    def row(self, threads: int) -> InferenceRow:
        """Return the median speed of the rounds, and the latency of a batch."""
        return {
            "contestant": self.name,
            "batch": self.batch,
            "threads": threads,
            "sentences_per_second": statistics.median(self.speeds),
            "p50_ms": 1000 * statistics.median(self.latencies),
            "p99_ms": 1000 * float(np.percentile(self.latencies, 99)),
        }


def export_both(evaluation: EvaluationSet, folder: Path) -> dict[str, Path]:
    """Write model files at both precisions, quantized as convert_model_to_onnx.py does."""
    graph = packing.to_onnx(evaluation.model.network)
    ranges = collect_ranges(graph, padded_batches(evaluation.quantization_sentences, 1))
    graphs = {
        "fp32": graph,
        "int8": quantization.quantize(graph, quantization.STATIC_SCHEMES[0], ranges),
    }

    origin = evaluation.model.provenance
    for precision, model in graphs.items():
        lineage = model_file.describe_lineage(origin, precision)
        path = folder / f"{precision}.onnx"
        model_file.write(path, model, origin, lineage, Reference.empty())

    return {precision: folder / f"{precision}.onnx" for precision in graphs}


def pytorch_ways(evaluation: EvaluationSet, sentences: list[list[int]]) -> Iterator[Way]:
    """Yield eager PyTorch: as a tutorial pads, and padded to the longest sentence of a batch."""

    def run(feed: Feed) -> object:
        return torch_logits(evaluation.model.network, [feed])

    # Padded to 128 tokens, all sentences would take minutes.
    few, count = sentences[:PADDED_SENTENCES], len(sentences)
    for size in BATCH_SIZES:
        padded = partial(padded_to_128, few, size)
        yield Way("eager, padded to 128", size, len(few), padded, run)
        yield Way("eager", size, count, partial(padded_batches, sentences, size), run)


def onnx_ways(files: dict[str, Path], threads: int, sentences: list[list[int]]) -> Iterator[Way]:
    """Yield the sessions alone, on batches that are padded and on rows that are packed."""
    for precision, path in files.items():
        session = open_plain_session(path, threads)

        # As a default, because the loop goes on to another session before this is called.
        def run(feed: Feed, session: ort.InferenceSession = session) -> object:
            return session.run(["logits"], feed)

        name, count = f"ONNX {precision}", len(sentences)
        for size in BATCH_SIZES:
            yield Way(name, size, count, partial(padded_batches, sentences, size), run)
            # A single sentence has nothing to be packed with.
            if size > 1:
                packed = partial(packed_rows, sentences, size)
                yield Way(f"{name}, packed", size, count, packed, run)


def predictor_ways(files: dict[str, Path], threads: int, texts: list[str]) -> Iterator[Way]:
    """Yield the predictor, from text to label, in rows and threads of its own choice."""
    count = len(texts)
    for precision, path in files.items():
        predict = ColaONNXPredictor(path, threads=threads).predict_batch
        yield Way(f"predict_batch {precision}", count, count, lambda: [texts], predict)


def padded_to_128(sentences: list[list[int]], size: int) -> Iterator[Feed]:
    """Yield batches of ``size`` sentences as the tutorial makes them: int64 [size, 128]."""
    for feed in padded_batches(sentences, size):
        yield {
            name: np.pad(values, ((0, 0), (0, TUTORIAL_LENGTH - values.shape[1])))
            for name, values in feed.items()
        }
