"""The event that CloudWatch Logs sends to a subscribed Lambda function, as typed classes.

    {"awslogs": {"data": BASE64}}    BASE64 of gzip of a JSON object, see ``LogData``

AWS describes the format here:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html

The classes are typed dictionaries: the objects stay what JSON made of them. So a dead letter keeps
keys that AWS may add, and reading 10,000 log events costs nothing on top of parsing them.
"""

import base64
import binascii
import json
import zlib
from typing import TypedDict, cast

from errors import PayloadError

CONTROL_MESSAGE = "CONTROL_MESSAGE"
"""The ``messageType`` of CloudWatch's tests of whether the function can be reached."""

MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""The largest payload after unpacking. CloudWatch's own batches stay far below, and forwarding
this much takes about half of the function's 512 MB."""

GZIP = zlib.MAX_WBITS | 16
"""Makes zlib read and write gzip's header and trailer."""


class LogEvent(TypedDict):
    """One message of a log stream."""

    id: str
    """Unique among all log events; the same if the event is delivered again."""

    timestamp: int
    """When it happened: milliseconds since 1970-01-01 UTC."""

    message: str
    """The line as the function logged it, with its newline if it had one."""


class LogData(TypedDict):
    """What a subscription event holds once it is unpacked."""

    messageType: str
    """``DATA_MESSAGE``, or ``CONTROL_MESSAGE`` for CloudWatch's own tests."""

    owner: str
    """The AWS account id of the log group."""

    logGroup: str
    logStream: str

    subscriptionFilters: list[str]
    """The names of the subscription filters that matched."""

    logEvents: list[LogEvent]


class PackedData(TypedDict):
    """The value of ``awslogs``."""

    data: str
    """Base64 of gzip of ``LogData`` as JSON."""


class CloudWatchLogsEvent(TypedDict):
    """The event that a subscribed Lambda function is called with."""

    awslogs: PackedData


class DeadLetter(CloudWatchLogsEvent):
    """A subscription event that holds the one log event that Elasticsearch refused."""

    reason: str
    """Why it was refused, in the server's words."""


def decode(event: CloudWatchLogsEvent) -> LogData:
    """Unpack a subscription event.

    That its keys are there is not checked: who reads a missing one gets a KeyError.

    Raises:
        PayloadError: It is not base64 of gzip of a JSON object, or it is too large.
    """
    try:
        packed = base64.b64decode(event["awslogs"]["data"], validate=True)

        # The limit keeps a small event from filling the function's memory.
        unpacker = zlib.decompressobj(wbits=GZIP)
        text = unpacker.decompress(packed, MAX_PAYLOAD_BYTES)
        if not unpacker.eof:
            raise PayloadError(
                f"awslogs.data is truncated, or unpacks to more than {MAX_PAYLOAD_BYTES} bytes"
            )

        data = json.loads(text)
    except (KeyError, TypeError, binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise PayloadError(f"awslogs.data is not base64 of gzip of JSON: {error!r}") from error

    if not isinstance(data, dict):
        raise PayloadError("awslogs.data does not hold a JSON object")
    return cast(LogData, data)


def encode(data: LogData) -> CloudWatchLogsEvent:
    """Return the subscription event that holds ``data``: the inverse of ``decode``."""
    packer = zlib.compressobj(wbits=GZIP)
    packed = packer.compress(json.dumps(data).encode()) + packer.flush()
    return {"awslogs": {"data": base64.b64encode(packed).decode()}}
