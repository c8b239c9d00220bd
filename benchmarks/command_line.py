"""How much of the model's speed is left on the command line: a file of 200,000 lines against the bare session.

    python benchmarks/command_line.py [models/model.onnx]

The bare session runs the same rows of tokens, made beforehand, on as many threads: half of them before the command
and half after it. Prints, as its last line, one JSON document, which it also writes to
benchmarks/results/command_line.json.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from corpus.format import read_folder
from export.variants import packed_rows
from prediction.command_line import BATCH
from prediction.onnx_predictor import SLICE_SENTENCES, ColaONNXPredictor
from prediction.rows import plan

LINES = 200_000


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "models/model.onnx"
    texts = [sentence.text for split in read_folder(ROOT / "corpus").values() for sentence in split]
    lines = random.Random(0).choices(texts, k=LINES)
    predictor = ColaONNXPredictor(model)
    first = bare_speed(predictor, lines[: LINES // 2])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.txt"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        seconds, memory = run_command(model, source)
    bare = statistics.mean([first, bare_speed(predictor, lines[LINES // 2 :])])
    document: dict[str, Any] = {
        "lines": LINES,
        "threads": predictor.threads,
        "bare_sentences_per_second": bare,
        "command_line_sentences_per_second": LINES / seconds,
        "share": LINES / seconds / bare,
        "memory_mb_by_tenths": memory,
    }
    text = json.dumps(document)
    (ROOT / "benchmarks" / "results" / "command_line.json").write_text(
        text + "\n", encoding="utf-8"
    )
    print(text)


def bare_speed(predictor: ColaONNXPredictor, lines: list[str]) -> float:
    """Sentences/s of the session alone, on the rows that the command line makes of these lines."""
    share = -(-BATCH // predictor.threads)
    size = min(SLICE_SENTENCES, share)
    feeds = []
    for start in range(0, len(lines), size):
        encoded = [predictor.encode(text) for text in lines[start : start + size]]
        for row in plan(encoded, packing=True):
            feeds += packed_rows([encoded[place].ids for place in row], len(row))
    with ThreadPoolExecutor(predictor.threads) as pool:
        start_time = time.perf_counter()
        for _ in pool.map(lambda feed: predictor._session.run(["logits"], feed), feeds):
            pass
        return len(lines) / (time.perf_counter() - start_time)


def run_command(model: str, source: Path) -> tuple[float, list[float]]:
    """Seconds of the command, from start to end, and its memory (MB) each time that a tenth of the file is done."""
    output = source.with_suffix(".jsonl")
    command = [
        "inference_onnx.py",
        "--model",
        model,
        "--input",
        str(source),
        "--output",
        str(output),
    ]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    memory: list[float] = []
    while process.poll() is None:
        time.sleep(0.25)
        status = Path(f"/proc/{process.pid}/status").read_text() if process.poll() is None else ""
        resident = [
            int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")
        ]
        memory += resident
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit("the command failed")
    with output.open("rb") as file:
        assert sum(1 for _ in file) == LINES
    step = max(1, len(memory) // 10)
    return seconds, [round(value, 1) for value in memory[step - 1 :: step]]


if __name__ == "__main__":
    main()
