"""Bulk delivery into Elasticsearch: nothing is lost, nothing arrives twice.

Every document is created under an id of its own, so delivering a batch again changes nothing: a
document that exists already (409) counts as delivered. Elasticsearch's answers fall into three
cases:

1. The document can still succeed (429, 5xx, no connection): it is tried again, with growing
   pauses, until the time is up.
2. The document can never succeed (400, 413): it is returned with the server's reason.
3. The time is up, or the whole request is refused (401, 403, 404): an error is raised, so that
   the caller's batch is delivered again as a whole.

The API: https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
"""

import json
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from errors import DeliveryError, ElasticError
from monitoring.elastic import Elastic, JsonObject

MAX_BULK_BYTES = 5 * 1024 * 1024
"""The size of one request. Amazon's small domains refuse bodies over 10 MiB."""

ACTION_BYTES = 100
"""About what a document's action line takes in a request."""

REQUEST_TIMEOUT = 15.0
"""Seconds."""

FIRST_PAUSE, MAX_PAUSE = 0.2, 5.0
"""Seconds between two tries; each pause is twice as long as the one before."""

REFUSED = {400, 413}
"""Statuses of a document that no retry can help: the fault is in the document."""

DELIVERED = {200, 201, 409}
"""Statuses of a document that is in the index; 409: it was there before."""

Refusals = dict[str, str]
"""The server's reason by document id."""


@dataclass(slots=True)
class Document:
    """A document to create."""

    id: str
    index: str

    source: bytes
    """JSON without a newline."""

    def action(self) -> bytes:
        """Return the two lines of the bulk request that create this document."""
        head = f'{{"create":{{"_index":{json.dumps(self.index)},"_id":{json.dumps(self.id)}}}}}\n'
        return b"%b%b\n" % (head.encode(), self.source)


def deliver(documents: Iterable[Document], server: Elastic, deadline: float) -> Refusals:
    """Create all documents; return those that the server refused for good, with its reasons.

    Args:
        documents: What to create. They are read batch by batch.
        server: Where to create them.
        deadline: When to give up, in seconds of ``time.monotonic()``.

    Raises:
        DeliveryError: Documents are left at the deadline.
        ElasticError: The server refused a whole request (401, 403, 404): a setting is wrong.
    """
    refused: Refusals = {}
    for batch in _batches(documents):
        refused |= _deliver_batch(batch, server, deadline)
    return refused


def _deliver_batch(batch: list[Document], server: Elastic, deadline: float) -> Refusals:
    """Try until every document of the batch is delivered or refused; return the refusals."""
    refused: Refusals = {}
    pause, reason = FIRST_PAUSE, "no time was left to try"

    while batch:
        seconds_left = deadline - time.monotonic()
        if seconds_left <= 0:
            raise DeliveryError(f"{len(batch)} documents not delivered in time: {reason}")

        try:
            batch, refusals, reason = _try_batch(batch, server, min(seconds_left, REQUEST_TIMEOUT))
            refused |= refusals

        except ElasticError as error:
            if error.status == 413:
                return refused | _deliver_halves(batch, server, deadline, str(error))

            # 0: no connection. Anything else but 429 and 5xx will be the same at the next try.
            may_pass = error.status in (0, 429) or error.status >= 500
            if not may_pass:
                raise
            reason = str(error)

        if batch:
            # Forwarders that failed together must not all come back at the same moment.
            jittered = pause * random.uniform(0.5, 1.0)
            time.sleep(max(0.0, min(jittered, deadline - time.monotonic())))
            pause = min(2 * pause, MAX_PAUSE)

    return refused


def _deliver_halves(
    batch: list[Document], server: Elastic, deadline: float, reason: str
) -> Refusals:
    """Deliver a batch that is too large in two parts; a single document is refused.

    A proxy before the server may have a limit smaller than ``MAX_BULK_BYTES``.
    """
    if len(batch) == 1:
        return {batch[0].id: reason}

    middle = len(batch) // 2
    refused = _deliver_batch(batch[:middle], server, deadline)
    return refused | _deliver_batch(batch[middle:], server, deadline)


def _try_batch(
    batch: list[Document], server: Elastic, timeout: float
) -> tuple[list[Document], Refusals, str]:
    """Send one bulk request.

    Returns:
        The documents that are worth another try, those that were refused for good, and why the
        last of the former failed.

    Raises:
        ElasticError: The server refused the request, or its answer is none to a bulk request.
    """
    body = b"".join(document.action() for document in batch)
    answer = server.request(
        "POST", "/_bulk", body, timeout=timeout, content_type="application/x-ndjson"
    )

    # A proxy, or another program, may answer 200 to anything and keep nothing of it.
    if not isinstance(answer, dict) or "errors" not in answer:
        raise ElasticError(f"{server.url} gave no answer to a bulk request: {answer!r:.100}")
    if not answer["errors"]:
        return [], {}, ""

    retryable: list[Document] = []
    refused: Refusals = {}
    reason = ""

    # The items come in the order of the documents.
    for document, item in zip(batch, answer["items"], strict=True):
        # An item has one key, the action: {"create": {"status": ..., "error": ...}}.
        result = next(iter(item.values()))
        status = result["status"]

        if status in REFUSED:
            refused[document.id] = _item_reason(result)
        elif status not in DELIVERED:
            retryable.append(document)
            reason = f"status {status}: {_item_reason(result)}"

    return retryable, refused, reason


def _item_reason(result: JsonObject) -> str:
    """Return why a document was not created, in one line."""
    error = result.get("error")
    if not isinstance(error, dict):
        return str(error)

    reason = f"{error.get('type')}: {error.get('reason')}"
    if cause := error.get("caused_by"):
        reason += f" ({cause.get('reason')})"
    return reason


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Cut the documents into batches of at most ``MAX_BULK_BYTES`` (or of one document)."""
    batch: list[Document] = []
    size = 0

    for document in documents:
        length = len(document.source) + ACTION_BYTES
        if batch and size + length > MAX_BULK_BYTES:
            yield batch
            batch, size = [], 0

        batch.append(document)
        size += length

    if batch:
        yield batch
