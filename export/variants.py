"""PyTorch and the exported models on the validation set: logits, labels, metrics, latencies."""

from dataclasses import dataclass, field
from pathlib import Path

import onnx
import torch

from export import feeds, model_file
from export.comparison import BatchInvariance, measure_batch_invariance
from export.evaluation import EvaluationSet
from export.feeds import Latency
from prediction.model_file import Metrics, Reference
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Prediction
from training.metrics import evaluate


@dataclass(frozen=True)
class Variant:
    """One form of the model, measured."""

    megabytes: float
    metrics: Metrics
    latency: Latency

    label_changes: float = 0.0
    """Share of the validation set whose label differs from PyTorch's."""

    largest_difference: float = 0.0
    """Largest difference of a logit from PyTorch's."""

    scheme: str | None = None
    """See ``quantization.STATIC_SCHEMES``; None for PyTorch and fp32."""

    batch_invariance: BatchInvariance = field(default_factory=BatchInvariance)
    """Whether other sentences in a row change a score; not measured for PyTorch."""

    predictions: list[Prediction] = field(default_factory=list, repr=False)
    """One per sentence of the validation set; empty for PyTorch."""

    @property
    def mcc(self) -> float:
        """Matthews correlation over the whole validation set."""
        return float(self.metrics["overall"]["mcc"] or 0.0)


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
    predictor = ColaONNXPredictor(path)
    predictions = predictor.predict_many(evaluation.texts)
    probability = torch.tensor([item.probability_acceptable for item in predictions])
    is_changed = (probability > 0.5) != (evaluation.logits.argmax(1) == 1)

    # Logits and latency, which the predictor does not tell.
    session = feeds.open_plain_session(path)
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
        batch_invariance=measure_batch_invariance(evaluation, predictor),
        predictions=predictions,
    )
