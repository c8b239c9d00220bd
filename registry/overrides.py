"""Chapter 8: run a script with the values that dvcfiles/params.yaml sets, as overrides.

    python -m registry.overrides seed,training train.py models_dir=models/candidate

runs ``python train.py models_dir=models/candidate training.lr=5e-05`` if ``training.lr`` is the
only value set; an empty value sets nothing. DVC runs this module (dvc.yaml), and
``dvc exp run -S training.lr=5e-5`` writes params.yaml.

DVC can compose Hydra's configuration itself, but does so in ``dvc exp run`` only: after an edit of
configs/, a plain ``dvc repro`` would train with the params.yaml that the last experiment composed.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from commands.run import run_command
from errors import ConfigError

PARAMS = Path(__file__).parents[1] / "dvcfiles" / "params.yaml"

# The script gets the environment as it is now: run_command changes it for this process.
_ENVIRONMENT = dict(os.environ)

# Hydra takes these characters without quotes.
_UNQUOTED = re.compile(r"[\w./:+-]+", re.ASCII)


def overrides(params: Mapping[str, object], groups: Sequence[str]) -> list[str]:
    """Return the parameters of some groups as Hydra overrides.

    Args:
        params: The content of params.yaml.
        groups: The keys at its top level that the script knows.

    Returns:
        ``key=value`` for each value that is set, in the order of the file.

    Raises:
        ConfigError: params.yaml has no such group.
    """
    if unknown := sorted(set(groups) - set(params)):
        raise ConfigError(f"{PARAMS.name} has no {unknown[0]!r}")

    return [
        f"{key}={_quoted(value)}"
        for group in groups
        for key, value in _set_values(group, params[group])
    ]


def _set_values(key: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield each value below ``key`` that is not empty, with its dotted key."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _set_values(f"{key}.{name}", child)
    elif value is not None:
        yield key, value


def _quoted(value: object) -> str:
    # Hydra reads quoted strings, lists and numbers as JSON writes them, but for its escapes.
    is_plain = isinstance(value, str) and _UNQUOTED.fullmatch(value)
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)


def main() -> None:
    """Replace this process by the script that the arguments name."""
    groups, *command = sys.argv[1:]
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))

    arguments = [sys.executable, *command, *overrides(params, groups.split(","))]
    os.execve(sys.executable, arguments, _ENVIRONMENT)  # noqa: S606


if __name__ == "__main__":
    run_command(main)
