"""Which words hurt a sentence: its score with each word left out."""

import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict

from errors import RequestError
from prediction.types import Answer, LabelAndScore, Prediction

# A word, apostrophes and hyphens inside it included. Punctuation stays when a word is left out.
WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
MAX_WORDS = 200

# Bytes of the variants of all sentences that one process explains at a time. A sentence of 10,000
# characters and 200 words, one of them an emoji, has 8 MB of them.
MAX_VARIANT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Variant:
    """A sentence without one of its words."""

    word: str

    start: int
    """Where the word starts in the sentence, in code points."""

    end: int
    """Where it ends."""

    text: str
    """The sentence without it; empty if nothing is left that could be predicted."""


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


class VariantMemory:
    """Knows how much memory the variants of all sentences take that are being explained."""

    def __init__(self) -> None:
        self._held_bytes = 0

    @contextmanager
    def hold(self, text: str) -> Iterator[None]:
        """Count a sentence's variants as held until the context ends. Call it before they are made.

        Raises:
            RequestError: The sentence has too many words, its variants take too much memory, or
                those of other sentences leave no room for them.
        """
        words = count_words(text)
        if words > MAX_WORDS:
            message = f"send one sentence of at most {MAX_WORDS} words as sentence"
            raise RequestError(422, "invalid_body", message)

        # Each variant is nearly as long as the sentence.
        variant_bytes = words * sys.getsizeof(text)
        if variant_bytes > MAX_VARIANT_BYTES:
            message = "the sentence is too long to be explained: send a shorter one"
            raise RequestError(422, "text_too_long", message)

        if self._held_bytes + variant_bytes > MAX_VARIANT_BYTES:
            message = "too much is being explained at one time: try again later"
            raise RequestError(503, "overloaded", message, {"retry-after": "1"})

        self._held_bytes += variant_bytes
        try:
            yield
        finally:
            self._held_bytes -= variant_bytes


def count_words(text: str) -> int:
    """Count a sentence's words, without reading on behind the first too many."""
    return sum(1 for _ in itertools.islice(WORD.finditer(text), MAX_WORDS + 1))


def leave_one_out(text: str, can_predict: Callable[[str], bool]) -> list[Variant]:
    """Return a variant of the sentence for each of its words, in order.

    Args:
        text: The sentence.
        can_predict: Whether a text can be predicted.
    """
    variants = []
    for word in WORD.finditer(text):
        rest = _without(text, word.start(), word.end())

        # Where no word is left, it may be blank, or a character that no model reads.
        if not WORD.search(rest) and not can_predict(rest):
            rest = ""
        variants.append(Variant(word.group(), word.start(), word.end(), rest))
    return variants


def explanation(
    whole: Prediction, variants: Sequence[Variant], without: Sequence[Prediction]
) -> Explanation:
    """Build the answer of /explain.

    Args:
        whole: The prediction for the whole sentence.
        variants: The sentence without each of its words.
        without: The predictions for the variants that are not empty, in order.
    """
    remaining = iter(without)
    words: list[WordEffect] = []
    for variant in variants:
        effect = None
        if variant.text:
            effect = whole.probability_acceptable - next(remaining).probability_acceptable
        words.append(
            {"word": variant.word, "start": variant.start, "end": variant.end, "effect": effect}
        )

    answer: Answer = whole.as_dict()
    return {"text": answer["text"], "prediction": answer["prediction"], "words": words}


def _without(text: str, start: int, end: int) -> str:
    before, after = text[:start], text[end:]
    return before.rstrip() + after if before.strip() else before + after.lstrip()
