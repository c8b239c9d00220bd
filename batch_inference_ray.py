"""Chapter 6: predict a corpus beyond one machine, on every core of a Ray cluster.

    pip install -r requirements_ray.txt
    python batch_inference_ray.py sentences.parquet predictions/ --column sentence
    python batch_inference_ray.py sentences.parquet predictions/ --resume    # go on
    RAY_ADDRESS=head:6379 python batch_inference_ray.py s3://bucket/in s3://bucket/out

Reads a Parquet file or folder with a column of sentences; writes its rows, in order, with
``label``, ``score`` and ``probability_acceptable``, or ``error`` for a sentence that cannot be
predicted. Each worker reads this code and the model from the same path. Without RAY_ADDRESS it runs
on the cores of this machine.
"""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import ray
from ray.exceptions import RayError, RayTaskError

from commands.run import run_command
from errors import ColaError, ConfigError, Interrupted
from prediction.cores import available_cores
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.parquet_parts import Job, Part, predict_part, prepare_output, read_input

# How often a part may lose its worker or machine before the job gives up.
RETRIES = 5

# Only paths and counts travel through Ray. Its default is a third of the memory.
OBJECT_STORE_BYTES = 100_000_000

PROGRESS_WIDTH = 30
PROGRESS_SECONDS = 10.0
"""Between two lines of progress, where standard error is not a terminal."""


@dataclass(frozen=True)
class Done:
    """What a worker says of a part that it has written."""

    rows: int
    failed: int
    """Rows without a prediction."""
    node: str
    """Ray's name of the machine."""


def main() -> None:
    """Run the command.

    Raises:
        ColaError: An option cannot be used, or a part failed; the parts that are done are kept.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("input", help="Parquet file or folder, local or of a bucket")
    parser.add_argument("output", help="folder for the Parquet files with predictions")
    parser.add_argument("--column", default="sentence", help="default: %(default)s")
    parser.add_argument("--model", default="models/model.onnx", help="default: %(default)s")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted output")
    options = parser.parse_args()

    # Report what is wrong here, in one line, rather than from a worker.
    model = str(Path(options.model).resolve())
    version = ColaONNXPredictor(model, threads=1).info.version
    job = Job(options.input, options.output, options.column, model, version)
    source = read_input(job)
    try:
        # Before the output is made: one without anything in it would ask for --resume.
        connect()
        parts = prepare_output(job, source, options.resume)
        progress = predict_all(job, parts)
    finally:
        # Ray may have its own to say of the tasks that it ends: before the last line, not after it.
        ray.shutdown()

    earlier = sum(part.rows for part in source.parts) - progress.total
    progress.say_summary(job.output, earlier)


def predict_all(job: Job, parts: list[Part]) -> "Progress":
    """Predict parts, and show how far it is.

    Raises:
        ColaError: A part failed, or Ctrl-C was pressed.
    """
    progress = Progress(sum(part.rows for part in parts))
    try:
        with remembered_interrupt() as was_pressed:
            for done in predict_parts(job, parts):
                progress.add(done)
                if was_pressed.is_set():
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        progress.end_line()
        raise Interrupted(f"interrupted: {job.output} can be continued with --resume") from None
    return progress


@contextmanager
def remembered_interrupt() -> Iterator[threading.Event]:
    """Yield what tells whether Ctrl-C was pressed.

    Python raises KeyboardInterrupt wherever it is just then, and in a callback of Ray's it gets
    lost.
    """
    was_pressed = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        was_pressed.set()
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield was_pressed
    finally:
        signal.signal(signal.SIGINT, previous)


def connect() -> None:
    """Join the cluster of RAY_ADDRESS, or start Ray on the cores of this machine.

    Raises:
        ConfigError: There is no such cluster.
    """
    # No reports to Ray's makers, and no stack traces of parts that fail after the first one.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    quiet = {"log_to_driver": False, "logging_level": "error"}

    if address := os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(address, **quiet)
        except (ConnectionError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"RAY_ADDRESS={address}: no cluster answers ({reason})") from None
        return
    ray.init(
        "local",
        num_cpus=available_cores(),
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        **quiet,
    )


def predict_parts(job: Job, parts: list[Part]) -> Iterator[Done]:
    """Predict parts on all cores of the cluster; yield each as it is done, in any order.

    A core is never left to reading or to writing: a worker reads, predicts and writes its own part,
    and so there are as many workers as cores.

    Raises:
        ColaError: A part failed.
    """

    def run(job: Job, part: Part) -> Done:
        failed = predict_part(job, part)
        return Done(part.rows, failed, ray.get_runtime_context().get_node_id())

    task = ray.remote(num_cpus=1, max_retries=RETRIES)(run)
    part_of = {task.remote(job, part): part for part in parts}

    waiting = list(part_of)
    while waiting:
        finished, waiting = ray.wait(waiting)
        for reference in finished:
            part = part_of.pop(reference)
            where = f"{part.file}, row group {part.row_group}, from row {part.first_row}"
            try:
                done: Done = ray.get(reference)
            except RayTaskError as error:
                reason = error.cause if isinstance(error.cause, ColaError) else repr(error.cause)
                raise ColaError(f"{where}: {reason}; then continue with --resume") from None
            except RayError as error:
                reason = str(error).splitlines()[0]
                raise ColaError(
                    f"{where}: lost {RETRIES + 1} workers ({reason}); continue with --resume"
                ) from None
            yield done


class Progress:
    """A bar on a terminal, else a line every few seconds; on standard error.

    Args:
        total: Rows that are to be predicted.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._rows = self._failed = 0
        self._nodes: set[str] = set()
        self._start = self._last_line = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def add(self, done: Done) -> None:
        """Count a part, and show it."""
        self._rows += done.rows
        self._failed += done.failed
        self._nodes.add(done.node)

        now = time.monotonic()
        share = self._rows / self.total
        line = f"{share:4.0%}  {self._rows:,} of {self.total:,} rows, {self._rate(now):,.0f}/s"
        if self._is_terminal:
            bar = "#" * round(PROGRESS_WIDTH * share)
            print(f"\r[{bar:{PROGRESS_WIDTH}}] {line} ", end="", file=sys.stderr, flush=True)
        elif now - self._last_line >= PROGRESS_SECONDS:
            self._last_line = now
            print(line, file=sys.stderr, flush=True)

    def end_line(self) -> None:
        """Leave the bar as it is; what follows begins a new line."""
        if self._is_terminal:
            print(file=sys.stderr)

    def say_summary(self, output: str, earlier: int) -> None:
        """Say how much was done, how fast, and where it is.

        Args:
            output: The folder.
            earlier: Rows that an interrupted run had done.
        """
        self.end_line()
        now = time.monotonic()
        continued = f", after {earlier:,} of an earlier run" if earlier else ""
        failed = f", {self._failed:,} without a prediction (see `error`)" if self._failed else ""
        print(
            f"{self._rows:,} rows in {now - self._start:.1f} s: {self._rate(now):,.0f} rows/s"
            f" on {len(self._nodes)} node(s){continued}{failed}; in {output}",
            file=sys.stderr,
        )

    def _rate(self, now: float) -> float:
        return self._rows / max(now - self._start, 1e-9)


if __name__ == "__main__":
    run_command(main)
