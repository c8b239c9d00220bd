"""How soon a new process answers: with the ONNX file, and with the checkpoint in PyTorch.

    python benchmarks/cold_start.py [MODEL.onnx CHECKPOINT.ckpt]

Both are started in turn, with their files in the operating system's cache; the clock runs from the start of the process
to the first answer. Prints a table and, as its last line, one JSON document, which it also writes to
benchmarks/results/cold_start.json.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SENTENCE = "The boy is sitting on a bench"
ROUNDS = {"onnx": 11, "pytorch": 4}
CODE = {
    "onnx": "from inference_onnx import ColaONNXPredictor as P; print(P({path!r}).predict({sentence!r}), flush=True)",
    "pytorch": "from inference import ColaPredictor as P; print(P({path!r}).predict({sentence!r}), flush=True)",
}
REQUIREMENTS = {"onnx": "requirements_inference.txt", "pytorch": "requirements.txt"}


def main() -> None:
    paths = dict(
        zip(
            CODE,
            [
                *sys.argv[1:],
                *("models/model.onnx", "models/best-checkpoint.ckpt")[len(sys.argv) - 1 :],
            ],
            strict=True,
        )
    )
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in CODE}
    for number in range(max(ROUNDS.values()) + 1):
        for name, code in CODE.items():
            if number <= ROUNDS[name]:
                runs[name].append(
                    first_answer(
                        code.format(path=str(Path(paths[name]).resolve()), sentence=SENTENCE)
                    )
                )
    results: dict[str, Any] = {
        name: {
            "seconds": statistics.median(
                seconds for seconds, _ in measured[1:]
            ),  # the first filled the cache
            "peak_memory_mb": max(memory for _, memory in measured[1:]),
            "installed_mb": installed_megabytes(REQUIREMENTS[name]),
        }
        for name, measured in runs.items()
    }
    results["times_sooner"] = results["pytorch"]["seconds"] / results["onnx"]["seconds"]
    line = "{:8} {seconds:6.3f} s {peak_memory_mb:6.0f} MB, installed {installed_mb:6.0f} MB"
    for name in CODE:
        print(line.format(name, **results[name]))
    text = json.dumps(results)
    (ROOT / "benchmarks" / "results" / "cold_start.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def first_answer(code: str) -> tuple[float, float]:
    """Seconds until a new process has printed its answer, and its peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    seconds = time.perf_counter() - start
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or SENTENCE.encode() not in line:
        raise SystemExit(f"no answer from: {code}")
    process.stdout.close()
    return seconds, usage.ru_maxrss / 1024


def installed_megabytes(requirements: str) -> float:
    """Size of the packages that a requirements file leads to, as they are installed here."""
    from packaging.requirements import Requirement

    waiting = read_names(requirements)
    sizes: dict[str, float] = {}
    while waiting:
        requirement = Requirement(waiting.pop())
        key = requirement.name.lower().replace("_", "-")
        if key in sizes:
            continue
        try:
            package = distribution(key)
        except PackageNotFoundError:
            continue  # of another platform, or optional
        sizes[key] = sum(
            file.locate().stat().st_size for file in package.files or () if file.locate().is_file()
        )  # type: ignore[attr-defined]
        needed = (Requirement(text) for text in package.requires or ())
        waiting += [
            item.name
            for item in needed
            if item.marker is None or item.marker.evaluate({"extra": ""})
        ]
    return sum(sizes.values()) / 1e6


def read_names(requirements: str) -> list[str]:
    names = []
    for line in (ROOT / requirements).read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r"):
            names += read_names(line.split()[1])
        elif line and not line.startswith("-"):
            names.append(line)
    return names


if __name__ == "__main__":
    main()
