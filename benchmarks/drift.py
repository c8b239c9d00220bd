"""How long a drift check computes on a million predictions that Elasticsearch has counted.

    python -m benchmarks.drift                              # writes benchmarks/results/drift.json

Two ways take turns: our verdict over two windows (drift/checks.py), and the plain one, which pulls
every score and length into Python and runs scipy's two-sample tests on them. Neither includes
Elasticsearch's own time.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drift.verdict import judge
from drift.windows import Window
from export.reference import SCORE_EDGES, TOKEN_EDGES
from monitoring.reference import Reference
from prediction import model_file
from prediction.model_file import Histogram

RESULT = Path(__file__).parent / "results" / "drift.json"
VERSION = "0123456789ab"


def values(count: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Scores and lengths of `count` predictions."""
    random_ = np.random.default_rng(seed)
    return random_.beta(4, 1.5, count), np.maximum(3, random_.gamma(6, 2, count)).astype(int)


def shares(numbers: np.ndarray[Any, Any], edges: list[float]) -> Histogram:
    """Return a histogram as the model file keeps it."""
    counts, _ = np.histogram(numbers, bins=edges)
    return Histogram(edges, (counts / counts.sum()).tolist())


def reference(scores: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]) -> Reference:
    """Return the distributions that a model file with these results would carry."""
    confidence = np.maximum(scores, 1 - scores)
    unacceptable = float((scores < 0.5).mean())
    return Reference(
        VERSION,
        model_file.Reference(
            count=len(scores),
            labels={"acceptable": 1 - unacceptable, "unacceptable": unacceptable},
            score_histogram=shares(scores, SCORE_EDGES),
            length_histogram=shares(lengths, TOKEN_EDGES),
            unknown_token_rate=0.0,
            low_confidence_share=float((confidence < 0.6).mean()),
            expected_accuracy=float(confidence.mean()),
            accuracy=float(confidence.mean()),
        ),
    )


def window(scores: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]) -> Window:
    """Return what Elasticsearch would answer for these predictions."""
    end = datetime(2026, 11, 21, tzinfo=UTC)
    confidence = np.maximum(scores, 1 - scores)
    unacceptable = int((scores < 0.5).sum())
    return Window(
        start=end - timedelta(hours=24),
        end=end,
        count=len(scores),
        labels=Counter(acceptable=len(scores) - unacceptable, unacceptable=unacceptable),
        models=Counter({VERSION: len(scores)}),
        score_histogram=np.histogram(scores, bins=SCORE_EDGES)[0].tolist(),
        length_histogram=np.histogram(lengths, bins=TOKEN_EDGES)[0].tolist(),
        tokens=int(lengths.sum()),
        low_confidence=int((confidence < 0.6).sum()),
        score_sum=float(confidence.sum()),
        texts=len(scores),
        distinct_texts=len(scores),
    )


def main() -> None:
    """Run the benchmark and print one JSON document as the last line."""
    parser = argparse.ArgumentParser(description="Seconds that a drift check computes.")
    parser.add_argument(
        "--predictions", type=int, default=1_000_000, help="in each of the two windows"
    )
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    known = values(1043, 0)
    pair = [values(arguments.predictions, seed) for seed in (1, 2)]
    counted, expected = [window(*one) for one in pair], reference(*known)

    def plain() -> None:
        for scores, lengths in pair:
            ks_2samp(scores, known[0])
            ks_2samp(lengths, known[1])

    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: judge(counted[0], counted[1], expected),
        "plain": plain,
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    seconds = {name: round(statistics.median(taken), 5) for name, taken in times.items()}
    result = {
        "benchmark": "drift",
        "predictions_a_window": arguments.predictions,
        "seconds": seconds,
        "ratio_to_plain": round(seconds["plain"] / seconds["ours"], 1),
        "verdict": judge(counted[0], counted[1], expected).state,
        "rounds": arguments.rounds,
        "python": platform.python_version(),
    }
    print(
        f"{seconds['ours']:.4f} s for {arguments.predictions:,} predictions "
        f"(plain: {seconds['plain']:.2f} s)"
    )
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
