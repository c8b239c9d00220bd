"""The sentences that wait, and whose turn it is: one sentence of each request after another."""

import asyncio
from collections import deque
from collections.abc import Sequence

from prediction.types import Encoded, Prediction


class Request:
    """The sentences of one request on their way: ``taken`` are in rows, ``missing`` unanswered."""

    __slots__ = ("answer", "encoded", "missing", "predictions", "taken")

    def __init__(
        self, encoded: Sequence[Encoded], answer: "asyncio.Future[list[Prediction]]"
    ) -> None:
        self.encoded = encoded
        self.predictions: list[Prediction | None] = [None] * len(encoded)
        self.missing = len(encoded)
        self.taken = 0
        self.answer = answer


Row = list[tuple[Request, int]]
"""Requests, each with the index of one of its sentences."""

Outcomes = Sequence[Prediction | Exception]
"""What came of the sentences of a row, in its order."""


class WaitingRequests:
    """The requests with sentences that are in no row yet. For one thread at a time.

    Attributes:
        sentences: How many such sentences there are.
        tokens: How many tokens these have.
    """

    def __init__(self) -> None:
        self._requests: deque[Request] = deque()
        self.sentences = 0
        self.tokens = 0

    def add(self, request: Request) -> None:
        """Let a request wait."""
        self._requests.append(request)
        self.sentences += len(request.encoded)
        self.tokens += sum(len(item.ids) for item in request.encoded)

    def next_row(self, capacity: int) -> Row:
        """Take one sentence of each request in turn, up to ``capacity`` tokens; at least one."""
        row: Row = []
        while self._requests:
            request = self._requests[0]

            # Cancelled, or a row with another sentence of it has failed.
            if request.answer.done():
                self._drop(request)
                continue

            tokens = len(request.encoded[request.taken].ids)
            if row and tokens > capacity:
                break

            capacity -= tokens
            row.append((request, request.taken))
            request.taken += 1
            self.sentences -= 1
            self.tokens -= tokens

            self._requests.rotate(-1)
            if request.taken == len(request.encoded):
                self._requests.pop()

        return row

    def _drop(self, request: Request) -> None:
        rest = request.encoded[request.taken :]
        self.sentences -= len(rest)
        self.tokens -= sum(len(item.ids) for item in rest)
        self._requests.remove(request)


def answer_requests(row: Row, outcomes: Outcomes) -> None:
    """Answer the requests whose last sentence was in this row, or one that has failed."""
    for (request, index), outcome in zip(row, outcomes, strict=True):
        if request.answer.done():
            continue
        if isinstance(outcome, Exception):
            request.answer.set_exception(outcome)
            continue

        request.predictions[index] = outcome
        request.missing -= 1
        if not request.missing:
            # None is missing, so that each is a prediction.
            request.answer.set_result(request.predictions)  # type: ignore[arg-type]
