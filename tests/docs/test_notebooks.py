"""The notebooks run from top to bottom, draw, and are committed without output."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.helpers.paths import ROOT

FOLDER = ROOT / "notebooks"
PICTURES = {"data_exploration.ipynb": 4, "error_analysis.ipynb": 4}


def run(name: str) -> list[Any]:
    """Run a notebook in its folder; return the outputs of its cells."""
    from nbclient import NotebookClient

    notebook = nbformat.read(FOLDER / name, as_version=4)
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=200, resources=resources).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def count_pictures(outputs: list[Any]) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs)


def printed(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") for output in outputs)


def test_all_notebooks_are_tested() -> None:
    assert {path.name for path in FOLDER.glob("*.ipynb")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_no_output_is_committed(name: str) -> None:
    cells = nbformat.read(FOLDER / name, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_the_data_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_PATH", raising=False)
    outputs = run("data_exploration.ipynb")
    assert count_pictures(outputs) == PICTURES["data_exploration.ipynb"]
    assert "own: 3,380 train" in printed(outputs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_the_errors_of_a_run_are_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from configs.schema import ExportConfig, Precision
    from convert_model_to_onnx import export
    from tests.helpers.tiny_model import make_checkpoint

    checkpoint = make_checkpoint(tmp_path / "best-checkpoint.ckpt", steps=200)
    config = ExportConfig(
        checkpoint=str(checkpoint),
        output=str(tmp_path / "model.onnx"),
        precision=Precision.fp32,
        calibrate=True,
        min_mcc=-1.0,
    )
    export(config, {})

    monkeypatch.delenv("DATA_PATH", raising=False)
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))
    outputs = run("error_analysis.ipynb")
    assert count_pictures(outputs) == PICTURES["error_analysis.ipynb"]
    assert "tiny on own: 1,092 sentences" in printed(outputs)
    assert "0 of 1,092 labels changed" in printed(outputs)
