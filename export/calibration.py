"""How far a score can be taken for a probability, and the one number that brings it closer.

Temperature scaling divides all logits by one number, fitted on sentences that the score is not judged on; it
changes no label (Guo et al. 2017, arXiv 1706.04599).
"""

import math

from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_calibration_error

BINS = 15
BOUNDS = (
    0.05,
    20.0,
)  # a temperature outside of these means that the model knows nothing, or everything


def fit_temperature(logits: Tensor, label: Tensor) -> float:
    """The temperature with the least cross-entropy; logits float [n, 2], label int [n]."""

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits.double() / math.exp(log_temperature), label))

    bounds = tuple(math.log(bound) for bound in BOUNDS)
    return math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def expected_calibration_error(logits: Tensor, label: Tensor) -> float:
    """Mean distance between score and share of right answers, over 15 bins of equal width of the score."""
    probabilities = logits.double().softmax(dim=1)
    return float(
        multiclass_calibration_error(probabilities, label, num_classes=2, n_bins=BINS, norm="l1")
    )
