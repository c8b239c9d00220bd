"""Inflects the words of ``words.py`` and draws them, by class, for one split.

``Words`` is what a phenomenon gets: a seeded source of nouns, verbs and phrases that belong
together.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from corpus.words import ADJECTIVES, ADVERBS, DOUBLING, IRREGULAR, NAMES, NOUNS, PLURALS, VERBS

T = TypeVar("T")
TRAINING, HELD_OUT = 0, 1
VOWELS = "aeiou"

# Classes of things that have verbs of their own.
PRODUCTS = ("text", "edible", "device", "garment")


@dataclass(frozen=True)
class Noun:
    """Both numbers of a noun."""

    sg: str
    pl: str

    @property
    def a(self) -> str:
        """The singular with its indefinite article."""
        return a(self.sg)


@dataclass(frozen=True)
class Verb:
    """The forms of a verb."""

    base: str
    s: str
    past: str
    participle: str
    ing: str
    particle: str = ""


@dataclass(frozen=True)
class Action:
    """A transitive verb and an object that it selects, e.g. `repair` and `clock`."""

    verb: Verb
    object: Noun


def a(phrase: str) -> str:
    """Return a phrase with its indefinite article."""
    return f"an {phrase}" if phrase[0] in VOWELS and not phrase.startswith("uni") else f"a {phrase}"


def plural(noun: str) -> str:
    """Return the plural of a noun."""
    if noun in PLURALS:
        return PLURALS[noun]
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def conjugate(entry: str) -> Verb:
    """Inflect ``base`` or ``base_particle`` (``pick_up``).

    Regularly, unless ``words.IRREGULAR`` says otherwise.
    """
    base, _, particle = entry.partition("_")
    sibilant = base.endswith(("s", "x", "ch", "sh", "z"))
    consonant_y = base.endswith("y") and base[-2] not in VOWELS
    doubled = base + base[-1] if base in DOUBLING else base
    s = base[:-1] + "ies" if consonant_y else base + ("es" if sibilant else "s")
    if base.endswith("ee"):
        regular, ing = base + "d", base + "ing"
    elif base.endswith("e"):
        regular, ing = base + "d", ("lying" if base == "lie" else base[:-1] + "ing")
    else:
        regular, ing = ((base[:-1] + "ied" if consonant_y else doubled + "ed"), doubled + "ing")
    past, participle = IRREGULAR.get(base, (regular, regular))

    return Verb(base, s, past, participle, ing, particle)


class Words:
    """A seeded source of words and phrases.

    Args:
        rng: Decides which.
        columns: ``TRAINING``, ``HELD_OUT`` or both.
    """

    def __init__(self, rng: random.Random, columns: Sequence[int]):
        self.rng = rng
        self.columns = columns

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of several options."""
        return options[self.rng.randrange(len(options))]

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.rng.random() < probability

    def _sample(self, classes: dict[str, tuple[str, str]], kind: str, count: int) -> list[str]:
        options = [word for column in self.columns for word in classes[kind][column].split()]
        return self.rng.sample(options, count)

    def nouns(self, kind: str, count: int) -> list[Noun]:
        """Draw different nouns of a class."""
        return [Noun(noun, plural(noun)) for noun in self._sample(NOUNS, kind, count)]

    def noun(self, kind: str) -> Noun:
        """Draw a noun of a class."""
        return self.nouns(kind, 1)[0]

    def thing(self) -> Noun:
        """Draw a thing that one can buy and hold."""
        return self.noun(self.pick(("text", "device", "garment", "breakable")))

    def verbs(self, kind: str, count: int) -> list[Verb]:
        """Draw different verbs of a class."""
        return [conjugate(verb) for verb in self._sample(VERBS, kind, count)]

    def verb(self, kind: str) -> Verb:
        """Draw a verb of a class."""
        return self.verbs(kind, 1)[0]

    def adjective(self, kind: str) -> str:
        """Draw an adjective of a class."""
        return self._sample(ADJECTIVES, kind, 1)[0]

    def adverb(self, kind: str) -> str:
        """Draw an adverb of a class."""
        return self._sample(ADVERBS, kind, 1)[0]

    def names(self, kind: str, count: int) -> list[str]:
        """Draw different names of a class."""
        return self._sample(NAMES, kind, count)

    def name(self) -> str:
        """Draw a person's name."""
        return self.names(self.pick(("man", "woman")), 1)[0]

    def action(self) -> Action:
        """Draw a verb and an inanimate object; many of the verbs can do without it."""
        kind = self.pick(PRODUCTS)
        return Action(self.verb(kind), self.noun(kind))

    def strict_action(self) -> Action:
        """Draw a verb that always needs its object, and an inanimate object."""
        return Action(self.verb("strict_thing"), self.thing())

    def anyone(self) -> str:
        """Draw a singular human noun phrase, different in length and kind each time."""
        person = self.noun("person").sg
        adjective = self.adjective("person")
        place = self.noun("place").sg

        return self.pick(
            (
                self.name(),
                self.name(),
                f"the {person}",
                f"the {person}",
                a(person),
                f"this {person}",
                f"the {adjective} {person}",
                a(f"{adjective} {person}"),
                f"the {person} from {self.names('city', 1)[0]}",
                f"the {person} in the {place}",
            )
        )

    def somebody(self, count: int = 2) -> list[str]:
        """Draw short singular human noun phrases with no word in common but ``the``."""
        people = [f"the {noun.sg}" for noun in self.nouns("person", count)]
        names = self.names("man", count) if self.chance(0.5) else self.names("woman", count)
        return [self.pick(pair) for pair in zip(people, names, strict=True)]

    def clause(self) -> str:
        """Draw a plain acceptable statement in the past tense."""
        action = self.action()

        return self.pick(
            (
                f"{self.anyone()} {self.verb('unergative').past}",
                f"{self.anyone()} {action.verb.past} the {action.object.sg}",
                f"{self.anyone()} {action.verb.past} "
                f"{a(self.adjective('thing') + ' ' + action.object.sg)}",
            )
        )


def forms(column: int) -> set[str]:
    """Return every inflected form of every open-class word in a column, in small letters."""
    found = {word.lower() for classes in (NAMES, ADJECTIVES, ADVERBS) for pair in classes.values()
             for word in pair[column].split()}  # fmt: skip
    for pair in NOUNS.values():
        found |= {form for noun in pair[column].split() for form in (noun, plural(noun))}
    for pair in VERBS.values():
        for verb in map(conjugate, pair[column].split()):
            found |= {verb.base, verb.s, verb.past, verb.participle, verb.ing}

    return found
