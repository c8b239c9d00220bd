"""How much of the model's speed the command line keeps: 200,000 lines against the bare session.

    python -m benchmarks.command_line

The bare session runs the same rows of tokens, made beforehand, on as many threads: half of them
before the command and half after it. Prints, as its last line, one JSON document, which it also
writes to benchmarks/results/command_line.json.
"""

import argparse
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import results
from benchmarks.documents import CommandLine
from benchmarks.inputs import corpus_texts
from benchmarks.results import ROOT
from export.feeds import Feed, packed_rows
from prediction.onnx_predictor import SLICE_SENTENCES, ColaONNXPredictor
from prediction.rows import plan
from prediction.session import open_session
from prediction.stream import BATCH

LINES = 200_000
POLL_SECONDS = 0.25


def main() -> None:
    """Measure the bare session and the command; record the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default="models/model.onnx")
    model: Path = parser.parse_args().model

    lines = random.Random(0).choices(corpus_texts(), k=LINES)
    predictor = ColaONNXPredictor(model)

    # Half before and half after, because a machine's speed changes within minutes.
    before = bare_speed(model, predictor, lines[: LINES // 2])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.txt"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        seconds, memory = run_command(model, source)
    after = bare_speed(model, predictor, lines[LINES // 2 :])

    bare = statistics.mean([before, after])
    result: CommandLine = {
        "lines": LINES,
        "threads": predictor.threads,
        "bare_sentences_per_second": bare,
        "command_line_sentences_per_second": LINES / seconds,
        "share": LINES / seconds / bare,
        "memory_mb_by_tenths": memory,
    }
    results.record("command_line", result)


def bare_speed(model: Path, predictor: ColaONNXPredictor, lines: list[str]) -> float:
    """Return the sentences/s of the session alone, on the command line's rows of these lines."""
    # The predictor cuts a batch of the command line into slices of this size, for its threads.
    size = min(SLICE_SENTENCES, math.ceil(BATCH / predictor.threads))
    feeds: list[Feed] = []
    for start in range(0, len(lines), size):
        encoded = [predictor.encode(text) for text in lines[start : start + size]]
        for row in plan(encoded, packing=True):
            feeds += packed_rows([encoded[position].ids for position in row], len(row))

    # The same as the predictor opens.
    _, session = open_session(model, threads=1)
    # Only the session is timed: rows were planned and made above.
    with ThreadPoolExecutor(predictor.threads) as pool:
        start_time = time.perf_counter()
        for _ in pool.map(lambda feed: session.run(["logits"], feed), feeds):
            pass
        return len(lines) / (time.perf_counter() - start_time)


def run_command(model: Path, source: Path) -> tuple[float, list[float]]:
    """Predict a file.

    Returns:
        The seconds of the command, from start to end, and its memory (MB) each time that a tenth
        of the file is done.
    """
    output = source.with_suffix(".jsonl")
    command = [sys.executable, "inference_onnx.py", "--model", str(model.resolve())]
    command += ["--input", str(source), "--output", str(output)]

    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT)
    memory: list[float] = []
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        memory += resident_megabytes(process.pid)
    seconds = time.perf_counter() - start

    if process.returncode:
        raise SystemExit("the command failed")
    # A fast command that loses lines would be none.
    with output.open("rb") as file:
        assert sum(1 for _ in file) == LINES

    step = max(1, len(memory) // 10)
    return seconds, [round(value, 1) for value in memory[step - 1 :: step]]


def resident_megabytes(pid: int) -> list[float]:
    """Return the memory that a process holds, as a list that is empty once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS")]


if __name__ == "__main__":
    main()
