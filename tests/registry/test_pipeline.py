"""The pipeline: dvc.yaml, its parameters, and one whole run of it."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from configs.schema import Config
from errors import ConfigError
from registry import overrides
from registry.pointer import MODEL
from registry.versions import CANDIDATE
from tests.helpers.checkout import git
from tests.helpers.paths import ROOT

# --- parameters --------------------------------------------------------------------------------


def test_params_become_hydra_overrides() -> None:
    params = {
        "seed": None,
        "model": "bert_tiny",
        "training": {"lr": 5e-05, "deep": {"on": True}},
        "data": {"s": ["a"]},
    }
    assert overrides.overrides(params, ["seed", "model", "training", "data"]) == [
        "model=bert_tiny",
        "training.lr=5e-05",
        "training.deep.on=true",
        'data.s=["a"]',
    ]


@pytest.mark.parametrize("text", ["café", "un café", "5 %"])
def test_hydra_reads_a_parameter_as_it_is_written(text: str) -> None:
    (override,) = overrides.overrides({"data": {"dir": text}}, ["data"])
    assert OverridesParser.create().parse_override(override).value() == text


def test_an_unknown_group_of_params_is_refused() -> None:
    with pytest.raises(ConfigError, match="'export'"):
        overrides.overrides({"seed": None}, ["export"])


def test_every_parameter_is_a_key_of_the_configuration(
    compose: Callable[..., Config],
) -> None:
    params = yaml.safe_load(overrides.PARAMS.read_text())

    # It is committed without an experiment in it.
    assert overrides.overrides(params, list(params)) == []

    config = dataclasses.asdict(compose())
    for group, keys in params.items():
        for key in keys or []:
            assert key in config[group], f"{group}.{key}"


# --- dvc.yaml ----------------------------------------------------------------------------------


def test_the_pipeline_names_what_is_there_and_not_the_pointers_file() -> None:
    stages = yaml.safe_load((ROOT / "dvcfiles/dvc.yaml").read_text())["stages"]
    made = [
        out
        for stage in stages.values()
        for key in ("outs", "metrics", "plots")
        for out in stage.get(key, [])
    ]
    assert CANDIDATE in made
    assert MODEL not in made

    read = [dep for stage in stages.values() for dep in stage["deps"] if dep not in made]
    read += [
        name for stage in stages.values() for entry in stage.get("params", []) for name in entry
    ]
    assert [name for name in read if not (ROOT / name).exists()] == []


@pytest.mark.slow
def test_repro_twice_does_nothing_the_second_time(repo: Path) -> None:
    """The whole pipeline, with random weights for one epoch."""
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in tracked.splitlines():
        if name.endswith((".py", ".yaml", ".tsv")) and not name.startswith(("tests/", ".")):
            (repo / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repo / name)

    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "Code")

    def dvc(*arguments: str) -> str:
        # The stages say `python`: it must be this one.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=repo / "dvcfiles",
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    settings = (
        "experiment=smoke",
        "logger=none",
        "++training.limit_train_batches=0.05",
        "training.lr=2e-3",
        "++data.sources=[own]",
        "export.precision=fp32",
        "++export.min_mcc=-1",
    )
    dvc("exp", "run", *(word for setting in settings for word in ("-S", setting)))
    assert "Data and pipelines are up to date" in dvc("repro")

    metrics = json.loads(dvc("metrics", "show", "--json"))
    assert -1 <= metrics[""]["data"]["../models/candidate/metrics.json"]["data"]["mcc"] <= 1

    report = json.loads((repo / "models/candidate/training_report.json").read_text())
    assert report["config"]["training"]["lr"] == 0.002

    # The pointer's file is not the pipeline's to write.
    assert not (repo / MODEL).exists()
