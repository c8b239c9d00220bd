"""Where log lines go: a file descriptor, whose reader may be slow, and a file that is rotated."""

import contextlib
import errno
import logging.handlers
import os
import select
import sys
import time
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path

from errors import ConfigError

ROTATED_FILES = 3


class Output:
    """A file descriptor that is written to as far as it takes it, and what it has not taken yet.

    Args:
        descriptor: Open; whoever reads from it may be slow.
        lose: Told how many lines could not be written, and why.
    """

    def __init__(self, descriptor: int, lose: Callable[[int, str], None]) -> None:
        self._descriptor = descriptor
        self._lose = lose
        self._unsent = bytearray()
        self._is_within_line = False
        self._has_dropped_rest = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    @property
    def unsent_bytes(self) -> int:
        """How many bytes are still held."""
        return len(self._unsent)

    def write(self, data: bytes) -> None:
        """Hold whole lines until ``flush`` sends them."""
        self._unsent += data

    def flush(self, seconds: float | None) -> None:
        """Send what is unsent, waiting for the reader for at most ``seconds`` in all.

        A pipe that is ready takes at least ``PIPE_BUF`` bytes (pipe(7)), so that a write of as
        many never blocks.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            while self._unsent and self._poll.poll(_milliseconds_until(deadline)):
                with contextlib.suppress(BlockingIOError):
                    self._send()
        except OSError as error:
            self.give_up(f"standard output: {error.strerror}")

    def give_up(self, reason: str) -> None:
        """Count what is unsent as lost."""
        self._lose(self._unsent.count(b"\n"), reason)
        self._unsent.clear()
        self._has_dropped_rest = self._is_within_line

    def _send(self) -> None:
        # A line was cut short: the next one must not be glued to it.
        if self._has_dropped_rest:
            os.write(self._descriptor, b"\n")
            self._has_dropped_rest = self._is_within_line = False
            return

        written = os.write(self._descriptor, self._unsent[: select.PIPE_BUF])
        self._is_within_line = self._unsent[written - 1] != ord("\n")
        del self._unsent[:written]


class RotatedFile(logging.handlers.RotatingFileHandler):
    """A log file that is rotated in time and keeps a few predecessors.

    What cannot be written, as on a full disk, is lost, counted and done with. What cannot be
    rotated, as a file that is mounted into a container by itself, goes on as one file.

    Args:
        path: Where it lies; its folder is made.
        megabytes: The size at which it is rotated.
        lose: Told how many lines could not be written, and why.
    """

    def __init__(self, path: Path, megabytes: int, lose: Callable[[int, str], None]) -> None:
        try:
            size = megabytes * 1_000_000
            super().__init__(path, maxBytes=size, backupCount=ROTATED_FILES, encoding="ascii")
        except OSError as error:
            message = f"LOG_FILE={path} cannot be written ({error.strerror})"
            raise ConfigError(message) from None
        self._lose = lose

    def write_lines(self, text: str) -> None:
        """Write lines that end in a newline."""
        # The next line opens a new one.
        if self._has_been_moved():
            with contextlib.suppress(OSError):
                self.close()
        self.handle(logging.LogRecord("", logging.INFO, "", 0, text.rstrip("\n"), None, None))

    def _has_been_moved(self) -> bool:
        """Return whether the file that is open no longer has this name: nobody would look there."""
        if self.stream is None:
            return False
        try:
            named = Path(self.baseFilename).stat()
            return not os.path.samestat(named, os.fstat(self.stream.fileno()))
        except OSError as error:
            # The latter: another machine has removed it from a shared volume.
            return error.errno in (errno.ENOENT, errno.ESTALE)

    def doRollover(self) -> None:  # noqa: N802
        """Rotate. Where that fails, do not try again: say so and go on with the file."""
        try:
            super().doRollover()
        except OSError as error:
            self.maxBytes = 0
            say(
                f"warning: LOG_FILE={self.baseFilename} cannot be rotated ({error.strerror}): it "
                "grows without end; if it is mounted by itself, mount its folder instead"
            )

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Count what a full disk has not taken."""
        self._lose(record.msg.count("\n") + 1, f"{self.baseFilename}: {sys.exc_info()[1]}")

        # The stream holds the rest of a line that was cut short. The next line opens a new one.
        with contextlib.suppress(OSError):
            self.close()

    def _open(self) -> TextIOWrapper:
        """Open the file. Half a line at its end, also of a process that was killed, ends there."""
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        stream = super()._open()

        # An empty one has no last byte, and of what is no file none can be read.
        with contextlib.suppress(OSError), Path(self.baseFilename).open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                stream.write("\n")
        return stream


def _milliseconds_until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000


def say(message: str) -> None:
    """Write a line to standard error, if there is still anybody to read it."""
    with contextlib.suppress(OSError, ValueError):
        print(message, file=sys.stderr, flush=True)
