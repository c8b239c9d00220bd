"""The README says what the benchmarks measured, and its commands exist."""

import re
import subprocess
import sys

from tests.helpers.paths import ROOT


def test_numbers_come_from_the_results() -> None:
    command = [sys.executable, "-m", "benchmarks.fill_readme", "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, "run `make readme`"


def test_the_make_targets_that_documents_name_exist() -> None:
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE))
        assert named <= targets, (
            f"{document.name} names targets that the Makefile lacks: {named - targets}"
        )


def test_links_lead_to_files() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if not link.startswith("http"):
                assert (document.parent / link).exists(), f"{document.name} links to {link}"
