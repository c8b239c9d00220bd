"""Which words hurt a sentence: its score with each word left out."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from prediction.types import Answer, LabelAndScore, Prediction

# A word, apostrophes and hyphens inside it included. Punctuation stays when a word is left out.
WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
MAX_WORDS = 200


@dataclass(frozen=True, slots=True)
class Variant:
    """A sentence without one of its words."""

    word: str

    start: int
    """Where the word starts in the sentence, in code points."""

    end: int
    """Where it ends."""

    text: str
    """The sentence without it; blank if the word was all."""


class WordEffect(TypedDict):
    """A word, and the probability of ``acceptable`` with it minus without it."""

    word: str
    start: int
    end: int
    effect: float | None


class Explanation(TypedDict):
    """What /explain answers: a prediction, and the effect of each word."""

    text: str
    prediction: LabelAndScore
    words: list[WordEffect]


def has_too_many_words(text: str) -> bool:
    """Say whether a sentence has more than ``MAX_WORDS`` words, without reading on behind them."""
    return next(itertools.islice(WORD.finditer(text), MAX_WORDS, None), None) is not None


def leave_one_out(text: str) -> list[Variant]:
    """Return a variant of the sentence for each of its words, in order."""
    return [
        Variant(word.group(), word.start(), word.end(), _without(text, word.start(), word.end()))
        for word in WORD.finditer(text)
    ]


def explanation(
    whole: Prediction, variants: Sequence[Variant], without: Sequence[Prediction]
) -> Explanation:
    """Build the answer of /explain.

    Args:
        whole: The prediction for the whole sentence.
        variants: The sentence without each of its words.
        without: The predictions for the variants that are not blank, in order.
    """
    remaining = iter(without)
    words: list[WordEffect] = []
    for variant in variants:
        effect = None
        if variant.text.strip():
            effect = whole.probability_acceptable - next(remaining).probability_acceptable
        words.append(
            {"word": variant.word, "start": variant.start, "end": variant.end, "effect": effect}
        )

    answer: Answer = whole.as_dict()
    return {"text": answer["text"], "prediction": answer["prediction"], "words": words}


def _without(text: str, start: int, end: int) -> str:
    before, after = text[:start], text[end:]
    return before.rstrip() + after if before.strip() else before + after.lstrip()
