"""Where measured results are kept: ``benchmarks/results/NAME.json``; ``documents`` has their types.

``BENCHMARK_RESULTS`` names another folder, for a run that shall not replace the committed results.
A trial run, smaller than the one that the documents show, is refused without it.
"""

import json
import os
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.documents import Spread
from benchmarks.machine import machine
from commands.files import replace_atomically
from training.provenance import git_commit

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks" / "results"

# What a results file's name ends with if CPUs with and without VNNI have one each.
VNNI_SUFFIX, NO_VNNI_SUFFIX = "_vnni", "_no_vnni"


def refuse_trial(is_smaller: bool) -> None:
    """End a run that would replace the committed results with less than they hold.

    Args:
        is_smaller: Whether its options leave out something that a whole run measures.
    """
    if is_smaller and _folder().resolve() == FOLDER:
        raise SystemExit(
            "error: a trial run would replace the committed results; leave out the options that "
            "shorten it, or put BENCHMARK_RESULTS=FOLDER before the command"
        )


def record(
    name: str, result: Mapping[str, object], *, by_processor: bool = False, group: str | None = None
) -> None:
    """Write a result with what gave it; print it as the last line.

    Args:
        name: The benchmark's.
        result: What it measured.
        by_processor: Whether CPUs with and without VNNI have a file each: int8 is faster on the
            former, and what is trained on one is not what is trained on another.
        group: The one to replace of several results that share a file.
    """
    # No date: git knows it, and the same result shall give the same file.
    here = machine()
    document: dict[str, object] = {
        "benchmark": name,
        # Before the result: the walk runs a clone, and says itself of which commit.
        "git_commit": code_commit(),
        **result,
        "machine": here,
        "matrix_product_gflops": matrix_product_gflops(),
        "command": command(name),
    }
    if by_processor:
        name = name_here(name)
    if group is not None:
        document = {**(read(name) or {}), group: document}
    write(name, document)

    # The last line of output is for programs; what comes before it is for people.
    print(json.dumps(document))


def write(name: str, document: Mapping[str, object]) -> None:
    """Write one of the results files.

    Raises:
        OSError: It cannot be written; the old file, with the results of hours, then is what it was.
    """
    path = _path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read(name: str) -> Any:
    """Return what one of the results files holds, None if there is none."""
    path = _path(name)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def spread(rounds: Sequence[float]) -> Spread:
    """Return the median and the extremes of the rounds."""
    return {"median": statistics.median(rounds), "min": min(rounds), "max": max(rounds)}


def name_here(name: str) -> str:
    """Return the name of this CPU's file, where those with and without VNNI have one each."""
    return name + (VNNI_SUFFIX if machine()["has_vnni"] else NO_VNNI_SUFFIX)


def read_by_processor(name: str) -> list[Any]:
    """Return the results of CPUs with and without VNNI, as far as there are any."""
    documents = [read(name + suffix) for suffix in (VNNI_SUFFIX, NO_VNNI_SUFFIX)]
    return [document for document in documents if document is not None]


def matrix_product_gflops() -> float:
    """Return how fast the machine multiplies matrices right now, on one thread.

    Its speed changes within minutes: results of different days are compared by this.
    """
    # Not above: this loads PyTorch, and the documents are filled without it.
    from benchmarks.matrix_product import peak_flops

    return round(peak_flops() / 1e9, 1)


def code_commit() -> str | None:
    """Return the commit of the running code, ``-dirty`` if it was changed, None without git."""
    described = git_commit()
    if described is None or not described.endswith("-dirty"):
        return described

    # Each benchmark changes results, and those change documents: neither is code that ran.
    others = ["--", ".", ":!benchmarks/results", ":!*.md"]
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", *others], cwd=ROOT, check=False)
    return described if changed.returncode else described.removesuffix("-dirty")


def command(name: str) -> str:
    """Return the command that runs, without the folders that only this machine has."""
    arguments = map(without_folder, sys.argv[1:])
    return shlex.join(["python", "-m", f"benchmarks.{name}", *arguments])


def without_folder(argument: str) -> str:
    """Return an argument with absolute paths cut to their last part: what it was, not where.

    ``data.path=/tmp/run/cola`` becomes ``data.path=cola``; a relative path stays as it is.
    """
    # An absolute path begins with its slash, a relative one has a name or dots before the first.
    return re.sub(r"(?<![\w.-])/\S*/", "", argument)


def _path(name: str) -> Path:
    return _folder() / f"{name}.json"


def _folder() -> Path:
    return Path(os.environ.get("BENCHMARK_RESULTS") or FOLDER)
