"""What a drift check finds: two windows in a row against the reference of the model."""

from dataclasses import dataclass
from typing import Any

from drift.checks import Check, assess
from drift.windows import Window
from monitoring.reference import Reference

MIN_SAMPLE = 200


@dataclass(frozen=True)
class Verdict:
    """The outcome of a drift check: `state` is ok, warning, drift, alarm or unknown."""

    state: str
    window: Window
    checks: list[Check]
    expected_version: str

    @property
    def reasons(self) -> list[str]:
        """The names of the checks that found drift."""
        return [check.name for check in self.checks if check.state == "drift"]

    @property
    def retrain(self) -> bool:
        """Whether the alarm is of a kind that retraining can mend: a wrong deployment is not."""
        return self.state == "alarm" and any(c.state == "drift" and c.retrain for c in self.checks)

    def document(self) -> dict[str, Any]:
        """What is written to drift-YYYY.MM; its fields are in elasticsearch/drift_template.json."""
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
    """Compare two windows in a row with the reference; the later one's checks are in the verdict."""
    if current.count < min_sample:
        return Verdict("unknown", current, [], reference.version)
    checks = assess(current, reference)
    drifted = {check.name for check in checks if check.state == "drift"}
    state = "drift" if drifted else "warning" if any(c.state == "warning" for c in checks) else "ok"
    if drifted and previous.count >= min_sample:
        before = {check.name for check in assess(previous, reference) if check.state == "drift"}
        state = "alarm" if before else state
    return Verdict(state, current, checks, reference.version)
