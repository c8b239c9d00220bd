"""The Lambda function behind the CloudWatch Logs subscription: predictions -> Elasticsearch.

    handler: monitoring.forwarder.lambda_handler
    to deliver dead letters again: python -m monitoring.replay

It reads a subscription event (``log_events.py``) and writes one document per log event into the
index ``cwl-YYYY.MM.DD`` (the event's UTC day), with the event's id as ``_id``. A document holds the
fields of the JSON found in the message (``log_messages.py``), and ``@id``, ``@timestamp``,
``@message``, ``@owner``, ``@log_group`` and ``@log_stream``, which win over the message's own.
A line of ours that was cut is kept as ``"event": "unreadable"``; it comes with the stack's
``ForwardPattern=""`` only, since the default pattern passes whole JSON lines. Events that hold
neither a prediction nor an error of our API (START, END, REPORT, other lines) are dropped.

Settings:

    ELASTICSEARCH_URL, ...   the server and its credentials, see ``elastic.py``
    FORWARD_ALL              1: drop nothing, and read the figures of REPORT lines
    DEAD_LETTER_QUEUE_URL    an SQS queue for the documents that Elasticsearch refuses for good. It
                             is the function's own DeadLetterConfig too: both kinds of dead letter
                             have the form of a subscription event
"""

import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol, TypedDict

from errors import DeliveryError, ElasticError, PayloadError
from monitoring.dead_letters import DeadLetterQueue, first, sqs
from monitoring.delivery import Document, deliver
from monitoring.elastic import Elastic, JsonObject
from monitoring.log_events import CONTROL_MESSAGE, CloudWatchLogsEvent, LogData, LogEvent, decode
from monitoring.log_messages import extract, lambda_report

MARGIN_SECONDS = 2.0
"""What of Lambda's time is kept to report a failure."""

DAY_MS = 86_400_000

OURS = re.compile(r'"event": ?"(prediction|error)"')
"""What a line of ours holds near its beginning, even if its end is missing."""

_encode_fields = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":")
).encode


class LambdaContext(Protocol):
    """What the forwarder reads of Lambda's context object.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the call may still take."""
        ...


class Counts(TypedDict):
    """What became of the log events of one subscription event."""

    events: int
    forwarded: int
    dropped: int
    dead_letters: int


def lambda_handler(event: CloudWatchLogsEvent, context: LambdaContext) -> Counts:
    """Forward one subscription event, and log what became of it.

    Raises:
        ColaError: Something is undelivered. Lambda then calls again with the same event.
    """
    # Lambda kills a function whose time is up: stop before that, and raise.
    seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
    deadline = time.monotonic() + seconds

    keep_all = os.environ.get("FORWARD_ALL") == "1"
    counts = forward(event, connect(), deadline, _dead_letter_queue(), keep_all=keep_all)
    print(json.dumps({"forwarded": counts}))
    return counts


def forward(
    event: CloudWatchLogsEvent,
    server: Elastic,
    deadline: float,
    queue: DeadLetterQueue | None = None,
    *,
    keep_all: bool = False,
) -> Counts:
    """Deliver what a subscription event holds.

    Args:
        event: The subscription event.
        server: Where its documents go.
        deadline: When to give up, in seconds of ``time.monotonic()``.
        queue: Takes a dead letter per document that the server refuses for good, once everything
            else is delivered. None: a refused document raises.
        keep_all: Also deliver events that hold neither a prediction nor an error.

    Raises:
        PayloadError: The event cannot be read.
        DeliveryError: Documents are undelivered at the deadline (``status`` is 0), or refused with
            nowhere to go (400).
        ElasticError: The server refused a whole request: a setting is wrong.
    """
    # All documents are made before the first is sent: what cannot be read delivers nothing.
    data = decode(event)
    documents = list(to_documents(data, keep_all=keep_all))

    try:
        refused = deliver(documents, server, deadline)
    except ElasticError as error:
        if error.status == 401:
            # The secret may have been rotated: read it again at the next try.
            connect.cache_clear()
        raise

    # Dead letters come last: a batch that raised above is tried again, and would write them twice.
    if refused:
        if queue is None:
            raise DeliveryError(f"{len(refused)} documents refused: {first(refused)}", status=400)
        queue.send(data, refused, deadline)

    events = len(data.get("logEvents", ()))
    return {
        "events": events,
        "forwarded": len(documents) - len(refused),
        "dropped": events - len(documents),
        "dead_letters": len(refused),
    }


def to_documents(data: LogData, *, keep_all: bool = False) -> Iterator[Document]:
    """Yield a document for each log event, in order. A CONTROL_MESSAGE holds none.

    Args:
        data: The unpacked subscription event.
        keep_all: Also keep events that hold neither a prediction nor an error.

    Raises:
        PayloadError: A log event lacks a field, or has one of the wrong kind.
    """
    if data.get("messageType") == CONTROL_MESSAGE:
        return

    try:
        origin = {
            "@owner": data["owner"],
            "@log_group": data["logGroup"],
            "@log_stream": data["logStream"],
        }

        for event in data["logEvents"]:
            fields = _fields(event["message"], keep_all=keep_all)
            if fields is not None:
                yield _document(event, fields, origin)

    except (KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise PayloadError(
            f"a log event lacks a field or has one of the wrong kind: {error!r}"
        ) from error


def _fields(message: str, *, keep_all: bool) -> JsonObject | None:
    """Return what a line of ours says; of any other line nothing, or None without ``keep_all``.

    Fields of other lines may have our names and other types (an ``"error": "text"``), which
    Elasticsearch would refuse: such a line is kept only as the message that it is.
    """
    fields = extract(message)
    if fields is None and OURS.search(message):
        # Lambda cuts lines over its limit, and nobody would miss what is dropped here.
        return {"event": "unreadable"}
    if fields is not None and ("prediction" in fields or fields.get("event") == "error"):
        return fields
    return lambda_report(message, fields) if keep_all else None


def _document(event: LogEvent, fields: JsonObject, origin: JsonObject) -> Document:
    milliseconds = event["timestamp"]

    # A message may have fields of these names: the event's replace them.
    fields["@id"] = event["id"]
    fields["@timestamp"] = _iso(milliseconds)
    fields["@message"] = event["message"]
    fields.update(origin)

    # A lone surrogate is valid in JSON but not in UTF-8: it becomes "?".
    source = _encode_fields(fields).encode("utf-8", "replace")
    return Document(event["id"], _index(milliseconds // DAY_MS), source)


# A batch holds few days and few seconds but many events: their texts are made once.


@lru_cache(maxsize=64)
def _index(day: int) -> str:
    """Return the index of a day, given as days since 1970-01-01 UTC."""
    return f"cwl-{datetime.fromtimestamp(day * DAY_MS / 1000, UTC):%Y.%m.%d}"


def _iso(milliseconds: int) -> str:
    """Return a time (milliseconds since 1970-01-01 UTC) in ISO 8601."""
    second, rest = divmod(milliseconds, 1000)
    return f"{_iso_second(second)}.{rest:03}Z"


@lru_cache(maxsize=1024)
def _iso_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


@lru_cache(maxsize=1)
def connect() -> Elastic:
    """Return the server that the environment names; its secret is read once per process."""
    return Elastic.from_environment()


def _dead_letter_queue() -> DeadLetterQueue | None:
    """Return the queue that the environment names, if it names one."""
    url = os.environ.get("DEAD_LETTER_QUEUE_URL")
    return DeadLetterQueue(sqs(), url) if url else None
