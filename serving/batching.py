"""Continuous batching: whatever waits when a worker is free is packed into one row and run.

No timer: a lone sentence starts at once, on all cores; several are spread over all workers. While rows run, new
sentences wait; the next free worker takes as many as a row holds, one sentence of each request in turn,
so that a request of a thousand sentences does not make the others wait for its end.

Requests are put in and answered on the event loop's thread. Workers take rows by themselves, under a lock: a
worker that had to wait for the event loop to give it the next row would leave its core idle for as long. A short
lone sentence does not go to a worker at all: the way there and back would take as long as the model.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from errors import QueueFullError
from prediction.types import Encoded, Prediction


class Runner(Protocol):
    """What predicts one packed row; ``inference_onnx.ColaONNXPredictor`` is one.

    ``exclusive`` says that no other row runs: it may use all cores.
    """

    def predict_encoded(
        self, encoded: Sequence[Encoded], exclusive: bool = False
    ) -> list[Prediction]: ...


class _Request:
    """The sentences of one request on their way: ``taken`` are in rows, ``missing`` have no answer yet."""

    __slots__ = ("answer", "encoded", "missing", "predictions", "taken")

    def __init__(
        self, encoded: Sequence[Encoded], answer: "asyncio.Future[list[Prediction]]"
    ) -> None:
        self.encoded = encoded
        self.predictions: list[Prediction | None] = [None] * len(encoded)
        self.missing = len(encoded)
        self.taken = 0
        self.answer = answer


_Row = list[tuple[_Request, int]]
RowObserver = Callable[[int, int, float], None]


class Batcher:
    """Runs the sentences of concurrent requests on ``workers`` threads. Create and use it on one event loop.

    A lone sentence of up to ``inline_tokens`` is run on the loop's own thread, which answers nobody meanwhile.
    ``observe(sentences, tokens, seconds)`` is told of every row.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        workers: int,
        row_tokens: int,
        max_waiting: int,
        inline_tokens: int = 0,
        observe: RowObserver = lambda sentences, tokens, seconds: None,
    ) -> None:
        self._run = runner.predict_encoded
        self._row_tokens = row_tokens
        self._inline_tokens = inline_tokens
        self._max_waiting = max_waiting
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()  # for all that follows
        self._requests: deque[_Request] = deque()
        self._waiting_tokens = 0
        self.waiting = 0
        self._free = self._asleep = self._workers = (
            workers  # free: runs no row; asleep: waits to be woken
        )
        self._waking = False
        self._wake_ups: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{n}", daemon=True)
            for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    async def predict(self, encoded: Sequence[Encoded]) -> list[Prediction]:
        """Predictions in the order given. Raises QueueFullError at once, and what the runner raises."""
        if not encoded:
            return []
        with self._lock:
            if self.waiting + len(encoded) > self._max_waiting:
                raise QueueFullError(
                    f"{self.waiting} sentences are waiting already: try again later"
                )
            request = _Request(encoded, self._loop.create_future())
            self._requests.append(request)
            self.waiting += len(encoded)
            self._waiting_tokens += sum(len(item.ids) for item in encoded)
        if self._asleep and not self._waking:  # after the callbacks that are ready now, so that
            self._waking = True  # requests that were read together share a row
            self._loop.call_soon(self._wake)
        return await request.answer

    def close(self) -> None:
        """Stop the workers. Call it when no request is under way."""
        for _ in self._threads:
            self._wake_ups.put(False)
        for thread in self._threads:
            thread.join()

    def _wake(self) -> None:
        """Wake as many workers as have something to do; a short sentence that is all there is, is run here."""
        self._waking = False
        with self._lock:
            nothing_else = self.waiting == 1 and self._free == self._workers
            if nothing_else and self._waiting_tokens <= self._inline_tokens:
                row, count = self._next_row(self._inline_tokens), 0
            else:
                row, count = [], min(self._asleep, self.waiting)
            self._asleep -= count
        for _ in range(count):
            self._wake_ups.put(True)
        if row:
            self._finish(row, *self._run_row(row, alone=True))

    def _take(self) -> tuple[_Row, bool]:
        """The next row, and whether it runs alone. What waits is shared out evenly among the free workers."""
        with self._lock:
            row = self._next_row(min(self._row_tokens, -(-self._waiting_tokens // self._free)))
            alone = len(row) == 1 and self._free == self._workers and not self.waiting
            if row:
                self._free -= 1
            else:
                self._asleep += 1
            return row, alone

    def _next_row(self, capacity: int) -> _Row:
        """One sentence of each request in turn, up to ``capacity`` tokens; at least one if any waits."""
        row: _Row = []
        while self._requests:
            request = self._requests[0]
            if request.answer.done():  # cancelled, or a row of it has failed
                self._forget(request)
                continue
            tokens = len(request.encoded[request.taken].ids)
            if row and tokens > capacity:
                break
            capacity -= tokens
            row.append((request, request.taken))
            request.taken += 1
            self.waiting -= 1
            self._waiting_tokens -= tokens
            self._requests.rotate(-1)
            if request.taken == len(request.encoded):
                self._requests.pop()
        return row

    def _forget(self, request: _Request) -> None:
        rest = request.encoded[request.taken :]
        self.waiting -= len(rest)
        self._waiting_tokens -= sum(len(item.ids) for item in rest)
        self._requests.remove(request)

    def _work(self) -> None:
        while self._wake_ups.get():
            while (taken := self._take())[0]:
                row, alone = taken
                outcome, seconds = self._run_row(row, alone)
                with self._lock:
                    self._free += 1
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    self._loop.call_soon_threadsafe(self._finish, row, outcome, seconds)

    def _run_row(self, row: _Row, alone: bool) -> tuple[list[Prediction] | Exception, float]:
        started = time.perf_counter()
        outcome: list[Prediction] | Exception
        try:
            outcome = self._run([request.encoded[index] for request, index in row], alone)
        except Exception as error:  # handed to the requests of this row
            outcome = error
        return outcome, time.perf_counter() - started

    def _finish(self, row: _Row, outcome: list[Prediction] | Exception, seconds: float) -> None:
        self._observe(
            len(row), sum(len(request.encoded[index].ids) for request, index in row), seconds
        )
        if isinstance(outcome, Exception):
            for request, _ in row:
                if not request.answer.done():
                    request.answer.set_exception(outcome)
            return
        for (request, index), prediction in zip(row, outcome, strict=True):
            request.predictions[index] = prediction
            request.missing -= 1
            if not request.missing and not request.answer.done():
                request.answer.set_result(request.predictions)  # type: ignore[arg-type]  # none is missing
