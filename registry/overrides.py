"""Run a script with what dvcfiles/params.yaml sets, as Hydra overrides; what is empty there sets nothing.

    python -m registry.overrides seed,training train.py models_dir=models/candidate

runs `python train.py models_dir=models/candidate training.lr=5e-05` if `training.lr` is all that is set.
DVC calls it (dvc.yaml); `dvc exp run -S training.lr=5e-5` writes params.yaml.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from commands.run import run_command
from errors import ConfigError

PARAMS = Path(__file__).parents[1] / "dvcfiles" / "params.yaml"
_ENVIRONMENT = dict(os.environ)  # before run_command changes it
_PLAIN = re.compile(r"[\w./:+-]+")  # what Hydra takes without quotes


def overrides(params: dict[str, Any], groups: list[str]) -> list[str]:
    """Return `key=value` for all that is set in ``groups``. Raises ConfigError for an unknown group."""
    if unknown := sorted(set(groups) - set(params)):
        raise ConfigError(f"{PARAMS.name} has no {unknown[0]!r}")
    return [
        f"{key}={_text(value)}" for group in groups for key, value in _leaves(group, params[group])
    ]


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _leaves(f"{key}.{name}", below)
    elif value is not None:
        yield key, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value)


def main() -> None:
    groups, *command = sys.argv[1:]
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    arguments = [sys.executable, *command, *overrides(params, groups.split(","))]
    os.execve(sys.executable, arguments, _ENVIRONMENT)


if __name__ == "__main__":
    run_command(main)
