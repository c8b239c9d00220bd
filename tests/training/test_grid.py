"""What a grid of runs prints at its end."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from errors import ConfigError, Interrupted
from training.grid import RankRuns, what_differs
from training.report import TrainingReport

SHARED = ["experiment=quality", "data.path=/data/cola/cola_public/raw", "logger=none"]


def finished(overrides: list[str], mcc: float | Exception, folder: str) -> Any:
    """Return what Hydra hands over after a run, whose MCC is an error if it failed."""
    result: Any = mcc
    if isinstance(mcc, float):
        splits = ("overall", "in_domain", "out_of_domain")
        result = cast(
            TrainingReport,
            SimpleNamespace(
                mcc=mcc,
                metrics={split: {"mcc": mcc} for split in splits},
                seconds=661.4,
                checkpoint=f"runs/sweep_2026-11-24_08-42-13/{folder}/models/best-checkpoint.ckpt",
            ),
        )
    return SimpleNamespace(
        status=SimpleNamespace(name="COMPLETED"), overrides=overrides, return_value=result
    )


def test_only_what_differs_is_named() -> None:
    runs = [
        [*SHARED, "training.lr=5e-5", "model=minilm"],
        [*SHARED, "training.lr=1e-4", "model=minilm"],
    ]
    assert what_differs(runs) == ["lr=5e-5", "lr=1e-4"]


def test_keys_of_the_same_last_word_keep_their_groups() -> None:
    runs = [["model.name=a", "data.name=x"], ["model.name=b", "data.name=y"]]
    assert what_differs(runs) == ["model.name=a data.name=x", "model.name=b data.name=y"]


def test_a_single_run_differs_from_nothing() -> None:
    assert what_differs([SHARED]) == [""]


def test_the_ranking_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    ranking = RankRuns()
    results: list[float | Exception] = [0.31, ConfigError("no"), 0.4]
    for number, mcc in enumerate(results):
        overrides = [*SHARED, f"training.lr={number + 1}e-5", f"training.adversarial=0.0{number}"]
        ranking.on_job_end(cast(Any, None), finished(overrides, mcc, f"{number}_lr={number}e-5"))
    with pytest.raises(SystemExit) as end:
        ranking.on_multirun_end(cast(Any, None))
    assert end.value.code == 2, "one of them failed"

    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines if line[:1].isdigit()]
    assert [(row[0], row[1], row[3]) for row in table] == [
        ("2", "lr=3e-5", "0.400"),
        ("0", "lr=1e-5", "0.310"),
        ("1", "lr=2e-5", "failed"),
    ]

    # A path is printed whole, on the last line, to be copied.
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1].startswith("best: runs/sweep_2026-11-24_08-42-13/2_lr=2e-5/")


def test_a_grid_of_exports_has_nothing_to_rank(capsys: pytest.CaptureFixture[str]) -> None:
    exported = SimpleNamespace(
        status=SimpleNamespace(name="COMPLETED"), overrides=["export.precision=fp32"]
    )
    exported.return_value = None

    ranking = RankRuns()
    ranking.on_job_end(cast(Any, None), cast(Any, exported))
    ranking.on_multirun_end(cast(Any, None))
    assert capsys.readouterr().out == ""


def test_ctrl_c_stops_a_grid_and_ranks_what_was_finished(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ranking = RankRuns()
    ranking.on_job_end(cast(Any, None), finished(["seed=1"], 0.31, "0_seed=1"))
    with pytest.raises(KeyboardInterrupt):
        ranking.on_job_end(cast(Any, None), finished(["seed=2"], Interrupted("stopped"), ""))
    assert "best: runs/sweep_2026-11-24_08-42-13/0_seed=1/" in capsys.readouterr().out
