"""The files of sentences that the command line reads: .txt, .jsonl and .csv, record by record."""

import codecs
import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from errors import ConfigError

SUFFIXES = (".txt", ".jsonl", ".csv")

# Of a line, and of a field of a .csv file, which may have many lines, so that no file is read into
# memory as one of them. Only a sentence's first tokens are read, however long it is.
MAX_CHARACTERS = 1_000_000

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

COLUMNS = ("sentence", "text")
"""The column of a .csv file, or the key of a .jsonl record, that holds the sentence."""


def open_input(source: str) -> IO[str]:
    """Open a file, or standard input for ``-``.

    A byte order mark is dropped. A byte that is not UTF-8 becomes half a surrogate pair, which no
    prediction can be made for: it is an error of its record, not of the file.

    Raises:
        ConfigError: The file cannot be read, or its name has another suffix.
    """
    encoding, errors = "utf-8-sig", "surrogateescape"

    if source == "-":
        return open(0, closefd=False, encoding=encoding, errors=errors)

    path = Path(source)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--input {source}: the name must end in .txt, .jsonl or .csv (or be -)")
    try:
        return path.open(newline="", encoding=encoding, errors=errors)
    except OSError as error:
        raise ConfigError(f"--input {source}: {error.strerror}") from None


def read_records(file: IO[str], source: str) -> Iterator[str]:
    """Yield the sentences of a file, one by one.

    Args:
        file: What ``open_input`` returned.
        source: Its name; the suffix says what the file holds.

    Raises:
        ConfigError: The file is UTF-16, a record is malformed, a .csv file has no column of
            sentences, or the file cannot be read any further.
    """
    suffix = Path(source).suffix
    try:
        if file.buffer.peek(2)[:2] in UTF_16_MARKS:  # type: ignore[attr-defined]
            raise ConfigError(f"--input {source}: is UTF-16; save it as UTF-8")

        lines = _read_lines(file, source)
        if suffix == ".csv":
            yield from _read_csv(lines, source)
        elif suffix == ".jsonl":
            for number, line in enumerate(lines, 1):
                yield _read_json(line.rstrip("\r\n"), f"--input {source}, line {number}")
        else:
            for line in lines:
                yield line.rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"--input {source}: {error.strerror}") from None


def _read_lines(file: IO[str], source: str) -> Iterator[str]:
    """Yield each line with its end; refuse one that is too long without reading it to its end."""
    for number in itertools.count(1):
        # With room for its end, and one character more.
        line = file.readline(MAX_CHARACTERS + 3)
        if not line:
            return

        if len(line.rstrip("\r\n")) > MAX_CHARACTERS:
            raise ConfigError(
                f"--input {source}, line {number}: more than {MAX_CHARACTERS:,} characters"
            )
        yield line


def _read_csv(lines: Iterator[str], source: str) -> Iterator[str]:
    csv.field_size_limit(MAX_CHARACTERS)

    # Strict, because a quote that is not closed makes one sentence of all that follows it.
    rows = csv.reader(lines, strict=True)
    line = 1
    try:
        columns = next(rows, [])
        index = next((columns.index(name) for name in COLUMNS if name in columns), None)
        if index is None:
            raise ConfigError(f"--input {source}: no column is named {' or '.join(COLUMNS)}")

        line = rows.line_num + 1
        for row in rows:
            if len(row) > len(columns):
                raise ConfigError(
                    f"--input {source}, line {line}: more fields than columns; "
                    "put the sentence in quotes"
                )
            yield row[index] if index < len(row) else ""
            line = rows.line_num + 1
    except csv.Error as error:
        raise ConfigError(
            f"--input {source}, line {line}: {error}; "
            "is a quote not closed, or one in a quoted sentence not doubled?"
        ) from None


def _read_json(line: str, where: str) -> str:
    if not line.strip():
        return ""

    try:
        value = json.loads(line)
    except RecursionError:
        raise ConfigError(f"{where}: JSON that is nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{where}: not JSON ({error})") from None

    if isinstance(value, dict):
        value = next((value[name] for name in COLUMNS if name in value), value)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ConfigError(
            f"{where}: neither a string nor an object with a string named {' or '.join(COLUMNS)}"
        )
    return value
