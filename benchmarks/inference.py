"""How fast a sentence is predicted: PyTorch, padded to 128 tokens and not; ONNX fp32 and int8.

    python -m benchmarks.inference

Sentences come in random order, in batches of 1, 8 and 32, on one and two threads; all variants take
turns. Prints a table and, as its last line, one JSON document, which it also writes to
benchmarks/results/inference_vnni.json (or _no_vnni).
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import results
from benchmarks.documents import Inference, InferenceRow
from benchmarks.matrix_product import network_flops, peak_flops
from export import model_file, packing, quantization
from export.evaluation import EvaluationSet, prepare
from export.feeds import Feed, open_session, packed_rows, padded_batches, torch_logits
from export.matrix_inputs import collect_ranges
from prediction.model_file import Reference
from prediction.onnx_predictor import ColaONNXPredictor

BATCH_SIZES = (1, 8, 32)
THREADS = (1, 2)
ROUNDS = 5
SENTENCES = 192
"""Sentences per round."""
PADDED_SENTENCES = 32
"""Sentences per round of the slowest variant."""
TUTORIAL_LENGTH = 128
"""Tokens that the tutorial pads each sentence to."""

Speeds = dict[tuple[str, int, int], list[float]]
"""Sentences/s of each round, by variant, batch and threads."""


@dataclass(frozen=True)
class Variant:
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


def main() -> None:
    """Measure all variants; print and record the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = "models/best-checkpoint.ckpt"
    parser.add_argument("checkpoint", nargs="?", type=Path, default=default)
    checkpoint: Path = parser.parse_args().checkpoint

    torch.set_grad_enabled(False)
    evaluation = prepare(checkpoint, {}, calibrate=False)
    # The corpus is sorted by source, so neighbours are of similar length; requests are not.
    order = random.Random(0).sample(range(len(evaluation.sentences)), SENTENCES)
    texts = [evaluation.texts[position] for position in order]
    sentences = [evaluation.sentences[position] for position in order]

    rows: list[InferenceRow] = []
    speeds: Speeds = {}
    with tempfile.TemporaryDirectory() as folder:
        files = export_both(evaluation, Path(folder))
        for threads in track(THREADS, description="threads"):
            torch.set_num_threads(threads)
            ways = [
                *pytorch_variants(evaluation, sentences),
                *onnx_variants(files, threads, sentences),
                *predictor_variants(files, threads, texts),
            ]
            measure(ways)
            rows += [way.row(threads) for way in ways]
            speeds |= {(way.name, way.batch, threads): way.speeds for way in ways}

    report(rows, speed_ratios(speeds), gemm_share(evaluation, sentences, speeds))


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


def pytorch_variants(evaluation: EvaluationSet, sentences: list[list[int]]) -> Iterator[Variant]:
    """Yield eager PyTorch: as a tutorial pads, and padded to the longest sentence of a batch."""

    def run(feed: Feed) -> object:
        return torch_logits(evaluation.model.network, [feed])

    # Padded to 128 tokens, all sentences would take minutes.
    few, count = sentences[:PADDED_SENTENCES], len(sentences)
    for size in BATCH_SIZES:
        padded = partial(padded_to_128, few, size)
        yield Variant("eager, padded to 128", size, len(few), padded, run)
        yield Variant("eager", size, count, partial(padded_batches, sentences, size), run)


def onnx_variants(
    files: dict[str, Path], threads: int, sentences: list[list[int]]
) -> Iterator[Variant]:
    """Yield the sessions alone, on batches that are padded and on rows that are packed."""
    for precision, path in files.items():
        session = open_session(path, threads)

        # As a default, because the loop goes on to another session before this is called.
        def run(feed: Feed, session: ort.InferenceSession = session) -> object:
            return session.run(["logits"], feed)

        name, count = f"ONNX {precision}", len(sentences)
        for size in BATCH_SIZES:
            yield Variant(name, size, count, partial(padded_batches, sentences, size), run)
            # A single sentence has nothing to be packed with.
            if size > 1:
                packed = partial(packed_rows, sentences, size)
                yield Variant(f"{name}, packed", size, count, packed, run)


def predictor_variants(files: dict[str, Path], threads: int, texts: list[str]) -> Iterator[Variant]:
    """Yield the predictor, from text to label, in rows and threads of its own choice."""
    count = len(texts)
    for precision, path in files.items():
        predict = ColaONNXPredictor(path, threads=threads).predict_batch
        yield Variant(f"predict_batch {precision}", count, count, lambda: [texts], predict)


def padded_to_128(sentences: list[list[int]], size: int) -> Iterator[Feed]:
    """Yield batches of ``size`` sentences as the tutorial makes them: int64 [size, 128]."""
    for feed in padded_batches(sentences, size):
        yield {
            name: np.pad(values, ((0, 0), (0, TUTORIAL_LENGTH - values.shape[1])))
            for name, values in feed.items()
        }


def measure(ways: list[Variant]) -> None:
    """Run all variants in turn, the first time to warm up."""
    # In turn, because a machine's speed changes within minutes.
    for number in range(ROUNDS + 1):
        for way in ways:
            way.run_round(is_warm_up=number == 0)


def gemm_share(
    evaluation: EvaluationSet, sentences: list[list[int]], speeds: Speeds
) -> dict[str, float]:
    """Return the share of this machine's best matrix product that fp32 reaches.

    In packed rows of 32 sentences, on one thread.
    """
    speed = statistics.median(speeds["ONNX fp32, packed", 32, 1])
    reached = speed * network_flops(evaluation.model.network.config, sentences)
    peak = peak_flops()
    return {"gemm_peak_gflops": peak / 1e9, "fp32_gflops": reached / 1e9, "share": reached / peak}


def speed_ratios(speeds: Speeds) -> dict[str, float]:
    """Return how many times as fast one variant is as another: the median of the rounds' ratios."""

    def ratio(fast: tuple[str, int, int], slow: tuple[str, int, int]) -> float:
        rounds = zip(speeds[fast], speeds[slow], strict=True)
        return statistics.median(one / other for one, other in rounds)

    int8 = ("ONNX int8", 1, 1)
    ratios = {
        "int8_over_eager_batch_1": ratio(int8, ("eager", 1, 1)),
        "int8_over_padded_to_128_batch_1": ratio(int8, ("eager, padded to 128", 1, 1)),
    }
    for precision in ("fp32", "int8"):
        for threads in THREADS:
            # Not of 1: a single sentence has nothing to be packed with.
            for size in BATCH_SIZES[1:]:
                packed = (f"ONNX {precision}, packed", size, threads)
                padded = (f"ONNX {precision}", size, threads)
                name = f"packed_over_padded_{size}_{precision}_{threads}_threads"
                ratios[name] = ratio(packed, padded)
    return ratios


def report(rows: list[InferenceRow], ratios: dict[str, float], gemm: dict[str, float]) -> None:
    """Print the table and the ratios, and record them."""
    table = Table("variant", "batch", "threads", "sentences/s", "p50 ms", "p99 ms")
    for row in rows:
        table.add_row(
            row["contestant"],
            str(row["batch"]),
            str(row["threads"]),
            f"{row['sentences_per_second']:.0f}",
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
        )
    console = Console(width=100)
    console.print(table)
    console.print({**ratios, **gemm})

    result: Inference = {
        "cores": os.cpu_count(),
        "rounds": ROUNDS,
        "rows": rows,
        "ratios": ratios,
        "gemm": gemm,
    }
    results.record("inference", result, by_processor=True)


if __name__ == "__main__":
    main()
