"""`make digests`, with a stand-in for Docker's client: no registry is asked."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.digests import REFERENCES
from tests.helpers.paths import ROOT

# Answers like `docker buildx imagetools inspect NAME --format ...`, with the digest of the name.
ANSWERS = """#!/bin/sh
[ "$1 $2 $3" = "buildx imagetools inspect" ] || exit 9
echo "sha256:$(printf %s "$4$SALT" | sha256sum | cut -d" " -f1)"
"""
REFUSES = """#!/bin/sh
echo "resolving" >&2
echo "ERROR: failed to do request: no such host" >&2
exit 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files that name images."""
    for name in REFERENCES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(folder: Path, docker: str, salt: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command on a folder, with a program in the place of Docker's client."""
    client = folder / "bin/docker"
    client.parent.mkdir(exist_ok=True)
    client.write_text(docker)
    client.chmod(0o755)

    path = f"{client.parent}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "infra.digests", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "SALT": salt},
        capture_output=True,
        text=True,
        check=False,
    )


def digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def read(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in REFERENCES}


def test_each_image_gets_the_digest_of_its_own_tag(folder: Path) -> None:
    done = run(folder, ANSWERS)
    assert done.returncode == 0, done.stderr

    names = [line.partition("@")[0] for line in done.stdout.splitlines()]
    assert len(names) == 4
    for name in names:
        image, _, tag = name.rpartition(":")
        pinned = [text for text in read(folder).values() if f"{tag}@{digest(name)}" in text]
        assert len(pinned) == 1
        assert image in pinned[0]


def test_a_second_run_replaces_the_digests(folder: Path) -> None:
    run(folder, ANSWERS, salt="old")
    run(folder, ANSWERS)
    again = read(folder)

    for name in REFERENCES:
        shutil.copy(ROOT / name, folder / name)
    run(folder, ANSWERS)
    assert read(folder) == again


def test_no_image_of_others_is_left_out() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    images = re.findall(r"^ +image: (.+)$", compose, re.MULTILINE)
    others = [image for image in images if not image.startswith("cola:")]
    assert len(REFERENCES["docker-compose.yml"].findall(compose)) == len(others)

    stages = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(stages) == {"${BASE}", "runtime"}


@pytest.mark.parametrize(
    ("docker", "says"), [(REFUSES, "no such host"), ("#!/bin/sh\necho nonsense\n", "nonsense")]
)
def test_without_a_digest_no_file_changes(folder: Path, docker: str, says: str) -> None:
    before = read(folder)
    done = run(folder, docker)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert read(folder) == before
