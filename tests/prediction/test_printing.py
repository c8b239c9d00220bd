"""Answers on a standard output that cannot hold them, and texts that would spoil it."""

import io
import sys

import pytest

from errors import ConfigError
from prediction.printing import Failure, show
from prediction.types import Answer

UMLAUT: Failure = {"text": "Der Schl\u00fcssel.", "error": "no English"}


def test_a_text_that_the_encoding_lacks_is_an_error_that_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    with pytest.raises(ConfigError, match=r"ascii has no '\\xfc'; set PYTHONIOENCODING=utf-8"):
        show([UMLAUT], as_json=False)
    show([UMLAUT], as_json=True)


@pytest.mark.parametrize("text", ["of two\nlines", "\x1b[2Jwiped", "\u202ebackwards"])
def test_a_text_cannot_leave_its_line_of_the_table(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    answer: Answer = {"text": text, "prediction": {"label": "acceptable", "score": 0.9}}
    show([answer], as_json=False)
    assert capsys.readouterr().out == f"acceptable    0.9000  {text!r}\n"
