"""CoLA's file format: read it, refuse what is malformed, count what is suspicious.

Tab separated, UTF-8, no header, no quoting; four columns: source, label (1 acceptable, 0 not), the
mark of the linguist who wrote the example (``*``, ``?``, ``??`` or nothing), sentence. It is the
format of the public release of CoLA (Warstadt, Singh and Bowman 2019).
"""

import codecs
import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from errors import CorpusError

TRAIN, IN_DOMAIN, OUT_OF_DOMAIN = "train", "in_domain", "out_of_domain"
FILES = {
    TRAIN: "in_domain_train.tsv",
    IN_DOMAIN: "in_domain_dev.tsv",
    OUT_OF_DOMAIN: "out_of_domain_dev.tsv",
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One labelled sentence; label 1 is acceptable, 0 is not."""

    source: str
    label: int
    mark: str
    text: str


def read_folder(folder: Path) -> dict[str, list[Sentence]]:
    """Read the three files of a corpus folder, keyed by split.

    Raises:
        CorpusError: a file is missing or malformed.
    """
    if not folder.is_dir():
        raise CorpusError(
            f"data.path: there is no folder {folder}; it must hold {', '.join(FILES.values())}"
        )
    return {split: read_file(folder / name) for split, name in FILES.items()}


def read_file(path: Path) -> list[Sentence]:
    """Read one file.

    Raises:
        CorpusError: with file and line, for a row that is not in the format. Nothing is skipped.
    """
    try:
        # Some editors begin a file with a byte order mark, which is of no row.
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise CorpusError(
            f"{path}: cannot be read ({error.strerror}); set data.path to a folder with it"
        ) from None

    # What follows the last newline is no row.
    if lines[-1] == b"":
        lines.pop()
    if not lines:
        raise CorpusError(f"{path}: is empty; it must hold one sentence a line")

    return [_parse_row(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def _parse_row(line: bytes, where: str) -> Sentence:
    try:
        row = line.decode("utf-8").rstrip("\r").split("\t")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{where}: not UTF-8 (byte {error.start + 1}); save the file as UTF-8"
        ) from error

    if len(row) != 4:
        raise CorpusError(
            f"{where}: {len(row)} columns instead of 4; write source, label, mark and sentence, "
            "tab separated"
        )

    source, label, mark, text = row
    if label not in ("0", "1"):
        raise CorpusError(
            f"{where}: label {label!r} is neither 0 (unacceptable) nor 1 (acceptable); correct it"
        )

    # What no prediction can be made for would be refused only after hours of training.
    if "\0" in text:
        raise CorpusError(f"{where}: the sentence has a NUL character; remove it")
    if not any(_is_visible(character) for character in text):
        raise CorpusError(
            f"{where}: the sentence is empty or invisible; write one or remove the row"
        )

    return Sentence(source, int(label), mark, text)


def _is_visible(character: str) -> bool:
    """Tell letters, digits, signs from spaces, control characters, and accents without a letter."""
    return unicodedata.category(character)[0] in "LNPS"


def write_file(path: Path, sentences: Iterable[Sentence]) -> None:
    """Write one file in the format that ``read_file`` reads."""
    rows = (f"{s.source}\t{s.label}\t{s.mark}\t{s.text}\n" for s in sentences)
    path.write_text("".join(rows), encoding="utf-8", newline="\n")


def digest(splits: Mapping[str, Sequence[Sentence]]) -> str:
    """Return the SHA-256 of every label and sentence in order.

    The same corpus has the same digest, whichever source it came from.
    """
    hasher = hashlib.sha256()
    for split in FILES:
        for sentence in splits.get(split, ()):
            hasher.update(f"{split}\t{sentence.label}\t{sentence.text}\n".encode())
    return hasher.hexdigest()


def audit(splits: Mapping[str, Sequence[Sentence]]) -> dict[str, int]:
    """Count what a corpus should not have.

    Returns:
        ``duplicated``: distinct training sentences that occur more than once; ``contradictory``:
        those that carry both labels; ``leaked``: validation sentences that are in the training
        set, too.
    """
    labels: dict[str, set[int]] = defaultdict(set)
    for sentence in splits[TRAIN]:
        labels[sentence.text].add(sentence.label)
    counts = Counter(sentence.text for sentence in splits[TRAIN])
    validation = [*splits[IN_DOMAIN], *splits[OUT_OF_DOMAIN]]

    return {
        "duplicated": sum(count > 1 for count in counts.values()),
        "contradictory": sum(len(found) > 1 for found in labels.values()),
        "leaked": sum(sentence.text in labels for sentence in validation),
    }
