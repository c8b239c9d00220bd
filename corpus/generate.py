"""Writes the corpus: three files in CoLA's format, the same bytes every time.

    python -m corpus.generate

Reads the lexicon and the grammar of this folder; writes ``in_domain_train.tsv``,
``in_domain_dev.tsv`` and ``out_of_domain_dev.tsv`` next to this file, and prints what each holds.
"""

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

from corpus import agreement, arguments, clauses, meaning, movement, unseen  # noqa: F401 (they register)
from corpus.format import FILES, IN_DOMAIN, OUT_OF_DOMAIN, TRAIN, Sentence, write_file
from corpus.grammar import PHENOMENA, Example, Phenomenon, sentence
from corpus.lexicon import HELD_OUT, TRAINING, Words

SEED = 2018

# Share of acceptable sentences; CoLA's is 0.70 in training, 0.69 and 0.68 in validation.
ACCEPTABLE = 0.66
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Split:
    """What one file of the corpus is drawn from."""

    name: str
    columns: tuple[int, ...]
    """Columns of the lexicon whose words may occur."""

    seen: bool
    """Whether it has the phenomena of training, or the others."""

    per_phenomenon: int
    """Sentences of each phenomenon."""


SPLITS = (
    Split(TRAIN, (TRAINING,), True, 130),
    Split(IN_DOMAIN, (HELD_OUT,), True, 22),
    Split(OUT_OF_DOMAIN, (TRAINING, HELD_OUT), False, 52),
)


def draw(phenomenon: Phenomenon, rng: random.Random, split: Split, used: set[str]) -> list[Example]:
    """Draw paradigms until the split has its sentences of each label, none of them in ``used``."""
    wanted = {True: round(split.per_phenomenon * ACCEPTABLE)}
    wanted[False] = split.per_phenomenon - wanted[True]
    chosen: list[Example] = []
    words = Words(rng, split.columns)

    while any(wanted.values()):
        paradigm = phenomenon.build(words)
        rng.shuffle(paradigm)

        # Few of one paradigm, so that the split has many.
        taken = {True: 0, False: 0}
        for example in paradigm:
            text, label = sentence(example.text), example.acceptable
            if wanted[label] and text not in used and taken[label] < (2 if label else 1):
                chosen.append(Example(label, text))
                used.add(text)
                wanted[label] -= 1
                taken[label] += 1

    return chosen


def sentences(split: Split) -> list[Sentence]:
    """Draw all sentences of a split, shuffled."""
    found: list[Sentence] = []
    used: set[str] = set()
    for name, phenomenon in sorted(PHENOMENA.items()):
        if phenomenon.in_training == split.seen:
            # A seed of its own, so that one phenomenon's change leaves all others as they are.
            rng = random.Random(f"{SEED} {split.name} {name}")
            examples = draw(phenomenon, rng, split, used)
            found += [
                Sentence(
                    name, int(example.acceptable), "" if example.acceptable else "*", example.text
                )
                for example in examples
            ]
    random.Random(SEED).shuffle(found)

    return found


def grammar_sentences(
    rng: random.Random, *, for_own_corpus: bool, per_phenomenon: int
) -> list[Sentence]:
    """Draw fresh sentences: what training learns from besides its corpus.

    Args:
        rng: Decides which.
        for_own_corpus: Whether they are for this corpus itself: then only phenomena and words of
            its training file are drawn, otherwise all.
        per_phenomenon: Sentences of each phenomenon.
    """
    columns = (TRAINING,) if for_own_corpus else (TRAINING, HELD_OUT)
    found: list[Sentence] = []
    for name, phenomenon in sorted(PHENOMENA.items()):
        if for_own_corpus and not phenomenon.in_training:
            continue

        # A sentence that is drawn again does not count again.
        words, drawn = Words(rng, columns), dict[str, bool]()
        while len(drawn) < per_phenomenon:
            for example in phenomenon.build(words):
                drawn.setdefault(sentence(example.text), example.acceptable)
        chosen = list(drawn.items())[:per_phenomenon]
        found += [Sentence(name, int(label), "" if label else "*", text) for text, label in chosen]

    return found


def main() -> None:
    """Write the three files, and print what each holds."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    for split in SPLITS:
        rows = sentences(split)
        write_file(FOLDER / FILES[split.name], rows)
        acceptable = sum(row.label for row in rows) / len(rows)
        length = sum(len(row.text.split()) for row in rows) / len(rows)
        phenomena = len({row.source for row in rows})
        print(
            f"{FILES[split.name]:22} {len(rows):5} sentences, {phenomena:2} phenomena, "
            f"{acceptable:.1%} acceptable, {length:.1f} words per sentence"
        )


if __name__ == "__main__":
    main()
