"""The checks behind the verdict: a window's counts against the reference's shares, by scipy.

Each check has an effect size and two limits, see ``LIMITS``. Where a p-value exists, the effect
counts only if it is also significant (p < 0.01): that keeps small windows quiet, and never raises
an alarm by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import binomtest, chi2_contingency, kstwobign

from drift.windows import Window
from monitoring.reference import ReferenceModel
from prediction.model_file import Histogram

SIGNIFICANT = 0.01

# Smallest share of the reference per bin; smaller bins are merged, their shares being mostly noise.
MIN_BIN_SHARE = 0.05

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """Effects from which on a check warns, and counts as drift; None for never."""

    warn: float | None = None
    alarm: float | None = None


# PSI 0.1 and 0.25 are the usual rules of thumb. docs/11_drift.md shows this table.
LIMITS = {
    "label_difference": Limits(0.1, 0.2),
    "score_psi": Limits(0.1, 0.25),
    "score_ks": Limits(0.1, 0.2),
    "score_js": Limits(),
    "length_psi": Limits(0.1, 0.25),
    "length_js": Limits(),
    "low_confidence_share": Limits(0.1, 0.2),
    "unknown_token_rate": Limits(0.01, 0.03),
    "expected_accuracy_drop": Limits(0.05, 0.1),
    "truncated_share": Limits(0.02, 0.1),
    "unexpected_model_share": Limits(0.01, 0.05),
    "duplicate_share": Limits(0.5),
    "volume_factor": Limits(10.0),
}


@dataclass(frozen=True)
class Check:
    """One comparison of a window with the reference."""

    name: str

    value: float | None
    """The effect; None if the window does not tell."""

    p_value: float | None = None
    """How likely the effect is by chance, where a test says so."""

    reference: float | None = None
    """The reference's figure, where two figures are compared."""

    window: float | None = None
    """The window's figure."""

    retrain: bool = True
    """Whether retraining can fix what this check finds."""

    @property
    def warn(self) -> float | None:
        """The effect from which on the check warns."""
        return LIMITS[self.name].warn

    @property
    def alarm(self) -> float | None:
        """The effect from which on the check finds drift."""
        return LIMITS[self.name].alarm

    @property
    def state(self) -> str:
        """``ok``, ``warning`` or ``drift``; ``-`` for a figure that is only shown."""
        if self.value is None or self.warn is None:
            return "-"
        if self.p_value is not None and self.p_value >= SIGNIFICANT:
            return "ok"
        if self.alarm is not None and self.value >= self.alarm:
            return "drift"
        return "warning" if self.value >= self.warn else "ok"


def assess(window: Window, reference: ReferenceModel, min_sample: int) -> list[Check]:
    """Return the checks of one window, in the order in which they are shown.

    Args:
        window: It holds predictions, by whatever model.
        reference: The model's.
        min_sample: With fewer predictions by that model, nothing is said of their distributions.
    """
    operations = _operations(window, reference)
    if window.count < min_sample:
        return operations
    return [*_distributions(window, reference), *operations]


def _distributions(window: Window, reference: ReferenceModel) -> list[Check]:
    """Compare the answers and the sentences of the reference's model."""
    known, count, tokens = reference.distributions, window.count, window.tokens
    score = _paired(window.score_histogram, known.score_histogram, known.count)
    length = _paired(window.length_histogram, known.length_histogram, known.count)
    score_ks, score_p = ks_statistic(*score)
    _, length_p = ks_statistic(*length)

    return [
        _labels(window, reference),
        Check("score_psi", psi(*score), score_p),
        Check("score_ks", score_ks, score_p),
        Check("score_js", jensen_shannon(*score)),
        Check("length_psi", psi(*length), length_p),
        Check("length_js", jensen_shannon(*length)),
        _share("low_confidence_share", window.low_confidence, count, known.low_confidence_share),
        _share("unknown_token_rate", window.unknown_tokens, tokens, known.unknown_token_rate),
        _expected_accuracy(window, known.expected_accuracy),
        _share("truncated_share", window.truncated, count, None),
    ]


def _labels(window: Window, reference: ReferenceModel) -> Check:
    """Compare the shares of ``unacceptable``, with a chi-square test of the two samples."""
    known = reference.distributions
    labels = list(known.labels)
    observed = [window.labels[label] for label in labels]
    expected = [known.labels[label] * known.count for label in labels]

    # A label that neither sample has tells nothing, and the test refuses it.
    table = np.array([observed, expected])[:, np.add(observed, expected) > 0]
    p_value = float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0

    share = window.labels["unacceptable"] / window.count
    known_share = known.labels.get("unacceptable", 0.0)
    difference = abs(share - known_share)
    return Check("label_difference", difference, p_value, known_share, share)


def _share(name: str, part: int, whole: int, known: float | None) -> Check:
    """Compare a share with the reference's (0 if it has none); only growth counts."""
    share = part / whole if whole else 0.0
    base = known or 0.0
    p_value = float(binomtest(part, whole, min(base, 1.0), "greater").pvalue) if whole else 1.0
    return Check(name, max(0.0, share - base), p_value, known, share)


def _expected_accuracy(window: Window, known: float) -> Check:
    """Say how far the mean of the calibrated scores has fallen.

    This is confidence-based performance estimation: it needs no labels.
    """
    expected = window.score_sum / window.count
    drop = max(0.0, known - expected)
    return Check("expected_accuracy_drop", drop, None, known, expected)


def _operations(window: Window, reference: ReferenceModel) -> list[Check]:
    """Check what retraining cannot fix: a wrong deployment, repeated inputs, another volume."""
    foreign = 1 - window.models[reference.version] / window.total

    # Elasticsearch estimates how many texts differ, and may find more than there are.
    distinct = min(window.distinct_texts, window.texts)
    repeated = 1 - distinct / window.texts if window.texts else None

    usual = window.previous_mean
    factor = max(window.total / usual, usual / window.total) if usual else None
    return [
        Check("unexpected_model_share", foreign, retrain=False),
        Check("duplicate_share", repeated, retrain=False),
        Check("volume_factor", factor, None, usual or None, window.total, retrain=False),
    ]


def _paired(counts: Sequence[int], reference: Histogram, sample: int) -> tuple[Counts, Counts]:
    """Return window and reference as counts in bins that hold enough of the reference.

    Args:
        counts: The window's, per bin of the reference.
        reference: The shares of the same bins.
        sample: How many sentences the reference was taken from.
    """
    joined: list[tuple[float, float]] = []
    observed = known = 0.0
    for count, share in zip(counts, reference.shares, strict=True):
        observed, known = observed + count, known + share
        if known >= MIN_BIN_SHARE:
            joined.append((observed, known))
            observed = known = 0.0

    # What is left is too little for a bin of its own.
    if joined and (observed or known):
        last = joined.pop()
        joined.append((last[0] + observed, last[1] + known))

    pairs = np.array(joined or [(observed, known)])
    return pairs[:, 0], pairs[:, 1] * sample


def psi(window: Counts, reference: Counts) -> float:
    """Return the population stability index of two histograms, less what sampling adds to it.

    Sampling alone adds (bins - 1)(1/n + 1/m) on average (Yurdakul 2018, "Statistical properties of
    the population stability index"); a window of 200 would look drifted by its size.

    Args:
        window: Counts, float [bins].
        reference: Counts, float [bins].
    """
    n, m = window.sum(), reference.sum()

    # Half a count per bin, so that an empty bin is not infinite.
    p = (window + 0.5) / (n + 0.5 * len(window))
    q = (reference + 0.5) / (m + 0.5 * len(reference))

    value = np.sum((p - q) * np.log(p / q)) - (len(window) - 1) * (1 / n + 1 / m)
    return max(0.0, float(value))


def jensen_shannon(window: Counts, reference: Counts) -> float:
    """Return the Jensen-Shannon distance of two histograms, base 2: 0 the same, 1 disjoint."""
    p, q = window / window.sum(), reference / reference.sum()
    middle = (p + q) / 2
    divergence = float((rel_entr(p, middle) + rel_entr(q, middle)).sum()) / 2 / np.log(2)

    # scipy's own function takes the root of -1e-17 for equal histograms.
    return float(np.sqrt(max(0.0, divergence)))


def ks_statistic(window: Counts, reference: Counts) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov statistic and its asymptotic p-value.

    The statistic is the largest distance of the cumulative shares. Over binned data the p-value is
    too large rather than too small: it errs towards no alarm.
    """
    n, m = window.sum(), reference.sum()
    distance = float(np.abs(np.cumsum(window) / n - np.cumsum(reference) / m).max())
    return distance, float(kstwobign.sf(distance * np.sqrt(n * m / (n + m))))
