"""The prediction records of the API's log files, as serving/prediction_log.py writes them."""

import itertools
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NotRequired, TypedDict

from errors import ColaError

# How many predecessors of a log file are looked for; serving/log_outputs.py keeps three.
ROTATED_FILES = 9


class PredictionFields(TypedDict):
    """What a record says of the answer."""

    label: str
    score: float
    probability_acceptable: float


class ModelFields(TypedDict):
    """What a record says of the model."""

    version: str
    name: NotRequired[str]


class InputFields(TypedDict):
    """What a record says of the sentence."""

    tokens: int
    unknown_tokens: int
    truncated: bool


LogRecord = TypedDict(
    "LogRecord",
    {
        "@timestamp": str,
        "event": str,
        "text": NotRequired[str | None],
        "prediction": PredictionFields,
        "model": ModelFields,
        "input": InputFields,
    },
)
"""The fields of a prediction's line that a drift check reads."""


def read_log(path: Path) -> Iterator[LogRecord]:
    """Yield the prediction records of a log, oldest first; other lines are passed over.

    The files that the log was rotated to (``path.1``, ``path.2``, ...) belong to it.

    Raises:
        ColaError: The log cannot be read.
    """
    predecessors = [Path(f"{path}.{number}") for number in range(1, ROTATED_FILES + 1)]
    try:
        with ExitStack() as opened:
            # All are open before the first is read, so that a rotation meanwhile hides none. One
            # between two openings moves files on to the next names: each counts once, and no name
            # is looked for before its turn.
            files = {}
            for name in itertools.chain([path], filter(Path.exists, predecessors)):
                file = opened.enter_context(name.open(encoding="utf-8", errors="replace"))
                status = os.fstat(file.fileno())
                files[status.st_dev, status.st_ino] = file

            for file in reversed(files.values()):
                yield from _records(file)
    except OSError as error:
        raise ColaError(
            f"{path}: {error.strerror}: set LOG_FILE for the API, or give its log with --log"
        ) from None


def _records(lines: Iterable[str]) -> Iterator[LogRecord]:
    for line in lines:
        # The last line may be half written, and a foreign one may be anything.
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue

        if isinstance(record, dict) and record.get("event") == "prediction":
            yield record  # type: ignore[misc]


@contextmanager
def record_errors() -> Iterator[None]:
    """Turn what a record lacks into an error of one line; for a block that reads records.

    Raises:
        ColaError: A record lacks a field of the log line, or has one of another type.
    """
    try:
        yield
    except (KeyError, TypeError) as error:
        is_missing = isinstance(error, KeyError)
        fault = f"lacks {error}" if is_missing else f"has a field of another type ({error})"
        raise ColaError(
            f"a prediction record {fault}: was the log written by another program?"
        ) from None
