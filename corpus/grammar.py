"""What a phenomenon is, the registry of them, and the frames that a statement may be put into.

A phenomenon is a function that draws words and returns one paradigm: a handful of sentences that
differ minimally, some acceptable and some not. The paradigms cross their factors where they can
(singular or plural subject x singular or plural verb), so that no word is a cue by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

from corpus.lexicon import Words


@dataclass(frozen=True)
class Example:
    """A sentence of a paradigm, without its capital letter and full stop."""

    acceptable: bool
    text: str


def good(text: str) -> Example:
    """Return an acceptable example."""
    return Example(True, text)


def bad(text: str) -> Example:
    """Return an unacceptable example."""
    return Example(False, text)


Paradigm = list[Example]
Builder = Callable[[Words], Paradigm]


@dataclass(frozen=True)
class Phenomenon:
    """A way to build paradigms."""

    name: str
    build: Builder
    in_training: bool


PHENOMENA: dict[str, Phenomenon] = {}


def phenomenon(in_training: bool = True) -> Callable[[Builder], Builder]:
    """Register a builder under its function's name."""

    def register(build: Builder) -> Builder:
        PHENOMENA[build.__name__] = Phenomenon(build.__name__, build, in_training)
        return build

    return register


def framed(w: Words, paradigm: Paradigm, *, that_only: bool = False) -> Paradigm:
    """Put all statements of a paradigm into one frame, so that length says nothing about the label.

    No frame licenses negative polarity items. With ``that_only``, no second statement is added.
    """
    adverb, matrix, fact = (w.adverb("sentence"), w.verb("think").past, w.adjective("factual"))
    frames = [
        "{}",
        "{}",
        "{}",
        f"{adverb}, {{}}",
        f"{w.anyone()} {matrix} that {{}}",
        f"it is {fact} that {{}}",
    ]
    if not that_only:
        link = w.pick(("and", "but"))
        frames += [f"{{}}, {link} {w.clause()}", f"{w.clause()}, {link} {{}}"]
    frame = w.pick(frames)

    return [Example(example.acceptable, frame.format(example.text)) for example in paradigm]


def sentence(text: str) -> str:
    """Capitalise the first letter and close with a full stop unless it is a question."""
    return text[0].upper() + text[1:] + ("" if text.endswith("?") else ".")
