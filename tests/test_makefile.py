"""The Makefile where machines differ: Python, an environment that cannot be used, a proxy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

FIT_PYTHON = f"""#!/bin/sh
[ "$1" != -c ] || exec {sys.executable} "$@"
printf '%s\\n' "$*" >> calls
"""
"""Runs ``-c CODE``; of modules, such as venv and pip, it only notes how they were called."""

OTHER_PYTHON = f"""#!/bin/sh
exec {sys.executable} -c 'import sys; sys.version_info = (3, 10, 4); exec(sys.argv[2])' "$@"
"""
"""Runs ``-c CODE`` as a Python that some packages have no wheels for."""

WITHOUT_PIP = f"""#!/bin/sh
exec {sys.executable} -c 'import sys; sys.modules["pip"] = None; exec(sys.argv[2])' "$@"
"""
"""Runs ``-c CODE`` as in the environment that Debian leaves without python3-venv."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder that has the Makefile, requirements of nothing, and a Python."""
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    (tmp_path / "infra").mkdir()
    for name in (
        "requirements.txt",
        "requirements_inference.txt",
        "constraints.txt",
        "infra/requirements_tools.txt",
        "infra/requirements_sam.txt",
    ):
        (tmp_path / name).touch()
    write_program(tmp_path / "fit", FIT_PYTHON)
    return tmp_path


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", "PYTHON=./fit", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("program", [OTHER_PYTHON, WITHOUT_PIP])
def test_an_environment_that_cannot_be_used_is_made_anew(clone: Path, program: str) -> None:
    write_program(clone / ".venv/bin/python", program)
    (clone / ".venv/pyvenv.cfg").touch()

    make(clone, ".venv/.train")
    assert (clone / "calls").read_text() == "-m venv --clear .venv\n"


def test_an_environment_that_can_be_used_stays_whatever_python_is_called(clone: Path) -> None:
    write_program(clone / ".venv/bin/python", FIT_PYTHON)

    done = make(clone, ".venv/.train", "PYTHON=./none")
    assert done.returncode == 0, done.stderr
    assert (clone / ".venv/.train").exists()
    assert (clone / "calls").read_text() == "-m pip install -q -r requirements.txt\n"


def test_a_folder_that_venv_did_not_make_is_not_cleared(clone: Path) -> None:
    (clone / "mine").mkdir()
    (clone / "mine/notes.txt").touch()

    make(clone, "mine/.train", "VENV=mine")
    assert (clone / "calls").read_text() == "-m venv mine\n"


@pytest.mark.parametrize("target", [".venv/.train", ".venv-tools/.installed"])
def test_a_python_without_wheels_is_refused_in_one_line(clone: Path, target: str) -> None:
    write_program(clone / "other", OTHER_PYTHON)

    done = make(clone, target, "PYTHON=./other")
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("make"))
    assert line.startswith("error: ./other is not Python 3.11 to 3.14")
    assert "make PYTHON=python3.12" in line


@pytest.mark.parametrize(
    "text", ['He said "no".', "It's $5, not $(HOME) or `date`.", "A back\\slash; ls #", "-h it"]
)
def test_a_sentence_reaches_the_model_as_it_was_typed(clone: Path, text: str) -> None:
    write_program(clone / ".venv/bin/python", FIT_PYTHON)
    make(clone, "predict", f"TEXT={text}")
    assert (clone / "calls").read_text().splitlines()[-1] == f"inference_onnx.py -- {text}"


def test_the_tests_pass_behind_a_proxy() -> None:
    environment = {**os.environ, "http_proxy": "http://127.0.0.1:9"}
    for name in ("no_proxy", "NO_PROXY"):
        environment.pop(name, None)

    chosen = ["tests/serving/test_http_edge.py", "-k", "probes_may_call and health"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *chosen],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
