"""The current version of the model: push, pull and compare it, promote a candidate."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from commands.files import lock, replace_atomically, sha256_of
from errors import StoreError
from registry import store
from registry.pointer import MODEL, POINTER, Facts, Pointer, as_text, read_pointer, write_pointer

CANDIDATE = "models/candidate/model.onnx"
"""Where dvcfiles/dvc.yaml puts the model that the pipeline makes."""

TOLERANCE = 0.005
"""How much lower the MCC of a new model may be: one recipe differs by as much on two machines."""


def push(root: Path, remote: str) -> str:
    """Put the model into the store and write its pointer; return a line that says so.

    The pointer gets its old content back unless the whole model is in the store.

    Raises:
        ModelFileError: ``models/model.onnx`` is missing or is not a model of this project.
        StoreError: The store did not take it; the pointer is what it was.
    """
    with _one_at_a_time(root):
        return _push(root, remote)


def _push(root: Path, remote: str) -> str:
    facts = Facts.of_model(root / MODEL)
    store.name_remote(root, remote)

    path = root / POINTER
    with _restored_on_failure(path) as before:
        write_pointer(root, facts)

        # Without --force, DVC asks whether the file may differ from the pointer.
        store.dvc(root, remote, "commit", "--force", POINTER)
        output = store.dvc(root, remote, "push", "-r", remote, POINTER)

    # DVC ends with 0 in both cases; only its output tells them apart.
    is_uploaded = "everything is up to date" not in output.lower()
    md5 = Pointer.parse(path.read_text(encoding="utf-8")).md5[:8]
    if path.read_bytes() == before:
        action = "uploaded" if is_uploaded else "nothing to upload"
        return f"model {md5} is the pointer's already; {action}"

    state = f"is in {remote}" if is_uploaded else f"was in {remote} already"
    return f"model {md5} {state}; now: git add {POINTER} && git commit"


def pull(root: Path, remote: str) -> str:
    """Fetch the pointer's model into ``models/model.onnx``; return a line that says so.

    Raises:
        StoreError: It cannot be fetched, or is not the file that was pushed; the file that is
            there stays.
    """
    with _one_at_a_time(root):
        pointer = read_pointer(root)
        if pointer is None:
            raise StoreError(
                f"there is no {POINTER}: no model was pushed yet (make train, make model-push)"
            )

        store.name_remote(root, remote)
        with _restored_on_failure(root / MODEL):
            store.dvc(root, remote, "pull", "-r", remote, POINTER)
            _check_file(root / MODEL, pointer, remote)
    return (
        f"{MODEL} is model {pointer.md5[:8]}, "
        f"MCC {as_text(pointer.facts.mcc)} on {pointer.facts.corpus}"
    )


@dataclass(frozen=True)
class Comparison:
    """A new model beside the current one."""

    new: Facts

    current: Facts | None
    """None where no model was pushed before."""

    def as_markdown(self) -> str:
        """Return the facts as a Markdown table, one row per fact."""
        columns = {"new": self.new}
        if self.current is not None:
            columns = {"current": self.current, **columns}

        lines = [f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        for field in fields(Facts):
            values = (as_text(getattr(facts, field.name)) for facts in columns.values())
            lines.append(f"| {field.name} | {' | '.join(values)} |")
        return "\n".join(lines)


def compare(root: Path, model: str = MODEL) -> Comparison:
    """Compare a new model with the pointer's.

    Args:
        root: The checkout.
        model: The new model's path in it.

    Raises:
        ModelFileError: The new file is missing or is not a model of this project.
        StoreError: The new model is worse, or was validated on another corpus.
    """
    new = Facts.of_model(root / model)
    pointer = read_pointer(root)
    if pointer is None:
        return Comparison(new, None)

    # An MCC says something beside another one only if both are of the same sentences.
    current = pointer.facts
    if current.mcc is None or new.mcc is None or current.corpus_sha256 != new.corpus_sha256:
        raise StoreError(
            "the models cannot be compared: the current one was validated on "
            f"{_corpus(current)}, the new one on {_corpus(new)}; "
            "train on the same corpus, or push without comparing"
        )

    if new.mcc < current.mcc - TOLERANCE:
        raise StoreError(
            f"the new model is worse: MCC {as_text(new.mcc)}, "
            f"the current one has {as_text(current.mcc)}"
        )
    return Comparison(new, current)


def promote(root: Path, remote: str) -> str:
    """Make the pipeline's candidate the current model and push it.

    Returns:
        The comparison as a Markdown table, then the line of ``push``.

    Raises:
        ModelFileError: The candidate is missing or is not a model of this project.
        StoreError: It is worse than the current model, or would replace a file that was never
            pushed, or the store did not take it; the model file and the pointer are what they were.
    """
    with _one_at_a_time(root):
        comparison = compare(root, CANDIDATE)
        _refuse_to_lose_model(root)

        with _restored_on_failure(root / MODEL):
            with replace_atomically(root / MODEL) as temporary:
                shutil.copyfile(root / CANDIDATE, temporary)
            line = _push(root, remote)

    return f"{comparison.as_markdown()}\n{line}"


def _refuse_to_lose_model(root: Path) -> None:
    """Check that there is a copy of ``models/model.onnx``, as DVC does before a pull replaces it.

    Raises:
        StoreError: It is neither the pointer's model nor the candidate.
    """
    if not (root / MODEL).exists():
        return

    pointer = read_pointer(root)
    kept = {_md5(root / CANDIDATE), pointer.md5 if pointer else None}
    if _md5(root / MODEL) not in kept:
        raise StoreError(
            f"{MODEL} is not the pointer's model and the candidate would replace it: "
            "push it, or move it away first"
        )


def _check_file(path: Path, pointer: Pointer, remote: str) -> None:
    """Compare a fetched file with what its pointer says.

    Raises:
        StoreError: It is another file.
    """
    is_same = (
        path.stat().st_size == pointer.size
        and _md5(path) == pointer.md5
        # A pointer from before there was a sha256 has none to compare.
        and pointer.facts.sha256 in (None, sha256_of(path))
    )
    if not is_same:
        raise StoreError(
            f"remote {remote!r} sent another file than {POINTER} names: somebody changed it; "
            "remove .dvc/cache and bring an earlier version of the object back"
        )


def _md5(path: Path) -> str:
    """Return a file's digest as a pointer names it."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    """Hold this checkout's lock: a push or pull that fails must not undo what another has done.

    Raises:
        StoreError: Another one holds it.
    """
    # DVC's own folder for such files, which git ignores. The lock goes with the process.
    folder = root / ".dvc" / "tmp"
    folder.mkdir(exist_ok=True)
    with (folder / "push.lock").open("w") as file:
        if not lock(file):
            raise StoreError("another push or pull is running here: wait for it")
        yield


@contextmanager
def _restored_on_failure(path: Path) -> Iterator[bytes | None]:
    """Give a file its old content back, or remove it if there was none, if the block fails.

    Ctrl-C counts: a pointer to a model that is not in the store must never be left behind.

    Yields:
        The old content, None if there is no file.
    """
    before = _content_of(path)
    try:
        yield before
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)

        # Never in place: on a full disk, a file that is written over is lost.
        elif _content_of(path) != before:
            with replace_atomically(path) as temporary:
                temporary.write_bytes(before)
        raise


def _content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _corpus(facts: Facts) -> str:
    return f"{facts.corpus} ({str(facts.corpus_sha256)[:8]})"
