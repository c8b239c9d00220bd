"""Does the model still see the world it was validated on? One window of traffic against its reference.

    python -m monitoring.drift --window 24h                          # from Elasticsearch (elastic.py)
    python -m monitoring.drift --log logs/predictions.jsonl --window 1h --html runs/drift.html
    python -m monitoring.drift --dispatch owner/repo --cooldown 7d   # and start a retraining run

Reads the reference distributions in the metadata of --model, and a window of predictions that ends now (or at
--until). Effect sizes decide; a p-value can only hold an alarm back, never raise one. An alarm needs drift in
this window and in the one before. Exit code: 0 no alarm, 3 alarm, 2 cannot tell (too few predictions, no
server). Writes one document into drift-YYYY.MM (unless --log), which the dashboard shows.
Expected accuracy needs no labels: it is the mean of the calibrated scores (confidence-based estimation).
"""

import argparse
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from errors import ColaError, run_command
from monitoring import dispatch
from monitoring.checks import Check, assess
from monitoring.elastic import Elastic
from monitoring.provision import Reference
from monitoring.windows import Edges, Window, duration, from_elasticsearch, from_records, moment, read_log

MIN_SAMPLE = 200
ALARM_EXIT, CANNOT_TELL_EXIT = 3, 2


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
            "metrics": {check.name: check.value for check in self.checks if check.value is not None},
        }


def judge(current: Window, previous: Window, reference: Reference, min_sample: int = MIN_SAMPLE) -> Verdict:
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


def edges_of(reference: Reference) -> Edges:
    """The bin edges that a window has to be counted in."""
    histograms = reference.distributions
    return Edges(histograms["score_histogram"]["edges"], histograms["length_histogram"]["edges"])


def windows(
    reference: Reference, end: datetime, span: timedelta, server: Elastic | None, log: Path | None
) -> tuple[Window, Window]:
    """The window that ends at `end`, and the one before it."""
    edges = edges_of(reference)
    spans = ((end - span, end), (end - 2 * span, end - span))
    if log is not None:
        current, previous = (from_records(read_log(log), start, stop, edges) for start, stop in spans)
    else:
        assert server is not None
        current, previous = (from_elasticsearch(server, start, stop, edges) for start, stop in spans)
    return current, previous


def show(verdict: Verdict) -> None:
    """Print the verdict as a table."""
    window = verdict.window
    print(f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC, {window.count:,} predictions\n")
    if verdict.checks:
        print(f"{'':<24}{'reference':>11}{'window':>11}{'effect':>11}{'p':>10}  verdict")
    for check in verdict.checks:
        cells = (check.reference, check.window, check.value)
        row = "".join(f"{'' if cell is None else f'{cell:.4f}':>11}" for cell in cells)
        p_value = "" if check.p_value is None else f"{check.p_value:.1e}"
        print(f"{check.name:<24}{row}{p_value:>10}  {check.state}")
    print(f"\nverdict: {verdict.state}{': ' + ', '.join(verdict.reasons) if verdict.reasons else ''}")


def main() -> None:
    """The command: see the module's docstring."""
    arguments = _arguments()
    reference = Reference.of(arguments.model)
    server = None if arguments.log else Elastic.from_environment()
    end = moment(arguments.until) if arguments.until else datetime.now(UTC)
    current, previous = windows(reference, end, duration(arguments.window), server, arguments.log)
    verdict = judge(current, previous, reference, arguments.min_sample)
    show(verdict)
    if arguments.html:
        from monitoring.drift_report import write_report

        write_report(verdict, reference, arguments.html)
    dispatched = False
    if arguments.dispatch and verdict.retrain:
        cooldown = dispatch.cooldown(server, arguments.log)
        dispatched = dispatch.send(
            arguments.dispatch, verdict.document(), cooldown, duration(arguments.cooldown)
        )
    if server is not None:
        document = {**verdict.document(), "dispatched": dispatched}
        server.request("PUT", f"/drift-{end:%Y.%m}/_doc/{end:%Y%m%dT%H%M%S}", document)
    if verdict.state == "unknown":
        raise ColaError(
            f"cannot tell: {current.count} predictions in the window, {arguments.min_sample} needed: "
            "take a longer --window or a smaller --min-sample"
        )
    sys.exit(ALARM_EXIT if verdict.state == "alarm" else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A window of traffic against the model's reference.")
    parser.add_argument("--model", type=Path, default=Path("models/model.onnx"), help="the model that serves")
    parser.add_argument("--window", default="24h", help="how long a window is: 15m, 24h, 7d")
    parser.add_argument("--until", help="end of the window, ISO 8601 (default: now)")
    parser.add_argument("--log", type=Path, help="read this JSONL log file instead of Elasticsearch")
    parser.add_argument("--html", type=Path, help="write a report with plots here")
    parser.add_argument("--dispatch", metavar="OWNER/REPO", help="start a retraining run there on an alarm")
    parser.add_argument("--cooldown", default="7d", help="the least time between two retraining runs")
    parser.add_argument("--min-sample", type=int, default=MIN_SAMPLE, help="fewer predictions: cannot tell")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
