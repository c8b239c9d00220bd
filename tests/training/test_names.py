"""Exchanged names: the sentence stays about the same persons, whoever they now are."""

from collections.abc import Callable
from random import Random

import pytest

from configs.schema import Config
from corpus.words import NAMES as CORPUS_NAMES
from data import DataModule
from training.names import NAMES, exchange_names
from training.weights import load_tokenizer

Compose = Callable[..., Config]

MEN, WOMEN, EITHER = NAMES


@pytest.mark.parametrize("seed", range(20))
def test_a_person_keeps_a_gender_and_persons_stay_apart(seed: int) -> None:
    text = exchange_names("John told Bill that John's sister Mary admires herself.", Random(seed))

    john, _, bill, _, johns, _, mary, *rest = text.split()
    assert {john, bill} <= set(MEN)
    assert john != bill
    assert mary in WOMEN
    assert johns == f"{john}'s"
    assert rest == ["admires", "herself."]


def test_names_differ_from_draw_to_draw() -> None:
    rng = Random(0)

    drawn = {exchange_names("Kim left.", rng) for _ in range(200)}

    assert drawn == {f"{name} left." for name in EITHER}


@pytest.mark.parametrize("text", ["The bill was paid.", "Johnny left.", "", "Gilgamesh slept."])
def test_other_words_stay(text: str) -> None:
    assert exchange_names(text, Random(0)) == text


def test_no_name_is_kept_for_the_validation_of_corpus() -> None:
    held_out = {name for kind in ("man", "woman") for name in CORPUS_NAMES[kind][1].split()}

    assert not held_out & {name for names in NAMES for name in names}


def test_an_epoch_exchanges_names_and_keeps_the_labels(compose: Compose) -> None:
    config = compose("data.sources=[own]")
    module = DataModule(load_tokenizer(config.model), config.data, config.processing)
    module.setup()

    first, again = (module.encoder.encode(module.epoch_sentences(Random(seed))) for seed in (1, 2))
    assert first.labels == again.labels
    assert first.ids != again.ids


def test_names_stay_if_so_configured(compose: Compose) -> None:
    config = compose("data.sources=[own]", "processing.exchange_names=false")
    module = DataModule(load_tokenizer(config.model), config.data, config.processing)
    module.setup()

    assert module.epoch_sentences(Random(1)) == module.corpus.splits["train"]
