"""The JSON record of a prediction and of a refused request, and the writer that both servers use.

    python app.py | jq .prediction            # one line a prediction on standard output
    LOG_TEXT=hash LOG_FILE=logs/predictions.jsonl python app.py

The fields are design: the index template in monitoring/ maps exactly these. Nothing here fails or delays a
request: app.py hands its records to a thread, and when the reader of the pipe is too slow, records are
dropped and counted. lambda_handler.py writes in place, since Lambda freezes the process after each answer.
"""

import contextlib
import hashlib
import json
import logging.handlers
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from errors import ConfigError
from prediction.types import ModelInfo, Prediction

# What may wait for a slow reader, in characters (a record counts its text and 500 more); past it, drop.
MAX_PENDING = 16_000_000
RECORD_OVERHEAD = 500
ROTATED_FILES = 3
NOT_LOGGED = (404, 405)  # whoever looks for holes on the internet asks for pages that are not there
# The thread lets lines gather for as long: waking it for each would cost requests more than writing does.
GATHER_SECONDS = 0.02


def text_field(text: str, mode: str) -> str | None:
    """What the record carries of the text: itself (full), its SHA-256 (hash), or nothing (none)."""
    if mode == "full":
        return text
    return (
        "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        if mode == "hash"
        else None
    )


class PredictionLog:
    """Writes records to a file descriptor and, if told, to a rotated file. Safe to use from any thread."""

    def __init__(
        self,
        service: str,
        model: ModelInfo,
        text_mode: str = "full",
        file: Path | None = None,
        file_mb: int = 50,
        descriptor: int = 1,
        background: bool = True,
    ) -> None:
        self._common = {"version": model.version, "name": model.name}
        self._service = service
        self._mode = text_mode
        self._descriptor = descriptor
        self._file = _RotatedFile(self, file, file_mb) if file else None
        self._pending: deque[tuple[int, int, Callable[[], str]]] = (
            deque()
        )  # characters, lines, their maker
        self._pending_characters = 0
        self._changed = threading.Condition()
        self._closing = False
        self._warned = False
        self.dropped = 0
        self._thread = (
            threading.Thread(target=self._drain, name="prediction-log", daemon=True)
            if background
            else None
        )
        if self._thread:
            self._thread.start()

    def write(
        self,
        predictions: Sequence[Prediction],
        *,
        request_id: str,
        latency_ms: float,
        cold_start: bool = False,
    ) -> None:
        """Record the predictions of one request. ``latency_ms``: from the request's arrival to its answer."""
        shared = {
            "@timestamp": _now(),
            "latency_ms": round(latency_ms, 3),
            "request_id": request_id,
            "cold_start": cold_start,
        }
        size = sum(prediction.characters + RECORD_OVERHEAD for prediction in predictions)
        self._put(size, len(predictions), partial(self._lines, shared, predictions))

    def error(self, status: int, code: str, message: str, *, request_id: str) -> None:
        """Record a request that was answered with an error, unless it is one of NOT_LOGGED.

        Without LOG_TEXT=full the message is left out: it may quote the client.
        """
        if status not in NOT_LOGGED:
            error = {"code": code, "message": message if self._mode == "full" else None}
            self.event("error", error=error, status=status, request_id=request_id)

    def event(self, name: str, **fields: Any) -> None:
        """Record something other than a prediction: an error, or the start of a Lambda function."""
        common = {"event": name, "service": self._service, "model": self._common}
        line = json.dumps({"@timestamp": _now(), **common, **fields}) + "\n"
        self._put(len(line), 1, lambda: line)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is pending, waiting at most ``timeout`` seconds for a slow reader."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread:
            self._thread.join(timeout)
        if self._file:
            with contextlib.suppress(OSError):  # a full disk: counted when the lines were lost
                self._file.close()

    def _put(self, size: int, count: int, lines: Callable[[], str]) -> None:
        """Write ``count`` lines: here and now, or on the thread, which also makes them."""
        if self._thread is None:
            self._emit(lines(), count)
            return
        with self._changed:
            if self._pending_characters + size > MAX_PENDING or self._closing:
                self._drop(count, "its reader is too slow")
                return
            self._pending.append((size, count, lines))
            self._pending_characters += size
            self._changed.notify()

    def _lines(self, shared: dict[str, Any], predictions: Sequence[Prediction]) -> str:
        return "".join(
            json.dumps(
                {
                    "@timestamp": shared["@timestamp"],
                    "event": "prediction",
                    "text": text_field(item.text, self._mode),
                    "prediction": {
                        "label": item.label,
                        "score": item.score,
                        "probability_acceptable": item.probability_acceptable,
                    },
                    "model": self._common,
                    "input": {
                        "characters": item.characters,
                        "tokens": item.tokens,
                        "unknown_tokens": item.unknown_tokens,
                        "truncated": item.truncated,
                    },
                    "latency_ms": shared["latency_ms"],
                    "request_id": shared["request_id"],
                    "service": self._service,
                    "cold_start": shared["cold_start"],
                }
            )
            + "\n"
            for item in predictions
        )

    def _drain(self) -> None:
        while True:
            with self._changed:
                while not self._pending and not self._closing:
                    self._changed.wait()
                if not self._pending:
                    return
                self._changed.wait_for(lambda: self._closing, GATHER_SECONDS)
                batch = list(self._pending)
                self._pending.clear()
            self._emit(
                "".join(lines() for _, _, lines in batch), sum(count for _, count, _ in batch)
            )
            with self._changed:  # counted until written: that is what the memory limit is about
                self._pending_characters -= sum(size for size, _, _ in batch)

    def _emit(self, lines: str, count: int) -> None:
        try:
            _write_all(self._descriptor, lines.encode("ascii"))
        except OSError as error:
            self._drop(count, f"standard output: {error.strerror}")
        if self._file:
            record = logging.LogRecord("", logging.INFO, "", 0, lines.rstrip("\n"), None, None)
            self._file.handle(record)

    def _drop(self, count: int, reason: str) -> None:
        self.dropped += count
        if not self._warned:
            self._warned = True
            print(f"warning: prediction log loses lines: {reason}", file=sys.stderr, flush=True)


class _RotatedFile(logging.handlers.RotatingFileHandler):
    """A log file that is cut in time and keeps a few predecessors; a full disk is counted, not raised."""

    def __init__(self, log: PredictionLog, path: Path, megabytes: int) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(
                path, maxBytes=megabytes * 1_000_000, backupCount=ROTATED_FILES, encoding="ascii"
            )
        except OSError as error:
            raise ConfigError(f"LOG_FILE={path} cannot be written ({error.strerror})") from None
        self._log = log

    def handleError(self, record: logging.LogRecord) -> None:
        self._log._drop(record.msg.count("\n") + 1, f"{self.baseFilename}: {sys.exc_info()[1]}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_all(descriptor: int, data: bytes) -> None:
    """Write everything, also to a pipe that is slow, or that someone has set to non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [], 1.0)
