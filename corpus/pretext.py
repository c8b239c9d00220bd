"""Sentences for the pretext task: written one by one, as varied as a grammar's never are.

``pretext.tsv`` has CoLA's format. Its sources ``everyday`` and ``examples`` are plain English, the
others minimal pairs; README.md says more. Training on this corpus goes on learning from them.
"""

import re
from pathlib import Path

from corpus.format import Sentence, read_file
from corpus.lexicon import HELD_OUT, forms

FILE = Path(__file__).with_suffix(".tsv")

# The source of what this corpus alone needs: its grammar never gets the agreement of a name wrong,
# and has no plural without an article before a verb of the present tense.
ONLY_HERE = "subjects"


def pretext_sentences(*, for_own_corpus: bool) -> list[Sentence]:
    """Return the sentences of ``pretext.tsv``.

    Args:
        for_own_corpus: Whether they are for this corpus itself: then those with a word that its
            in-domain validation keeps to itself are left out; else those that only it needs.

    Raises:
        CorpusError: The file is missing or malformed.
    """
    sentences = read_file(FILE)
    if not for_own_corpus:
        return [row for row in sentences if row.source != ONLY_HERE]

    held_out = forms(HELD_OUT)
    return [row for row in sentences if held_out.isdisjoint(words_of(row.text))]


def words_of(text: str) -> list[str]:
    """Return the words of a sentence in their order, in small letters."""
    return re.findall(r"[a-z]+", text.lower())
