"""A benchmark of hours goes on where it stopped, and never takes other settings' results."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import quality, results
from benchmarks.inputs import composed
from tests.helpers.untrained_model import NO_CORPUS
from training.provenance import BaseModel, CorpusFacts
from training.report import TrainingReport

SPLITS = ("overall", "in_domain", "out_of_domain")
Measure = Callable[..., list[str]]


@dataclass
class Code:
    """What is trained on, and by what."""

    corpus: CorpusFacts
    commit: str
    commit_of_reports: str


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Code:
    code = Code(replace(NO_CORPUS, name="own", pretext_sha256="a"), "c0", "c0")
    monkeypatch.setattr(quality, "corpus_facts", lambda config: code.corpus)
    monkeypatch.setattr(quality, "git_commit", lambda: code.commit)
    return code


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: Code) -> Measure:
    """Return a function that runs the benchmark and tells which scripts that took, and their seeds.

    Training takes no time and ends with a hundredth of the seed as MCC.
    """
    started: list[str] = []

    def run(script: str, *arguments: str) -> None:
        values = dict(argument.split("=", 1) for argument in arguments)
        folder = Path(values.get("models_dir") or Path(values["export.output"]).parent)
        started.append(f"{script} {folder.name}")
        if script == "train.py":
            overrides = [item for item in arguments if not item.startswith("hydra.")]
            report = finished(overrides, code)
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


def finished(overrides: Sequence[str], code: Code) -> TrainingReport:
    config = composed(overrides)
    mcc = config.seed / 100
    return TrainingReport(
        metrics={split: {"mcc": mcc, "sentences": 10} for split in SPLITS},
        epochs=5,
        steps=100,
        processes=1,
        sentences_per_second=1.0,
        peak_memory_mb=1.0,
        base_model=BaseModel("x", None, None),
        corpus=code.corpus,
        git_commit=code.commit_of_reports,
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
    group = results.read(results.name_here("quality"))["default on own, fp32"]
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
    assert len(results.read(results.name_here("quality"))["default on own, fp32"]["runs"]) == 2


def test_a_finished_seed_can_be_exported_again(measure: Measure) -> None:
    measure("--seeds", "1")
    assert measure("--seeds", "1", "--export-again") == ["convert_model_to_onnx.py seed-1"]


def test_another_seed_is_added_to_those_that_were_recorded(measure: Measure) -> None:
    measure("--seeds", "2")
    measure("--seeds", "1")

    group = results.read(results.name_here("quality"))["default on own, fp32"]
    assert [run["seed"] for run in group["runs"]] == [1, 2]
    assert group["mcc"]["overall"]["mean"] == 0.015
    assert group["command"].endswith("--seeds 1")


def test_seeds_of_other_sentences_are_neither_used_again_nor_kept(
    measure: Measure, code: Code, capsys: pytest.CaptureFixture[str]
) -> None:
    measure("--seeds", "1,2")
    code.corpus = replace(code.corpus, pretext_sha256="b")

    assert measure("--seeds", "1") == ["train.py seed-1", "convert_model_to_onnx.py seed-1"]
    group = results.read(results.name_here("quality"))["default on own, fp32"]
    assert [run["seed"] for run in group["runs"]] == [1]
    assert "default on own, fp32: earlier seeds had other settings" in capsys.readouterr().err


def test_other_settings_have_results_and_runs_of_their_own(measure: Measure) -> None:
    measure("--seeds", "1")
    default = results.read(results.name_here("quality"))["default on own, fp32"]

    assert "train.py seed-1" in measure("--seeds", "1", "training.lr=1e-5")
    assert results.read(results.name_here("quality")).keys() == {
        "default on own, fp32",
        "default on own, training.lr=1e-5, fp32",
    }
    assert results.read(results.name_here("quality"))["default on own, fp32"] == default
    assert measure("--seeds", "1") == []


@pytest.mark.parametrize(
    "override", ["seed=7", "++seed=7", "training.precision=bf16-mixed", "export.precision=fp32"]
)
def test_what_the_benchmark_decides_is_no_override(
    override: str, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        measure(override)
    assert f"{override}: the benchmark decides this" in capsys.readouterr().err


def test_a_gpu_s_results_are_not_taken_for_the_cpu_s(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(SystemExit, match=r"add training\.accelerator=cpu"):
        measure("--seeds", "1")
    assert "train.py seed-1" in measure("--seeds", "1", "training.accelerator=cpu")


def test_code_without_a_commit_is_refused_before_it_trains(
    measure: Measure, code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    code.commit = "c0-dirty"
    monkeypatch.setattr(quality, "run", lambda *arguments: pytest.fail("it ran"))
    with pytest.raises(SystemExit, match="changed since its commit"):
        measure("--seeds", "1")


def test_a_run_of_code_without_a_commit_is_not_recorded_and_trained_again(
    measure: Measure, code: Code
) -> None:
    code.commit_of_reports = "c0-dirty"
    with pytest.raises(SystemExit, match="changed since its commit"):
        measure("--seeds", "1")
    assert results.read(results.name_here("quality")) is None

    code.commit_of_reports = "c1"
    assert "train.py seed-1" in measure("--seeds", "1")
