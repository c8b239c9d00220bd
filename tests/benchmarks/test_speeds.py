"""How rounds become figures, and that what fails is not measured."""

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from benchmarks import batch_ray, cold_start, forwarder


def test_starts_are_compared_round_by_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The machine became twice as fast after PyTorch's last round.
    seconds = {
        "ColaONNXPredictor": [9.0, *[0.2] * 4, *[0.1] * 7],
        "ColaPredictor": [9.0, *[4.0] * 4],
    }

    def first_answer(code: str) -> tuple[float, float]:
        name = code.split()[3].rstrip(";")
        return seconds[name].pop(0), 100.0

    monkeypatch.setattr(cold_start, "first_answer", first_answer)
    monkeypatch.setattr(cold_start, "installed_megabytes", lambda requirements: 1.0)
    assert measured(cold_start, [], tmp_path, monkeypatch)["times_sooner"] == pytest.approx(20)


def test_the_forwarder_is_compared_round_by_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After a round to warm up: 3, 2 and 2 times as fast; of the medians it would be once.
    taken = iter([1, 1, *(1, 3), *(2, 4), *(3, 6)])
    monkeypatch.setattr(forwarder, "cpu_seconds", lambda way, event: next(taken))
    options = ["--events", "10", "--rounds", "3"]
    assert measured(forwarder, options, tmp_path, monkeypatch)["ratio_to_plain"] == 2


def measured(
    module: ModuleType, options: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, float]:
    """Run a benchmark, and return what it recorded."""
    name = module.__name__.removeprefix("benchmarks.")
    monkeypatch.setenv("BENCHMARK_RESULTS", str(folder))
    monkeypatch.setattr(sys, "argv", [name, *options])
    module.main()
    return json.loads((folder / f"{name}.json").read_text())


def test_a_process_without_an_answer_has_no_time() -> None:
    with pytest.raises(SystemExit, match="no answer"):
        cold_start.first_answer("print('another sentence')")


@pytest.mark.parametrize(("platform", "counted"), [("linux", 50 * 2**10), ("darwin", 50 * 2**20)])
def test_memory_is_in_megabytes_however_it_is_counted(
    platform: str, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(ru_maxrss=counted)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "wait4", lambda pid, options: (pid, 0, usage))
    assert cold_start.first_answer(f"print({cold_start.SENTENCE!r})")[1] == 50


def test_without_ray_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["batch_ray"])
    monkeypatch.setattr(batch_ray, "RAY_PYTHON", tmp_path / "python")
    monkeypatch.setattr(batch_ray, "own_speed", lambda *_: pytest.fail("it measured"))
    with pytest.raises(SystemExit, match="make tools"):
        batch_ray.main()


def test_a_job_that_fails_has_no_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_ray, "RAY_PYTHON", Path("/bin/false"))
    monkeypatch.setattr(batch_ray, "POLL_SECONDS", 0.01)
    with pytest.raises(SystemExit, match="the job failed"):
        batch_ray.run_job(tmp_path / "model.onnx", tmp_path / "in.parquet")
