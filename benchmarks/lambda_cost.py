"""How the Lambda function grows: time, concurrency and cost, from its measured handler.

    python -m benchmarks.lambda_cost [models/model.onnx] [--gb-second 0.00001667]

The handler answers direct invocations of one and of a hundred sentences in this process, on one
thread. The rest is computed: Lambda gives processor time in proportion to memory, and bills memory
times duration plus a price per request. What it costs to start a function is not in it. Prints, as
its last line, one JSON document, which it also writes to benchmarks/results/lambda_cost.json.
"""

import argparse
import math
import os
import random
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks import results
from benchmarks.documents import LambdaCost, LambdaCostRow
from benchmarks.inputs import corpus_texts
from prediction.cores import LAMBDA_MEGABYTES_PER_CORE
from prediction.onnx_predictor import ColaONNXPredictor
from serving.prediction_log import PredictionLog
from serving.settings import Settings

INVOCATIONS = {1: 2000, 100: 60}
"""How many are timed, by sentences per invocation."""

# More than one core's memory does not make a single sentence faster.
MEMORY_MB = (512, 1024, 1769)

# List prices without the free tier, from AWS's whitepaper "How AWS Pricing Works", looked up in
# November 2026. They differ by region and processor, and change: give your own.
PRICE_PER_GB_SECOND = 0.00001667
PRICE_PER_MILLION_REQUESTS = 0.20

PREDICTIONS = 1_000_000
PREDICTIONS_PER_SECOND = 1000
"""The load whose concurrency is computed."""


def main() -> None:
    """Measure the handler, compute the table; record both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default="models/model.onnx")
    parser.add_argument("--gb-second", type=float, default=PRICE_PER_GB_SECOND, metavar="DOLLARS")
    parser.add_argument(
        "--million-requests", type=float, default=PRICE_PER_MILLION_REQUESTS, metavar="DOLLARS"
    )
    options = parser.parse_args()

    handler_ms = measure_handler(options.model)
    result: LambdaCost = {
        "handler_ms": {str(sentences): value for sentences, value in handler_ms.items()},
        "dollars_per_gb_second": options.gb_second,
        "dollars_per_million_requests": options.million_requests,
        "rows": [
            cost_of(sentences, milliseconds, memory, options.gb_second, options.million_requests)
            for sentences, milliseconds in handler_ms.items()
            for memory in MEMORY_MB
        ],
    }
    results.record("lambda_cost", result)


def measure_handler(model: Path) -> Mapping[int, float]:
    """Return the mean milliseconds of an invocation on one core, by its number of sentences."""
    texts = corpus_texts()
    choose = random.Random(0)

    # The module loads the model of this variable when it is imported, as Lambda wants it.
    os.environ["MODEL_PATH"] = str(model)
    from lambda_handler import Function

    predictor = ColaONNXPredictor(model, threads=1)
    # Writing the log lines is part of the handler's work; they go nowhere.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    log = PredictionLog("lambda", predictor.info, descriptor=nowhere, background=False)
    handler = Function(predictor, Settings(), log)

    means: dict[int, float] = {}
    for sentences, count in INVOCATIONS.items():
        times = []
        for _ in range(count):
            event = {"sentences": choose.choices(texts, k=sentences)}
            # All of it runs on this thread and waits for nothing, so the processor's time is what
            # it takes on a core of its own, whatever else this machine does.
            start = time.process_time()
            answer = handler(event, None)
            times.append(time.process_time() - start)
            assert len(answer["predictions"]) == sentences
        means[sentences] = statistics.mean(times) * 1000
    return means


def cost_of(
    sentences: int,
    milliseconds: float,
    memory: int,
    dollars_per_gb_second: float,
    dollars_per_million_requests: float,
) -> LambdaCostRow:
    """Compute what predictions cost with one size of function.

    Args:
        sentences: Per invocation.
        milliseconds: Duration of an invocation on one whole core.
        memory: MB of the function; ``LAMBDA_MEGABYTES_PER_CORE`` of them come with one core.
        dollars_per_gb_second: Price of a GB-second.
        dollars_per_million_requests: Price of a million invocations.
    """
    cores = min(1.0, memory / LAMBDA_MEGABYTES_PER_CORE)
    duration = milliseconds / cores
    # Lambda bills whole milliseconds.
    billed_seconds = math.ceil(duration) / 1000

    invocations = PREDICTIONS / sentences
    gb_seconds = invocations * billed_seconds * memory / 1024
    requests = invocations / 1e6 * dollars_per_million_requests
    return {
        "sentences": sentences,
        "memory_mb": memory,
        "milliseconds": duration,
        "concurrency": PREDICTIONS_PER_SECOND / sentences * duration / 1000,
        "dollars_per_million_predictions": gb_seconds * dollars_per_gb_second + requests,
    }


if __name__ == "__main__":
    main()
