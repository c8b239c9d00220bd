"""Where the tests find the repository and the tools that `make tools` installs."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
"""The repository."""


def find_tool(name: str) -> str:
    """Return the path of a program that ``make tools`` installs; skip the test without it."""
    folders = [ROOT / ".venv-tools/bin", ROOT / ".venv-sam/bin", os.environ["PATH"]]
    path = shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if path is None:
        pytest.skip(f"{name} is not installed: run `make tools`")
    return path
