"""Lines to standard output and to a rotated file, from a thread that can neither block nor grow.

A request hands its lines over and goes on; the thread makes and writes them. A reader of standard
output that is slow holds nobody up, and one that has gone leaves the file untouched. What cannot be
kept in memory or written is dropped and counted.
"""

import contextlib
import logging.handlers
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from errors import ConfigError

# What may wait in memory for the thread and for a slow reader.
MAX_HELD_BYTES = 32_000_000

# Lines are made and written in pieces of about this size, however large a request was.
SLICE_BYTES = 1_000_000

# How long the thread waits for more lines: to wake it for every line would slow requests more than
# writing does.
GATHER_SECONDS = 0.02

# How long the thread waits for a slow reader before it looks for new lines.
READER_SECONDS = 0.2

ROTATED_FILES = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines to write."""

    count: int
    """How many lines there will be."""

    size: int
    """Bytes of memory that are held until they are written."""

    lines: Callable[[], Iterable[str]]
    """Makes the lines: ASCII, each with its newline."""


class LineWriter:
    """Writes lines to a file descriptor and to a file. Use it from any thread.

    Args:
        descriptor: An open file descriptor; 1 is standard output.
        path: The file, or None for none.
        megabytes: The size at which the file is rotated.
        background: Whether to write from a thread; otherwise ``put`` writes, and waits.

    Raises:
        ConfigError: The file cannot be written.
    """

    def __init__(
        self, descriptor: int, path: Path | None, megabytes: int, *, background: bool
    ) -> None:
        self.dropped = 0
        """Lines that were lost, in memory, at standard output or at the file."""

        self._output = _Output(descriptor)
        self._file = _RotatedFile(path, megabytes, self._lose) if path else None
        self._batches: deque[Batch] = deque()
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._close_at: float | None = None
        self._reason = ""
        self._has_warned = False

        self._thread: threading.Thread | None = None
        if background:
            self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
            self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether lines are still being written."""
        return self._thread is None or self._thread.is_alive()

    def put(self, batch: Batch) -> None:
        """Write lines, or leave them to the thread, without waiting for it."""
        if self._thread is None:
            self._write([batch])
            self._output.flush(None, self._lose)
            self._warn()
            return

        with self._changed:
            held = self._held_bytes + self._output.unsent_bytes + batch.size
            if held > MAX_HELD_BYTES or self._close_at is not None:
                self._lose(batch.count, "the reader of standard output is too slow")
                return

            # A thread that gathers lines is not woken for each.
            if not self._batches:
                self._changed.notify()
            self._held_bytes += batch.size
            self._batches.append(batch)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is waiting, for at most ``timeout`` seconds if the reader is slow."""
        with self._changed:
            self._close_at = time.monotonic() + timeout
            self._changed.notify()
        if self._thread:
            self._thread.join(timeout + 1)

        # A full disk: counted when the lines were lost.
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()

    def _run(self) -> None:
        """Write until the log is closed. The main function of the thread."""
        while True:
            batches = self._next_batches()
            if self._close_at is not None and not batches:
                self._output.flush(max(0.0, self._close_at - time.monotonic()), self._lose)
                return

            self._write(batches)
            with self._changed:
                self._held_bytes -= sum(batch.size for batch in batches)
            self._output.flush(READER_SECONDS, self._lose)
            self._warn()

    def _next_batches(self) -> list[Batch]:
        """Wait for something to write, or for the next try at a slow reader."""
        with self._changed:
            if not self._batches and self._close_at is None:
                self._changed.wait(0 if self._output.unsent_bytes else None)
            if self._batches:
                self._changed.wait_for(lambda: self._close_at is not None, GATHER_SECONDS)

            batches = list(self._batches)
            self._batches.clear()
            return batches

    def _write(self, batches: Iterable[Batch]) -> None:
        piece: list[str] = []
        size = 0
        for batch in batches:
            made = 0

            # Whatever is wrong with one request's lines must not end the log of all others.
            try:
                for line in batch.lines():
                    piece.append(line)
                    made += 1
                    size += len(line)
                    if size >= SLICE_BYTES:
                        self._emit(piece)
                        piece, size = [], 0
            except Exception as error:
                self._lose(batch.count - made, repr(error))

        if piece:
            self._emit(piece)

    def _emit(self, lines: list[str]) -> None:
        text = "".join(lines)
        if self._file:
            self._file.write_lines(text)
        self._output.write(text.encode("ascii", "backslashreplace"))
        self._output.flush(0 if self._thread else None, self._lose)

        # A slow reader: what has been made counts as held, too.
        if self._output.unsent_bytes > MAX_HELD_BYTES:
            self._lose(self._output.clear(), "the reader of standard output is too slow")

    def _lose(self, count: int, reason: str) -> None:
        self.dropped += count
        self._reason = reason

    def _warn(self) -> None:
        """Say once that lines are lost. The thread does so: standard error may block, too."""
        if self.dropped and not self._has_warned:
            self._has_warned = True
            with contextlib.suppress(OSError, ValueError):
                message = f"warning: prediction log loses lines: {self._reason}"
                print(message, file=sys.stderr, flush=True)


class _Output:
    """A file descriptor that is written to as far as it takes it, and what it has not taken yet."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unsent = bytearray()
        self._is_within_line = False
        self._has_dropped_rest = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    @property
    def unsent_bytes(self) -> int:
        return len(self._unsent)

    def write(self, data: bytes) -> None:
        self._unsent += data

    def clear(self) -> int:
        """Forget what was not sent; return how many lines that were."""
        lines = self._unsent.count(b"\n")
        self._unsent.clear()
        self._has_dropped_rest = self._is_within_line
        return lines

    def flush(self, seconds: float | None, lose: Callable[[int, str], None]) -> None:
        """Send what is unsent; give up for now after ``seconds`` without progress.

        A pipe that is ready takes at least ``PIPE_BUF`` bytes (pipe(7)), so that a write of as
        many never blocks.
        """
        timeout = None if seconds is None else seconds * 1000
        try:
            while self._unsent and self._poll.poll(timeout):
                with contextlib.suppress(BlockingIOError):
                    self._send()
        except OSError as error:
            lose(self.clear(), f"standard output: {error.strerror}")

    def _send(self) -> None:
        # A line was cut short: the next one must not be glued to it.
        if self._has_dropped_rest:
            os.write(self._descriptor, b"\n")
            self._has_dropped_rest = self._is_within_line = False
            return

        written = os.write(self._descriptor, self._unsent[: select.PIPE_BUF])
        self._is_within_line = self._unsent[written - 1] != ord("\n")
        del self._unsent[:written]


class _RotatedFile(logging.handlers.RotatingFileHandler):
    """A log file that is rotated in time and keeps a few predecessors.

    Args:
        path: Where it lies; its folder is made.
        megabytes: The size at which it is rotated.
        lose: Told how many lines could not be written, and why.
    """

    def __init__(self, path: Path, megabytes: int, lose: Callable[[int, str], None]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            size = megabytes * 1_000_000
            super().__init__(path, maxBytes=size, backupCount=ROTATED_FILES, encoding="ascii")
        except OSError as error:
            message = f"LOG_FILE={path} cannot be written ({error.strerror})"
            raise ConfigError(message) from None
        self._lose = lose

    def write_lines(self, text: str) -> None:
        """Write lines that end in a newline."""
        self.handle(logging.LogRecord("", logging.INFO, "", 0, text.rstrip("\n"), None, None))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Count what a full disk has not taken."""
        self._lose(record.msg.count("\n") + 1, f"{self.baseFilename}: {sys.exc_info()[1]}")
