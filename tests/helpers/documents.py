"""The project's documents, taken apart: fenced blocks, headings, links."""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.paths import ROOT

# A fence may be indented, inside a list.
_BLOCK = re.compile(r"^ *```(.*)\n((?:.*\n)*?) *```$", re.MULTILINE)

_LINK = re.compile(r"(?:\]\(|src=\"|srcset=\")([^)\s\"]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its lines."""

    language: str
    marks: tuple[str, ...]
    text: str


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git knows, as paths within the repository.

    What a reader of the documents has left beside them, such as predictions, is not among them.
    """
    command = ["git", "ls-files", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [
        Path(name) for name in sorted(set(listed.stdout.splitlines())) if (ROOT / name).exists()
    ]


def documents() -> list[Path]:
    """Return all Markdown files."""
    return [ROOT / path for path in tracked("*.md")]


def read(path: Path) -> str:
    """Return the text of a document."""
    return path.read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a document."""
    return [
        Block(words[0] if words else "", tuple(words[1:]), body)
        for info, body in _BLOCK.findall(text)
        for words in [info.split()]
    ]


def prose(text: str) -> str:
    """Return a document without its fenced blocks."""
    return _BLOCK.sub("", text)


def links(text: str) -> list[str]:
    """Return what a document links to, pictures included."""
    return _LINK.findall(prose(text))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found
