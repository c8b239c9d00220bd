"""How far the job on Parquet files is, on standard error."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from errors import ColaError

PROGRESS_WIDTH = 30
PROGRESS_SECONDS = 10.0
"""Time between two lines of progress where standard error is not a terminal."""


@dataclass(frozen=True)
class Done:
    """What a worker says of a part that it has written."""

    rows: int
    failed: int
    """Rows without a prediction."""
    node: str
    """Ray's name of the machine."""


class Progress:
    """A bar on a terminal, where there is room for it; else a line every few seconds.

    Args:
        total: Rows that are to be predicted.

    Attributes:
        failures: Why parts were not written.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.failures: list[ColaError] = []
        self._rows = self._failed = 0
        self._nodes: set[str] = set()
        self._start = self._last_line = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def add(self, results: Sequence[Done | ColaError]) -> None:
        """Count parts that have ended, and show how far the job is."""
        for result in results:
            if isinstance(result, ColaError):
                self.failures.append(result)
            else:
                self._rows += result.rows
                self._failed += result.failed
                self._nodes.add(result.node)

        now = time.monotonic()
        share = self._rows / self.total
        line = f"{share:4.0%}  {self._rows:,} of {self.total:,} rows"
        if self._rows:
            line += f", {self._rate(now):,.0f}/s"
        if self.failures:
            line += f", {len(self.failures):,} part(s) failed"
        if not self._rows and not self.failures:
            line += ": waiting for a free core, or for the first part"

        if self._is_terminal:
            bar = f"[{'#' * round(PROGRESS_WIDTH * share):{PROGRESS_WIDTH}}] "
            # What the terminal breaks into two lines could not be wiped.
            room = _columns() - 2
            if len(bar + line) <= room:
                line = bar + line
            print(f"\r\033[K{line[:room]} ", end="", file=sys.stderr, flush=True)
        elif now - self._last_line >= PROGRESS_SECONDS:
            self._last_line = now
            print(line, file=sys.stderr, flush=True)

    def end_line(self) -> None:
        """Leave the bar as it is; what follows begins a new line."""
        if self._is_terminal:
            print(file=sys.stderr)

    def say_summary(self, output: str, earlier: int) -> None:
        """Say how much was done, how fast, and where it is.

        Args:
            output: The folder.
            earlier: Rows that an interrupted run had done.
        """
        now = time.monotonic()
        continued = f", after {earlier:,} of an earlier run" if earlier else ""
        failed = f", {self._failed:,} without a prediction (see `error`)" if self._failed else ""
        print(
            f"{self._rows:,} rows in {now - self._start:.1f} s: {self._rate(now):,.0f} rows/s"
            f" on {len(self._nodes)} node(s){continued}{failed}; in {output}",
            file=sys.stderr,
        )

    def _rate(self, now: float) -> float:
        return self._rows / max(now - self._start, 1e-9)


def _columns() -> int:
    """Return the width of the terminal that standard error goes to."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 80
