"""Log messages as Lambda writes them, and the subscription events that hold them."""

import json
import time
from typing import Any

from monitoring.log_events import LogData

AT = 1_795_258_800_123
"""2026-11-21T11:00:00.123Z, in milliseconds."""

PREDICTION: dict[str, Any] = {
    "@timestamp": "2026-11-21T10:59:59.000+00:00",
    "event": "prediction",
    "text": "The boy is sitting on a bench.",
    "prediction": {"label": "acceptable", "score": 0.9731, "probability_acceptable": 0.9731},
    "model": {"name": "minilm", "version": "0123456789ab"},
}
LINE = json.dumps(PREDICTION)

POISON = json.dumps({"text": "poison", "prediction": "not an object"})
"""A line whose document Elasticsearch refuses for good: its mapping wants an object."""

START = "START RequestId: 8f507cfc-0000-4697-b07a-ac58fc914c95 Version: $LATEST\n"
END = "END RequestId: 8f507cfc-0000-4697-b07a-ac58fc914c95\n"
REPORT = (
    "REPORT RequestId: 8f507cfc-0000-4697-b07a-ac58fc914c95\tDuration: 102.25 ms\t"
    "Billed Duration: 103 ms\tMemory Size: 1024 MB\tMax Memory Used: 180 MB\t"
    "Init Duration: 211.71 ms\t\n"
)


def with_text(text: str) -> dict[str, Any]:
    """Return the prediction's fields for another sentence."""
    return {**PREDICTION, "text": text}


def log_data(*messages: str, at: int = AT, kind: str = "DATA_MESSAGE") -> LogData:
    """Return the unpacked subscription event with one log event per message."""
    return {
        "messageType": kind,
        "owner": "123456789012",
        "logGroup": "/aws/lambda/cola",
        "logStream": "2026/11/21/[1]0123",
        "subscriptionFilters": ["predictions"],
        "logEvents": [
            {"id": str(10**55 + number), "timestamp": at, "message": message}
            for number, message in enumerate(messages)
        ],
    }


def soon(seconds: float = 20.0) -> float:
    """Return the deadline that many seconds from now."""
    return time.monotonic() + seconds
