"""How fast a sentence is predicted: PyTorch, padded to 128 tokens and not; ONNX fp32 and int8.

    python -m benchmarks.inference

Sentences come in random order, in batches of 1, 8 and 32, on one and two threads; all ways take
turns. Prints a table and, as its last line, one JSON document, which it also writes to
benchmarks/results/inference_vnni.json (or _no_vnni).
"""

import argparse
import os
import random
import statistics
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import results
from benchmarks.documents import Inference, InferenceRow
from benchmarks.inference_ways import (
    BATCH_SIZES,
    Way,
    export_both,
    onnx_ways,
    predictor_ways,
    pytorch_ways,
)
from benchmarks.matrix_product import network_flops, peak_flops
from export.evaluation import EvaluationSet, prepare

THREADS = (1, 2)
ROUNDS = 5
SENTENCES = 192
"""Sentences per round."""

Speeds = dict[tuple[str, int, int], list[float]]
"""Sentences/s of each round, by way, batch and threads."""


def main() -> None:
    """Measure all ways; print and record the result."""
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
                *pytorch_ways(evaluation, sentences),
                *onnx_ways(files, threads, sentences),
                *predictor_ways(files, threads, texts),
            ]
            measure(ways)
            rows += [way.row(threads) for way in ways]
            speeds |= {(way.name, way.batch, threads): way.speeds for way in ways}

    report(rows, speed_ratios(speeds), gemm_share(evaluation, sentences, speeds))


def measure(ways: list[Way]) -> None:
    """Run all ways in turn, the first time to warm up."""
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
    """Return how many times as fast one way is as another: the median of the rounds' ratios."""

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
