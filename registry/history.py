"""All versions of the model: the pointer's states in git's history."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from errors import StoreError
from registry.pointer import POINTER, Pointer, read_pointer


@dataclass(frozen=True)
class Version:
    """One state of the pointer in git's history."""

    commit: str
    """The short hash of the commit that changed the pointer; empty if it is not committed yet."""

    date: str
    """When it was committed, YYYY-MM-DD; empty if it is not committed yet."""

    pointer: Pointer


def history(root: Path) -> list[Version]:
    """Return all versions of the model, newest first, a pointer that is not committed yet included.

    Raises:
        StoreError: There are none, or the checkout's pointer is damaged.
    """
    versions = list(_committed_versions(root))

    current = read_pointer(root)
    if current is not None and (not versions or versions[0].pointer != current):
        versions.insert(0, Version("", "", current))

    if not versions:
        raise StoreError(
            f"{POINTER} has no history yet: make train, make model-push, then commit it"
        )
    return versions


def _committed_versions(root: Path) -> Iterator[Version]:
    # A person's git may be set to show each commit's signature too.
    plain = "log.showSignature=false"
    log = _git(root, "-c", plain, "log", "--format=%h %cs", "--", POINTER) or ""
    for line in log.splitlines():
        commit, date = line.split()

        # From this folder on, which may be one of a larger repository. The commit that removed the
        # pointer has none to show.
        text = _git(root, "show", f"{commit}:./{POINTER}")
        if text is None:
            continue

        # A conflict that was committed stays in the history, and must not hide the versions.
        try:
            pointer = Pointer.parse(text)
        except StoreError:
            print(f"warning: {POINTER} is damaged in commit {commit}: left out", file=sys.stderr)
            continue
        yield Version(commit, date, pointer)


def _git(root: Path, *arguments: str) -> str | None:
    """Return what a git command printed, or None if it failed (there may be no repository)."""
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None
