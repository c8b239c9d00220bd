"""Sentences made wrong on purpose: the pretext task, which comes before the corpus itself.

An acceptable sentence is broken once or twice: words are swapped, moved, deleted, inserted or
inflected differently, or a function word is replaced by another of its class. The model learns to
distinguish the broken sentence from the whole one and, as in ELECTRA (Clark et al. 2020), which of
its words are not the original's. It then knows a grammar before it sees the few thousand judgements
of the corpus.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from random import Random

FUNCTION_WORDS = [
    "a an the this that these those some any every each no all both many much few several most",
    "i you he she it we they",
    "me you him her it us them",
    "my your his her its our their mine yours hers ours theirs",
    "myself yourself himself herself itself ourselves themselves",
    "he him himself his",
    "she her herself hers",
    "they them themselves their",
    "in on at by for with from to of about into over under through during between against without "
    "after before",
    "is are was were be been being am",
    "do does did done doing",
    "have has had having",
    "can could will would shall should may might must to",
    "who whom whose which what that where when why how whether if",
    "to that for whether if",
    "and or but nor",
    "not never ever",
    "very too so as more most less than",
    "there it",
]
"""Classes of function words, one per line; a word may be replaced by another of its class."""

SUFFIXES = ["", "s", "es", "ed", "d", "ing", "en", "n", "er", "ly", "e"]
"""Suffixes that make another form of the same word."""

BROKEN_TWICE = 0.3
"""Share of the sentences that are broken a second time."""

ATTEMPTS = 10
"""Operations that are tried on a sentence until one finds a word to work on."""

MarkedWords = list[tuple[str, int]]
"""The words of a sentence, each with 1 if it is not the original's, else 0."""

Operation = Callable[[MarkedWords, list[int], Random], MarkedWords | None]
"""Breaks a sentence, given the positions of its words (its other items are punctuation marks);
returns None if it finds no word to work on.
"""


def split_words(text: str) -> list[str]:
    """Return words and punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", text)


class Corrupter:
    """Breaks sentences with the words and word forms of a corpus.

    Args:
        texts: Sentences of the corpus.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        words = [word.lower() for text in texts for word in split_words(text) if word.isalpha()]

        # With repetition, so that a word is drawn as often as it is used.
        self.words = words
        self.alternatives = _function_word_alternatives()
        self.function_words = sorted(self.alternatives)
        self.forms = _inflected_forms(set(words))

        # Each with its relative frequency.
        self.operations: dict[Operation, int] = {
            self._inflect: 4,
            self._replace: 3,
            self._swap: 2,
            self._delete: 2,
            self._insert: 2,
            self._substitute: 1,
            self._move: 1,
        }

    def corrupt(self, text: str, rng: Random) -> MarkedWords:
        """Return the broken sentence.

        A word that is wrong, was moved, or follows a gap is marked 1. A sentence in which no
        operation finds a word to work on comes back whole.
        """
        sentence: MarkedWords = [(word, 0) for word in split_words(text)]
        once = self._break(sentence, rng)
        if rng.random() >= BROKEN_TWICE:
            return once

        # The second may undo the first: delete what was inserted, turn back what was swapped.
        twice = self._break(once, rng)
        is_whole = [word for word, _ in twice] == [word for word, _ in sentence]
        return once if is_whole else twice

    def _break(self, sentence: MarkedWords, rng: Random) -> MarkedWords:
        positions = [position for position, (word, _) in enumerate(sentence) if word.isalpha()]
        if not positions:
            return sentence

        operations, weights = list(self.operations), list(self.operations.values())
        for _ in range(ATTEMPTS):
            operation = rng.choices(operations, weights)[0]
            broken = operation(sentence, positions, rng)
            if broken is not None:
                return broken
        return sentence

    def _inflect(
        self, sentence: MarkedWords, positions: list[int], rng: Random
    ) -> MarkedWords | None:
        """Replace a word by another of its forms: walk, walks."""
        return _exchange(sentence, positions, self.forms, rng)

    def _replace(
        self, sentence: MarkedWords, positions: list[int], rng: Random
    ) -> MarkedWords | None:
        """Replace a function word by another of its class: him, himself."""
        return _exchange(sentence, positions, self.alternatives, rng)

    def _substitute(
        self, sentence: MarkedWords, positions: list[int], rng: Random
    ) -> MarkedWords | None:
        """Replace a word by any word of the corpus."""
        position, word = rng.choice(positions), rng.choice(self.words)
        return None if word == sentence[position][0].lower() else _put(sentence, position, word)

    def _insert(
        self, sentence: MarkedWords, positions: list[int], rng: Random
    ) -> MarkedWords | None:
        """Insert a word, more often a function word."""
        word = rng.choice(self.function_words if rng.random() < 0.7 else self.words)
        position = rng.choice(positions)
        return [*sentence[:position], (word, 1), *sentence[position:]]

    def _delete(
        self, sentence: MarkedWords, positions: list[int], rng: Random
    ) -> MarkedWords | None:
        """Delete a word, more often a function word, and mark the one after the gap."""
        function = [
            position for position in positions if sentence[position][0].lower() in self.alternatives
        ]
        position = rng.choice(function if function and rng.random() < 0.6 else positions)

        rest = sentence[:position] + sentence[position + 1 :]
        if not rest:
            return None

        after_gap = min(position, len(rest) - 1)
        return _put(rest, after_gap, rest[after_gap][0])

    def _swap(self, sentence: MarkedWords, positions: list[int], rng: Random) -> MarkedWords | None:
        """Swap two different neighbours."""
        pairs = [
            position
            for position in positions
            if position + 1 in positions
            and sentence[position][0].lower() != sentence[position + 1][0].lower()
        ]
        if not pairs:
            return None

        position = rng.choice(pairs)
        swapped = [(sentence[position + 1][0], 1), (sentence[position][0], 1)]
        return [*sentence[:position], *swapped, *sentence[position + 2 :]]

    def _move(self, sentence: MarkedWords, positions: list[int], rng: Random) -> MarkedWords | None:
        """Move a word by two positions or more: by one would be a swap."""
        source, target = rng.choice(positions), rng.choice(positions)
        if abs(source - target) < 2:
            return None

        rest = sentence[:source] + sentence[source + 1 :]
        return [*rest[:target], (sentence[source][0], 1), *rest[target:]]


def _exchange(
    sentence: MarkedWords, positions: list[int], alternatives: dict[str, list[str]], rng: Random
) -> MarkedWords | None:
    candidates = [
        position for position in positions if sentence[position][0].lower() in alternatives
    ]
    if not candidates:
        return None

    position = rng.choice(candidates)
    return _put(sentence, position, rng.choice(alternatives[sentence[position][0].lower()]))


def _put(sentence: MarkedWords, position: int, word: str) -> MarkedWords:
    return [*sentence[:position], (word, 1), *sentence[position + 1 :]]


def _function_word_alternatives() -> dict[str, list[str]]:
    """Return the words that may replace each function word."""
    alternatives: dict[str, set[str]] = defaultdict(set)
    for line in FUNCTION_WORDS:
        words = line.split()
        for word in words:
            alternatives[word] |= set(words) - {word}

    # Sorted, because the order of a set changes from process to process.
    return {word: sorted(others) for word, others in alternatives.items()}


def _inflected_forms(vocabulary: set[str]) -> dict[str, list[str]]:
    """Return words that differ in a suffix only: walk, walks, walked, walking, walker."""
    by_stem: dict[str, set[str]] = defaultdict(set)
    for word in vocabulary:
        for suffix in SUFFIXES:
            stem = word.removesuffix(suffix)
            if word.endswith(suffix) and len(stem) >= 3:
                by_stem[stem].add(word)

    forms: dict[str, set[str]] = defaultdict(set)
    for words in by_stem.values():
        for word in words:
            forms[word] |= words - {word}

    # Sorted, because the order of a set changes from process to process.
    return {word: sorted(others) for word, others in forms.items() if others}
