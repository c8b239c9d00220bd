"""Answers on standard output."""

import json
from collections.abc import Sequence
from typing import TypedDict, final

from commands.run import write_out
from prediction.types import Answer


@final
class Failure(TypedDict):
    """The line of output for a record that cannot be predicted."""

    text: str
    error: str


def show(answers: Sequence[Answer | Failure], as_json: bool) -> None:
    """Print answers, one per line: as JSON, or as a table of label, score and text.

    Raises:
        ConfigError: They cannot be written.
    """
    lines = [json.dumps(answer) if as_json else _row_of(answer) for answer in answers]
    write_out("".join(f"{line}\n" for line in lines))


def _row_of(answer: Answer | Failure) -> str:
    if "error" in answer:
        return f"{'error':12}         {answer['text']!r}: {answer['error']}"

    label, score = answer["prediction"]["label"], answer["prediction"]["score"]

    # Nothing that would begin another line, or command the terminal.
    text = answer["text"] if answer["text"].isprintable() else repr(answer["text"])
    return f"{label:12}  {score:.4f}  {text}"
