"""The JSON record of a prediction and of a refused request, one line each.

    python app.py | jq .prediction            # one line per prediction on standard output
    LOG_TEXT=hash LOG_FILE=logs/predictions.jsonl python app.py

The index template in monitoring/ maps exactly these fields. app.py leaves its lines to a thread
(log_writer.py); lambda_handler.py writes in place, since Lambda freezes the process after each
answer.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prediction.types import ModelInfo, Prediction
from serving.log_writer import Batch, LineWriter

# Refusals that are counted in the metrics but not logged: scanners ask for pages that do not exist
# and by the address alone, clients without a key and foreign web pages for pages that do, and a
# line for each would push the predictions out.
NOT_LOGGED = ("unauthorized", "cross_site", "not_found", "method_not_allowed", "invalid_host")

# Characters of a text in the log; a longer one is cut there, never in the prediction. CloudWatch
# takes lines of 256 KB, and a character outside Unicode's first plane has 12 bytes in ASCII JSON.
# ``input.characters`` tells the true length.
MAX_LOGGED_CHARACTERS = 20_000

# Bytes that a prediction holds in memory besides its text.
RECORD_OVERHEAD = 500


@dataclass(frozen=True, slots=True)
class _Request:
    """What the lines of one request have in common."""

    timestamp: str
    latency_ms: float
    request_id: str
    cold_start: bool


class PredictionLog:
    """Writes the records of one service. Use it from any thread.

    Args:
        service: ``api`` or ``lambda``.
        model: The model that predicts.
        text_mode: What a record says of the text: ``full``, ``hash`` or ``none``.
        file: A file that gets the lines too, rotated at ``file_mb`` megabytes.
        file_mb: See ``file``.
        descriptor: Where lines go; 1 is standard output.
        background: Whether a thread writes them.

    Raises:
        ConfigError: The file cannot be written.
    """

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
        self._service = service
        self._model = {"version": model.version, "name": model.name}
        self._text_mode = text_mode
        self._writer = LineWriter(descriptor, file, file_mb, background=background)

    @property
    def dropped(self) -> int:
        """How many lines were lost so far."""
        return self._writer.dropped

    @property
    def is_alive(self) -> bool:
        """Whether lines are still being written."""
        return self._writer.is_alive

    def write(
        self,
        predictions: Sequence[Prediction],
        *,
        request_id: str,
        latency_ms: float,
        cold_start: bool = False,
    ) -> None:
        """Record the predictions of one request.

        Args:
            predictions: One line each.
            request_id: The id of the request.
            latency_ms: Milliseconds from the request's arrival to its answer.
            cold_start: Whether it was the first one of this process.
        """
        request = _Request(_now(), round(latency_ms, 3), request_id, cold_start)
        size = sum(sys.getsizeof(item.text) + RECORD_OVERHEAD for item in predictions)
        lines = partial(self._lines, request, predictions)
        self._writer.put(Batch(len(predictions), size, lines))

    def error(self, status: int, code: str, message: str, *, request_id: str) -> None:
        """Record a request that was answered with an error, unless it is one of ``NOT_LOGGED``.

        Without ``LOG_TEXT=full`` the message is left out: it may quote the client.
        """
        if code in NOT_LOGGED:
            return

        error = {"code": code, "message": message if self._text_mode == "full" else None}
        self.event("error", error=error, status=status, request_id=request_id)

    def event(self, name: str, **fields: Any) -> None:
        """Record something other than a prediction: an error, or the start of a Lambda function."""
        common = {"event": name, "service": self._service, "model": self._model}
        line = json.dumps({"@timestamp": _now(), **common, **fields}) + "\n"
        self._writer.put(Batch(1, len(line), lambda: [line]))

    def close(self, timeout: float = 5.0) -> None:
        """Write what is waiting, for at most ``timeout`` seconds if the reader is slow."""
        self._writer.close(timeout)

    def _lines(self, request: _Request, predictions: Sequence[Prediction]) -> Iterator[str]:
        # The index template in monitoring/ maps these fields and no other.
        for item in predictions:
            record = {
                "@timestamp": request.timestamp,
                "event": "prediction",
                "text": text_field(item.text, self._text_mode),
                "prediction": {
                    "label": item.label,
                    "score": item.score,
                    "probability_acceptable": item.probability_acceptable,
                },
                "model": self._model,
                "input": {
                    "characters": item.characters,
                    "tokens": item.tokens,
                    "unknown_tokens": item.unknown_tokens,
                    "truncated": item.truncated,
                },
                "latency_ms": request.latency_ms,
                "request_id": request.request_id,
                "service": self._service,
                "cold_start": request.cold_start,
            }

            yield json.dumps(record) + "\n"


def text_field(text: str, mode: str) -> str | None:
    """Return what a record says of the text: itself, its SHA-256 or nothing."""
    match mode:
        case "full":
            return text[:MAX_LOGGED_CHARACTERS]
        case "hash":
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
            return "sha256:" + digest.hexdigest()
        case _:
            return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
