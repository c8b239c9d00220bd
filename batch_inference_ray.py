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
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import ray
from ray.exceptions import RayError, RayTaskError

from commands.run import run_command
from errors import ColaError, ConfigError, Interrupted
from prediction.cores import available_cores
from prediction.job_progress import PROGRESS_SECONDS, Done, Progress
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.parquet_job import Job, Part, absolute, prepare_output, read_input
from prediction.parquet_parts import predict_part

# How often a part may lose its worker or machine before the job gives up.
RETRIES = 5

# Only paths and counts travel through Ray. Its default is a third of the memory.
OBJECT_STORE_BYTES = 100_000_000


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
    model = absolute(options.model)
    version = ColaONNXPredictor(model, threads=1).info.version
    job = Job(absolute(options.input), absolute(options.output), options.column, model, version)
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


def predict_all(job: Job, parts: list[Part]) -> Progress:
    """Predict parts, and show how far it is.

    Raises:
        ColaError: Parts failed, though all others are done, or the job was told to stop.
    """
    progress = Progress(sum(part.rows for part in parts))
    try:
        with remembered_signal() as was_told_to_stop:
            for results in predict_parts(job, parts):
                progress.add(results)
                if was_told_to_stop.is_set():
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {job.output} can be continued with --resume") from None
    finally:
        progress.end_line()

    if failures := progress.failures:
        raise ColaError(
            f"{len(failures):,} part(s) failed, the first: {failures[0]}; continue with --resume"
        )
    return progress


@contextmanager
def remembered_signal() -> Iterator[threading.Event]:
    """Raise KeyboardInterrupt for Ctrl-C and for SIGTERM; yield what tells whether one came.

    Python raises it wherever it is just then, and in a callback of Ray's it gets lost. Ray's own
    handler of SIGTERM ends the process without a word.
    """
    was_told_to_stop = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        was_told_to_stop.set()
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield was_told_to_stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def connect() -> None:
    """Join the cluster of RAY_ADDRESS, or start Ray on the cores of this machine.

    Raises:
        ConfigError: There is no such cluster.
    """
    # No reports to Ray's makers, and no stack traces of parts that fail after the first one.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    quiet = {"log_to_driver": False, "logging_level": "error"}

    address = os.environ.get("RAY_ADDRESS") or "local"
    if address != "local":
        # Knock once, not 20 times: where nobody listens, Ray takes most of a minute to notice.
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
        try:
            ray.init(address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"RAY_ADDRESS={address}: cannot join a cluster ({reason})") from None
        return
    ray.init(
        "local",
        num_cpus=available_cores(),
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        **quiet,
    )


def predict_parts(job: Job, parts: list[Part]) -> Iterator[list[Done | ColaError]]:
    """Predict parts on all cores of the cluster, in any order.

    A core is never left to reading or to writing: a worker reads, predicts and writes its own part,
    and so there are as many workers as cores.

    Yields:
        What became of the parts that have ended since; none if that takes PROGRESS_SECONDS.
    """

    def run(job: Job, part: Part) -> Done:
        failed = predict_part(job, part)
        return Done(part.rows, failed, ray.get_runtime_context().get_node_id())

    task = ray.remote(num_cpus=1, max_retries=RETRIES)(run)
    part_of = {task.remote(job, part): part for part in parts}

    while part_of:
        ended, _ = ray.wait(list(part_of), timeout=PROGRESS_SECONDS)
        yield [result_of(reference, part_of.pop(reference)) for reference in ended]


def result_of(reference: "ray.ObjectRef[Done]", part: Part) -> Done | ColaError:
    """Return what a worker says of a part that has ended, or why the part failed."""
    where = f"{part.file}, row group {part.row_group}, from row {part.first_row}"
    try:
        done: Done = ray.get(reference)
        return done
    except RayTaskError as error:
        reason = error.cause if isinstance(error.cause, ColaError) else repr(error.cause)
        return ColaError(f"{where}: {reason}")
    except RayError as error:
        reason = str(error).splitlines()[0]
        return ColaError(f"{where}: lost {RETRIES + 1} workers ({reason})")


if __name__ == "__main__":
    run_command(main)
