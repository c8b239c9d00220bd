"""The checks behind the drift verdict: a window's counts against the reference's shares, by scipy.

Each check has an effect size and two limits, `warn` and `alarm`. Where a p-value exists, the effect counts
only if it is also significant (p < 0.01): that keeps small windows quiet and never raises an alarm itself.
PSI 0.1 and 0.25 are the usual rules of thumb; it is computed over bins of at least 5 % of the reference, and
what sampling alone adds to it, (bins - 1)(1/n + 1/m), is taken off (Yurdakul, 2018, "Statistical properties
of the population stability index"), else a window of 200 would look drifted by its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import binomtest, chi2_contingency, kstwobign

from drift.windows import PREVIOUS_WINDOWS, Window
from monitoring.reference import Reference

SIGNIFICANT = 0.01
MIN_BIN_SHARE = 0.05
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Check:
    """One comparison: `value` is the effect, `reference` and `window` the two figures compared, if any."""

    name: str
    value: float | None
    warn: float | None = None
    alarm: float | None = None
    p_value: float | None = None
    reference: float | None = None
    window: float | None = None
    retrain: bool = True

    @property
    def state(self) -> str:
        """ok, warning or drift; `-` for a figure that is only shown."""
        if self.value is None or self.warn is None:
            return "-"
        if self.p_value is not None and self.p_value >= SIGNIFICANT:
            return "ok"
        if self.alarm is not None and self.value >= self.alarm:
            return "drift"
        return "warning" if self.value >= self.warn else "ok"


def assess(window: Window, reference: Reference) -> list[Check]:
    """All checks of one window, in the order in which they are shown."""
    known = reference.distributions
    score, score_reference = _paired(
        window.score_histogram, known.score_histogram.shares, known.count
    )
    length, length_reference = _paired(
        window.length_histogram, known.length_histogram.shares, known.count
    )
    ks, ks_p = ks_statistic(score, score_reference)
    _, length_p = ks_statistic(length, length_reference)
    return [
        _labels(window, reference),
        Check("score_psi", psi(score, score_reference), 0.1, 0.25, ks_p),
        Check("score_ks", ks, 0.1, 0.2, ks_p),
        Check("score_js", jensen_shannon(score, score_reference)),
        Check("length_psi", psi(length, length_reference), 0.1, 0.25, length_p),
        Check("length_js", jensen_shannon(length, length_reference)),
        _share(
            "low_confidence_share",
            window.low_confidence,
            window.count,
            known.low_confidence_share,
            0.1,
            0.2,
        ),
        _share(
            "unknown_token_rate",
            window.unknown_tokens,
            window.tokens,
            known.unknown_token_rate,
            0.01,
            0.03,
        ),
        _expected_accuracy(window, known.expected_accuracy),
        _share("truncated_share", window.truncated, window.count, None, 0.02, 0.1),
        *_operations(window, reference),
    ]


def _labels(window: Window, reference: Reference) -> Check:
    """The share of `unacceptable`: difference, and a chi-square test of the two samples."""
    known = reference.distributions
    labels = list(known.labels)
    seen = [window.labels[label] for label in labels]
    expected = [known.labels[label] * known.count for label in labels]
    table = np.array([seen, expected])[:, np.add(seen, expected) > 0]
    p_value = float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0
    share = window.labels["unacceptable"] / window.count
    known_share = known.labels.get("unacceptable", 0.0)
    return Check(
        "label_difference", abs(share - known_share), 0.1, 0.2, p_value, known_share, share
    )


def _share(
    name: str, part: int, whole: int, known: float | None, warn: float, alarm: float
) -> Check:
    """How much a share has grown over the reference (0 if it has none); a fall is no reason to worry."""
    share = part / whole if whole else 0.0
    base = known or 0.0
    p_value = float(binomtest(part, whole, min(base, 1.0), "greater").pvalue) if whole else 1.0
    return Check(name, max(0.0, share - base), warn, alarm, p_value, known, share)


def _expected_accuracy(window: Window, known: float) -> Check:
    """How far the mean of the calibrated scores has fallen (confidence-based performance estimation)."""
    expected = window.score_sum / window.count
    return Check(
        "expected_accuracy_drop", max(0.0, known - expected), 0.05, 0.1, None, known, expected
    )


def _operations(window: Window, reference: Reference) -> list[Check]:
    """What retraining cannot mend: a wrong deployment, repeated inputs, a change of volume."""
    foreign = 1 - window.models[reference.version] / window.count
    repeated = 1 - window.distinct_texts / window.texts if window.texts else None
    usual = window.previous_count / PREVIOUS_WINDOWS
    factor = max(window.count / usual, usual / window.count) if usual else None
    return [
        Check("unexpected_model_share", foreign, 0.01, 0.05, retrain=False),
        Check("duplicate_share", repeated, 0.5, retrain=False),
        Check(
            "volume_factor", factor, 10.0, None, None, usual or None, window.count, retrain=False
        ),
    ]


def _paired(counts: Sequence[int], shares: Sequence[float], sample: int) -> tuple[Counts, Counts]:
    """Window and reference as counts, with neighbouring bins joined until each holds 5 % of the reference."""
    joined: list[tuple[float, float]] = []
    seen = known = 0.0
    for count, share in zip(counts, shares, strict=True):
        seen, known = seen + count, known + share
        if known >= MIN_BIN_SHARE:
            joined.append((seen, known))
            seen = known = 0.0
    if joined and (seen or known):
        last = joined.pop()
        joined.append((last[0] + seen, last[1] + known))
    pairs = np.array(joined or [(seen, known)])
    return pairs[:, 0], pairs[:, 1] * sample


def psi(window: Counts, reference: Counts) -> float:
    """Population stability index of two histograms of counts, less what sampling alone adds to it."""
    n, m = window.sum(), reference.sum()
    p = (window + 0.5) / (
        n + 0.5 * len(window)
    )  # half a count a bin, so that an empty bin is not infinite
    q = (reference + 0.5) / (m + 0.5 * len(reference))
    value = np.sum((p - q) * np.log(p / q)) - (len(window) - 1) * (1 / n + 1 / m)
    return max(0.0, float(value))


def jensen_shannon(window: Counts, reference: Counts) -> float:
    """Jensen-Shannon distance of two histograms, base 2: 0 the same, 1 disjoint."""
    p, q = window / window.sum(), reference / reference.sum()
    divergence = float((rel_entr(p, (p + q) / 2) + rel_entr(q, (p + q) / 2)).sum()) / 2 / np.log(2)
    return float(
        np.sqrt(max(0.0, divergence))
    )  # scipy's own takes the root of -1e-17 for equal histograms


def ks_statistic(window: Counts, reference: Counts) -> tuple[float, float]:
    """Kolmogorov-Smirnov: the largest distance of the cumulative shares, and its asymptotic p-value.

    Over binned data the p-value is too large rather than too small: it errs towards no alarm.
    """
    n, m = window.sum(), reference.sum()
    distance = float(np.abs(np.cumsum(window) / n - np.cumsum(reference) / m).max())
    return distance, float(kstwobign.sf(distance * np.sqrt(n * m / (n + m))))
