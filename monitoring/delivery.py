"""Bulk delivery into Elasticsearch: nothing lost, nothing twice.

Documents are created under ids of their own, so that delivering a batch again changes nothing: a document
that is there already (409) counts as delivered. Retried is only what can succeed (429, 5xx, no connection);
documents that the server refuses for good are returned with its reasons; whatever is left when the time is
over raises, so that the caller's batch is delivered again.
"""

import json
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from errors import DeliveryError, ElasticError
from monitoring.elastic import Elastic

MAX_BULK_BYTES = 5 * 1024 * 1024  # Amazon's small domains refuse bodies over 10 MiB
REQUEST_TIMEOUT = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds, between tries
REFUSED = {400, 413}  # the document's own fault: no retry can help
DELIVERED = {200, 201, 409}  # 409: it was there already


@dataclass(slots=True)
class Document:
    """A document to create: its id, its index, and its source as JSON bytes without a newline."""

    id: str
    index: str
    source: bytes

    def action(self) -> bytes:
        """The two lines of the bulk request that create this document."""
        head = f'{{"create":{{"_index":{json.dumps(self.index)},"_id":{json.dumps(self.id)}}}}}\n'
        return b"%b%b\n" % (head.encode(), self.source)


Refused = dict[str, str]  # document id -> the server's reason


def deliver(documents: Iterable[Document], server: Elastic, deadline: float) -> Refused:
    """Create all `documents`; return those that the server refused for good, with its reasons.

    `deadline` is in `time.monotonic()` seconds. Raises DeliveryError if documents are left when it passes,
    ElasticError at once if the server refuses the whole request (401, 403, 404: a setting is wrong).
    """
    refused: Refused = {}
    for batch in _batches(documents):
        _deliver_batch(batch, server, deadline, refused)
    return refused


def _deliver_batch(
    batch: list[Document], server: Elastic, deadline: float, refused: Refused
) -> None:
    pause, reason = FIRST_PAUSE, "no time was left to try"
    while batch:
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeliveryError(f"{len(batch)} documents not delivered in time: {reason}")
        try:
            batch, reason = _try_batch(batch, server, min(left, REQUEST_TIMEOUT), refused)
        except ElasticError as error:
            if error.status == 413 and len(batch) > 1:  # a proxy with a limit smaller than ours
                middle = len(batch) // 2
                _deliver_batch(batch[:middle], server, deadline, refused)
                batch = batch[middle:]
                continue
            if error.status not in (0, 429) and error.status < 500:
                raise
            reason = str(error)
        if batch:
            jittered = pause * random.uniform(0.5, 1.0)
            time.sleep(max(0.0, min(jittered, deadline - time.monotonic())))
            pause = min(2 * pause, LONGEST_PAUSE)


def _try_batch(
    batch: list[Document], server: Elastic, timeout: float, refused: Refused
) -> tuple[list[Document], str]:
    """One bulk request. Returns the documents that are worth another try, and why the last one failed."""
    body = b"".join(document.action() for document in batch)
    answer = server.request(
        "POST", "/_bulk", body, timeout=timeout, content_type="application/x-ndjson"
    )
    if not answer.get("errors"):
        return [], ""
    again, reason = [], ""
    for document, item in zip(batch, answer["items"], strict=True):
        result = next(iter(item.values()))
        status = result["status"]
        if status in REFUSED:
            refused[document.id] = _item_reason(result)
        elif status not in DELIVERED:
            again.append(document)
            reason = f"status {status}: {_item_reason(result)}"
    return again, reason


def _item_reason(result: dict[str, Any]) -> str:
    error = result.get("error")
    if not isinstance(error, dict):
        return str(error)
    cause = error.get("caused_by")
    return f"{error.get('type')}: {error.get('reason')}" + (
        f" ({cause.get('reason')})" if cause else ""
    )


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        length = len(document.source) + 100
        if batch and size + length > MAX_BULK_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += length
    if batch:
        yield batch
