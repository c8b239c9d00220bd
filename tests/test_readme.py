"""The README says what the benchmarks measured, and its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

from tests.helpers.paths import ROOT

NOT_OURS = {"pytest", "venv", "pip", "awslambdaric"}


def test_numbers_come_from_the_results() -> None:
    command = [sys.executable, "-m", "benchmarks.fill_readme", "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, "run `make readme`"


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "corpus" / "README.md", *(ROOT / "docs").glob("*.md")]


def test_the_commands_that_documents_name_exist() -> None:
    text = "\n".join(document.read_text(encoding="utf-8") for document in documents())
    scripts = set(re.findall(r"python ([\w/]+\.py)", text))
    modules = set(re.findall(r"python -m ([\w.]*\w)", text)) - NOT_OURS

    assert [name for name in sorted(scripts) if not (ROOT / name).is_file()] == []
    assert [name for name in sorted(modules) if not is_module(ROOT / name.replace(".", "/"))] == []
    assert scripts
    assert modules


def is_module(path: Path) -> bool:
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_the_make_targets_that_documents_name_exist() -> None:
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    for document in documents():
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE))
        assert named <= targets, (
            f"{document.name} names targets that the Makefile lacks: {named - targets}"
        )


def test_links_lead_to_files() -> None:
    for document in documents():
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if not link.startswith("http"):
                assert (document.parent / link).exists(), f"{document.name} links to {link}"
