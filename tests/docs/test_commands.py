"""Commands of the documents run: those of blocks that are marked ``test``.

The words after a block's language say how:

=========  =========================================================================
``test``   the block is run
``slow``   by ``make test-slow`` only
``serve``  an API answers on 127.0.0.1:8000 while it runs (here: on another port)
=========  =========================================================================

The blocks of a document run in order, in one scratch folder that looks like the repository and has
the tests' small model in ``models/``.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.documents import Block, blocks, documents, read, tracked
from tests.helpers.paths import ROOT
from tests.helpers.processes import api
from tests.helpers.tiny_model import TINY_MODEL

ADDRESS = "127.0.0.1:8000"
LANGUAGES = {"bash", "python"}


def documents_with(mark: str) -> list[Path]:
    return [path for path in documents() if any(mark in b.marks for b in blocks(read(path)))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like a fresh checkout with a model; what commands write stays in it."""
    for name in {path.parts[0] for path in tracked()}:
        (tmp_path / name).symlink_to(ROOT / name)

    # Documents call both `python` and `.venv/bin/python`.
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.onnx").symlink_to(TINY_MODEL)
    return tmp_path


def run_blocks(chosen: Sequence[Block], folder: Path) -> None:
    with ExitStack() as stack:
        address = ADDRESS
        if any("serve" in block.marks for block in chosen):
            url = stack.enter_context(api({"LOG_FILE": "logs/predictions.jsonl"}, folder))
            address = url.removeprefix("http://")

        for block in chosen:
            run_block(block, folder, address)


def run_block(block: Block, folder: Path, address: str) -> None:
    text = block.text.replace(ADDRESS, address)
    # As a person pastes it, but the first failure ends it.
    command = ["bash", "-euo", "pipefail", "-c", text]
    if block.language == "python":
        command = [sys.executable, "-c", text]

    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, f"{text}\n{result.stdout}\n{result.stderr}"


@pytest.mark.parametrize("document", documents_with("test"), ids=name_of)
def test_marked_commands_run(document: Path, folder: Path) -> None:
    marked = [block for block in blocks(read(document)) if "test" in block.marks]
    run_blocks([block for block in marked if "slow" not in block.marks], folder)


@pytest.mark.slow
@pytest.mark.parametrize("document", documents_with("slow"), ids=name_of)
def test_slow_marked_commands_run(document: Path, folder: Path) -> None:
    run_blocks([block for block in blocks(read(document)) if "test" in block.marks], folder)


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_marks_are_spelt_as_above(document: Path) -> None:
    marked = [block for block in blocks(read(document)) if block.marks]
    assert {mark for block in marked for mark in block.marks} <= {"test", "slow", "serve"}
    assert {block.language for block in marked} <= LANGUAGES
    assert all("test" in block.marks for block in marked)
