"""What a run records of itself besides its metrics: settings, corpus, code, packages, time."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "pytorch-lightning",
    "transformers",
    "tokenizers",
    "torchmetrics",
    "datasets",
    "numpy",
)


def collect(config: Mapping[str, Any], corpus: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a checkpoint's records that tells where it comes from."""
    return {
        "config": dict(config),
        "corpus": dict(corpus),
        "max_length": config["processing"]["max_length"],
        "git_commit": git_commit(),
        "packages": {name: version(name) for name in PACKAGES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git_commit() -> str | None:
    """The commit of the code that runs, with ``-dirty`` if it was changed since; None outside a git checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
