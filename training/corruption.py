"""Sentences made wrong on purpose: what the first epochs learn from, before the corpus itself.

An acceptable sentence is broken once or twice: words are swapped, moved, deleted, inserted, inflected
differently, or a function word is replaced by another of its class. The model learns to tell the broken sentence from
the whole one and, as in ELECTRA (Clark et al. 2020), which of its words are not the original's. A grammar is then known
before the few thousand judgements of the corpus are seen.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
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
    "in on at by for with from to of about into over under through during between against without after before",
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
SUFFIXES = ["", "s", "es", "ed", "d", "ing", "en", "n", "er", "ly", "e"]
OPERATIONS = {
    "inflect": 4,
    "replace": 3,
    "swap": 2,
    "delete": 2,
    "insert": 2,
    "substitute": 1,
    "move": 1,
}
SECOND_BREAK = 0.3  # share of the sentences that are broken twice
ATTEMPTS = 10  # an operation that finds nothing to work on makes way for another

Marked = list[tuple[str, int]]  # a word and whether it is not the original's


def split_words(text: str) -> list[str]:
    """Words and punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", text)


class Corrupter:
    """Breaks sentences with the words and word forms of a corpus."""

    def __init__(self, texts: Sequence[str]) -> None:
        words = [word.lower() for text in texts for word in split_words(text) if word.isalpha()]
        self.words = words  # with repetition: drawn as often as they are used
        self.alternatives = _function_alternatives()
        self.function_words = sorted(self.alternatives)
        self.forms = _inflected_forms(set(words))

    def corrupt(self, text: str, random: Random) -> Marked:
        """The broken sentence: its words, each marked 1 if it is wrong, moved or follows a gap, else 0."""
        sentence: Marked = [(word, 0) for word in split_words(text)]
        sentence = self._break(sentence, random)
        return self._break(sentence, random) if random.random() < SECOND_BREAK else sentence

    def _break(self, sentence: Marked, random: Random) -> Marked:
        operations, weights = list(OPERATIONS), list(OPERATIONS.values())
        places = [place for place, (word, _) in enumerate(sentence) if word.isalpha()]
        for _ in range(ATTEMPTS if places else 0):
            operation = getattr(self, f"_{random.choices(operations, weights)[0]}")
            broken: Marked | None = operation(sentence, places, random)
            if broken is not None:
                return broken
        return sentence

    def _inflect(self, sentence: Marked, places: list[int], random: Random) -> Marked | None:
        return _exchange(sentence, places, self.forms, random)

    def _replace(self, sentence: Marked, places: list[int], random: Random) -> Marked | None:
        return _exchange(sentence, places, self.alternatives, random)

    def _substitute(self, sentence: Marked, places: list[int], random: Random) -> Marked | None:
        place, word = random.choice(places), random.choice(self.words)
        return None if word == sentence[place][0].lower() else _put(sentence, place, word)

    def _insert(self, sentence: Marked, places: list[int], random: Random) -> Marked | None:
        word = random.choice(self.function_words if random.random() < 0.7 else self.words)
        place = random.choice(places)
        return [*sentence[:place], (word, 1), *sentence[place:]]

    def _delete(self, sentence: Marked, places: list[int], random: Random) -> Marked | None:
        function = [place for place in places if sentence[place][0].lower() in self.alternatives]
        place = random.choice(function if function and random.random() < 0.6 else places)
        rest = sentence[:place] + sentence[place + 1 :]
        if not rest:
            return None
        after = min(place, len(rest) - 1)
        return _put(rest, after, rest[after][0])

    def _swap(self, sentence: Marked, places: list[int], random: Random) -> Marked | None:
        pairs = [
            place
            for place in places
            if place + 1 in places and sentence[place][0].lower() != sentence[place + 1][0].lower()
        ]
        if not pairs:
            return None
        place = random.choice(pairs)
        swapped = [(sentence[place + 1][0], 1), (sentence[place][0], 1)]
        return [*sentence[:place], *swapped, *sentence[place + 2 :]]

    def _move(self, sentence: Marked, places: list[int], random: Random) -> Marked | None:
        source, target = random.choice(places), random.choice(places)
        if abs(source - target) < 2:  # a neighbour would be a swap
            return None
        rest = sentence[:source] + sentence[source + 1 :]
        return [*rest[:target], (sentence[source][0], 1), *rest[target:]]


def _exchange(
    sentence: Marked, places: list[int], alternatives: dict[str, list[str]], random: Random
) -> Marked | None:
    candidates = [place for place in places if sentence[place][0].lower() in alternatives]
    if not candidates:
        return None
    place = random.choice(candidates)
    return _put(sentence, place, random.choice(alternatives[sentence[place][0].lower()]))


def _put(sentence: Marked, place: int, word: str) -> Marked:
    return [*sentence[:place], (word, 1), *sentence[place + 1 :]]


def _function_alternatives() -> dict[str, list[str]]:
    alternatives: dict[str, set[str]] = defaultdict(set)
    for line in FUNCTION_WORDS:
        for word in line.split():
            alternatives[word] |= set(line.split()) - {word}
    return {word: sorted(others) for word, others in alternatives.items()}


def _inflected_forms(vocabulary: set[str]) -> dict[str, list[str]]:
    """Words of the vocabulary that differ in a suffix only: walk, walks, walked, walking, walker."""
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
    return {word: sorted(others) for word, others in forms.items() if others}
