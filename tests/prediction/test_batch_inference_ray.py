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
from prediction.parquet_parts import PART_ROWS
from tests.helpers.net import wait_until
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


# Not of a port where nobody listens: Ray knocks at it for minutes.
@pytest.mark.parametrize("address", ["auto", "nonsense"])
def test_a_cluster_that_is_not_there_is_named_and_leaves_no_output(
    source: Path, tmp_path: Path, address: str
) -> None:
    job = start_job(source, tmp_path / "out", *MODEL, address=address)
    _, stderr = job.communicate(timeout=100)
    assert job.returncode == 2
    assert stderr.splitlines()[-1].startswith(f"error: RAY_ADDRESS={address}: no cluster answers (")
    assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


def test_an_interrupted_job_goes_on_where_it_was(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = start_job(source, output, *MODEL)
    # As early as there is something to go on from: on a fast machine the job is soon done.
    wait_until(lambda: has_parts(output, 1), seconds=100)
    job.send_signal(signal.SIGINT)
    _, stderr = job.communicate(timeout=60)
    assert job.returncode == 130
    assert stderr.splitlines()[-1].endswith("can be continued with --resume")

    earlier = {path: path.stat().st_mtime_ns for path in output.glob("part-*")}
    assert len(earlier) < ROWS // PART_ROWS

    said = finish(start_job(source, output, *MODEL, "--resume"))
    assert f"after {len(earlier) * PART_ROWS:,} of an earlier run" in said
    assert {path: path.stat().st_mtime_ns for path in earlier} == earlier
    require_every_row_once(output)


LOSES_INTERRUPT = """
import signal
from types import SimpleNamespace

import batch_inference_ray
from prediction.parquet_parts import Job

def predict_parts(job, parts):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        yield batch_inference_ray.Done(1, 0, "node")

batch_inference_ray.predict_parts = predict_parts
job = Job("in", "out", "sentence", "model", "version")
batch_inference_ray.predict_all(job, [SimpleNamespace(rows=2)])
"""


def test_an_interrupt_that_ray_swallows_is_not_lost() -> None:
    done = run_ray_python(LOSES_INTERRUPT)
    assert done.stderr.splitlines()[-1].endswith("out can be continued with --resume")


# The cluster's tests, in this order: the last one leaves one machine.


def test_two_machines_share_the_work(cluster: Cluster, source: Path, tmp_path: Path) -> None:
    said = finish(start_job(source, tmp_path / "out", *MODEL, address=cluster.address))
    assert "on 2 node(s)" in said
    require_every_row_once(tmp_path / "out")


def test_a_part_that_cannot_be_read_any_more_is_named(
    cluster: Cluster, source: Path, tmp_path: Path
) -> None:
    vanishing = shutil.copytree(source, tmp_path / "in")
    job = start_job(vanishing, tmp_path / "out", *MODEL, address=cluster.address)
    wait_until((tmp_path / "out" / "_job.json").exists, seconds=60)
    (vanishing / "1.parquet").unlink()

    _, stderr = job.communicate(timeout=200)
    assert job.returncode == 2
    assert "1.parquet, row group 0, from row" in stderr.splitlines()[-1]
    assert "continue with --resume" in stderr.splitlines()[-1]


def test_a_machine_that_dies_costs_no_row(cluster: Cluster, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = start_job(source, output, *MODEL, address=cluster.address)
    wait_until(lambda: has_parts(output, 4), seconds=100)
    cluster.kill_second_machine()
    assert not has_parts(output, ROWS // PART_ROWS)

    finish(job)
    require_every_row_once(output)
