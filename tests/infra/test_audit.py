"""What `make` finds before anybody else does: keys in tracked files, the contents of the images."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT


def make(tool: Callable[[str], str], target: str, program: str, folder: Path) -> str:
    """Run a target of the Makefile in a folder; return what it printed, or its error.

    Raises:
        subprocess.CalledProcessError: The target failed.
    """
    tools = Path(tool(program)).parent
    command = ["make", "-f", str(ROOT / "Makefile"), "-o", "tools", target, f"TOOLS={tools}"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("name", ["app.py", "tests/test_app.py"])
def test_a_key_in_a_tracked_file_is_found(
    tool: Callable[[str], str], tmp_path: Path, name: str
) -> None:
    # In two parts, or this file would be found itself.
    key = "AKIA" + "QWERTYUIOPASDFGH"
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"key = '{key}'\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", name], cwd=tmp_path, check=True)

    with pytest.raises(subprocess.CalledProcessError) as found:
        make(tool, "secrets", "detect-secrets-hook", tmp_path)
    assert name in found.value.stdout
    assert key not in found.value.stdout


def test_a_scan_that_git_gave_no_files_to_fails(
    tool: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nothing"))
    with pytest.raises(subprocess.CalledProcessError, match="secrets"):
        make(tool, "secrets", "detect-secrets-hook", tmp_path)


def test_the_bill_of_materials_has_every_locked_package(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    make(tool, "sbom", "cyclonedx-py", tmp_path)
    bill = json.loads((tmp_path / "artifacts/sbom.json").read_text())

    locks = [
        (ROOT / "infra" / name).read_text() for name in ("lock_inference.txt", "lock_lambda.txt")
    ]
    locked = {line.split()[0] for lock in locks for line in lock.splitlines() if "==" in line}
    listed = {f"{item['name']}=={item['version']}" for item in bill["components"]}
    assert listed == locked
