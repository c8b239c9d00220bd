"""The locks: every package that is needed, by hash; in the images, nothing else."""

import importlib.metadata
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.paths import ROOT

HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
REQUIRED_BY_LOCK = {
    "lock_inference.txt": [
        line
        for line in (ROOT / "requirements_inference.txt").read_text().splitlines()
        if "==" in line
    ],
    "lock_lambda.txt": ["awslambdaric"],
}


def pins(text: str) -> dict[str, str]:
    """Return the versions that a requirements file pins, by package."""
    found = re.findall(r"^([a-z0-9._-]+)==([^\s\\]+)", text, re.MULTILINE)
    return dict(found)


def lines_of(lock: str) -> list[str]:
    """Return one line per package, with its hashes."""
    text = (ROOT / "infra" / lock).read_text()
    joined = text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def with_dependencies(requirements: list[str], excluded: set[str]) -> set[str]:
    """Return the names of packages and of all that they need, as installed here."""
    names: set[str] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not wanted or name in names or name in excluded:
            continue

        names.add(name)
        declared = importlib.metadata.requires(name) or []
        waiting += [Requirement(line) for line in declared]
    return names


@pytest.mark.parametrize("lock", REQUIRED_BY_LOCK)
def test_a_lock_names_each_package_that_is_needed_and_no_other(lock: str) -> None:
    excludes = (ROOT / "infra/lock_excludes.txt").read_text().splitlines()
    excluded = {line for line in excludes if not line.startswith("#")}
    needed = with_dependencies(REQUIRED_BY_LOCK[lock], excluded)

    tested = pins((ROOT / "constraints.txt").read_text())
    locked = pins((ROOT / "infra" / lock).read_text())
    assert locked == {name: tested[name] for name in needed}, "run `make lock`"


def test_the_lock_has_the_versions_of_the_requirements() -> None:
    required = pins((ROOT / "requirements_inference.txt").read_text())
    locked = pins((ROOT / "infra/lock_inference.txt").read_text())
    assert required.items() <= locked.items(), "run `make lock`"


def test_what_releases_is_locked_at_the_tested_versions() -> None:
    required = [ROOT / "requirements_inference.txt", ROOT / "infra/requirements_release.txt"]
    named = {
        canonicalize_name(Requirement(line).name): line.rpartition("==")[2]
        for path in required
        for line in path.read_text().splitlines()
        if "==" in line
    }

    tested = pins((ROOT / "constraints.txt").read_text())
    locked = pins((ROOT / "infra/lock_release.txt").read_text())
    assert named.items() <= locked.items() <= tested.items(), "run `make lock`"


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("infra/lock_[!e]*.txt")))
def test_every_line_of_a_lock_is_a_version_and_its_hashes(lock: str) -> None:
    lines = lines_of(lock)
    assert lines

    for line in lines:
        package, *hashes = line.split()
        assert re.fullmatch(r"[a-z0-9._-]+==[^\s;]+", package)
        assert hashes
        assert [part for part in hashes if not HASH.fullmatch(part)] == []


def test_an_image_installs_nothing_without_its_hash() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip install [^&\n]*", dockerfile)
    assert len(installs) == len(REQUIRED_BY_LOCK)

    for install in installs:
        assert "--require-hashes" in install
        assert re.search(r"-r locks/lock_\w+\.txt\s*$", install)
