"""The Ray job on a local cluster, where Ray is installed (CI's slow job, or by hand)."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason='needs pip install "ray[data]"')
import pyarrow
from pyarrow import parquet

from prediction.onnx_predictor import ColaONNXPredictor
from tests.helpers.paths import ROOT
from tests.helpers.tiny_model import TINY_MODEL

pytestmark = pytest.mark.slow


def predict(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "batch_inference_ray.py"), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_parquet_folder_gets_the_predictor_s_answers(tmp_path: Path) -> None:
    texts = [f"The cat sees {number} dogs." for number in range(3000)]
    texts[7] = " "
    (tmp_path / "in").mkdir()
    for part in range(3):
        table = pyarrow.table(
            {"id": range(part * 1000, part * 1000 + 1000), "sentence": texts[part * 1000 :][:1000]}
        )
        parquet.write_table(table, tmp_path / "in" / f"{part}.parquet")
    model = shutil.copy(TINY_MODEL, tmp_path / "model.onnx")

    result = predict(tmp_path / "in", tmp_path / "out", "--model", model)
    assert result.returncode == 0, result.stderr

    rows = {row["id"]: row for row in parquet.read_table(tmp_path / "out").to_pylist()}
    assert sorted(rows) == list(range(3000))
    assert rows[7]["label"] is None
    assert "empty" in rows[7]["error"]

    predictor = ColaONNXPredictor(TINY_MODEL)
    for position in (0, 8, 1500, 2999):
        expected = predictor.predict(texts[position])["prediction"]
        assert rows[position]["label"] == expected["label"]
        assert rows[position]["score"] == pytest.approx(expected["score"], abs=1e-4)
        assert rows[position]["error"] is None


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"words": ["The cat sleeps."]}), tmp_path / "in.parquet")

    result = predict(tmp_path / "in.parquet", tmp_path / "out", "--model", TINY_MODEL)

    assert result.returncode == 2
    assert "has words" in result.stderr
