"""Sentences of the pretext task: in the form of a corpus, without what its validation keeps."""

import re
from collections import Counter

import pytest

from corpus.format import Sentence, audit, read_file, read_folder
from corpus.lexicon import HELD_OUT, forms
from corpus.pretext import FILE, pretext_sentences, words_of

SENTENCES = read_file(FILE)
CORPUS = read_folder(FILE.parent)

# Phenomena of the out-of-domain split, as far as a pattern can tell them.
KEPT_BACK = {
    "tag_questions": r", (is|are|was|were|do|does|did|has|have|had|ca|can|wo|will|would|could)"
    r"(n't)? (he|she|it|they|we|you|I)\?$",
    "correlatives": r"\b(both\b.* and|either\b.* or|neither\b.* nor)\b",
    "tough_movement": r"\b(easy|hard|difficult|tough|impossible|simple) to\b",
    "complex_np_island": r"\b(claim|rumor|report|fact|statement|announcement|allegation) that\b",
    "locative_inversion": r"^(In|On|At|Into|Under|Near|Behind) (the|a|my|our) \w+ "
    r"(stood|sat|lay|stayed|hung|came|walked|ran|marched|strolled) ",
}


def test_rows_are_short_sentences_and_marks_agree_with_labels() -> None:
    for row in SENTENCES:
        assert row.mark == ("" if row.label else "*"), row
        assert re.fullmatch(r"[A-Z][A-Za-z0-9 ,;:'-]*[.?!]", row.text), row
        assert not re.search(r"  | [,;:.?!]", row.text), row
        assert 2 <= len(row.text.split()) <= 20, row


def test_everyday_sentences_are_acceptable_and_pairs_have_both_labels() -> None:
    count = Counter((row.source, row.label) for row in SENTENCES)
    everyday = {source for source, _ in count if not count[source, 0]}

    assert everyday == {"everyday", "examples"}
    for source in {source for source, _ in count} - everyday:
        assert abs(count[source, 0] - count[source, 1]) < 10, source


def test_length_does_not_tell_the_label_of_a_pair() -> None:
    pairs = [row for row in SENTENCES if row.source not in ("everyday", "examples")]
    length = {
        label: [len(row.text.split()) for row in pairs if row.label == label] for label in (0, 1)
    }
    mean = {label: sum(lengths) / len(lengths) for label, lengths in length.items()}
    assert abs(mean[0] - mean[1]) < 0.5


def test_no_two_are_alike_and_none_is_one_of_the_corpus() -> None:
    every = [" ".join(words_of(row.text)) for row in SENTENCES]
    assert len(set(every)) == len(every)

    assert audit({**CORPUS, "train": SENTENCES})["leaked"] == 0
    assert not {row.text for row in SENTENCES} & {row.text for row in CORPUS["train"]}


def test_for_the_own_corpus_they_have_no_word_of_its_validation() -> None:
    chosen = pretext_sentences(for_own_corpus=True)

    assert len(SENTENCES) / 2 < len(chosen) < len(SENTENCES)
    assert not words_in(chosen) & forms(HELD_OUT)


def test_another_corpus_does_without_what_only_this_one_needs() -> None:
    assert pretext_sentences(for_own_corpus=False) == [
        row for row in SENTENCES if row.source != "subjects"
    ]
    assert "subjects" in {row.source for row in pretext_sentences(for_own_corpus=True)}


@pytest.mark.parametrize("phenomenon", KEPT_BACK)
def test_they_keep_clear_of_the_out_of_domain_split(phenomenon: str) -> None:
    found = [row.text for row in SENTENCES if re.search(KEPT_BACK[phenomenon], row.text)]
    assert found == []


def words_in(sentences: list[Sentence]) -> set[str]:
    return {word for row in sentences for word in words_of(row.text)}
