"""The reference distributions of a handful of predictions."""

import pytest

from export.reference import describe
from prediction.types import Prediction


def prediction(probability: float, tokens: int, unknown: int = 0) -> Prediction:
    label = "acceptable" if probability > 0.5 else "unacceptable"
    score = max(probability, 1 - probability)
    return Prediction("x" * tokens, label, score, probability, tokens, tokens, unknown, False)


def test_every_share_is_counted() -> None:
    predictions = [
        prediction(0.97, 8),
        prediction(0.55, 12, unknown=2),
        prediction(0.1, 10),
        prediction(1.0, 10),
    ]

    reference = describe(predictions, ["acceptable", "unacceptable", "unacceptable", "acceptable"])

    assert reference.count == 4
    assert reference.labels == {"acceptable": 0.75, "unacceptable": 0.25}
    assert reference.unknown_token_rate == pytest.approx(2 / 40)
    assert reference.low_confidence_share == 0.25
    assert reference.expected_accuracy == pytest.approx((0.97 + 0.55 + 0.9 + 1) / 4)
    assert reference.accuracy == 0.75

    score = reference.score_histogram
    assert (len(score.edges), score.edges[0], score.edges[-1]) == (21, 0, 1)
    # 0.97 and 1.0: the last bin is closed.
    assert score.shares[19] == 0.5
    assert score.shares[11] == score.shares[2] == 0.25


@pytest.mark.parametrize("tokens", [1, 128, 5000])
def test_histograms_cover_every_length(tokens: int) -> None:
    reference = describe([prediction(0.7, tokens)], ["acceptable"])
    for histogram in (reference.score_histogram, reference.length_histogram):
        assert sum(histogram.shares) == 1
        assert len(histogram.edges) == len(histogram.shares) + 1
