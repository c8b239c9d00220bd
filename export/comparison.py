"""An exported model compared with PyTorch, and with itself where sentences share a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from export import feeds
from export.evaluation import EvaluationSet
from export.packing import can_pack
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Encoded

BATCH_SIZES = (1, 8, 32)

# Number of random orders in which sentences share rows.
ORDERS = 4


@dataclass(frozen=True)
class BatchInvariance:
    """Each sentence alone, compared with the same sentence beside other sentences in a row."""

    largest_difference: float = 0.0
    """Largest change of a probability."""

    label_changes: int = 0
    """How often a sentence got another label."""


def compare_with_pytorch(evaluation: EvaluationSet, session: ort.InferenceSession) -> float:
    """Return the largest difference between the logits of an exported model and PyTorch's.

    Both are calibrated. The difference is a share of the largest logit where that is more than 1:
    what fp32 rounds off grows with the numbers.

    On the validation set, in batches of several sizes and, where the model can, in packed rows;
    then the same way on sentences of random tokens, from one token to the longest allowed.
    """
    network = evaluation.model.network
    random_sentences = evaluation.random_sentences()
    random_logits = feeds.torch_logits(network, feeds.padded_batches(random_sentences, 1))
    random_logits = evaluation.calibration.apply(random_logits)

    layouts = [feeds.padded_batches]
    if can_pack(network):
        layouts.append(feeds.packed_rows)

    differences = [
        _distance(feeds.onnx_logits(session, layout(sentences, size)), expected)
        for sentences, expected in (
            (evaluation.sentences, evaluation.logits),
            (random_sentences, random_logits),
        )
        for layout in layouts
        for size in BATCH_SIZES
    ]

    # Python's own max passes over a nan.
    return float(torch.stack(differences).max())


def _distance(logits: Tensor, expected: Tensor) -> Tensor:
    return (logits - expected).abs().max() / expected.abs().max().clamp(min=1)


def measure_batch_invariance(
    evaluation: EvaluationSet, predictor: ColaONNXPredictor
) -> BatchInvariance:
    """Compare sentences alone with the same sentences in rows, as a predictor packs them.

    The validation set together with sentences of random tokens, several times in random order.
    """
    token_ids = [*evaluation.sentences, *evaluation.random_sentences()]
    sentences = [Encoded("", ids, unknown_tokens=0, truncated=False) for ids in token_ids]
    alone = np.array([_probabilities(predictor, [sentence])[0] for sentence in sentences])

    differences, label_changes = [], 0
    rng = np.random.default_rng(0)
    for _ in range(ORDERS):
        order = rng.permutation(len(sentences))
        together = _probabilities(predictor, [sentences[number] for number in order])

        expected = alone[order]
        differences.append(np.abs(together - expected).max())
        label_changes += int(((together > 0.5) != (expected > 0.5)).sum())

    return BatchInvariance(float(np.max(differences)), label_changes)


def _probabilities(
    predictor: ColaONNXPredictor, sentences: Sequence[Encoded]
) -> NDArray[np.float64]:
    """Return the probability of ``acceptable`` of each sentence, float [sentences]."""
    predictions = predictor.predict_encoded(sentences)
    return np.array([prediction.probability_acceptable for prediction in predictions])
