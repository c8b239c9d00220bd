"""The Ray job: on this machine, on a cluster of two, one of which is killed; interrupted."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from prediction.onnx_predictor import ColaONNXPredictor
from prediction.parquet_job import PART_ROWS
from tests.helpers.net import free_port, wait_until
from tests.helpers.ray_cluster import Cluster, run_ray_python, start_job
from tests.helpers.tiny_model import TINY_MODEL

pytestmark = pytest.mark.slow

ROWS = 16 * PART_ROWS
MODEL = ("--model", TINY_MODEL)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two files with ROWS numbered sentences."""
    folder = tmp_path_factory.mktemp("sentences")
    for file, rows in enumerate([range(ROWS // 2), range(ROWS // 2, ROWS)]):
        texts = [f"The cat sees {number} dogs." for number in rows]
        parquet.write_table(
            pyarrow.table({"id": rows, "sentence": texts}), folder / f"{file}.parquet"
        )
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


def finish(job: "subprocess.Popen[str]") -> str:
    """Return what a job says at its end, which must be good."""
    _, stderr = job.communicate(timeout=200)
    assert job.returncode == 0, stderr
    return stderr


def has_parts(output: Path, count: int) -> bool:
    return len(list(output.glob("part-*"))) >= count


def require_every_row_once(output: Path) -> None:
    table = parquet.read_table(output)
    assert table["id"].to_pylist() == list(range(ROWS))
    assert table["label"].null_count == 0


def test_a_folder_gets_the_predictor_s_answers(tmp_path: Path) -> None:
    texts: list[str | None] = [f"The cat sees {number} dogs." for number in range(3000)]
    texts[7], texts[8] = " ", None
    (tmp_path / "in").mkdir()
    for part in range(3):
        rows = range(part * 1000, part * 1000 + 1000)
        table = pyarrow.table({"id": rows, "sentence": [texts[row] for row in rows]})
        parquet.write_table(table, tmp_path / "in" / f"{part}.parquet")
    model = shutil.copy(TINY_MODEL, tmp_path / "model.onnx")

    said = finish(start_job(tmp_path / "in", tmp_path / "out", "--model", model))
    summary = r"3,000 rows in [\d.]+ s: [\d,]+ rows/s on 1 node\(s\), 2 without a prediction"
    assert re.match(summary, said.splitlines()[-1])
    assert said.endswith(f"in {tmp_path / 'out'}\n")

    rows = parquet.read_table(tmp_path / "out").to_pylist()
    assert [row["id"] for row in rows] == list(range(3000))
    assert rows[7]["label"] is None
    assert "empty" in rows[7]["error"]
    assert "must be a string" in rows[8]["error"]

    predictor = ColaONNXPredictor(TINY_MODEL)
    for position in (0, 9, 1500, 2999):
        expected = predictor.predict(texts[position] or "")["prediction"]
        assert rows[position]["label"] == expected["label"]
        assert rows[position]["score"] == pytest.approx(expected["score"], abs=1e-4)
        assert rows[position]["error"] is None


@pytest.mark.parametrize("address", ["auto", "nonsense", "127.0.0.1:{port}"])
def test_a_cluster_that_is_not_there_is_named_and_leaves_no_output(
    source: Path, tmp_path: Path, address: str
) -> None:
    address = address.format(port=free_port())
    job = start_job(source, tmp_path / "out", *MODEL, address=address)
    # Ray by itself knocks for a quarter of an hour where nobody listens.
    _, stderr = job.communicate(timeout=150)
    assert job.returncode == 2
    assert f"error: RAY_ADDRESS={address}: cannot join a cluster (" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_goes_on_where_it_was(
    source: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "out"
    job = start_job(source, output, *MODEL)
    # As early as there is something to go on from: on a fast machine the job is soon done.
    wait_until(lambda: has_parts(output, 1), seconds=100)
    job.send_signal(number)
    _, stderr = job.communicate(timeout=60)
    assert job.returncode == 130
    assert stderr.splitlines()[-1].endswith("can be continued with --resume")

    earlier = {path: path.stat().st_mtime_ns for path in output.glob("part-*")}
    assert len(earlier) < ROWS // PART_ROWS

    said = finish(start_job(source, output, *MODEL, "--resume"))
    assert f"after {len(earlier) * PART_ROWS:,} of an earlier run" in said
    assert {path: path.stat().st_mtime_ns for path in earlier} == earlier
    require_every_row_once(output)


# What the job's main loop makes of what it is told of parts: on a terminal, and without Ray.
WITHOUT_RAY = """
import signal, sys
from types import SimpleNamespace

import batch_inference_ray
from commands.run import run_command
from errors import ColaError
from prediction.job_progress import Done
from prediction.parquet_job import Job

def predict_parts(job, parts):
    {results}

batch_inference_ray.predict_parts = predict_parts
sys.stderr.isatty = lambda: True
job = Job("in", "out", "sentence", "model", "version")
run_command(lambda: batch_inference_ray.predict_all(job, [SimpleNamespace(rows=2)]))
"""

LOSES_INTERRUPT = """
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        yield [Done(1, 0, "node")]
"""

FAILS_TWICE = """
    yield [ColaError("a"), Done(1, 0, "node"), ColaError("b")]
"""


def test_an_interrupt_that_ray_swallows_is_not_lost() -> None:
    done = run_ray_python(WITHOUT_RAY.format(results=LOSES_INTERRUPT))
    assert done.stderr.endswith("\nerror: interrupted: out can be continued with --resume\n")
    assert done.returncode == 130


def test_parts_that_failed_are_counted_under_the_bar() -> None:
    done = run_ray_python(WITHOUT_RAY.format(results=FAILS_TWICE))
    bar, error = done.stderr.splitlines()[-2:]
    assert bar.endswith("/s, 2 part(s) failed ")
    assert error == "error: 2 part(s) failed, the first: a; continue with --resume"


# Raised by ray.init for a cluster of another Python.
OTHER_PYTHON = """
import ray
import batch_inference_ray
from commands.run import run_command

def refuse(*arguments, **options):
    raise RuntimeError("Version mismatch: The cluster was started with:\\n    Python: 3.12.1\\n")

ray.init = refuse
batch_inference_ray.os.environ["RAY_ADDRESS"] = "head:6379"
run_command(batch_inference_ray.connect)
"""


def test_a_cluster_of_another_version_is_refused_in_one_line() -> None:
    done = run_ray_python(OTHER_PYTHON)
    assert done.stderr == (
        "error: RAY_ADDRESS=head:6379: cannot join a cluster"
        " (Version mismatch: The cluster was started with: Python: 3.12.1)\n"
    )


def test_a_job_that_no_core_is_free_for_says_so(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"sentence": ["A cat."]}), tmp_path / "in.parquet")
    with Cluster(cores=0) as idle:
        job = start_job("in.parquet", "out", *MODEL, address=idle.address, cwd=tmp_path)
        assert job.stderr is not None
        line = job.stderr.readline()
        job.send_signal(signal.SIGTERM)
        job.communicate(timeout=60)

    assert line == "  0%  0 of 1 rows: waiting for a free core, or for the first part\n"
    assert job.returncode == 130


# The cluster's tests, in this order: the last one leaves one machine.


def test_two_machines_share_the_work(cluster: Cluster, source: Path, tmp_path: Path) -> None:
    said = finish(start_job(source, tmp_path / "out", *MODEL, address=cluster.address))
    assert "on 2 node(s)" in said
    require_every_row_once(tmp_path / "out")


def test_a_part_that_cannot_be_read_is_named_and_the_others_are_predicted(
    cluster: Cluster, tmp_path: Path
) -> None:
    # Relative paths are the job's, not the cluster's.
    source = tmp_path / "in.parquet"
    table = pyarrow.table({"id": range(30), "sentence": ["A cat sleeps."] * 30})
    parquet.write_table(table, source, row_group_size=10)
    first = parquet.read_metadata(source).row_group(0).column(0)
    with source.open("r+b") as file:
        file.seek(first.dictionary_page_offset or first.data_page_offset)
        file.write(b"\xff" * first.total_compressed_size)

    job = start_job("in.parquet", "out", *MODEL, address=cluster.address, cwd=tmp_path)
    _, stderr = job.communicate(timeout=200)
    assert job.returncode == 2
    error = stderr.splitlines()[-1]
    assert f"1 part(s) failed, the first: {source}, row group 0, from row 0: " in error
    assert error.endswith("; continue with --resume")
    assert parquet.read_table(tmp_path / "out")["id"].to_pylist() == list(range(10, 30))


def test_a_machine_that_dies_costs_no_row(cluster: Cluster, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = start_job(source, output, *MODEL, address=cluster.address)
    wait_until(lambda: has_parts(output, 4), seconds=100)
    cluster.kill_second_machine()
    assert not has_parts(output, ROWS // PART_ROWS)

    finish(job)
    require_every_row_once(output)
