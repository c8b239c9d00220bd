"""A trained model, and the sentences that its variants are measured on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from configs.schema import DataConfig, Source
from corpus.format import TRAIN
from errors import CorpusError
from export import feeds
from export.calibration import (
    NO_CALIBRATION,
    Calibration,
    calibrate_by_folds,
    fit_calibration,
)
from export.checkpoint import load_with_digest
from model import ColaModel
from prediction.encoder import TextEncoder
from prediction.model_file import LineageCorpus
from training.provenance import Provenance
from training.sources import Corpus, load_corpus, source_of

# Training sentences, at most, that show how large the inputs of matrices get.
QUANTIZATION_SENTENCES = 256

# Sentences of random tokens that variants are compared on, besides the validation set.
RANDOM_SENTENCES = 16


@dataclass(frozen=True)
class EvaluationSet:
    """A trained model, and the sentences that its variants are measured on."""

    model: ColaModel

    checkpoint_sha256: str
    """SHA-256 of the file that the model was loaded from, which may have been replaced since."""

    corpus: Corpus

    other_corpus: LineageCorpus | None
    """What is recorded of the corpus; None if it is the one that the model was trained on."""

    texts: list[str]
    """The validation set."""

    sentences: list[list[int]]
    """Token ids of each text."""

    quantization_sentences: list[list[int]]
    """Token ids of sentences of the training set, for the quantization."""

    label: Tensor
    """The right label of each text, int [sentences]."""

    raw_logits: Tensor
    """What PyTorch gives for each text, float [sentences, 2]."""

    calibration: Calibration
    """What all logits that the model file gives have gone through."""

    held_out_logits: Tensor
    """The raw logits, each calibrated by a fit without its sentence: float [sentences, 2]."""

    @cached_property
    def logits(self) -> Tensor:
        """What PyTorch gives for each text, calibrated: float [sentences, 2]."""
        return self.calibration.apply(self.raw_logits)

    @property
    def label_names(self) -> list[str]:
        """The right label of each text, by name."""
        names = self.model.provenance.labels
        return [names[number] for number in self.label.tolist()]

    def random_sentences(self) -> list[list[int]]:
        """Return token ids at random; one sentence each of one token, two and the most allowed."""
        rng = np.random.default_rng(0)
        vocabulary = int(self.model.network.config.vocab_size)
        longest = self.model.provenance.max_length

        lengths = [1, 2, longest]
        lengths += rng.integers(1, longest, RANDOM_SENTENCES - len(lengths)).tolist()
        return [rng.integers(vocabulary, size=length).tolist() for length in lengths]


def prepare(
    checkpoint: Path, data_overrides: Mapping[str, object], *, calibrate: bool
) -> EvaluationSet:
    """Load a checkpoint and its corpus, and let PyTorch predict the validation set.

    Args:
        checkpoint: The file.
        data_overrides: Values of the ``data`` group that replace the recorded ones.
        calibrate: Whether to fit a calibration.

    Raises:
        CheckpointError: The checkpoint is missing or damaged, or was just replaced.
        CorpusError: The corpus cannot be found, or is another one though none was named.
    """
    model, checkpoint_sha256 = load_with_digest(checkpoint)
    corpus = load_corpus(_data_config(model.provenance, data_overrides))

    # Only on request are the figures those of another corpus than the recorded one, and how long to
    # wait for the hub names none.
    other_corpus = _other_corpus(corpus, model.provenance)
    is_named = any(key != "hub_timeout" for key in data_overrides)
    if other_corpus and not is_named:
        raise CorpusError(
            f"the corpus {corpus.name} is not what it was when {checkpoint} was trained; train "
            f"again, or set data.sources=[{corpus.source.value}] to validate on it as it is now"
        )

    sentences, quantization_sentences = _encode_all(corpus, model.provenance)

    # What PyTorch gives for the validation set.
    label = torch.tensor([sentence.label for sentence in corpus.validation])
    logits = feeds.torch_logits(model.network, feeds.padded_batches(sentences, 32))
    calibration, held_out_logits = NO_CALIBRATION, logits
    if calibrate:
        calibration = fit_calibration(logits, label)
        held_out_logits = calibrate_by_folds(logits, label)

    return EvaluationSet(
        model=model,
        checkpoint_sha256=checkpoint_sha256,
        corpus=corpus,
        other_corpus=other_corpus,
        texts=[sentence.text for sentence in corpus.validation],
        sentences=sentences,
        quantization_sentences=quantization_sentences,
        label=label,
        raw_logits=logits,
        calibration=calibration,
        held_out_logits=held_out_logits,
    )


def _encode_all(corpus: Corpus, provenance: Provenance) -> tuple[list[list[int]], list[list[int]]]:
    """Return the token ids of the validation set, and of every so many training sentences."""
    encoder = TextEncoder(provenance.tokenizer, provenance.max_length)
    sentences = [encoder.encode(sentence.text).ids for sentence in corpus.validation]

    training = corpus.splits[TRAIN]
    every = math.ceil(len(training) / QUANTIZATION_SENTENCES)
    return sentences, [encoder.encode(sentence.text).ids for sentence in training[::every]]


def _data_config(provenance: Provenance, overrides: Mapping[str, object]) -> DataConfig:
    """Return the recorded configuration, with the source pinned to the one of the corpus."""
    source = source_of(provenance.corpus.name)

    # A folder that is named is read, whatever the checkpoint was trained on.
    if overrides.get("path") is not None:
        source = Source.folder

    config = replace(provenance.config.data, sources=[source])
    for key, value in overrides.items():
        setattr(config, key, value)
    return config


def _other_corpus(corpus: Corpus, provenance: Provenance) -> LineageCorpus | None:
    """Return what is recorded of the corpus; None if the model was trained on it."""
    facts = corpus.describe()
    if facts.sha256 == provenance.corpus.sha256:
        return None
    return LineageCorpus(facts.name, facts.sha256, facts.sentences)
