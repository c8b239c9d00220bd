"""PyTorch and the exported models on the validation set: logits, labels, metrics, latencies."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor

from configs.schema import DataConfig
from corpus.format import IN_DOMAIN, TRAIN
from data import Corpus, load_corpus
from export import feeds, model_file
from export.calibration import fit_temperature
from export.feeds import Latency
from export.packing import can_pack
from model import ColaModel, load_checkpoint
from prediction.encoder import TextEncoder
from prediction.model_file import Metrics, Reference
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Prediction
from training.metrics import evaluate
from training.provenance import Provenance
from training.sources import source_of

BATCH_SIZES = (1, 8, 32)

# Training sentences that show how large the inputs of matrices get.
CALIBRATION_SENTENCES = 256

# Sentences of random tokens that the logits are compared on, besides the validation set.
RANDOM_SENTENCES = 16


@dataclass(frozen=True)
class EvaluationSet:
    """A trained model, and the sentences that its variants are measured on."""

    model: ColaModel
    corpus: Corpus

    texts: list[str]
    """The validation set."""

    sentences: list[list[int]]
    """Token ids of each text."""

    calibration_sentences: list[list[int]]
    """Token ids of sentences of the training set, for the quantization."""

    label: Tensor
    """The right label of each text, int [sentences]."""

    logits: Tensor
    """What PyTorch gives for each text, divided by the temperature: float [sentences, 2]."""

    temperature: float
    """1 if the scores are not calibrated."""

    @property
    def label_names(self) -> list[str]:
        """The right label of each text, by name."""
        names = self.model.provenance.labels
        return [names[number] for number in self.label.tolist()]


@dataclass(frozen=True)
class Variant:
    """One form of the model, measured."""

    megabytes: float
    metrics: Metrics
    latency: Latency

    label_changes: float = 0.0
    """The share of the validation set whose label differs from PyTorch's."""

    largest_difference: float = 0.0
    """Of a logit from PyTorch's."""

    scheme: str | None = None
    """See ``quantization.SCHEMES``; None for PyTorch and fp32."""

    predictions: list[Prediction] = field(default_factory=list, repr=False)
    """One per sentence of the validation set; empty for PyTorch."""

    @property
    def mcc(self) -> float:
        """Matthews correlation over the whole validation set."""
        return float(self.metrics["overall"]["mcc"] or 0.0)


@dataclass(frozen=True)
class Parity:
    """An exported model compared with PyTorch."""

    largest_difference: float
    """Of a logit."""

    same_labels: bool
    """Whether every sentence has the same label."""


def prepare(
    checkpoint: Path, data_overrides: Mapping[str, object], *, calibrate: bool
) -> EvaluationSet:
    """Load a checkpoint and its corpus, and let PyTorch predict the validation set.

    Args:
        checkpoint: The file.
        data_overrides: Values of the ``data`` group that replace the recorded ones.
        calibrate: Whether to fit a temperature, on the in-domain sentences.

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
        CorpusError: The corpus cannot be found.
    """
    model = load_checkpoint(checkpoint)
    corpus = load_corpus(_data_config(model.provenance, data_overrides))
    encoder = TextEncoder(model.provenance.tokenizer, model.provenance.max_length)

    # The sentences, as the model reads them.
    texts = [sentence.text for sentence in corpus.validation]
    sentences = [encoder.encode(text).ids for text in texts]
    label = torch.tensor([sentence.label for sentence in corpus.validation])

    training = corpus.splits[TRAIN]
    every = len(training) // CALIBRATION_SENTENCES + 1
    calibration_sentences = [encoder.encode(item.text).ids for item in training[::every]]

    # What PyTorch gives for them.
    logits = feeds.torch_logits(model.network, feeds.padded_batches(sentences, 32))
    temperature = 1.0
    if calibrate:
        in_domain = torch.tensor([split == IN_DOMAIN for split in corpus.validation_splits])
        temperature = fit_temperature(logits[in_domain], label[in_domain])

    return EvaluationSet(
        model=model,
        corpus=corpus,
        texts=texts,
        sentences=sentences,
        calibration_sentences=calibration_sentences,
        label=label,
        logits=logits / temperature,
        temperature=temperature,
    )


def _data_config(provenance: Provenance, overrides: Mapping[str, object]) -> DataConfig:
    """Return the recorded configuration, with the source pinned to the one of the corpus."""
    config = replace(provenance.config.data, sources=[source_of(provenance.corpus.name)])
    for key, value in overrides.items():
        setattr(config, key, value)
    return config


def measure_pytorch(evaluation: EvaluationSet, checkpoint: Path) -> Variant:
    """Measure PyTorch as it is, eager."""
    network, threads = evaluation.model.network, torch.get_num_threads()

    torch.set_num_threads(1)
    latency = feeds.measure_latency(
        lambda feed: feeds.torch_logits(network, [feed]), evaluation.sentences
    )
    torch.set_num_threads(threads)

    probability = evaluation.logits.softmax(dim=1)[:, 1]
    return Variant(
        megabytes=checkpoint.stat().st_size / 1e6,
        metrics=evaluate(probability, evaluation.label, evaluation.corpus.validation_splits),
        latency=latency,
    )


def measure(
    graph: onnx.ModelProto, evaluation: EvaluationSet, path: Path, scheme: str | None = None
) -> Variant:
    """Write a graph to a file and measure that file as it will be used.

    Args:
        graph: The exported network.
        evaluation: What to measure it on.
        path: Where the file goes; it can be used, but has neither metrics nor a reference yet.
        scheme: How the graph was quantized, if it was.
    """
    provenance = evaluation.model.provenance
    lineage = model_file.describe_lineage(provenance, "int8" if scheme else "fp32")
    model_file.write(path, graph, provenance, lineage, Reference.empty())

    # Labels and metrics, by the predictor that everyone will use.
    predictions = ColaONNXPredictor(path).predict_many(evaluation.texts)
    probability = torch.tensor([item.probability_acceptable for item in predictions])
    is_changed = (probability > 0.5) != (evaluation.logits.argmax(1) == 1)

    # Logits and latency, which the predictor does not tell.
    session = feeds.open_session(path)
    logits = feeds.onnx_logits(session, feeds.padded_batches(evaluation.sentences, 1))
    latency = feeds.measure_latency(
        lambda feed: session.run(["logits"], feed), evaluation.sentences
    )

    return Variant(
        megabytes=path.stat().st_size / 1e6,
        metrics=evaluate(probability, evaluation.label, evaluation.corpus.validation_splits),
        latency=latency,
        label_changes=float(is_changed.double().mean()),
        largest_difference=float((logits - evaluation.logits).abs().max()),
        scheme=scheme,
        predictions=predictions,
    )


def compare(evaluation: EvaluationSet, session: ort.InferenceSession) -> Parity:
    """Compare an exported model with PyTorch, logit by logit.

    On the validation set, in batches of several sizes and, where the model can, in packed rows;
    then the same way on sentences of random tokens, from one token to the longest allowed.
    """
    network = evaluation.model.network
    random_sentences = _random_sentences(
        longest=evaluation.model.provenance.max_length, vocabulary=int(network.config.vocab_size)
    )
    random_logits = feeds.torch_logits(network, feeds.padded_batches(random_sentences, 1))
    random_logits = random_logits / evaluation.temperature

    layouts = [feeds.padded_batches]
    if can_pack(network):
        layouts.append(feeds.packed_rows)

    largest_difference, same_labels = 0.0, True
    for sentences, expected in (
        (evaluation.sentences, evaluation.logits),
        (random_sentences, random_logits),
    ):
        for layout in layouts:
            for size in BATCH_SIZES:
                logits = feeds.onnx_logits(session, layout(sentences, size))

                difference = float((logits - expected).abs().max())
                largest_difference = max(largest_difference, difference)
                same_labels &= bool((logits.argmax(1) == expected.argmax(1)).all())

    return Parity(largest_difference, same_labels)


def _random_sentences(longest: int, vocabulary: int) -> list[list[int]]:
    """Return token ids at random; one sentence each of one token, two and the most allowed."""
    rng = np.random.default_rng(0)
    lengths = [1, 2, longest]
    lengths += rng.integers(1, longest, RANDOM_SENTENCES - len(lengths)).tolist()
    return [rng.integers(vocabulary, size=length).tolist() for length in lengths]
