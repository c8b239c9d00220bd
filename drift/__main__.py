"""Chapter 11: does the model still see the world that it was validated on?

    python -m drift --window 24h                          # from Elasticsearch
    python -m drift --log logs/predictions.jsonl --window 1h --html runs/drift.html
    python -m drift --dispatch owner/repo                 # and ask for a retraining run on an alarm

Reads the reference distributions in the metadata of --model, and a window of predictions that ends
now (or at --until). Effect sizes decide; a p-value can only hold an alarm back, never raise one. An
alarm needs the same drift in this window and in the one before. Exit code: 3 alarm, whatever else
failed; 2 cannot tell (too few predictions, a log that does not reach back, no server), or something
could not be written; 0 no alarm. Writes one document into drift-YYYY.MM (unless --log), which the
dashboard shows.

Expected accuracy needs no labels: it is the mean of the calibrated scores (confidence-based
estimation).
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from commands.run import FAILED, print_error, run_command
from drift import dispatch
from drift.log_files import read_log
from drift.times import duration, moment
from drift.verdict import MIN_SAMPLE, Verdict, is_enough, judge
from drift.windows import Window, from_elasticsearch, from_records
from errors import ColaError
from monitoring.elastic import Elastic
from monitoring.reference import ReferenceModel

ALARM_EXIT = 3


def count_windows(
    reference: ReferenceModel,
    end: datetime,
    span: timedelta,
    server: Elastic | None,
    log: Path | None,
) -> tuple[Window, Window]:
    """Count the window that ends at ``end``, and the one before it.

    Args:
        reference: The model's; its histograms give the bins for that model's predictions.
        end: The end of the later window.
        span: The length of each.
        server: Where the predictions are, unless ``log`` is given.
        log: The API's log file.
    """

    def count(start: datetime, stop: datetime) -> Window:
        if log is not None:
            return from_records(read_log(log), start, stop, reference)
        assert server is not None
        return from_elasticsearch(server, start, stop, reference)

    return count(end - span, end), count(end - 2 * span, end - span)


def show(verdict: Verdict) -> None:
    """Print the verdict as a table."""
    window = verdict.window
    span = f"{window.start:%Y-%m-%d %H:%M:%S} to {window.end:%Y-%m-%d %H:%M:%S} UTC"
    others = window.total - window.count
    not_judged = f", {others:,} of them not by {verdict.expected_version}" if others else ""
    print(f"{span}, {window.total:,} predictions{not_judged}\n")

    if verdict.checks:
        print(f"{'':<24}{'reference':>11}{'window':>11}{'effect':>11}{'p':>10}  verdict")
    for check in verdict.checks:
        cells = (check.reference, check.window, check.value)
        row = "".join(f"{'' if cell is None else f'{cell:.4f}':>11}" for cell in cells)
        p_value = "" if check.p_value is None else f"{check.p_value:.1e}"
        print(f"{check.name:<24}{row}{p_value:>10}  {check.state}")

    reasons = f": {', '.join(verdict.reasons)}" if verdict.reasons else ""
    print(f"\nverdict: {verdict.state}{reasons}")


def require_answer(verdict: Verdict, min_sample: int) -> None:
    """End the command if nothing can be told.

    Raises:
        ColaError: The window has too few predictions, or is not covered by the log.
    """
    if verdict.state != "unknown":
        return

    window = verdict.window
    if not window.is_covered:
        raise ColaError(
            f"cannot tell: the log has nothing from before {window.start:%Y-%m-%d %H:%M}, so that "
            "the window may be incomplete: take a shorter --window, or a larger LOG_FILE_MB"
        )
    raise ColaError(
        f"cannot tell: {window.count} predictions by {verdict.expected_version} in the window, "
        f"{min_sample} needed: take a longer --window or a smaller --min-sample"
    )


@contextmanager
def collect_error(errors: list[ColaError]) -> Iterator[None]:
    """Add the error of a step to ``errors``, so that the steps after it are still done."""
    try:
        yield
    except ColaError as error:
        errors.append(error)


def main() -> None:
    """Check one window; exit with 3 on an alarm.

    Raises:
        ColaError: An argument cannot be used, or the window cannot be read.
    """
    arguments = _arguments()
    reference = ReferenceModel.of(arguments.model)
    server = None if arguments.log else Elastic.from_environment()
    end = moment(arguments.until) if arguments.until else datetime.now(UTC)

    span = duration(arguments.window)
    current, previous = count_windows(reference, end, span, server, arguments.log)
    verdict = judge(current, previous, reference, arguments.min_sample)
    show(verdict)

    # With predictions that are kept too briefly, drift that stays would never become an alarm.
    if verdict.state == "drift" and not is_enough(previous, arguments.min_sample):
        print(
            f"no alarm: the window before, with {previous.total:,} predictions, is too small or "
            "incomplete to confirm it"
        )

    errors: list[ColaError] = []
    is_dispatched = False
    if arguments.dispatch and verdict.retrain:
        with collect_error(errors):
            dispatch.ask_for_retraining(arguments.dispatch, verdict.document())
            is_dispatched = True

    if server is not None:
        with collect_error(errors):
            document = {**verdict.document(), "dispatched": is_dispatched}
            # The same check again replaces the document; windows that end together have one each.
            name = f"{end - span:%Y%m%dT%H%M%S}-{end:%Y%m%dT%H%M%S}"
            server.request("PUT", f"/drift-{end:%Y.%m}/_doc/{name}", document)

    # Here, because a check without a report needs no matplotlib.
    if arguments.html:
        from drift.report import write_report

        with collect_error(errors):
            write_report(verdict, reference, arguments.html)

    with collect_error(errors):
        require_answer(verdict, arguments.min_sample)
    finish(verdict, errors)


def finish(verdict: Verdict, errors: list[ColaError]) -> NoReturn:
    """End the command: an alarm is told by the exit code, whatever has failed beside it."""
    for error in errors:
        print_error(error)

    if verdict.state == "alarm":
        sys.exit(ALARM_EXIT)
    sys.exit(FAILED if errors else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="A window of traffic against the model's reference."
    )
    parser.add_argument(
        "--model", type=Path, default=Path("models/model.onnx"), help="the model that serves"
    )
    parser.add_argument("--window", default="24h", help="how long a window is: 15m, 24h, 7d")
    parser.add_argument("--until", help="end of the window, ISO 8601 (default: now)")
    parser.add_argument("--log", type=Path, help="read this log file instead of Elasticsearch")
    parser.add_argument("--html", type=Path, help="write a report with plots here")
    parser.add_argument(
        "--dispatch", metavar="OWNER/REPO", help="ask for a retraining run there on an alarm"
    )
    parser.add_argument(
        "--min-sample", type=int, default=MIN_SAMPLE, help="fewer predictions: cannot tell"
    )
    arguments = parser.parse_args()

    if arguments.min_sample < 1:
        raise ColaError(f"--min-sample {arguments.min_sample}: give at least 1")

    # Now, rather than at the first alarm, which may be months away.
    if arguments.dispatch is not None:
        dispatch.read_token(arguments.dispatch)
    return arguments


if __name__ == "__main__":
    run_command(main)
