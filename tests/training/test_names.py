"""Exchanged names: the sentence stays about the same persons, whoever they now are."""

from collections.abc import Callable
from random import Random

import pytest

import data
from configs.schema import Config
from corpus.pretext import pretext_sentences
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


# Epochs


def epoch_texts(compose: Compose, *overrides: str, pretext_epochs: int = 0) -> list[str]:
    """Return what the batches of the first epoch say, in order."""
    config = compose("data.sources=[own]", "processing.exchange_names=true", *overrides)
    tokenizer = load_tokenizer(config.model)
    module = DataModule(tokenizer, config.data, config.processing, pretext_epochs)
    module.setup()
    texts: list[str] = []
    for batch in module.train_dataloader():
        texts += tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
    return texts


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sentence becomes the same one."""
    monkeypatch.setattr(data, "exchange_names", lambda text, rng: "Somebody left.")


@pytest.mark.usefixtures("somebody")
def test_an_epoch_of_the_corpus_exchanges_names(compose: Compose) -> None:
    assert len(set(epoch_texts(compose))) == 1


@pytest.mark.usefixtures("somebody")
def test_an_epoch_of_the_pretext_task_exchanges_names(compose: Compose) -> None:
    (left,) = set(epoch_texts(compose))
    texts = epoch_texts(compose, pretext_epochs=1)

    # All sentences that are broken are there whole; nothing of the written ones stays as it is.
    written = {row.text.lower() for row in pretext_sentences(for_own_corpus=True)}
    assert texts.count(left) > 2236
    assert not written & set(texts)


@pytest.mark.usefixtures("somebody")
def test_names_stay_if_so_configured(compose: Compose) -> None:
    assert len(set(epoch_texts(compose, "processing.exchange_names=false"))) > 1000
