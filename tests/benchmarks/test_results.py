"""Where the benchmarks keep their results, and which the documents show."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import chapter_tables, results
from benchmarks.machine import Machine, machine
from benchmarks.mistakes import file_facts
from prediction.onnx_predictor import ColaONNXPredictor
from tests.helpers.paths import ROOT

MACHINE: Machine = {
    "cpu": "A CPU",
    "cores": 2,
    "has_vnni": True,
    "has_bf16": False,
}


def measure(monkeypatch: pytest.MonkeyPatch, *, has_vnni: bool, requests_per_second: float) -> None:
    """Record a result of benchmarks.serving, on a machine with or without VNNI."""
    monkeypatch.setattr(results, "machine", lambda: {**MACHINE, "has_vnni": has_vnni})
    load = {"requests_per_second": requests_per_second, "p99_ms": 1.0}
    server = {"1": load, "8": load, "32": load, "memory_mb": 1.0, "start_s": 1.0}
    results.record(
        "serving",
        {"servers": {"ours_int8": server}, "in_process_sentences_per_second": {}},
        by_processor=True,
    )


def test_results_with_and_without_vnni_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A measurement on one kind of CPU must not replace that of the other kind."""
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    measure(monkeypatch, has_vnni=False, requests_per_second=300)
    measure(monkeypatch, has_vnni=True, requests_per_second=600)
    measure(monkeypatch, has_vnni=True, requests_per_second=700)

    _, _, with_vnni, without = chapter_tables.serving_peers().splitlines()

    assert "| 700, 1 |" in with_vnni
    assert with_vnni.endswith("| A CPU, 2 cores, VNNI |")
    assert "| 300, 1 |" in without
    assert without.endswith("| A CPU, 2 cores, no VNNI |")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("serving", ["--only", "ours_int8"]),
        ("serving", ["--rounds", "1"]),
        ("scaling", ["--seconds", "1"]),
        ("forwarder", ["--events", "10"]),
        ("batch_ray", ["--rows", "10"]),
    ],
)
def test_a_trial_run_does_not_replace_the_committed_results(
    name: str, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHMARK_RESULTS", raising=False)
    monkeypatch.setattr(sys, "argv", [name, *options])
    with pytest.raises(SystemExit, match="a trial run would replace the committed results"):
        import_module(f"benchmarks.{name}").main()


def test_a_trial_run_with_a_folder_of_its_own_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    results.refuse_trial(is_smaller=True)
    # A link to the committed results is no folder of its own.
    (tmp_path / "link").symlink_to(results.FOLDER)
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path / "link"))
    with pytest.raises(SystemExit):
        results.refuse_trial(is_smaller=True)


def test_results_of_one_file_are_replaced_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    for group, mcc in (("own", 0.1), ("cola", 0.2), ("own", 0.3)):
        results.record("mistakes", {"mcc": mcc}, group=group)

    document = results.read("mistakes")
    assert {group: result["mcc"] for group, result in document.items()} == {"own": 0.3, "cola": 0.2}
    assert set(document["own"]) == {
        *("benchmark", "mcc", "machine", "matrix_product_gflops", "git_commit", "command")
    }


def test_a_result_that_cannot_be_written_leaves_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, text: str, encoding: str) -> None:
        path.write_bytes(text[: len(text) // 2].encode(encoding))
        raise OSError("no space left on device")

    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    results.record("mistakes", {"mcc": 0.1}, group="own")
    monkeypatch.setattr(Path, "write_text", write_half)

    with pytest.raises(OSError, match="no space left"):
        results.record("mistakes", {"mcc": 0.2}, group="cola")
    assert results.read("mistakes").keys() == {"own"}


def test_a_result_that_names_its_commit_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk clones a commit, which need not be that of the code that walks."""
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    results.record("walk", {"git_commit": "c0"})
    assert results.read("walk")["git_commit"] == "c0"


@pytest.mark.parametrize(
    ("argument", "recorded"),
    [
        ("/tmp/run/model.onnx", "model.onnx"),
        ("data.path=/tmp/run/cola", "data.path=cola"),
        ("models/candidate/model.onnx", "models/candidate/model.onnx"),
        ("data.path=../corpora/cola", "data.path=../corpora/cola"),
    ],
)
def test_a_command_is_recorded_without_the_folders_of_this_machine(
    argument: str, recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["mistakes", argument])
    assert results.command("mistakes") == f"python -m benchmarks.mistakes {recorded}"


def test_a_machine_that_does_not_tell_a_process_s_cores_is_described(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As macOS, where a benchmark would fail at its end, when it records what it measured."""
    monkeypatch.delattr(os, "sched_getaffinity")
    assert machine()["cores"] == os.cpu_count()


def test_mistakes_name_the_file_that_made_them() -> None:
    info = ColaONNXPredictor(ROOT / "tests/helpers/tiny_model.onnx").info
    facts = file_facts(info)
    assert facts["version"] == info.version
    assert facts["seed"] == info.lineage.config["seed"]
    assert facts["trained_git_commit"] == info.lineage.trained.git_commit


def test_code_is_dirty_but_results_and_documents_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("model.py", "README.md", "benchmarks/results/walk.json")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(results, "git_commit", lambda: "c0-dirty")

    for name in names[1:]:
        (tmp_path / name).write_text("after")
    assert results.code_commit() == "c0"
    (tmp_path / "model.py").write_text("after")
    assert results.code_commit() == "c0-dirty"
