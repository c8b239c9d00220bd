"""Fixtures for all tests: a small corpus, a configuration, commands run as a person runs them."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.paths import ROOT

if TYPE_CHECKING:
    from configs.schema import Config

pytest_plugins = [
    "tests.helpers.aws_fixtures",
    "tests.helpers.search_fixtures",
    "tests.helpers.trained_model",
]
os.environ.setdefault("WANDB_MODE", "offline")

# The tests' own servers are on this machine, where no proxy leads.
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with every eighth sentence of corpus/, in CoLA's format."""
    folder = tmp_path_factory.mktemp("small_corpus")
    for path in sorted((ROOT / "corpus").glob("*.tsv")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / path.name).write_text("".join(lines[::8]), encoding="utf-8")

    return folder


@pytest.fixture
def compose(small_corpus: Path) -> "Callable[..., Config]":
    """Return a function that composes a configuration for quick runs, from further overrides."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from configs.schema import as_config

    def build(*overrides: str) -> "Config":
        quick = ["experiment=smoke", f"data.path={small_corpus}", "logger=none"]
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            return as_config(hydra_compose("config", [*quick, *overrides]))

    return build


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs ``python SCRIPT ARGUMENTS`` from a scratch folder."""

    def execute(
        script: str,
        *arguments: str,
        environment: dict[str, str] | None = None,
        timeout: float = 240,
    ) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [sys.executable, str(ROOT / script), *arguments]
        merged = {**os.environ, "COLUMNS": "200", **(environment or {})}
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=merged,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return execute
