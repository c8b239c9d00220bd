"""Answers on a standard output that cannot hold them."""

import io
import sys

import pytest

from errors import ConfigError
from prediction.printing import Failure, show

UMLAUT: Failure = {"text": "Der Schl\u00fcssel.", "error": "no English"}


def test_a_text_that_the_encoding_lacks_is_an_error_that_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    with pytest.raises(ConfigError, match=r"ascii has no '\\xfc'; set PYTHONIOENCODING=utf-8"):
        show([UMLAUT], as_json=False)
    show([UMLAUT], as_json=True)
