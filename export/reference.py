"""What the validation set looks like to the model: the distributions that drift is measured against."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prediction.types import LOW_CONFIDENCE, Prediction

SCORE_EDGES = [round(edge / 20, 2) for edge in range(21)]
CONFIDENCE_EDGES = [round(0.5 + edge / 20, 2) for edge in range(11)]
# The last bin is open, however long a sentence may get.
TOKEN_EDGES = [0, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 25, 30, 40, 60, 100_000]
CHARACTER_EDGES = [0, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 100, 150, 250, 1_000_000]


def describe(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, Any]:
    """The ``reference`` of a model file, from its predictions for n labelled sentences.

    Shares sum to 1. A histogram's bins are [edges[i], edges[i + 1]), the last one closed.
    ``expected_accuracy`` is the mean score: what the accuracy is if scores are calibrated.
    """
    scores = np.array([item.score for item in predictions])
    unknown = np.array([item.unknown_tokens for item in predictions])
    tokens = np.array([item.tokens for item in predictions])
    answers = [item.label for item in predictions]
    return {
        "count": len(predictions),
        "labels": {
            label: answers.count(label) / len(answers) for label in ("acceptable", "unacceptable")
        },
        "score_histogram": _histogram(
            [item.probability_acceptable for item in predictions], SCORE_EDGES
        ),
        "confidence_histogram": _histogram(scores, CONFIDENCE_EDGES),
        "length_histogram": _histogram(tokens, TOKEN_EDGES),
        "characters_histogram": _histogram(
            [item.characters for item in predictions], CHARACTER_EDGES
        ),
        "unknown_token_rate": float(unknown.sum() / tokens.sum()),
        "sentences_with_unknown_share": float((unknown > 0).mean()),
        "low_confidence_share": float((scores < LOW_CONFIDENCE).mean()),
        "expected_accuracy": float(scores.mean()),
        "accuracy": float(
            np.mean([given == right for given, right in zip(answers, labels, strict=True)])
        ),
    }


def _histogram(values: Any, edges: Sequence[float]) -> dict[str, list[float]]:
    counts, _ = np.histogram(values, bins=edges)
    return {"edges": list(edges), "shares": (counts / counts.sum()).tolist()}
