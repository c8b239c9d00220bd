"""Lines to standard output and to a rotated file, from a thread that can neither block nor grow.

A request hands its lines over and goes on; the thread makes and writes them. A reader of standard
output that is slow holds nobody up, and one that has gone leaves the file untouched. What cannot be
kept in memory or written is dropped and counted.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from serving.log_outputs import Output, RotatedFile, say

# Bytes that may wait in memory for the thread, and as many again for a slow reader.
MAX_HELD_BYTES = 32_000_000

# The size of the pieces in which lines are made and written, however large a request was.
SLICE_BYTES = 1_000_000

# The thread's wait for more lines: to wake it for every line would slow requests more than writing
# does.
GATHER_SECONDS = 0.02

# The thread's wait for a slow reader, before it looks for new lines, or where there is no room for
# the next piece.
READER_SECONDS = 0.2

# Why lines are lost that standard output had no room for.
TOO_SLOW = "the reader of standard output is too slow"


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

        self._output = Output(descriptor, self._lose)
        self._file = RotatedFile(path, megabytes, self._lose) if path else None
        self._batches: deque[Batch] = deque()
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._close_at: float | None = None
        self._is_stuck = False
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
            self._output.flush(None)
            self._warn()
            return

        with self._changed:
            # The largest request may be larger than that: by itself, it is taken.
            held = self._held_bytes
            is_full = held > 0 and held + batch.size > MAX_HELD_BYTES
            if is_full or self._close_at is not None:
                self._lose(batch.count, "they come faster than they can be written")
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
                self._output.flush(max(0.0, self._close_at - time.monotonic()))
                if self._output.unsent_bytes:
                    self._output.give_up(TOO_SLOW)
                self._warn()
                return

            self._write(batches)
            with self._changed:
                self._held_bytes -= sum(batch.size for batch in batches)
            self._output.flush(READER_SECONDS)
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
        """Write lines in pieces of about ``SLICE_BYTES``."""
        piece: list[str] = []
        size = 0
        for line in self._lines(batches):
            piece.append(line)
            size += len(line)
            if size >= SLICE_BYTES:
                self._emit(piece)
                piece, size = [], 0

        if piece:
            self._emit(piece)

    def _lines(self, batches: Iterable[Batch]) -> Iterator[str]:
        """Make the lines of every batch, and count those that could not be made."""
        for batch in batches:
            made = 0

            # Whatever is wrong with one request's lines must not end the log of all others.
            try:
                for line in batch.lines():
                    made += 1
                    yield line
            except Exception as error:
                self._lose(batch.count - made, repr(error))

    def _emit(self, lines: list[str]) -> None:
        """Write lines to the file, and to standard output as far as its reader keeps up."""
        text = "".join(lines)
        if self._file:
            self._file.write_lines(text)

        data = text.encode("ascii", "backslashreplace")
        if not self._has_room_for(data):
            self._wait_for_reader()
        if not self._has_room_for(data):
            self._lose(text.count("\n"), TOO_SLOW)
            return

        self._output.write(data)
        self._output.flush(0 if self._thread else None)

    def _has_room_for(self, data: bytes) -> bool:
        """Return whether so much more may wait for the reader; by itself, anything may."""
        unsent = self._output.unsent_bytes
        return unsent == 0 or unsent + len(data) <= MAX_HELD_BYTES

    def _wait_for_reader(self) -> None:
        """Give the reader time; one that took nothing in the last gets none, as the file waits."""
        seconds = 0.0 if self._is_stuck else READER_SECONDS
        if self._close_at is not None:
            seconds = min(seconds, max(0.0, self._close_at - time.monotonic()))

        before = self._output.unsent_bytes
        self._output.flush(seconds)
        self._is_stuck = self._output.unsent_bytes == before

    def _lose(self, count: int, reason: str) -> None:
        self.dropped += count
        self._reason = reason

    def _warn(self) -> None:
        """Say once that lines are lost. The thread does so: standard error may block, too."""
        if self.dropped and not self._has_warned:
            self._has_warned = True
            say(f"warning: prediction log loses lines: {self._reason}")
