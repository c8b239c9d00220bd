"""The walk runs the documents' commands, goes on where it stopped, and fills the documents."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import fill_readme, results, walk, walk_samples
from benchmarks.walk_commands import (
    AFTER_SERVING,
    BEFORE_SERVING,
    SERVE,
    WHILE_SERVING,
    Command,
    WalkStep,
    trim,
)
from tests.helpers.documents import documents, read
from tests.helpers.paths import ROOT
from tests.helpers.tiny_model import TINY_MODEL

SMOKE = "ARGS='experiment=smoke logger=none' EXPORT_ARGS=export.min_mcc=-1"
COMMANDS = [*BEFORE_SERVING, *WHILE_SERVING, *AFTER_SERVING]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A walk's folder, whose clone has this environment."""
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / ".venv").symlink_to(sys.prefix)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_is_in_a_document(command: Command) -> None:
    text = command.text.removeprefix("printf ")
    assert any(text in read(path) for path in documents())


def test_the_walk_serves_as_chapter_0_does() -> None:
    assert SERVE in read(ROOT / "docs" / "00_quickstart.md")


# One command


def test_lines_that_documents_leave_out_are_dots_and_rules_are_dropped() -> None:
    lines = ["installing", "one", "┏━━━┓", "two", "├───┤", "three", "four"]
    assert trim(lines, "^t") == ["...", "two", "three", "..."]

    pushed = ["REMOTE=local .venv/bin/python -m registry push", "model 1 is in local"]
    assert trim(pushed, "^model") == ["model 1 is in local"]


def test_the_folder_of_the_walk_is_not_recorded(folder: Path) -> None:
    echo = "echo $PWD/runs/a; echo other"
    assert walk.run(Command("x", echo, kept="runs"), folder, "")["output"] == ["runs/a", "..."]


def test_what_make_runs_is_timed_apart(folder: Path) -> None:
    echo = "sleep 0.2; echo .venv/bin/python train.py a=b; sleep 0.4; echo .venv/bin/python x.py"
    parts = walk.run(Command("train", echo), folder, "")["parts"]
    assert list(parts) == ["set-up", "train.py", "x.py"]
    assert parts["train.py"] > parts["set-up"] > parts["x.py"]


def test_the_walk_never_asks_the_hub(folder: Path) -> None:
    assert walk.run(Command("x", "echo $HF_HUB_OFFLINE"), folder, "")["output"] == ["1"]


def test_a_trial_does_not_replace_the_committed_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHMARK_RESULTS", raising=False)
    monkeypatch.setattr(walk, "started", lambda *arguments: pytest.fail("it walked"))
    monkeypatch.setattr("sys.argv", ["walk", "--folder", str(tmp_path), "--skip", "test"])
    with pytest.raises(SystemExit, match="BENCHMARK_RESULTS"):
        walk.main()


def test_a_command_that_fails_ends_the_walk(folder: Path) -> None:
    with pytest.raises(SystemExit, match="`exit 4` ended with 4: see .*walk.log"):
        walk.run(Command("x", "exit 4"), folder, "")


def test_the_server_ends_with_the_walk(folder: Path) -> None:
    clone = folder / "clone"
    for name in ("app.py", "serving", "prediction", "commands", "errors.py", "inference_onnx.py"):
        (clone / name).symlink_to(ROOT / name)
    (clone / "Makefile").write_text("serve:\n\t.venv/bin/python app.py\n")
    (clone / "models").mkdir()
    (clone / "models" / "model.onnx").symlink_to(TINY_MODEL)

    def interrupt() -> int:
        with walk.serving(folder) as (address, _):
            ports.append(int(address.rpartition(":")[2]))
            assert walk.is_listening(ports[0])
            raise KeyboardInterrupt

    ports: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert not walk.is_listening(ports[0])


# What it fills


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk in which each command printed its own name, and took two minutes."""
    steps: dict[str, WalkStep] = {
        command.name: {
            "command": command.text,
            "seconds": 120.0,
            "exit_code": 0,
            "output": [json.dumps(command.name)],
        }
        for command in [*COMMANDS, Command("serve", SERVE)]
    }
    steps["train"]["parts"] = {"set-up": 7.04, "train.py": 60, "convert_model_to_onnx.py": 9}
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["walk"])
    facts = {"cloned_commit": "c0", "corpus": "own", "environment_mb": 2500.0}
    results.record("walk", {**facts, "steps": steps})


def test_without_a_walk_documents_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    assert walk_samples.times()() is None
    assert walk_samples.transcript("train")() is None

    text = f"# A\n{fill_readme.START}old\n{fill_readme.END}\nrest\n"
    assert fill_readme.fill(text, [lambda: None]) == text
    assert fill_readme.fill(text, [lambda: "new\n"]) == text.replace("old", "new")


def test_a_transcript_has_the_commands(recorded: None) -> None:
    expected = '```\n$ make model-log\n"log"\n\n$ make model-compare\n"compare"\n```\n'
    assert walk_samples.transcript("log", "compare")() == expected


def test_output_has_no_commands(recorded: None) -> None:
    assert walk_samples.output("log", "compare")() == '```\n"log"\n"compare"\n```\n'


def test_the_table_of_times_has_the_parts_of_make_train(recorded: None) -> None:
    table = walk_samples.times()() or ""
    assert "| install: `make train`, the first time | 7.0 s | `.venv/` (2.5 GB) |" in table
    assert "| train | 1.0 min |" in table
    # Traffic twice, and the check.
    assert "| drift report, without Docker | 6.0 min |" in table
    assert "Measured at commit `c0`, training on the corpus `own`." in table


def test_a_time_that_was_not_measured_keeps_its_row(recorded: None) -> None:
    document = results.read("walk")
    del document["steps"]["test"]
    results.write("walk", document)
    assert "| `make test` | not measured |" in (walk_samples.times()() or "")


def test_long_json_is_wrapped_and_stays_json() -> None:
    answer = {"text": "A sentence.", "prediction": {"label": "acceptable", "score": 0.5}}
    lines = walk_samples.wrapped(json.dumps({"predictions": [answer] * 3})).splitlines()
    assert len(lines) > 1
    assert lines[0].endswith(",")
    assert max(map(len, lines)) <= 100
    assert json.loads("".join(lines)) == {"predictions": [answer] * 3}


# All of it


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_walk_in_a_clone(tmp_path: Path) -> None:
    stamp = Path(sys.prefix) / ".dev"
    if not stamp.is_file():
        pytest.skip("this environment is not one of `make`: run `make test-slow`")

    def go() -> list[str]:
        command = [sys.executable, "-m", "benchmarks.walk", "--folder", str(tmp_path / "walk")]
        command += ["--venv", sys.prefix, "--skip", "test"]
        command += ["--train-args", SMOKE]
        environment = {**os.environ, "BENCHMARK_RESULTS": str(tmp_path)}
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return re.findall(r"^\$ (.*)$", result.stderr, re.MULTILINE)

    assert go()[0] == f"make train {SMOKE}"
    document = json.loads((tmp_path / "walk.json").read_text())
    assert list(document["steps"]["train"]["parts"]) == [
        "set-up",
        "train.py",
        "convert_model_to_onnx.py",
        "inference_onnx.py",
    ]
    assert "able" in document["steps"]["train"]["output"][-1]
    assert document["steps"]["compare"]["exit_code"] == 0
    assert document["corpus"] == "own"

    # It goes on where it was, at its end.
    assert go() == []
