"""Which words hurt a sentence: its score with each word left out, one batched call for all of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prediction.types import Prediction

# A word, apostrophes and hyphens inside it included. Punctuation stays when a word is left out.
WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
MAX_WORDS = 200


@dataclass(frozen=True, slots=True)
class Variant:
    """A word, where it stands (code points), and the sentence without it (blank if that was all)."""

    word: str
    start: int
    end: int
    text: str


def leave_one_out(text: str) -> list[Variant]:
    return [
        Variant(
            found.group(), found.start(), found.end(), _without(text, found.start(), found.end())
        )
        for found in WORD.finditer(text)
    ]


def explanation(
    prediction: Prediction, variants: Sequence[Variant], without: Sequence[Prediction]
) -> dict[str, Any]:
    """The answer of /explain. ``without``: the predictions of the variants that are not blank, in order."""
    left = iter(without)
    words = []
    for variant in variants:
        effect = (
            prediction.probability_acceptable - next(left).probability_acceptable
            if variant.text.strip()
            else None
        )
        words.append(
            {"word": variant.word, "start": variant.start, "end": variant.end, "effect": effect}
        )
    return {**prediction.as_dict(), "words": words}


def _without(text: str, start: int, end: int) -> str:
    before, after = text[:start], text[end:]
    return before.rstrip() + after if before.strip() else before + after.lstrip()
