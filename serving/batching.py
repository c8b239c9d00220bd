"""Continuous batching: whatever waits when a worker is idle is packed into one row and run.

There is no timer: a single sentence starts at once, on all cores, and several are spread over all
workers. While rows run, new sentences wait; the next idle worker takes as many as a row holds, one
sentence of each request in turn, so that a request of a thousand sentences does not make the others
wait for its end.

If all workers finished at once, every core would idle until the event loop had answered and new
sentences had come. So idle workers may leave a share of the queue (``spare_shares``) to whoever
finishes first, and workers run at lower priority than the loop, which all clients wait for.

Requests are put in and answered on the event loop's thread. Workers take rows by themselves, under
a lock: if the event loop had to hand them out, a worker would leave its core unused until the loop
came round to it. A short sentence that comes alone does not go to a worker at all: the way there
and back would take as long as the model.
"""

import asyncio
import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence

from errors import QueueFullError
from prediction.cores import lower_priority
from prediction.types import Encoded, Prediction
from serving.waiting import Outcomes, Request, Row, WaitingRequests, answer_requests

PredictRow = Callable[[Sequence[Encoded], bool], list[Prediction]]
"""Predicts the sentences of one row; the second argument says that no other row runs."""

RecordRow = Callable[[int, int, float], None]
"""Is given the sentences, tokens and seconds of every row."""


class Batcher:
    """Predicts the sentences of concurrent requests on worker threads.

    A worker's life::

                  _wake                 _take_row finds a row
        asleep ----------> idle --------------------------------> running
          ^                 |  ^                                     |
          |                 |  +-------------------------------------+
          +-----------------+              the row is done
            nothing waits

    What holds whenever ``_lock`` is free:

    * ``_idle`` counts the workers that run no row, those asleep included: ``_asleep <= _idle``.
    * ``_is_waking`` is set from the first request after a pause until ``_wake`` has run.

    Create and use it on one event loop.

    Args:
        predict_row: Called from the workers' threads and, for a short single sentence, from the
            loop's own.
        workers: Threads, and rows that run side by side.
        row_tokens: Tokens that a row holds.
        max_waiting: Sentences that may wait; more are refused.
        spare_shares: Shares of the queue that idle workers leave to whoever finishes first. Their
            rows are smaller then, which is slow where every row reads large weights.
        inline_tokens: A single sentence of up to this many tokens is predicted on the event loop's
            thread, which answers nobody meanwhile.
        record_row: Told of every row that has run.
    """

    def __init__(
        self,
        predict_row: PredictRow,
        *,
        workers: int,
        row_tokens: int,
        max_waiting: int,
        spare_shares: int = 0,
        inline_tokens: int = 0,
        record_row: RecordRow = lambda sentences, tokens, seconds: None,
    ) -> None:
        self._predict_row = predict_row
        self._row_tokens = row_tokens
        # A single worker has nobody to leave anything for.
        self._spare_shares = spare_shares if workers > 1 else 0
        self._inline_tokens = inline_tokens
        self._max_waiting = max_waiting
        self._record_row = record_row
        self._loop = asyncio.get_running_loop()

        # The lock protects everything down to the queue.
        self._lock = threading.Lock()
        self._waiting = WaitingRequests()
        self._workers = self._idle = self._asleep = workers
        self._is_waking = False

        self._wake_ups: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{n}", daemon=True)
            for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many sentences wait."""
        return self._waiting.sentences

    async def predict(self, encoded: Sequence[Encoded]) -> list[Prediction]:
        """Predict sentences, in order. If the caller is cancelled, those that wait are dropped.

        Raises:
            QueueFullError: Too many sentences are waiting; raised at once.
            Exception: What ``predict_row`` raised.
        """
        if not encoded:
            return []

        with self._lock:
            waiting = self._waiting.sentences
            if waiting + len(encoded) > self._max_waiting:
                message = f"{waiting} sentences are waiting already: try again later"
                raise QueueFullError(message)

            request = Request(encoded, self._loop.create_future())
            self._waiting.add(request)

        # After the callbacks that are ready now: requests that were read together share a row.
        if self._asleep and not self._is_waking:
            self._is_waking = True
            self._loop.call_soon(self._wake)

        return await request.answer

    def close(self) -> None:
        """Stop the workers. Call it when no request is under way."""
        for _ in self._threads:
            self._wake_ups.put(False)
        for thread in self._threads:
            thread.join()

    def _wake(self) -> None:
        """Wake as many workers as have something to do, or predict a short single sentence here."""
        self._is_waking = False

        row: Row = []
        count = 0
        with self._lock:
            is_single = self._waiting.sentences == 1 and self._idle == self._workers
            if is_single and self._waiting.tokens <= self._inline_tokens:
                row = self._waiting.next_row(self._inline_tokens)
            else:
                count = min(self._asleep, self._waiting.sentences)
                self._asleep -= count

        for _ in range(count):
            self._wake_ups.put(True)
        if row:
            self._finish(row, *self._run(row, is_exclusive=True))

    def _work(self) -> None:
        """Run rows while there are any; then sleep. The main function of a worker's thread."""
        # The event loop goes first.
        lower_priority()

        while self._wake_ups.get():
            while (taken := self._take_row())[0]:
                row, is_exclusive = taken
                outcomes, seconds = self._run(row, is_exclusive)

                with self._lock:
                    self._idle += 1

                # When the loop is closed, nobody waits for the answer any more.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._finish, row, outcomes, seconds)

    def _take_row(self) -> tuple[Row, bool]:
        """Return the next row for the calling worker (empty if nothing waits).

        Returns:
            The row, and whether it has the machine to itself.
        """
        with self._lock:
            # Share what waits instead of filling one row.
            shares = self._idle + self._spare_shares
            fair_share = math.ceil(self._waiting.tokens / shares)
            row = self._waiting.next_row(min(self._row_tokens, fair_share))

            is_single = len(row) == 1 and not self._waiting.sentences
            is_exclusive = is_single and self._idle == self._workers

            if row:
                self._idle -= 1
            else:
                self._asleep += 1
            return row, is_exclusive

    def _run(self, row: Row, is_exclusive: bool) -> tuple[Outcomes, float]:
        """Predict a row.

        Returns:
            The outcome of each sentence, and the seconds that it took.
        """
        started = time.perf_counter()
        encoded = [request.encoded[index] for request, index in row]
        outcomes: Outcomes
        try:
            outcomes = self._predict_row(encoded, is_exclusive)
        except Exception as error:
            # One sentence must not fail those of strangers that happened to share its row.
            outcomes = [error] if len(row) == 1 else [self._run_single(item) for item in encoded]
        return outcomes, time.perf_counter() - started

    def _run_single(self, encoded: Encoded) -> Prediction | Exception:
        try:
            return self._predict_row([encoded], False)[0]
        except Exception as error:
            return error

    def _finish(self, row: Row, outcomes: Outcomes, seconds: float) -> None:
        """Answer the requests whose last sentence was in this row. Runs on the loop's thread."""
        tokens = sum(len(request.encoded[index].ids) for request, index in row)
        self._record_row(len(row), tokens, seconds)
        answer_requests(row, outcomes)
