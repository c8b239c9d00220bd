"""The Lambda function behind the CloudWatch Logs subscription: predictions -> Elasticsearch.

    handler: monitoring.forwarder.lambda_handler        replay of dead letters: python -m monitoring.replay

Reads `awslogs.data` (base64 of gzip of JSON) and writes one document a log event into `cwl-YYYY.MM.DD`
(UTC day of the event), with the event's id as `_id`. A document holds the fields of the JSON found in the
message, and `@id @timestamp @message @owner @log_group @log_stream`, which win over the message's own.
Events without a prediction or an error of ours (START, END, REPORT, noise) are dropped unless
FORWARD_ALL=1; then REPORT lines give duration, memory and init time.

Settings: the server's (elastic.py), FORWARD_ALL, and DEAD_LETTER_QUEUE_URL, an SQS queue that takes each
document that Elasticsearch refuses for good. It is the function's own DeadLetterConfig too, and both kinds of
letter have the form of a subscription event.

The format of the subscription's event:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
"""

import base64
import binascii
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

from errors import DeliveryError, ElasticError, PayloadError
from monitoring.delivery import Document, deliver
from monitoring.elastic import Elastic

MAX_PAYLOAD_BYTES = 256 * 1024 * 1024  # unpacked; CloudWatch's own batches stay far below
MAX_OBJECTS = 16  # places in one message at which a JSON object is tried
MARGIN_SECONDS = 2.0  # of Lambda's time, kept to report a failure
DAY_MS = 86_400_000

_OBJECT_START = re.compile(r'\{\s*"')
# NaN and Infinity are not JSON: Elasticsearch would refuse the document.
_decode_object = json.JSONDecoder(parse_constant=lambda constant: None).raw_decode
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_REPORT_PARTS = {
    "duration_ms": re.compile(r"\bDuration: ([\d.]+) ms"),
    "billed_ms": re.compile(r"Billed Duration: ([\d.]+) ms"),
    "memory_mb": re.compile(r"Memory Size: (\d+) MB"),
    "max_memory_mb": re.compile(r"Max Memory Used: (\d+) MB"),
    "init_ms": re.compile(r"Init Duration: ([\d.]+) ms"),
}
_REPORT_METRICS = {
    "duration_ms": "durationMs",
    "billed_ms": "billedDurationMs",
    "memory_mb": "memorySizeMB",
    "max_memory_mb": "maxMemoryUsedMB",
    "init_ms": "initDurationMs",
}


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Forward one subscription event. Raises if anything is undelivered: Lambda then tries again."""
    seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
    queue = os.environ.get("DEAD_LETTER_QUEUE_URL")
    bury = (
        (lambda letter: sqs().send_message(QueueUrl=queue, MessageBody=letter)) if queue else None
    )
    counts = forward(event, _server(), time.monotonic() + seconds, bury)
    print(json.dumps({"forwarded": counts}))
    return counts


def forward(
    event: dict[str, Any], server: Elastic, deadline: float, bury: Callable[[str], object] | None
) -> dict[str, int]:
    """Deliver what `event` holds and return the counts: events, forwarded, dropped, dead_letters.

    Documents that the server refuses for good are passed to `bury`, one letter each, once everything else
    has been delivered; with `bury` None they raise. `deadline` is in `time.monotonic()` seconds.
    """
    payload = decode(event)
    documents = list(to_documents(payload, keep_all=os.environ.get("FORWARD_ALL") == "1"))
    try:
        refused = deliver(documents, server, deadline)
    except ElasticError as error:
        if error.status == 401:
            _server.cache_clear()  # the secret may have been rotated: read it again at the next try
        raise
    for letter in dead_letters(payload, refused):
        if bury is None:
            raise DeliveryError(
                f"refused, and DEAD_LETTER_QUEUE_URL is not set: {next(iter(refused.values()))}"
            )
        bury(letter)
    events = len(payload.get("logEvents", ()))
    return {
        "events": events,
        "forwarded": len(documents) - len(refused),
        "dropped": events - len(documents),
        "dead_letters": len(refused),
    }


def dead_letters(payload: dict[str, Any], refused: dict[str, str]) -> Iterator[str]:
    """A letter for each refused event: a subscription event that holds only it, and the server's reason."""
    for event in payload.get("logEvents", ()):
        if event["id"] in refused:
            letter = encode({**payload, "logEvents": [event]})
            yield json.dumps({**letter, "reason": refused[event["id"]][:1000]})


def sqs() -> Any:
    """An SQS client; region and endpoint come from the environment (AWS_REGION, AWS_ENDPOINT_URL)."""
    from botocore.session import Session

    return Session().create_client("sqs")


@lru_cache(maxsize=1)
def _server() -> Elastic:
    return Elastic.from_environment()


def decode(event: dict[str, Any]) -> dict[str, Any]:
    """The payload of a subscription event. Raises PayloadError if it is not base64 of gzip of JSON."""
    try:
        packed = base64.b64decode(event["awslogs"]["data"], validate=True)
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        text = unpacker.decompress(packed, MAX_PAYLOAD_BYTES)
        if not unpacker.eof:
            raise PayloadError("awslogs.data is truncated, or unpacks to more than 256 MB")
        payload = json.loads(text)
    except (KeyError, TypeError, binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise PayloadError(f"awslogs.data is not base64 of gzip of JSON: {error!r}") from error
    if not isinstance(payload, dict):
        raise PayloadError("awslogs.data does not hold a JSON object")
    return payload


def encode(payload: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `decode`: a subscription event that holds `payload`."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    packed = packer.compress(json.dumps(payload).encode()) + packer.flush()
    return {"awslogs": {"data": base64.b64encode(packed).decode()}}


def to_documents(payload: dict[str, Any], *, keep_all: bool = False) -> Iterator[Document]:
    """The documents of a payload, in order. A CONTROL_MESSAGE (CloudWatch's test) holds none."""
    if payload.get("messageType") == "CONTROL_MESSAGE":
        return
    try:
        origin = {
            "@owner": payload["owner"],
            "@log_group": payload["logGroup"],
            "@log_stream": payload["logStream"],
        }
        for event in payload["logEvents"]:
            message = event["message"]
            fields = extract(message)
            if fields is None or not ("prediction" in fields or fields.get("event") == "error"):
                if not keep_all:
                    continue
                fields = {**(fields or {}), **report(message, fields)}
            at = event["timestamp"]
            fields["@id"] = event["id"]
            fields["@timestamp"] = _iso(at)
            fields["@message"] = message
            fields.update(origin)
            # A lone surrogate (valid in JSON, not in UTF-8) becomes "?".
            source = _encode(fields).encode("utf-8", "replace")
            yield Document(event["id"], _index(at // DAY_MS), source)
    except (KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise PayloadError(
            f"a log event lacks a field or has one of the wrong kind: {error!r}"
        ) from error


@lru_cache(maxsize=64)
def _index(day: int) -> str:
    return f"cwl-{datetime.fromtimestamp(day * DAY_MS / 1000, UTC):%Y.%m.%d}"


def _iso(milliseconds: int) -> str:
    second, rest = divmod(milliseconds, 1000)
    return f"{_iso_second(second)}.{rest:03}Z"


@lru_cache(maxsize=1024)
def _iso_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


def extract(message: str) -> dict[str, Any] | None:
    """The fields of the JSON object in a log message, or None if there is no such object.

    The object may be the whole message, follow a prefix (Lambda's text format), be followed by more text,
    or sit in the `message` of Lambda's JSON log format, as an object or as a string. Of several objects, the
    first that holds a prediction counts, else the first. An object inside a string of an object is text.
    """
    found = _first_object(message)
    if found is None or "prediction" in found:
        return found
    inner = found.get("message")
    if isinstance(inner, str):
        inner = _first_object(inner)
    if not isinstance(inner, dict):
        return found
    return {**{name: value for name, value in found.items() if name != "message"}, **inner}


def _first_object(text: str) -> dict[str, Any] | None:
    first = None
    position, broken = 0, False
    for _ in range(MAX_OBJECTS):
        start = _OBJECT_START.search(text, position)
        if start is None:
            break
        try:
            found, position = _decode_object(text, start.start())
        except (ValueError, RecursionError):
            position, broken = start.end(), True
            continue
        if "prediction" in found:
            return cast(dict[str, Any], found)
        if not broken:  # else it may be a part of the object that could not be read
            first = first or found
    return first


def report(message: str, fields: dict[str, Any] | None) -> dict[str, dict[str, float]]:
    """Duration, memory and init time of a Lambda REPORT line (text or JSON format), or nothing."""
    if fields and fields.get("type") == "platform.report":
        record = fields.get("record")
        metrics = record.get("metrics") if isinstance(record, dict) else None
        values = metrics if isinstance(metrics, dict) else {}
        found = {name: values[key] for name, key in _REPORT_METRICS.items() if key in values}
    elif message.startswith("REPORT RequestId:"):
        matches = {name: part.search(message) for name, part in _REPORT_PARTS.items()}
        found = {name: float(match[1]) for name, match in matches.items() if match}
    else:
        return {}
    return {"report": found}
