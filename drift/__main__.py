"""Does the model still see the world it was validated on? One window of traffic against its reference.

    python -m drift --window 24h                          # from Elasticsearch (elastic.py)
    python -m drift --log logs/predictions.jsonl --window 1h --html runs/drift.html
    python -m drift --dispatch owner/repo --cooldown 7d   # and start a retraining run

Reads the reference distributions in the metadata of --model, and a window of predictions that ends now (or at
--until). Effect sizes decide; a p-value can only hold an alarm back, never raise one. An alarm needs drift in
this window and in the one before. Exit code: 0 no alarm, 3 alarm, 2 cannot tell (too few predictions, no
server). Writes one document into drift-YYYY.MM (unless --log), which the dashboard shows.
Expected accuracy needs no labels: it is the mean of the calibrated scores (confidence-based estimation).
"""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from commands.run import run_command
from drift import dispatch
from drift.verdict import MIN_SAMPLE, Verdict, judge
from drift.windows import (
    Edges,
    Window,
    duration,
    from_elasticsearch,
    from_records,
    moment,
    read_log,
)
from errors import ColaError
from monitoring.elastic import Elastic
from monitoring.reference import Reference

ALARM_EXIT, CANNOT_TELL_EXIT = 3, 2


def edges_of(reference: Reference) -> Edges:
    """The bin edges that a window has to be counted in."""
    histograms = reference.distributions
    return Edges(histograms.score_histogram.edges, histograms.length_histogram.edges)


def windows(
    reference: Reference, end: datetime, span: timedelta, server: Elastic | None, log: Path | None
) -> tuple[Window, Window]:
    """The window that ends at `end`, and the one before it."""
    edges = edges_of(reference)
    spans = ((end - span, end), (end - 2 * span, end - span))
    if log is not None:
        current, previous = (
            from_records(read_log(log), start, stop, edges) for start, stop in spans
        )
    else:
        assert server is not None
        current, previous = (
            from_elasticsearch(server, start, stop, edges) for start, stop in spans
        )
    return current, previous


def show(verdict: Verdict) -> None:
    """Print the verdict as a table."""
    window = verdict.window
    print(
        f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC, {window.count:,} predictions\n"
    )
    if verdict.checks:
        print(f"{'':<24}{'reference':>11}{'window':>11}{'effect':>11}{'p':>10}  verdict")
    for check in verdict.checks:
        cells = (check.reference, check.window, check.value)
        row = "".join(f"{'' if cell is None else f'{cell:.4f}':>11}" for cell in cells)
        p_value = "" if check.p_value is None else f"{check.p_value:.1e}"
        print(f"{check.name:<24}{row}{p_value:>10}  {check.state}")
    print(
        f"\nverdict: {verdict.state}{': ' + ', '.join(verdict.reasons) if verdict.reasons else ''}"
    )


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
        from drift.report import write_report

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
    parser = argparse.ArgumentParser(
        description="A window of traffic against the model's reference."
    )
    parser.add_argument(
        "--model", type=Path, default=Path("models/model.onnx"), help="the model that serves"
    )
    parser.add_argument("--window", default="24h", help="how long a window is: 15m, 24h, 7d")
    parser.add_argument("--until", help="end of the window, ISO 8601 (default: now)")
    parser.add_argument(
        "--log", type=Path, help="read this JSONL log file instead of Elasticsearch"
    )
    parser.add_argument("--html", type=Path, help="write a report with plots here")
    parser.add_argument(
        "--dispatch", metavar="OWNER/REPO", help="start a retraining run there on an alarm"
    )
    parser.add_argument(
        "--cooldown", default="7d", help="the least time between two retraining runs"
    )
    parser.add_argument(
        "--min-sample", type=int, default=MIN_SAMPLE, help="fewer predictions: cannot tell"
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
