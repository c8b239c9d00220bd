"""A checkout of its own for each test of the registry."""

import os
import shutil
from pathlib import Path

import pytest

from tests.helpers.checkout import git
from tests.helpers.paths import ROOT


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a checkout with this project's DVC settings; hide the settings of this machine."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MODEL_STORE"))]:
        monkeypatch.delenv(name)

    nowhere = tmp_path / "nothing"
    for name in (
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "DVC_GLOBAL_CONFIG_DIR",
        "DVC_SITE_CACHE_DIR",
    ):
        monkeypatch.setenv(name, str(nowhere / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    folder = tmp_path / "repo"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "dvcfiles").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)

    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Settings")
    return folder
