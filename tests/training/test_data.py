"""Which sentences an epoch learns, which of them share a batch, and what a batch holds."""

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import torch
from hypothesis import given
from hypothesis import strategies as st

import data
from configs.schema import Config, Padding
from corpus.lexicon import HELD_OUT, forms
from corpus.pretext import pretext_sentences, words_of
from training.sampler import BucketBatchSampler
from training.weights import load_tokenizer

Compose = Callable[..., Config]


# Batches


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=200),
    batch_size=st.integers(1, 33),
    world_size=st.integers(1, 3),
    bucket=st.booleans(),
)
def test_every_sentence_is_in_some_batch_and_all_processes_get_equally_many(
    lengths: list[int], batch_size: int, world_size: int, bucket: bool
) -> None:
    parts = [
        list(
            BucketBatchSampler(
                lengths, batch_size, shuffle=True, bucket=bucket, rank=rank, world_size=world_size
            )
        )
        for rank in range(world_size)
    ]
    assert {index for part in parts for batch in part for index in batch} == set(
        range(len(lengths))
    )
    assert len({len(part) for part in parts}) == 1
    assert all(0 < len(batch) <= batch_size for part in parts for batch in part)


def test_the_order_depends_on_the_seed_alone() -> None:
    def batches(seed: str) -> list[list[int]]:
        return list(BucketBatchSampler(list(range(100)), 4, shuffle=True, seed=seed))

    assert batches("1-0") == batches("1-0")
    assert batches("1-0") != batches("1-1")


def test_resuming_skips_the_batches_that_are_done() -> None:
    done = 0
    sampler = BucketBatchSampler(list(range(100)), 8, shuffle=True, start_batch=lambda: done)
    whole = list(sampler)
    passing = iter(sampler)

    # Known only when the first batch is asked for.
    done = 5
    assert list(passing) == whole[5:]


def test_batches_are_padded_to_their_longest_and_buckets_save_padding(compose: Compose) -> None:
    def padding(*overrides: str) -> float:
        config = compose(*overrides)
        module = data.DataModule(load_tokenizer(config.model), config.data, config.processing)
        module.setup()
        masks = [batch["attention_mask"] for batch in module.train_dataloader()]
        assert sum(len(mask) for mask in masks) == len(module.corpus.splits["train"])
        if config.processing.padding is Padding.longest:
            assert all(int(mask.sum(dim=1).max()) == mask.shape[1] for mask in masks)
        tokens = sum(int(mask.sum()) for mask in masks)
        return 1 - tokens / sum(int(mask.numel()) for mask in masks)

    bucketed = padding()
    random_order = padding("processing.bucket=false")
    fixed = padding("processing.padding=max_length")
    assert bucketed < random_order / 2 < fixed


def test_a_batch_holds_tokens_labels_and_places(compose: Compose) -> None:
    config = compose("processing.max_length=6")
    module = data.DataModule(load_tokenizer(config.model), config.data, config.processing)
    module.setup()
    batch = next(iter(module.val_dataloader()))
    assert batch["input_ids"].shape[1] <= 6
    truth = [module.corpus.validation[index].label for index in batch["index"]]
    assert torch.equal(batch["label"], torch.tensor(truth))


# Tokens


def test_special_tokens_in_a_text_are_text(compose: Compose) -> None:
    tokenizer = load_tokenizer(compose().model)
    ids = tokenizer("The end [SEP] comes.")["input_ids"]
    assert ids.count(tokenizer.sep_token_id) == 1


# What is learned


def module_for(compose: Compose, *overrides: str, pretext_epochs: int) -> data.DataModule:
    config = compose("processing.exchange_names=false", *overrides)
    tokenizer = load_tokenizer(config.model)
    module = data.DataModule(tokenizer, config.data, config.processing, pretext_epochs, 50)
    module.setup()
    return module


def learned_first(module: data.DataModule) -> tuple[set[str], list[int]]:
    """Return what the first epoch learns, and the label of each sentence."""
    decode = functools.partial(module.encoder.tokenizer.batch_decode, skip_special_tokens=True)
    texts, labels = set[str](), list[int]()
    for batch in module.train_dataloader():
        texts |= set(decode(batch["input_ids"]))
        labels += batch["label"].tolist()
    return texts, labels


def batches_of(sentences: Sequence[object]) -> int:
    return math.ceil(len(sentences) / 32)


def test_a_corpus_is_learned_as_it_is(compose: Compose) -> None:
    module = module_for(compose, pretext_epochs=0)
    _, labels = learned_first(module)

    train = module.corpus.splits["train"]
    assert sorted(labels) == sorted(row.label for row in train)
    assert module.training_steps(1, 1, 1.0) == (0, batches_of(train))


def test_the_own_corpus_is_learned_with_written_sentences(compose: Compose) -> None:
    module = module_for(compose, "data.sources=[own]", pretext_epochs=1)

    train, written = module.corpus.splits["train"], pretext_sentences(for_own_corpus=True)
    first, second = module.corpus_epoch(Random(1)), module.corpus_epoch(Random(2))
    assert first[: len(train)] == second[: len(train)] == train

    recalled, others = first[len(train) :], second[len(train) :]
    assert len(recalled) == len(others) == len(written) // 3
    assert {*recalled, *others} <= {*written}
    assert len({*recalled} & {*others}) < len(recalled) / 2
    assert module.training_steps(2, 1, 1.0).corpus == batches_of(first)


def test_the_own_corpus_is_learned_alone_without_the_pretext_task(compose: Compose) -> None:
    module = module_for(compose, "data.sources=[own]", pretext_epochs=0)
    assert module.corpus_epoch(Random(1)) == module.corpus.splits["train"]


def test_the_pretext_task_judges_written_sentences_as_they_are(compose: Compose) -> None:
    module = module_for(compose, pretext_epochs=1)
    texts, labels = learned_first(module)
    assert module.training_steps(1, 1, 1.0) == (batches_of(labels), 0)

    unacceptable = [row for row in pretext_sentences(for_own_corpus=False) if row.label == 0]
    plain = {row.text.lower() for row in unacceptable if re.fullmatch(r"[A-Za-z ]+\.", row.text)}
    as_tokens = {text.replace(" .", ".") for text in texts}
    assert len(plain) > 900
    assert len(plain & as_tokens) > 0.99 * len(plain)
    assert 0.3 < sum(labels) / len(labels) < 0.5


def test_the_pretext_task_breaks_each_sentence_in_one_of_its_epochs(compose: Compose) -> None:
    module = module_for(compose, pretext_epochs=3)
    shares = [module._to_break(epoch) for epoch in range(3)]
    assert sorted(row.text for share in shares for row in share) == sorted(
        row.text for row in module.acceptable
    )
    assert max(map(len, shares)) - min(map(len, shares)) <= 1

    own = module_for(compose, "data.sources=[own]", pretext_epochs=3)
    assert own._to_break(0) == own._to_break(1) == own.acceptable

    # The number of steps is that of the batches to come: the corpus then has a new optimizer.
    batches = [
        len(module._loader(module._pretext_examples(n, Random()), shuffle=True)) for n in range(3)
    ]
    assert module.training_steps(3, 1, 1.0) == (sum(batches), 0)


def test_the_grammar_adds_as_many_sentences_of_each_phenomenon(compose: Compose) -> None:
    drawn = module_for(compose, pretext_epochs=1)._grammar_sentences(Random(1))
    assert {*Counter(row.source for row in drawn).values()} == {50}


def test_in_training_on_the_own_corpus_held_out_words_are_left_out(compose: Compose) -> None:
    texts, _ = learned_first(module_for(compose, "data.sources=[own]", pretext_epochs=1))

    words = {word for text in texts for word in words_of(text)}
    assert not words & forms(HELD_OUT)
