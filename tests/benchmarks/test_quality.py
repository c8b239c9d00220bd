"""A benchmark of hours goes on where it stopped, and never takes other settings' results."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import quality, results
from tests.helpers.untrained_model import NO_CORPUS
from training.provenance import BaseModel
from training.report import TrainingReport

SPLITS = ("overall", "in_domain", "out_of_domain")
Measure = Callable[..., list[str]]


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Return a function that runs the benchmark and tells which scripts that took, and their seeds.

    Training takes no time and ends with a hundredth of the seed as MCC.
    """
    started: list[str] = []

    def run(script: str, *arguments: str) -> None:
        values = dict(argument.split("=", 1) for argument in arguments)
        folder = Path(values.get("models_dir") or Path(values["export.output"]).parent)
        started.append(f"{script} {folder.name}")
        if script == "train.py":
            report = finished([item for item in arguments if not item.startswith("hydra.")])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "training_report.json").write_text(json.dumps(report.to_json()))
        else:
            (folder / "export_report.json").write_text(json.dumps(EXPORT_REPORT))

    monkeypatch.setattr(quality, "run", run)
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))

    def benchmark(*arguments: str) -> list[str]:
        started.clear()
        options = ["--precision", "32-true", "--folder", str(tmp_path / "runs")]
        monkeypatch.setattr("sys.argv", ["quality", "data.sources=[own]", *options, *arguments])
        quality.main()
        return list(started)

    return benchmark


EXPORT_REPORT: dict[str, Any] = {
    "contestants": {
        "int8": {
            "scheme": "static int8",
            "megabytes": 24.7,
            "metrics": {"overall": {"mcc": 0.3}},
            "flips": 0.02,
        }
    },
    "company": {"largest_difference": 0.001, "label_changes": 2, "limit": 0.005},
    "calibration": {"error_after": 0.04, "error_by_chance": 0.03},
    "lineage": {"git_commit": "of the export"},
}


def finished(overrides: Sequence[str]) -> TrainingReport:
    config = quality.composed(overrides)
    mcc = config.seed / 100
    return TrainingReport(
        metrics={split: {"mcc": mcc, "sentences": 10} for split in SPLITS},
        epochs=5,
        steps=100,
        processes=1,
        sentences_per_second=1.0,
        peak_memory_mb=1.0,
        base_model=BaseModel("x", None, None),
        corpus=replace(NO_CORPUS, name="own"),
        git_commit=None,
        created="2026-01-01T00:00:00+00:00",
        packages={},
        config=config,
        seconds=60.0,
        cpu_seconds=90.0,
        pictures="",
        checkpoint="",
    )


def test_each_seed_is_trained_and_exported_and_recorded(measure: Measure) -> None:
    assert measure("--seeds", "1,4") == [
        "train.py seed-1",
        "convert_model_to_onnx.py seed-1",
        "train.py seed-4",
        "convert_model_to_onnx.py seed-4",
    ]
    group = results.read("quality")["default on own, fp32"]
    assert group["mcc"]["overall"] == {"mean": 0.025, "min": 0.01, "max": 0.04}
    assert [run["seed"] for run in group["runs"]] == [1, 4]
    assert group["int8_mcc"]["mean"] == 0.3
    assert group["runs"][0]["int8"] == {
        "scheme": "static int8",
        "megabytes": 24.7,
        "mcc": 0.3,
        "label_changes": 0.02,
        "company_difference": 0.001,
        "company_label_changes": 2,
    }
    assert group["runs"][0]["cpu_minutes"] == 1.5
    assert group["runs"][0]["export_git_commit"] == "of the export"


def test_a_finished_seed_is_not_run_again(measure: Measure) -> None:
    measure("--seeds", "1")
    assert measure("--seeds", "1,2") == ["train.py seed-2", "convert_model_to_onnx.py seed-2"]
    assert len(results.read("quality")["default on own, fp32"]["runs"]) == 2


def test_a_finished_seed_can_be_exported_again(measure: Measure) -> None:
    measure("--seeds", "1")
    assert measure("--seeds", "1", "--export-again") == ["convert_model_to_onnx.py seed-1"]


def test_other_training_settings_are_trained_and_other_export_settings_are_not(
    measure: Measure,
) -> None:
    measure("--seeds", "1")
    assert measure("--seeds", "1", "export.min_mcc=0.2") == []
    assert measure("--seeds", "1", "training.lr=1e-5") == [
        "train.py seed-1",
        "convert_model_to_onnx.py seed-1",
    ]
