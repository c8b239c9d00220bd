"""What a log message says: the JSON object in it, and the figures of Lambda's REPORT lines."""

import json
import math
import re
from typing import cast

from monitoring.elastic import JsonObject

MAX_OBJECTS = 16
"""The positions in one message at which a JSON object is tried."""

_OBJECT_START = re.compile(r'\{\s*"')


def _finite(digits: str) -> float | None:
    """Return a number of a JSON text, None if it is too large for a float (1e999)."""
    number = float(digits)
    return number if math.isfinite(number) else None


# NaN and Infinity are not JSON, and Elasticsearch would refuse the document: they become null.
_decode_object = json.JSONDecoder(
    parse_constant=lambda constant: None, parse_float=_finite
).raw_decode

_REPORT_TEXT = {
    "duration_ms": re.compile(r"\bDuration: (\d+\.?\d*) ms"),
    "billed_ms": re.compile(r"Billed Duration: (\d+\.?\d*) ms"),
    "memory_mb": re.compile(r"Memory Size: (\d+) MB"),
    "max_memory_mb": re.compile(r"Max Memory Used: (\d+) MB"),
    "init_ms": re.compile(r"Init Duration: (\d+\.?\d*) ms"),
}
"""Our name of each figure, and how Lambda's text format writes it."""

_REPORT_JSON = {
    "duration_ms": "durationMs",
    "billed_ms": "billedDurationMs",
    "memory_mb": "memorySizeMB",
    "max_memory_mb": "maxMemoryUsedMB",
    "init_ms": "initDurationMs",
}
"""Our name of each figure, and its key in Lambda's JSON format."""


def extract(message: str) -> JsonObject | None:
    """Return the fields of the JSON object in a log message, None if there is no such object.

    The object may be the whole message, follow a prefix (Lambda's text format), be followed by
    more text, or be the ``message`` of Lambda's JSON log format, as an object or as a string. Of
    several objects, the first that holds a prediction counts, otherwise the first. An object
    inside a string of an object is text.
    """
    outer = _first_object(message)
    if outer is None or "prediction" in outer:
        return outer

    # Lambda's JSON format puts what the code logged into ``message``.
    inner = outer.get("message")
    if isinstance(inner, str):
        inner = _first_object(inner)
    if not isinstance(inner, dict):
        return outer

    return {**{name: value for name, value in outer.items() if name != "message"}, **inner}


def _first_object(text: str) -> JsonObject | None:
    """Return the first object with a prediction, otherwise the first object, if there is one."""
    first = None
    position = 0
    has_broken_object = False

    for _ in range(MAX_OBJECTS):
        start = _OBJECT_START.search(text, position)
        if start is None:
            break

        try:
            candidate, position = _decode_object(text, start.start())
        except (ValueError, RecursionError):
            position, has_broken_object = start.end(), True
            continue

        if "prediction" in candidate:
            return cast(JsonObject, candidate)

        # After an object that cannot be read, this one may be a part of it.
        if not has_broken_object:
            first = first or candidate

    return first


def lambda_report(message: str, fields: JsonObject | None) -> JsonObject:
    """Return the figures of a Lambda REPORT line, in either of Lambda's log formats.

    Args:
        message: The log message.
        fields: What ``extract`` returned for it.

    Returns:
        ``{"report": ...}`` with the keys ``duration_ms``, ``billed_ms``, ``memory_mb``,
        ``max_memory_mb`` and ``init_ms``, as far as the line has them; ``{}`` for another line.
    """
    # The JSON format.
    if fields and fields.get("type") == "platform.report":
        record = fields.get("record")
        metrics = record.get("metrics") if isinstance(record, dict) else None
        values = metrics if isinstance(metrics, dict) else {}
        return {
            "report": {name: values[key] for name, key in _REPORT_JSON.items() if key in values}
        }

    # The text format.
    if message.startswith("REPORT RequestId:"):
        matches = {name: pattern.search(message) for name, pattern in _REPORT_TEXT.items()}
        return {"report": {name: float(match[1]) for name, match in matches.items() if match}}

    return {}
