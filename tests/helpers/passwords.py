"""The passwords that ``make env`` writes for docker compose."""

import subprocess
from pathlib import Path

from tests.helpers.paths import ROOT


def make_env(path: Path) -> dict[str, str]:
    """Run ``make env`` for a file; return the values that the file has then."""
    subprocess.run(["make", "env", f"ENV_FILE={path}"], cwd=ROOT, capture_output=True, check=True)

    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
