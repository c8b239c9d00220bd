"""Dead letters: log events whose document Elasticsearch refused, kept in an SQS queue.

They have the form of a subscription event (``log_events.py``), like the batches that Lambda itself
puts into the queue once it has given up on them; ``replay.py`` reads both.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from errors import DeliveryError
from monitoring.delivery import Refusals
from monitoring.log_events import DeadLetter, LogData, encode
from monitoring.signers import aws_client, aws_errors

MAX_LETTERS = 100
"""Documents of one batch that may be refused. With more the fault is in the server (a mapping, its
number of shards) and no letter helps: the batch stays whole, and is its own dead letter."""

MAX_REASON_LENGTH = 1000
"""Characters of the server's reason that a dead letter carries."""

LETTERS_PER_REQUEST, BYTES_PER_REQUEST = 10, 250_000
"""What fits into one request to SQS; the bytes are those of its older limit of 256 KiB. A letter
that is larger goes alone, and SQS decides."""


@dataclass(frozen=True)
class DeadLetterQueue:
    """An SQS queue."""

    client: Any
    """An SQS client."""

    url: str

    def send(self, data: LogData, refused: Refusals, deadline: float) -> None:
        """Put a dead letter into the queue for each refused document.

        Args:
            data: The unpacked subscription event that the documents came from.
            refused: Why the server refused them, by the log event's id.
            deadline: When to give up, in seconds of ``time.monotonic()``.

        Raises:
            DeliveryError: Too many were refused, or letters are left at the deadline, or SQS
                refused one. The caller delivers the batch again: then a letter may come twice.
            ElasticError: SQS refused a whole request, or could not be reached.
        """
        if len(refused) > MAX_LETTERS:
            raise DeliveryError(
                f"{len(refused)} documents refused, too many for dead letters: {first(refused)}"
            )

        for letters in _requests(dead_letters(data, refused)):
            if time.monotonic() > deadline:
                raise DeliveryError(f"no time left for dead letters; refused: {first(refused)}")

            entries = [
                {"Id": str(number), "MessageBody": letter} for number, letter in enumerate(letters)
            ]
            with aws_errors():
                answer = self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
            for failed in answer.get("Failed", ()):
                raise DeliveryError(f"SQS refused a dead letter: {failed.get('Message')}")


def dead_letters(data: LogData, refused: Refusals) -> Iterator[DeadLetter]:
    """Yield a dead letter for each log event whose document was refused, in order."""
    # Each is an event of its own, so that one bad document does not hold up others at a replay.
    for event in data.get("logEvents", ()):
        reason = refused.get(event["id"])
        if reason is not None:
            letter = encode({**data, "logEvents": [event]})
            yield {**letter, "reason": reason[:MAX_REASON_LENGTH]}


def first(refused: Refusals) -> str:
    """Return the reason of the first refusal."""
    return next(iter(refused.values()))


def _requests(letters: Iterator[DeadLetter]) -> Iterator[list[str]]:
    """Cut letters, as JSON, into what fits into one request."""
    batch: list[str] = []
    size = 0

    for letter in letters:
        text = json.dumps(letter)
        if batch and (len(batch) == LETTERS_PER_REQUEST or size + len(text) > BYTES_PER_REQUEST):
            yield batch
            batch, size = [], 0

        batch.append(text)
        size += len(text)

    if batch:
        yield batch


@lru_cache(maxsize=1)
def sqs() -> Any:
    """Return an SQS client; AWS_REGION and AWS_ENDPOINT_URL say where.

    Making one takes a tenth of a second of a core, so it is made once per process.

    Raises:
        ElasticError: No region is set.
    """
    # botocore itself reads AWS_DEFAULT_REGION only, and the profile.
    return aws_client("sqs", os.environ.get("AWS_REGION"))
