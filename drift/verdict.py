"""What a drift check finds: two windows in a row against the reference of the model."""

from dataclasses import dataclass

from drift.checks import Check, assess
from drift.windows import Window
from monitoring.elastic import JsonObject
from monitoring.reference import ReferenceModel

# Fewest predictions of a window that can be judged.
MIN_SAMPLE = 200


@dataclass(frozen=True)
class Verdict:
    """The outcome of a drift check."""

    state: str
    """``ok``, ``warning``, ``drift``, ``alarm`` (drift, and the same before) or ``unknown``."""

    window: Window
    """The later window."""

    checks: list[Check]
    """The later window's."""

    expected_version: str
    """The model that should be answering."""

    confirmed: frozenset[str] = frozenset()
    """The names of the checks that found drift in both windows; an alarm has some."""

    @property
    def reasons(self) -> list[str]:
        """The names of the checks that found drift in this window."""
        return [check.name for check in self.checks if check.state == "drift"]

    @property
    def retrain(self) -> bool:
        """Whether the alarm is of a kind that retraining can fix: a wrong deployment is not."""
        return any(check.retrain for check in self.checks if check.name in self.confirmed)

    def document(self) -> JsonObject:
        """Return what is indexed, with the fields of drift_template.json in monitoring/."""
        window = self.window
        return {
            "@timestamp": window.end.isoformat(),
            "window": {
                "start": window.start.isoformat(),
                "end": window.end.isoformat(),
                "count": window.total,
            },
            "model": {"expected": self.expected_version, "seen": sorted(window.models)},
            "verdict": self.state,
            "alarm": self.state == "alarm",
            "reasons": self.reasons,
            "expected_accuracy": window.score_sum / window.count if window.count else None,
            "metrics": {
                check.name: check.value for check in self.checks if check.value is not None
            },
        }


def judge(
    current: Window, previous: Window, reference: ReferenceModel, min_sample: int = MIN_SAMPLE
) -> Verdict:
    """Compare two windows in a row with the reference.

    Args:
        current: The later window.
        previous: The one before it.
        reference: The model's.
        min_sample: Predictions that a window needs.
    """
    checks = assess(current, reference, min_sample) if is_enough(current, min_sample) else []
    drifted = _drifted(checks)

    # Few answers of the expected model can show a wrong deployment, but not that all is well.
    if not drifted and (not checks or current.count < min_sample):
        return Verdict("unknown", current, [], reference.version)

    # One window of drift may be a bad day; the same in two windows in a row is an alarm.
    confirmed: frozenset[str] = frozenset()
    if drifted and is_enough(previous, min_sample) and not _is_rollout(current, previous):
        confirmed = drifted & _drifted(assess(previous, reference, min_sample))

    states = {check.state for check in checks}
    state = next((name for name in ("drift", "warning") if name in states), "ok")
    return Verdict("alarm" if confirmed else state, current, checks, reference.version, confirmed)


def is_enough(window: Window, min_sample: int) -> bool:
    """Return whether a window tells anything: it is whole, and has traffic."""
    return window.is_covered and window.total >= min_sample


def _is_rollout(current: Window, previous: Window) -> bool:
    """Return whether the expected model has given its first answers in the current window.

    That another model answered before is then no sign of a wrong deployment.
    """
    return previous.count == 0 and current.count > 0


def _drifted(checks: list[Check]) -> frozenset[str]:
    """Return the names of the checks that found drift."""
    return frozenset(check.name for check in checks if check.state == "drift")
