"""Answers on standard output, and texts that would spoil it."""

import pytest

from prediction.printing import show
from prediction.types import Answer


@pytest.mark.parametrize("text", ["of two\nlines", "\x1b[2Jwiped", "\u202ebackwards"])
def test_a_text_cannot_leave_its_line_of_the_table(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    answer: Answer = {"text": text, "prediction": {"label": "acceptable", "score": 0.9}}
    show([answer], as_json=False)
    assert capsys.readouterr().out == f"acceptable    0.9000  {text!r}\n"
