"""What the Ray job keeps of the predictor's own speed on one machine, and who has its cores.

    python -m benchmarks.batch_ray [models/model.onnx]

The predictor alone runs the same sentences on as many threads: half of them before the job and half
after it. The job is timed from the start of its process to the end, with Ray's own start. It needs
.venv-ray (`make tools`). Prints, as its last line, one JSON document, which it also writes to
benchmarks/results/batch_ray.json.
"""

import argparse
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil
import pyarrow
from pyarrow import parquet

from benchmarks import results
from benchmarks.documents import BatchRay
from benchmarks.inputs import corpus_texts
from benchmarks.results import ROOT
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.stream import BATCH

RAY_PYTHON = ROOT / ".venv-ray" / "bin" / "python"

# Ray starts in seconds and is used for hours, so the input must not be short.
ROWS = 160_000

POLL_SECONDS = 0.5


def main() -> None:
    """Measure the predictor and the job; record the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default="models/model.onnx")
    parser.add_argument("--rows", type=int, default=ROWS, help="default: %(default)s")
    options = parser.parse_args()
    results.refuse_trial(options.rows < ROWS)
    if not RAY_PYTHON.is_file():
        raise SystemExit("error: there is no .venv-ray: run `make tools`")

    texts = random.Random(0).choices(corpus_texts(), k=options.rows)
    predictor = ColaONNXPredictor(options.model)

    # Half before and half after, because a machine's speed changes within minutes.
    before = own_speed(predictor, texts[: len(texts) // 2])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.parquet"
        parquet.write_table(pyarrow.table({"sentence": texts}), source)
        first_part, seconds, cores = run_job(options.model.resolve(), source)
    after = own_speed(predictor, texts[len(texts) // 2 :])

    own = statistics.mean([before, after])
    result: BatchRay = {
        "rows": len(texts),
        "threads": predictor.threads,
        "own_sentences_per_second": own,
        "job_sentences_per_second": len(texts) / seconds,
        "share": len(texts) / seconds / own,
        "seconds_to_first_part": first_part,
        "cores": cores,
    }
    results.record("batch_ray", result)


def own_speed(predictor: ColaONNXPredictor, texts: list[str]) -> float:
    """Return the sentences/s of the predictor in one process, on all of its threads."""
    start = time.perf_counter()
    for first in range(0, len(texts), BATCH):
        predictor.predict_many(texts[first : first + BATCH])
    return len(texts) / (time.perf_counter() - start)


def run_job(model: Path, source: Path) -> tuple[float, float, dict[str, float]]:
    """Run the job.

    Returns:
        The seconds to its first part and to its end, and how many cores its workers, the process
        that hands out parts and Ray's own processes used on average.
    """
    output = source.with_name("out")
    command = [str(RAY_PYTHON), "batch_inference_ray.py", str(source), str(output)]

    # Ray's workers stand back for other processes, by 15 steps of `nice`. Here they must not: on a
    # machine that is not quite idle they would be compared with a predictor that does not.
    environment = {**os.environ, "RAY_worker_niceness": "0"}

    start = time.perf_counter()
    job = subprocess.Popen([*command, "--model", str(model)], cwd=ROOT, env=environment)
    used: dict[tuple[str, int], float] = {}
    first_part: float | None = None
    while job.poll() is None:
        time.sleep(POLL_SECONDS)
        used |= cpu_seconds(job.pid)
        if first_part is None and any(output.glob("part-*")):
            first_part = time.perf_counter() - start
    seconds = time.perf_counter() - start

    if job.returncode or first_part is None:
        raise SystemExit("the job failed")
    # A fast job that loses rows would be none.
    assert parquet.read_table(output)["score"].null_count == 0
    assert parquet.read_table(output, columns=["sentence"]) == parquet.read_table(source)

    cores: defaultdict[str, float] = defaultdict(float)
    for (who, _), value in used.items():
        cores[who] += value / seconds
    return first_part, seconds, dict(cores)


def cpu_seconds(job: int) -> dict[tuple[str, int], float]:
    """Return the seconds of CPU that each process of a job has used, by who and process id."""
    found: dict[tuple[str, int], float] = {}
    try:
        process = psutil.Process(job)
        for each in [process, *process.children(recursive=True)]:
            try:
                times = each.cpu_times()
                title = " ".join(each.cmdline())
            except psutil.Error:
                # It has ended; its last reading is kept.
                continue

            who = "job" if each.pid == job else "workers" if title.startswith("ray::") else "ray"
            found[who, each.pid] = times.user + times.system
    except psutil.NoSuchProcess:
        pass
    return found


if __name__ == "__main__":
    main()
