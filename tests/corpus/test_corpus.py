"""Our own corpus: reproducible, well formed, without leakage, not solved by surface cues."""

import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import corpus_baseline
from corpus import generate
from corpus.format import (
    FILES,
    IN_DOMAIN,
    OUT_OF_DOMAIN,
    TRAIN,
    Sentence,
    audit,
    read_folder,
    write_file,
)
from corpus.grammar import PHENOMENA, sentence
from corpus.lexicon import HELD_OUT, TRAINING, a, conjugate, forms, plural

FOLDER = Path(generate.__file__).parent


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Sentence]]:
    return read_folder(FOLDER)


def tokens(rows: list[Sentence]) -> set[str]:
    return {word.lower() for row in rows for word in re.findall(r"[A-Za-z]+", row.text)}


@pytest.mark.parametrize("split", generate.SPLITS, ids=lambda split: split.name)
def test_generating_again_gives_the_committed_bytes(split: generate.Split, tmp_path: Path) -> None:
    write_file(tmp_path / "again.tsv", generate.sentences(split))
    assert (tmp_path / "again.tsv").read_bytes() == (FOLDER / FILES[split.name]).read_bytes()


def test_rows_are_in_the_format_and_marks_agree_with_labels(
    splits: dict[str, list[Sentence]],
) -> None:
    for row in (row for rows in splits.values() for row in rows):
        assert row.mark == ("" if row.label else "*"), row
        assert row.source in PHENOMENA, row
        assert re.fullmatch(r"[A-Z][A-Za-z ,']*[.?]", row.text), row
        assert not re.search(r"  | ,", row.text), row
        assert 2 <= len(row.text.split()) <= 25, row


def test_sizes_and_balance_are_those_of_a_small_cola(splits: dict[str, list[Sentence]]) -> None:
    assert len(splits[TRAIN]) >= 3000
    assert min(len(splits[IN_DOMAIN]), len(splits[OUT_OF_DOMAIN])) >= 500
    for rows in splits.values():
        assert 0.63 <= sum(row.label for row in rows) / len(rows) <= 0.72


def test_every_phenomenon_has_both_labels(splits: dict[str, list[Sentence]]) -> None:
    for rows in splits.values():
        labels = Counter((row.source, row.label) for row in rows)
        for source in {row.source for row in rows}:
            assert min(labels[source, 0], labels[source, 1]) >= 5, source


def test_nothing_is_duplicated_contradictory_or_leaked(splits: dict[str, list[Sentence]]) -> None:
    assert audit(splits) == {"duplicated": 0, "contradictory": 0, "leaked": 0}
    for rows in splits.values():
        assert len({row.text for row in rows}) == len(rows)


def test_phenomena_of_the_splits(splits: dict[str, list[Sentence]]) -> None:
    sources = {name: {row.source for row in rows} for name, rows in splits.items()}
    assert sources[TRAIN] == sources[IN_DOMAIN]
    assert not sources[TRAIN] & sources[OUT_OF_DOMAIN]
    assert len(sources[TRAIN]) >= 20
    assert len(sources[OUT_OF_DOMAIN]) >= 6
    assert sources[TRAIN] | sources[OUT_OF_DOMAIN] == set(PHENOMENA)


def test_in_domain_validation_uses_held_out_words_only(splits: dict[str, list[Sentence]]) -> None:
    assert not forms(TRAINING) & forms(HELD_OUT)
    train, dev = tokens(splits[TRAIN]), tokens(splits[IN_DOMAIN])
    assert not train & forms(HELD_OUT)
    assert not dev & forms(TRAINING)
    assert len(dev & forms(HELD_OUT)) > 200  # and does use them


def test_the_vocabulary_is_varied(splits: dict[str, list[Sentence]]) -> None:
    assert len(tokens([row for rows in splits.values() for row in rows])) > 800
    lengths = [len(row.text.split()) for row in splits[TRAIN]]
    assert 8 <= sum(lengths) / len(lengths) <= 12


def test_length_does_not_tell_the_label(splits: dict[str, list[Sentence]]) -> None:
    for rows in splits.values():
        means = []
        for label in (0, 1):
            lengths = [len(row.text.split()) for row in rows if row.label == label]
            means.append(sum(lengths) / len(lengths))
        assert abs(means[0] - means[1]) < 0.75


def test_surface_cues_do_not_solve_the_corpus() -> None:
    """N-grams stay far from a reader, whose MCC is 1, and close to a guess, whose MCC is 0.

    In-domain they know the constructions but not the words, out of domain they know neither.
    """
    for scores in corpus_baseline.measure().values():
        assert scores[IN_DOMAIN]["mcc"] < 0.33
        assert scores[OUT_OF_DOMAIN]["mcc"] < 0.15


def test_the_readme_lists_each_phenomenon_with_its_counts(
    splits: dict[str, list[Sentence]],
) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    counts = Counter((name, row.source) for name, rows in splits.items() for row in rows)
    for name, phenomenon in PHENOMENA.items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}` "))
        expected = (
            f"{counts[TRAIN, name]} + {counts[IN_DOMAIN, name]}"
            if phenomenon.in_training
            else str(counts[OUT_OF_DOMAIN, name])
        )
        assert f"| {expected} |" in row, name


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("write", ("write", "writes", "wrote", "written", "writing")),
        ("carry", ("carry", "carries", "carried", "carried", "carrying")),
        ("drop", ("drop", "drops", "dropped", "dropped", "dropping")),
        ("wash", ("wash", "washes", "washed", "washed", "washing")),
        ("agree", ("agree", "agrees", "agreed", "agreed", "agreeing")),
        ("lie", ("lie", "lies", "lay", "lain", "lying")),
    ],
)
def test_conjugation(entry: str, expected: tuple[str, ...]) -> None:
    verb = conjugate(entry)
    assert (verb.base, verb.s, verb.past, verb.participle, verb.ing) == expected


def test_plurals_articles_and_sentences() -> None:
    assert [plural(noun) for noun in ("dog", "wolf", "sandwich")] == [
        "dogs",
        "wolves",
        "sandwiches",
    ]
    assert [a(noun) for noun in ("apple", "uniform", "pear")] == ["an apple", "a uniform", "a pear"]
    assert sentence("the plumber sneezed") == "The plumber sneezed."
    assert sentence("did it bark?") == "Did it bark?"
