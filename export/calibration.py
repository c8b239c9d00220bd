"""How far a score can be taken for a probability, and the one number that brings it closer.

Temperature scaling divides all logits by one number, which is fitted on other sentences than the
ones that the error is measured on; it changes no label (Guo et al. 2017, arXiv 1706.04599).
"""

import math

from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_calibration_error

# Of the score, of equal width.
BINS = 15

# A temperature outside of these would mean that the model knows nothing, or everything.
BOUNDS = (0.05, 20.0)


def fit_temperature(logits: Tensor, label: Tensor) -> float:
    """Return the temperature with the least cross-entropy.

    Args:
        logits: float [sentences, 2].
        label: int [sentences].
    """

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits.double() / math.exp(log_temperature), label))

    bounds = tuple(math.log(bound) for bound in BOUNDS)
    return math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def expected_calibration_error(logits: Tensor, label: Tensor) -> float:
    """Return the mean distance between the score and the share of right answers, over the bins.

    Args:
        logits: float [sentences, 2].
        label: int [sentences].
    """
    probabilities = logits.double().softmax(dim=1)
    return float(
        multiclass_calibration_error(probabilities, label, num_classes=2, n_bins=BINS, norm="l1")
    )
