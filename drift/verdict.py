"""What a drift check finds: two windows in a row against the reference of the model."""

from dataclasses import dataclass

from drift.checks import Check, assess
from drift.windows import Window
from monitoring.elastic import JsonObject
from monitoring.reference import Reference

# With fewer predictions in a window, nothing can be told.
MIN_SAMPLE = 200


@dataclass(frozen=True)
class Verdict:
    """The outcome of a drift check."""

    state: str
    """``ok``, ``warning``, ``drift``, ``alarm`` (drift in two windows in a row) or ``unknown``."""

    window: Window
    """The later window."""

    checks: list[Check]
    """The later window's."""

    expected_version: str
    """The model that should be answering."""

    @property
    def reasons(self) -> list[str]:
        """The names of the checks that found drift."""
        return [check.name for check in self.checks if check.state == "drift"]

    @property
    def retrain(self) -> bool:
        """Whether the alarm is of a kind that retraining can fix: a wrong deployment is not."""
        can_fix = any(check.state == "drift" and check.retrain for check in self.checks)
        return self.state == "alarm" and can_fix

    def document(self) -> JsonObject:
        """Return what is indexed, with the fields of drift_template.json in monitoring/."""
        window = self.window
        return {
            "@timestamp": window.end.isoformat(),
            "window": {
                "start": window.start.isoformat(),
                "end": window.end.isoformat(),
                "count": window.count,
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
    current: Window, previous: Window, reference: Reference, min_sample: int = MIN_SAMPLE
) -> Verdict:
    """Compare two windows in a row with the reference.

    Args:
        current: The later window.
        previous: The one before it.
        reference: The model's.
        min_sample: Predictions that a window needs.
    """
    if current.count < min_sample or not current.is_covered:
        return Verdict("unknown", current, [], reference.version)

    checks = assess(current, reference)
    states = {check.state for check in checks}
    if "drift" not in states:
        state = "warning" if "warning" in states else "ok"
        return Verdict(state, current, checks, reference.version)

    # One window of drift may be a bad day; a second one in a row is an alarm.
    state = "drift"
    if previous.count >= min_sample and previous.is_covered:
        before = {check.state for check in assess(previous, reference)}
        state = "alarm" if "drift" in before else state
    return Verdict(state, current, checks, reference.version)
