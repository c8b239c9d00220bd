"""Where measured results are kept: ``benchmarks/results/NAME.json``; ``documents`` has their types.

``BENCHMARK_RESULTS`` names another folder, for a run that shall not replace the committed results.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks" / "results"

# What a results file's name ends with if CPUs with and without VNNI have one each.
VNNI_SUFFIX, NO_VNNI_SUFFIX = "_vnni", "_no_vnni"


def record(name: str, result: Mapping[str, object], *, by_processor: bool = False) -> None:
    """Write a result with the machine and the command that gave it; print it as the last line.

    Args:
        name: Of the benchmark.
        result: What it measured.
        by_processor: Whether CPUs with and without VNNI have a file each, because int8 is
            faster on the former.
    """
    # No date: git knows it, and the same result shall give the same file.
    here = machine()
    document = {"benchmark": name, **result, "machine": here, "command": command(name)}
    if by_processor:
        name += VNNI_SUFFIX if here["has_vnni"] else NO_VNNI_SUFFIX
    write(name, document)

    # The last line of output is for programs; what comes before it is for people.
    print(json.dumps(document))


def write(name: str, document: Mapping[str, object]) -> None:
    """Write one of the results files."""
    path = _path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read(name: str) -> Any:
    """Return what one of the results files holds, None if there is none."""
    path = _path(name)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def read_by_processor(name: str) -> list[Any]:
    """Return the results of CPUs with and without VNNI, as far as there are any."""
    documents = [read(name + suffix) for suffix in (VNNI_SUFFIX, NO_VNNI_SUFFIX)]
    return [document for document in documents if document is not None]


def command(name: str) -> str:
    """Return the command that runs, without the folders that only this machine has."""
    # /tmp/run/model.onnx -> model.onnx: what was measured, not where it lay.
    arguments = [re.sub(r"/\S*/", "", argument) for argument in sys.argv[1:]]
    return shlex.join(["python", "-m", f"benchmarks.{name}", *arguments])


def _path(name: str) -> Path:
    return Path(os.environ.get("BENCHMARK_RESULTS", FOLDER)) / f"{name}.json"
