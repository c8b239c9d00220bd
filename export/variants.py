"""What PyTorch and the exported models answer on the validation set: logits, labels, metrics, latencies."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from configs.schema import DataConfig
from corpus.format import IN_DOMAIN, TRAIN
from data import Corpus, load_corpus, source_of
from export import model_file
from export.calibration import fit_temperature
from export.packing import can_pack
from model import ColaModel, load_checkpoint
from prediction.encoder import TextEncoder
from prediction.model_file import Metrics, Reference
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Prediction
from training.metrics import evaluate
from training.provenance import Provenance

Feed = dict[str, NDArray[np.int64]]
BATCH_SIZES = (1, 8, 32)
CALIBRATION = 256  # training sentences that show how large the inputs of matrices get
LATENCY_SENTENCES = 200


@dataclass(frozen=True)
class Subject:
    """A trained model, the corpus that it was validated on, and PyTorch's logits for that, calibrated."""

    model: ColaModel
    corpus: Corpus
    texts: list[str]
    sentences: list[list[int]]  # token ids
    calibration_sentences: list[list[int]]  # of the training set
    label: Tensor
    logits: Tensor
    temperature: float

    @property
    def labels(self) -> list[str]:
        """The right label of each sentence, by name."""
        names = self.model.provenance.labels
        return [names[number] for number in self.label.tolist()]


@dataclass(frozen=True)
class Contestant:
    """One form of the model, measured. ``flips``: share of labels that differ from PyTorch's."""

    megabytes: float
    metrics: Metrics
    latency: Mapping[str, float]  # of one sentence on one thread, ms
    flips: float = 0.0
    largest_difference: float = 0.0  # of logits
    scheme: str | None = None
    predictions: list[Prediction] = field(default_factory=list, repr=False)

    @property
    def mcc(self) -> float:
        """Matthews correlation over the whole validation set."""
        return float(self.metrics["overall"]["mcc"] or 0.0)

    def as_dict(self) -> dict[str, Any]:
        """For the report: everything but the predictions."""
        return {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name != "predictions"
        }


def prepare(checkpoint: Path, data: Mapping[str, Any], *, calibrate: bool) -> Subject:
    """Load the checkpoint and the corpus it was validated on, and ask PyTorch about the latter."""
    model = load_checkpoint(checkpoint)
    corpus = load_corpus(_data_config(model.provenance, data))
    encoder = TextEncoder(model.provenance.tokenizer, model.provenance.max_length)
    texts = [sentence.text for sentence in corpus.validation]
    sentences = [encoder.encode(text).ids for text in texts]
    training = corpus.splits[TRAIN]
    calibration = [
        encoder.encode(item.text).ids for item in training[:: len(training) // CALIBRATION + 1]
    ]
    label = torch.tensor([sentence.label for sentence in corpus.validation])
    logits = torch_logits(model.network, padded_batches(sentences, 32))
    in_domain = torch.tensor([split == IN_DOMAIN for split in corpus.validation_splits])
    temperature = fit_temperature(logits[in_domain], label[in_domain]) if calibrate else 1.0
    return Subject(
        model, corpus, texts, sentences, calibration, label, logits / temperature, temperature
    )


def _data_config(provenance: Provenance, overrides: Mapping[str, Any]) -> DataConfig:
    """Return the recorded configuration, with the source pinned to the one of the corpus."""
    pinned = replace(provenance.config.data, sources=[source_of(provenance.corpus.name)])
    return replace(pinned, **overrides)


def measure_pytorch(subject: Subject, checkpoint: Path) -> Contestant:
    """PyTorch as it is, eager."""
    network, threads = subject.model.network, torch.get_num_threads()
    torch.set_num_threads(1)
    speed = latency(lambda feed: torch_logits(network, [feed]), subject.sentences)
    torch.set_num_threads(threads)
    probability = subject.logits.softmax(dim=1)[:, 1]
    metrics = evaluate(probability, subject.label, subject.corpus.validation_splits)
    return Contestant(checkpoint.stat().st_size / 1e6, metrics, speed)


def measure(
    graph: onnx.ModelProto, subject: Subject, path: Path, scheme: str | None = None
) -> Contestant:
    """Write ``graph`` to ``path`` and measure that file as it will be used."""
    provenance = subject.model.provenance
    lineage = model_file.describe_lineage(provenance, "int8" if scheme else "fp32")
    model_file.write(path, graph, provenance, lineage, Reference.empty())
    predictions = ColaONNXPredictor(path).predict_many(subject.texts)
    probability = torch.tensor([item.probability_acceptable for item in predictions])
    session = open_session(path)
    logits = onnx_logits(session, padded_batches(subject.sentences, 1))
    return Contestant(
        megabytes=path.stat().st_size / 1e6,
        metrics=evaluate(probability, subject.label, subject.corpus.validation_splits),
        latency=latency(lambda feed: session.run(["logits"], feed), subject.sentences),
        flips=float(((probability > 0.5) != (subject.logits.argmax(1) == 1)).double().mean()),
        largest_difference=float((logits - subject.logits).abs().max()),
        scheme=scheme,
        predictions=predictions,
    )


def open_session(path: Path) -> ort.InferenceSession:
    """A bare session on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def padded_batches(sentences: Sequence[Sequence[int]], size: int) -> Iterator[Feed]:
    """Consecutive sentences (token ids), ``size`` a batch, padded to the longest of their batch."""
    for start in range(0, len(sentences), size):
        batch = sentences[start : start + size]
        longest = max(len(ids) for ids in batch)
        yield {
            "input_ids": np.array([[*ids, *[0] * (longest - len(ids))] for ids in batch], np.int64),
            "attention_mask": np.array(
                [[1] * len(ids) + [0] * (longest - len(ids)) for ids in batch], np.int64
            ),
        }


def packed_rows(sentences: Sequence[Sequence[int]], size: int) -> Iterator[Feed]:
    """The same, ``size`` sentences end to end in one row, numbered by the mask."""
    for start in range(0, len(sentences), size):
        batch = sentences[start : start + size]
        numbers = [number for number, ids in enumerate(batch, 1) for _ in ids]
        yield {
            "input_ids": np.array([[token for ids in batch for token in ids]], np.int64),
            "attention_mask": np.array([numbers], np.int64),
        }


def torch_logits(network: nn.Module, feeds: Iterable[Feed]) -> Tensor:
    """Logits of a transformers classifier, float [sentences, 2]."""
    with torch.inference_mode():
        return torch.cat(
            [
                network(**{name: torch.from_numpy(ids) for name, ids in feed.items()}).logits
                for feed in feeds
            ]
        )


def onnx_logits(session: ort.InferenceSession, feeds: Iterable[Feed]) -> Tensor:
    """Logits of an exported model, float [sentences, 2]."""
    return torch.cat([torch.from_numpy(session.run(["logits"], feed)[0]) for feed in feeds])


def largest_difference(subject: Subject, session: ort.InferenceSession) -> tuple[float, bool]:
    """Largest difference of an exported model's logits from PyTorch's, and whether all labels are equal.

    Compared on the validation set in batches of several sizes and, where the model can, in packed rows;
    then the same way on sentences of random tokens, from one token to the longest allowed.
    """
    generator = np.random.default_rng(0)
    most, network = subject.model.provenance.max_length, subject.model.network
    vocabulary = int(network.config.vocab_size)
    lengths = [1, 2, most, *generator.integers(1, most, 13).tolist()]
    random = [generator.integers(vocabulary, size=length).tolist() for length in lengths]
    random_logits = torch_logits(network, padded_batches(random, 1)) / subject.temperature
    forms = (padded_batches, packed_rows) if can_pack(network) else (padded_batches,)
    largest, same = 0.0, True
    for sentences, truth in ((subject.sentences, subject.logits), (random, random_logits)):
        for form in forms:
            for size in BATCH_SIZES:
                found = onnx_logits(session, form(sentences, size))
                largest = max(largest, float((found - truth).abs().max()))
                same = same and bool((found.argmax(1) == truth.argmax(1)).all())
    return largest, same


def latency(run: Callable[[Feed], object], sentences: Sequence[Sequence[int]]) -> dict[str, float]:
    """Milliseconds of single sentences, median and 99th percentile, after ten to warm up."""
    feeds = list(padded_batches(sentences[:LATENCY_SENTENCES], 1))
    for feed in feeds[:10]:
        run(feed)
    milliseconds = []
    for feed in feeds:
        start = time.perf_counter()
        run(feed)
        milliseconds.append(1000 * (time.perf_counter() - start))
    return {
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
    }
