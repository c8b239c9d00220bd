"""Chapter 10: deliver dead letters again, once what refused them is fixed.

    python -m monitoring.replay --dry-run     show what waits in the queue, and why it was refused
    python -m monitoring.replay               forward it; what is refused again stays in the queue

It reads the SQS queue in DEAD_LETTER_QUEUE_URL and writes to the server in ELASTICSEARCH_URL
(``elastic.py``). The queue holds single documents that Elasticsearch refused, and whole batches
that Lambda gave up on; both have the form of a subscription event (``log_events.py``). A dead
letter is deleted only after its log events are in Elasticsearch. At a fault that is not the
letter's (wrong credentials, no answer) the replay stops.
"""

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypedDict

from commands.run import run_command
from errors import ColaError, ElasticError, PayloadError
from monitoring.dead_letters import sqs
from monitoring.elastic import Elastic
from monitoring.forwarder import forward
from monitoring.signers import aws_errors

SECONDS_PER_DEAD_LETTER = 60.0
"""The time to deliver one dead letter in."""

VISIBILITY_TIMEOUT = 900
"""Seconds until a dead letter that was read, and neither deleted nor shown, can be read again."""

MAX_MESSAGES = 10
"""What one request to SQS may be about."""

NOT_THE_LETTERS = {0, 401, 403, 404}
"""Statuses of faults that the next dead letter would meet too: no answer, or a wrong setting."""


class QueueMessage(TypedDict, total=False):
    """What is used of a message that SQS answers with.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Message.html
    """

    MessageId: str

    ReceiptHandle: str
    """What to delete the message by."""

    Body: str
    """The dead letter, as JSON."""

    MessageAttributes: dict[str, dict[str, str]]
    """``ErrorMessage`` says why Lambda gave up on the batch."""


def receive(queue: Any, url: str, handles: dict[str, str]) -> Iterator[list[QueueMessage]]:
    """Yield every message that the queue shows, once; as many at a time as SQS gives.

    Args:
        queue: An SQS client.
        url: The queue's URL.
        handles: Takes the latest receipt handle of each message, by the message's id.
    """
    seen: set[str] = set()

    while True:
        answer = queue.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=MAX_MESSAGES,
            VisibilityTimeout=VISIBILITY_TIMEOUT,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages")
        if not messages:
            return

        # One that was read long ago is shown a second time, perhaps before others' first. SQS then
        # takes its new handle only.
        handles.update((message["MessageId"], message["ReceiptHandle"]) for message in messages)
        fresh = [message for message in messages if message["MessageId"] not in seen]
        seen.update(message["MessageId"] for message in fresh)
        if fresh:
            yield fresh


def replay(queue: Any, url: str, server: Elastic) -> Counter[str]:
    """Forward every dead letter, and delete each once it is delivered.

    Args:
        queue: An SQS client.
        url: The queue's URL.
        server: Where the documents go.

    Returns:
        How many log events were ``delivered`` and how many dead letters were ``refused``.

    Raises:
        ElasticError: The fault is not in the dead letters: no other one would be delivered.
    """
    counts: Counter[str] = Counter()

    handles: dict[str, str] = {}
    try:
        for messages in receive(queue, url, handles):
            for message in messages:
                if _deliver(message, server, counts):
                    queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                    del handles[message["MessageId"]]

    except ElasticError as error:
        done = f"{counts['delivered']} log events were delivered"
        raise ElasticError(f"stopped, {done}: {error}", error.status) from None
    finally:
        _show_again(queue, url, list(handles.values()))

    return counts


def _deliver(message: QueueMessage, server: Elastic, counts: Counter[str]) -> bool:
    """Forward one dead letter, count what became of it, and return whether it was delivered.

    Raises:
        ElasticError: The fault is not in this dead letter.
    """
    deadline = time.monotonic() + SECONDS_PER_DEAD_LETTER
    try:
        # What lies in the queue was wanted: nothing of it is dropped. There is no queue to send
        # to, so what is refused again raises, and its message stays.
        event = json.loads(message["Body"])
        outcome = forward(event, server, deadline, keep_all=True)

    except (PayloadError, ElasticError, ValueError) as error:
        if isinstance(error, ElasticError) and error.status in NOT_THE_LETTERS:
            raise
        counts["refused"] += 1
        print(f"still refused: {message['MessageId']}: {error}")
        return False

    counts["delivered"] += outcome["forwarded"]
    return True


def _show_again(queue: Any, url: str, handles: list[str]) -> None:
    """Let messages be read again at once.

    SQS may answer that one is not hidden any more, which is as good.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    # What stopped the replay may stop this too (credentials that have expired), and is what has to
    # be told. The messages show themselves after VISIBILITY_TIMEOUT.
    with suppress(BotoCoreError, ClientError):
        for start in range(0, len(handles), MAX_MESSAGES):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(handles[start : start + MAX_MESSAGES])
            ]
            queue.change_message_visibility_batch(QueueUrl=url, Entries=entries)


def show(queue: Any, url: str) -> Counter[str]:
    """Print why each dead letter was refused; all stay, and can be read again afterwards.

    Returns:
        How many are ``waiting``.
    """
    handles: dict[str, str] = {}
    try:
        for messages in receive(queue, url, handles):
            for message in messages:
                print(f"{message['MessageId']}: {_reason(message)}")
    finally:
        _show_again(queue, url, list(handles.values()))

    return Counter("waiting" for _ in handles)


def summary(queue: Any, url: str, counts: Counter[str]) -> str:
    """Return the counts in one line; without any, whether the queue is empty or only looks so."""
    if counts:
        return " ".join(f"{name}={count}" for name, count in sorted(counts.items()))

    name = "ApproximateNumberOfMessagesNotVisible"
    answer = queue.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    hidden = int(answer["Attributes"][name])
    if hidden:
        minutes = VISIBILITY_TIMEOUT // 60
        return f"nothing to read now, hidden={hidden}: another run has them, for {minutes} minutes"
    return "the queue is empty"


def _reason(message: QueueMessage) -> str:
    """Return why a dead letter was refused.

    The forwarder writes the reason into the dead letter (``DeadLetter``), Lambda into an attribute
    of the message.
    """
    try:
        reason = json.loads(message["Body"]).get("reason")
    except (ValueError, AttributeError):
        reason = None

    attribute = message.get("MessageAttributes", {}).get("ErrorMessage", {}).get("StringValue")
    return str(reason or attribute or "no reason recorded")


def main() -> None:
    """Show or replay the queue, and print the counts.

    Raises:
        ColaError: There is no queue, AWS refuses, or Elasticsearch refuses everything.
    """
    parser = argparse.ArgumentParser(description="Deliver dead letters again.")
    parser.add_argument("--dry-run", action="store_true", help="only show what waits")
    arguments = parser.parse_args()

    url = os.environ.get("DEAD_LETTER_QUEUE_URL")
    if not url:
        raise ColaError(
            "no queue: set DEAD_LETTER_QUEUE_URL (the stack's output DeadLetterQueueUrl)"
        )

    with aws_errors():
        if arguments.dry_run:
            counts = show(sqs(), url)
        else:
            counts = replay(sqs(), url, Elastic.from_environment())
        print(summary(sqs(), url, counts))


if __name__ == "__main__":
    run_command(main)
