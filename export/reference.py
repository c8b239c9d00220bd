"""What the validation set looks like to the model, which drift is measured against."""

from collections.abc import Sequence

import numpy as np

from prediction.model_file import Histogram, Reference
from prediction.types import LOW_CONFIDENCE, Prediction

SCORE_EDGES = [round(edge / 20, 2) for edge in range(21)]

# The last bin is open, however long a sentence may get.
TOKEN_EDGES: list[float] = [0, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 25, 30, 40, 60, 100_000]


def describe(predictions: Sequence[Prediction], labels: Sequence[str]) -> Reference:
    """Return the reference of a model file.

    Args:
        predictions: The model's, one per sentence of the validation set.
        labels: The right label of each of these sentences.
    """
    scores = np.array([item.score for item in predictions])
    tokens = sum(item.tokens for item in predictions)
    unknown = sum(item.unknown_tokens for item in predictions)

    predicted = [item.label for item in predictions]
    is_right = [label == right for label, right in zip(predicted, labels, strict=True)]

    return Reference(
        count=len(predictions),
        labels={
            label: predicted.count(label) / len(predicted)
            for label in ("acceptable", "unacceptable")
        },
        score_histogram=_histogram(
            [item.probability_acceptable for item in predictions], SCORE_EDGES
        ),
        length_histogram=_histogram([item.tokens for item in predictions], TOKEN_EDGES),
        unknown_token_rate=unknown / tokens,
        low_confidence_share=float((scores < LOW_CONFIDENCE).mean()),
        expected_accuracy=float(scores.mean()),
        accuracy=float(np.mean(is_right)),
    )


def _histogram(values: Sequence[float], edges: Sequence[float]) -> Histogram:
    counts, _ = np.histogram(values, bins=edges)
    return Histogram(edges=list(edges), shares=(counts / counts.sum()).tolist())
