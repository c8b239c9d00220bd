"""Deliver dead letters again, after what refused them has been mended (a mapping, a setting, a password).

    python -m monitoring.replay --dry-run     show what waits in the queue, and why it was refused
    python -m monitoring.replay               forward it; what is refused again stays in the queue

Reads the SQS queue in DEAD_LETTER_QUEUE_URL, writes to the server in ELASTICSEARCH_URL (elastic.py). The
queue holds single documents that Elasticsearch refused, and whole batches that Lambda gave up on; both have
the form of a subscription event. A letter is deleted only after its events are in Elasticsearch.
"""

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from commands.run import run_command
from errors import ColaError, ElasticError, PayloadError
from monitoring.elastic import Elastic
from monitoring.forwarder import forward, sqs

SECONDS_A_LETTER = 60.0


def letters(queue: Any, url: str, hide_seconds: int) -> Iterator[dict[str, Any]]:
    """Every message that the queue shows, once; each then stays hidden for `hide_seconds`."""
    seen: set[str] = set()
    while True:
        answer = queue.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=hide_seconds,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
        )
        fresh = [
            message for message in answer.get("Messages", ()) if message["MessageId"] not in seen
        ]
        if not fresh:
            return
        seen.update(message["MessageId"] for message in fresh)
        yield from fresh


def replay(queue: Any, url: str, server: Elastic) -> Counter[str]:
    """Forward every letter and delete it once delivered. Returns the counts: delivered, refused."""
    counts: Counter[str] = Counter()
    for letter in letters(queue, url, hide_seconds=900):
        try:
            deadline = time.monotonic() + SECONDS_A_LETTER
            # `bury=None`: what is refused again raises, so that its letter stays where it is.
            done = forward(json.loads(letter["Body"]), server, deadline, bury=None)
        except (PayloadError, ElasticError, ValueError) as error:
            counts["refused"] += 1
            print(f"still refused: {letter['MessageId']}: {error}")
            continue
        counts["delivered"] += done["forwarded"]
        queue.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
    return counts


def show(queue: Any, url: str) -> Counter[str]:
    """Print every letter's reason; the letters stay and are visible again after a few seconds."""
    counts: Counter[str] = Counter()
    for letter in letters(queue, url, hide_seconds=5):
        counts["waiting"] += 1
        print(f"{letter['MessageId']}: {_reason(letter)}")
    return counts


def _reason(letter: dict[str, Any]) -> str:
    try:
        reason = json.loads(letter["Body"]).get("reason")
    except (ValueError, AttributeError):
        reason = None
    # Lambda's own dead letters carry their reason as a message attribute.
    attribute = letter.get("MessageAttributes", {}).get("ErrorMessage", {}).get("StringValue")
    return str(reason or attribute or "no reason recorded")


def main() -> None:
    """The command: see the module's docstring."""
    parser = argparse.ArgumentParser(description="Deliver dead letters again.")
    parser.add_argument("--dry-run", action="store_true", help="only show what waits")
    arguments = parser.parse_args()
    url = os.environ.get("DEAD_LETTER_QUEUE_URL")
    if not url:
        raise ColaError(
            "no queue: set DEAD_LETTER_QUEUE_URL (the stack's output DeadLetterQueueUrl)"
        )
    counts = (
        show(sqs(), url) if arguments.dry_run else replay(sqs(), url, Elastic.from_environment())
    )
    print(
        " ".join(f"{name}={count}" for name, count in sorted(counts.items()))
        or "the queue is empty"
    )


if __name__ == "__main__":
    run_command(main)
