"""How soon a new process answers: with the ONNX file, and with the checkpoint in PyTorch.

    python -m benchmarks.cold_start

Both are started in turn, with their files in the operating system's cache; the clock runs from the
start of the process to its first answer. Prints a table and, as its last line, one JSON document,
which it also writes to benchmarks/results/cold_start.json.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks import results
from benchmarks.documents import ColdStartRun
from benchmarks.results import ROOT
from training.report import peak_megabytes

SENTENCE = "The boy is sitting on a bench"


@dataclass(frozen=True)
class Way:
    """One way to answer: the class that predicts, what it needs, and how often it is started."""

    predictor: str
    """MODULE.CLASS of a predictor, made from the path of a model."""
    requirements: str
    rounds: int

    def code(self, model: Path) -> str:
        """Return a program that prints one prediction."""
        module, _, name = self.predictor.rpartition(".")
        answer = f"{name}({str(model)!r}).predict({SENTENCE!r})"
        return f"from {module} import {name}; print({answer}, flush=True)"


ONNX = Way("inference_onnx.ColaONNXPredictor", "requirements_inference.txt", rounds=11)
PYTORCH = Way("inference.ColaPredictor", "requirements.txt", rounds=4)


def main() -> None:
    """Measure both ways; print and record the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default="models/model.onnx")
    parser.add_argument("checkpoint", nargs="?", type=Path, default="models/best-checkpoint.ckpt")
    arguments = parser.parse_args()

    models = {ONNX: arguments.model.resolve(), PYTORCH: arguments.checkpoint.resolve()}
    starts = {way: list[tuple[float, float]]() for way in models}
    # In turn, because a machine's speed changes within minutes; the slower way has fewer rounds.
    for number in range(max(way.rounds for way in models) + 1):
        for way, model in models.items():
            if number <= way.rounds:
                starts[way].append(first_answer(way.code(model)))

    onnx, pytorch = summarize(ONNX, starts[ONNX]), summarize(PYTORCH, starts[PYTORCH])
    line = "{:8} {seconds:6.3f} s {peak_memory_mb:6.0f} MB, installed {installed_mb:6.0f} MB"
    print(line.format("onnx", **onnx))
    print(line.format("pytorch", **pytorch))

    # The rounds that both ways had, without the first, which filled the cache.
    rounds = list(zip(starts[ONNX], starts[PYTORCH], strict=False))[1:]
    times_sooner = statistics.median(slow / fast for (fast, _), (slow, _) in rounds)
    results.record("cold_start", {"onnx": onnx, "pytorch": pytorch, "times_sooner": times_sooner})


def first_answer(code: str) -> tuple[float, float]:
    """Return the seconds until a new process has printed its answer, and its peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    # The answer counts, not the end of the process.
    line = process.stdout.readline()
    seconds = time.perf_counter() - start

    # wait4 tells how much memory this one child took; the process object must then know its end.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode or SENTENCE.encode() not in line:
        raise SystemExit(f"no answer from: {code}")
    return seconds, peak_megabytes(usage)


def summarize(way: Way, starts: list[tuple[float, float]]) -> ColdStartRun:
    """Return the median of the seconds and the highest memory, without the first start."""
    # The first start filled the operating system's cache.
    counted = starts[1:]
    seconds = [seconds for seconds, _ in counted]
    return {
        "seconds": statistics.median(seconds),
        "spread": results.spread(seconds),
        "peak_memory_mb": max(memory for _, memory in counted),
        "installed_mb": installed_megabytes(way.requirements),
    }


def installed_megabytes(requirements: str) -> float:
    """Return the size of the packages that a requirements file leads to, as installed here."""
    waiting = [Requirement(line) for line in read_names(requirements)]
    sizes: dict[str, int] = {}
    while waiting:
        key = waiting.pop().name.lower().replace("_", "-")
        if key in sizes:
            continue

        # A package that is not installed is optional, or of another platform.
        try:
            package = distribution(key)
        except PackageNotFoundError:
            continue

        # What a package lists may be missing: bytecode that was never written, for example.
        paths = [Path(str(file.locate())) for file in package.files or ()]
        sizes[key] = sum(path.stat().st_size for path in paths if path.is_file())

        needed = [Requirement(text) for text in package.requires or ()]
        waiting += [item for item in needed if is_needed(item)]

    return sum(sizes.values()) / 1e6


def is_needed(requirement: Requirement) -> bool:
    """Return whether a package is needed on this platform, without any extra."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def read_names(requirements: str) -> Iterator[str]:
    """Yield the packages that a requirements file names, also by another such file."""
    for line in (ROOT / requirements).read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["-r"]:
            yield from read_names(words[1])
        elif words and not words[0].startswith("-"):
            yield " ".join(words)


if __name__ == "__main__":
    main()
