"""How far a score can be taken for a probability, and the two numbers that bring it closer.

The margin, the difference of the two logits, is divided by a temperature (Guo et al. 2017, arXiv
1706.04599). Then it is bounded smoothly: people do not agree on all labels, so no sentence is as
certain as a large margin says. Neither number changes a label.

A model is too sure above all where sentences differ from its training corpus, as users' sentences
do. So both numbers are fitted on the whole validation set, its out-of-domain half included. The
error is measured by cross-validation, on no sentence that they were fitted on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_calibration_error

from errors import ExportError

# Bins of equal width over the score.
BINS = 15

# Parts of the validation set that are calibrated by what the others give.
FOLDS = 5

# Label draws for the error by chance; its mean is then accurate to 0.001.
DRAWS = 100

# Limits of the temperature; outside, the model would know nothing, or everything.
TEMPERATURES = (0.05, 20.0)

# Limits of the largest margin: the lower keeps scores below 0.63, the upper bounds nothing.
LARGEST_MARGINS = (0.5, 30.0)


@dataclass(frozen=True)
class Calibration:
    """What turns logits into those of probabilities; the default values change nothing."""

    temperature: float = 1.0
    """What logits are divided by."""

    largest_margin: float | None = None
    """What the difference of the two stays below after that; None if it is not bounded."""

    @classmethod
    def from_json(cls, lineage: Mapping[str, Any]) -> Self:
        """Read the calibration from the lineage of an export.

        Raises:
            KeyError: The temperature is missing.
            ValueError: A number is none that an export writes.
        """
        temperature = _within("temperature", lineage["temperature"], TEMPERATURES)

        # An export of an earlier version bounds nothing.
        largest_margin = lineage.get("largest_margin")
        if largest_margin is not None:
            largest_margin = _within("largest_margin", largest_margin, LARGEST_MARGINS)
        return cls(temperature, largest_margin)

    def apply(self, logits: Tensor) -> Tensor:
        """Return calibrated logits, float [sentences, 2].

        Args:
            logits: float [sentences, 2].
        """
        logits = logits / self.temperature
        if self.largest_margin is None:
            return logits

        margin = logits[:, 1:] - logits[:, :1]

        # A hyperbolic tangent would soon round to 1, and sentences lose their order.
        bounded = margin / torch.sqrt(1 + torch.square(margin / self.largest_margin))
        return torch.cat([-bounded, bounded], dim=1) / 2


NO_CALIBRATION = Calibration()


def _within(name: str, value: Any, limits: tuple[float, float]) -> float:
    # What is fitted may exceed its limits by a rounding.
    lowest, highest = limits[0] * 0.999, limits[1] * 1.001
    if type(value) not in (int, float) or not lowest <= value <= highest:
        raise ValueError(f"{name}={value!r} is not between {limits[0]} and {limits[1]}")
    return float(value)


def fit_calibration(logits: Tensor, label: Tensor) -> Calibration:
    """Return the calibration with the least cross-entropy.

    Args:
        logits: float [sentences, 2].
        label: int [sentences].

    Raises:
        ExportError: There are no sentences, or the logits are not finite.
    """

    def from_logarithms(logarithms: Sequence[float]) -> Calibration:
        temperature, largest_margin = map(math.exp, logarithms)
        return Calibration(temperature, largest_margin)

    def loss(logarithms: Sequence[float]) -> float:
        calibrated = from_logarithms(logarithms).apply(logits.double())
        return float(functional.cross_entropy(calibrated, label))

    # The search is over logarithms: both numbers are positive, and matter by their ratios.
    bounds = [tuple(map(math.log, limits)) for limits in (TEMPERATURES, LARGEST_MARGINS)]
    start = [0.0, math.log(5.0)]
    found = minimize(loss, start, bounds=bounds)

    if not math.isfinite(found.fun):
        raise ExportError(
            "calibration: the model's logits are not finite, or there is no sentence; "
            "look at the corpus, and train again"
        )
    return from_logarithms(found.x.tolist())


def calibrate_by_folds(logits: Tensor, label: Tensor) -> Tensor:
    """Return calibrated logits, each by a calibration that was fitted without its sentence.

    Args:
        logits: float [sentences, 2].
        label: int [sentences].

    Raises:
        ExportError: As ``fit_calibration``.
    """
    # At random: sentences of one kind stand side by side.
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(0))
    calibrated = torch.empty_like(logits)

    for number in range(FOLDS):
        fold = order[number::FOLDS]
        is_other = torch.ones(len(label), dtype=torch.bool)
        is_other[fold] = False

        calibration = fit_calibration(logits[is_other], label[is_other])
        calibrated[fold] = calibration.apply(logits[fold])
    return calibrated


def expected_calibration_error(probabilities: Tensor, label: Tensor) -> float:
    """Return the mean distance between the score and the share of right answers, over the bins.

    Args:
        probabilities: float [sentences, 2].
        label: int [sentences].
    """
    return float(
        multiclass_calibration_error(probabilities, label, num_classes=2, n_bins=BINS, norm="l1")
    )


def calibration_error_by_chance(probabilities: Tensor) -> float:
    """Return the calibration error to expect of exact probabilities, which is 0 only in the limit.

    Few sentences in a bin are not right as often as they should be on average. So labels are drawn
    by the probabilities themselves, and the error is measured on those.

    Args:
        probabilities: float [sentences, 2].
    """
    generator = torch.Generator().manual_seed(0)
    draws = torch.multinomial(probabilities, DRAWS, replacement=True, generator=generator)

    errors = [expected_calibration_error(probabilities, label) for label in draws.T]
    return sum(errors) / len(errors)
