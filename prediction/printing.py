"""Answers on standard output."""

import json
import os
import sys
from collections.abc import Sequence
from typing import TypedDict, final

from errors import ConfigError
from prediction.types import Answer


@final
class Failure(TypedDict):
    """The line of output for a record that cannot be predicted."""

    text: str
    error: str


def show(answers: Sequence[Answer | Failure], as_json: bool) -> None:
    """Print answers, one per line: as JSON, or as a table of label, score and text.

    Raises:
        BrokenPipeError: Nobody reads them any more.
        ConfigError: They cannot be written.
    """
    lines = [json.dumps(answer) if as_json else _row_of(answer) for answer in answers]
    try:
        # At once: at the exit it would be too late to say what is wrong.
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise ConfigError(f"standard output: {error.strerror}") from None


def discard_output() -> None:
    """Send what Python still holds for standard output, and flushes at exit, nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _row_of(answer: Answer | Failure) -> str:
    if "error" in answer:
        return f"{'error':12}         {answer['text']!r}: {answer['error']}"

    label, score = answer["prediction"]["label"], answer["prediction"]["score"]

    # Nothing that would begin another line, or command the terminal.
    text = answer["text"] if answer["text"].isprintable() else repr(answer["text"])
    return f"{label:12}  {score:.4f}  {text}"
