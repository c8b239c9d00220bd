"""What documents name exists, and what they show is so: commands, links, figures, chapters."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from omegaconf import OmegaConf

from benchmarks.inputs import composed
from corpus.format import TRAIN, digest, read_folder
from corpus.pretext import pretext_sentences
from tests.helpers.documents import anchors, blocks, documents, links, read, tracked
from tests.helpers.paths import ROOT

NOT_OURS = {"pytest", "venv", "pip", "awslambdaric"}
README = ROOT / "README.md"
CHAPTERS = sorted((ROOT / "docs").glob("[0-9][0-9]_*.md"))

PARTS = ["Run it", "How it works", "Settings", "What to look at", "What can go wrong"]

OTHERS = {"errors.py", "corpus", "benchmarks", "tests"}
"""Where modules belong to no stage."""

MAX_README_LINES = 150
MAX_PICTURE_BYTES = 300_000
MAX_COLUMNS = 100


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Commands


def test_the_commands_that_documents_name_exist() -> None:
    text = "\n".join(map(read, documents()))
    scripts = set(re.findall(r"python ([\w/]+\.py)", text))
    modules = set(re.findall(r"python -m ([\w.]*\w)", text)) - NOT_OURS
    # `python -m benchmarks.NAME` stands for all of them.
    modules.discard("benchmarks.NAME")

    assert [name for name in sorted(scripts) if not (ROOT / name).is_file()] == []
    assert [name for name in sorted(modules) if not is_module(ROOT / name.replace(".", "/"))] == []
    assert scripts
    assert modules


def is_module(path: Path) -> bool:
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_the_make_targets_that_documents_name_exist(document: Path) -> None:
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    named = set(re.findall(r"(?:^\$? ?|`)make ([a-z][a-z-]*)", read(document), re.MULTILINE))
    assert named <= targets


def test_the_runbook_says_what_to_do_about_each_alarm_and_rule() -> None:
    runbook = read(CHAPTERS[10]).partition("\n## When a rule fires\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \|", runbook, re.MULTILINE)

    template = (ROOT / "infra/template.yaml").read_text()
    alarms = re.findall(r"^  (\w+Alarm):$", template, re.MULTILINE)
    rules = json.loads((ROOT / "monitoring/kibana/rules.json").read_text())["rules"]
    names = [rule["name"].partition(" above ${limit}")[0] for rule in rules]
    assert alarms
    assert [name for name in [*alarms, *names] if not any(name in row for row in rows)] == []


def test_the_chapter_of_monitoring_names_the_variables_that_it_reads() -> None:
    code = "".join(read(ROOT / path) for path in tracked("monitoring/*.py"))
    variables = set(re.findall(r"""environ(?:ment)?(?:\.get\(|\[)"([A-Z_]+)""", code))
    assert {"ELASTICSEARCH_URL", "DEAD_LETTER_QUEUE_URL"} <= variables

    named = re.findall(r"\b[A-Z_]+\b", read(CHAPTERS[10]))
    assert variables - set(named) == set()


# Links and figures


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_relative_links_and_anchors_lead_somewhere(document: Path) -> None:
    wrong = []
    for link in links(read(document)):
        if link.startswith("http"):
            continue

        path, _, anchor = unquote(link).partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(read(target))):
            wrong.append(link)

    assert wrong == []


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_lines_are_100_columns_at_most(document: Path) -> None:
    lines = read(document).splitlines()
    # The row of a table is one line, and so is a picture with its text.
    wide = [line for line in lines if len(line) > MAX_COLUMNS and line[:1] not in ("|", "!")]
    assert wide == []


def test_figures_come_from_the_results() -> None:
    command = [sys.executable, "-m", "benchmarks.fill_readme", "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, "run `make readme`"


def test_pictures_are_small() -> None:
    pictures = tracked("*.png", "*.jpg", "*.svg", "*.gif")
    assert pictures
    assert [path for path in pictures if (ROOT / path).stat().st_size > MAX_PICTURE_BYTES] == []


# Samples


def test_the_configuration_of_chapter_1_is_what_its_command_prints() -> None:
    (shown,) = (block.text for block in blocks(read(CHAPTERS[1])) if "\ntraining:" in block.text)
    printed = OmegaConf.to_yaml(composed(["experiment=smoke"]))
    assert shown.strip(".\n") in printed


def test_the_digests_of_chapter_2_are_those_of_the_corpus() -> None:
    corpus, written = read_folder(ROOT / "corpus"), pretext_sentences(for_own_corpus=True)
    shown = re.findall(r"sha256='(\w+)\.\.\.'", read(CHAPTERS[2]))
    assert shown == [digest(corpus)[:8], digest({TRAIN: written})[:8]]


# The README


def test_the_readme_is_short() -> None:
    assert len(read(README).splitlines()) < MAX_README_LINES


def test_the_readme_names_everything_in_the_root_once() -> None:
    (tree,) = (block.text for block in blocks(read(README)) if "train.py  " in block.text)
    words = [word.strip(";:,") for word in tree.split()]

    roots = {path.parts[0] + ("/" if len(path.parts) > 1 else "") for path in tracked()}
    assert {name: words.count(name) for name in roots} == dict.fromkeys(roots, 1)


# The chapters


def test_chapters_are_numbered_once_and_without_a_gap() -> None:
    assert [int(path.name[:2]) for path in CHAPTERS] == list(range(len(CHAPTERS)))


@pytest.mark.parametrize("chapter", CHAPTERS[1:12], ids=lambda path: path.stem)
def test_the_chapter_of_a_stage_has_the_same_parts_as_the_others(chapter: Path) -> None:
    headings = re.findall(r"^## (.+)$", read(chapter), re.MULTILINE)
    assert [heading for heading in headings if heading in PARTS] == PARTS
    assert "| reads | writes |" in read(chapter).partition("## Run it")[0]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_begins_with_its_number(chapter: Path) -> None:
    assert read(chapter).startswith(f"# {int(chapter.name[:2])}. ")


def test_each_chapter_is_linked_from_the_first() -> None:
    linked = links(read(CHAPTERS[0]))
    assert [path.name for path in CHAPTERS[1:] if path.name not in linked] == []


def commands() -> list[Path]:
    """Return the root's scripts, and the modules in the stages' folders that can be run."""
    scripts = [path for path in tracked("*.py") if path.parts[0] not in OTHERS]
    return [
        path
        for path in scripts
        if len(path.parts) == 1 or '__name__ == "__main__"' in read(ROOT / path)
    ]


@pytest.mark.parametrize("script", commands(), ids=str)
def test_a_command_names_a_chapter_that_names_it(script: Path) -> None:
    docstring = ast.get_docstring(ast.parse(read(ROOT / script))) or ""
    number = re.match(r"Chapter (\d+): ", docstring)
    assert number is not None, "the docstring begins with its chapter"

    module = ".".join(script.with_suffix("").parts).removesuffix(".__main__")
    chapter = read(CHAPTERS[int(number[1])])
    assert any(name in chapter for name in (str(script), script.name, f"python -m {module}"))
