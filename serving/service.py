"""The service behind the HTTP routes: tokenizes, batches, counts and logs."""

import asyncio
import time
from collections.abc import Sequence

from errors import InvalidText, QueueFullError, RequestError
from prediction.rows import ROW_TOKENS
from prediction.types import Prediction, Predictor
from serving.batching import Batcher
from serving.messages import encode_all
from serving.metrics import Metrics
from serving.prediction_log import PredictionLog
from serving.settings import Settings
from serving.worker import Scoreboard, WorkerSlot

# Characters that are tokenized on the event loop (about 0.3 ms); more, in a thread.
ENCODE_INLINE = 2_000

# Tokens of a single sentence that is predicted on the event loop too (about 2 ms). It uses all
# cores, so that nothing else could be done meanwhile.
PREDICT_INLINE = 64

# Shares that ``Batcher`` spares, by the weights' precision. fp32 weights exceed a core's share of
# the cache: smaller rows cost more than idle cores.
SPARE_SHARES = {"int8": 1}

CANARY = "The service is ready to answer."
READY_WITHIN_SECONDS = 2.0


class Service:
    """Everything that the routes ask for. ``start`` it on the event loop that uses it.

    Args:
        predictor: What predicts.
        settings: The settings of this process.
        slot: What this one of several workers is given; None for the only one.

    Raises:
        ConfigError: The log file cannot be written.
    """

    _batcher: Batcher

    def __init__(
        self, predictor: Predictor, settings: Settings, slot: WorkerSlot | None = None
    ) -> None:
        self.info = predictor.info
        self.metrics = Metrics(self.info)
        self._predictor = predictor
        self._settings = settings
        self._is_cold = True

        # Here and not in ``start``: what is wrong with the file is said before the server starts.
        if slot is None:
            # The only worker has a scoreboard to itself.
            self._number, self._scoreboard = 0, Scoreboard(workers=1)
            self.log = PredictionLog(
                "api", self.info, settings.log_text, settings.log_file, settings.log_file_mb
            )
        else:
            self._number, self._scoreboard = slot.number, slot.scoreboard
            descriptor = slot.log_descriptor
            self.log = PredictionLog("api", self.info, settings.log_text, descriptor=descriptor)
            self.metrics.watch(
                "worker_restarts",
                "Workers that had to be replaced.",
                lambda: slot.scoreboard.restarts,
            )

        # Lines that earlier workers of this slot have lost.
        self._lost_before = self._scoreboard.lines_lost[self._number]

    async def start(self) -> None:
        """Start the threads that predict, and try one prediction.

        Raises:
            RequestError: The model does not predict.
        """
        settings = self._settings
        # Here and not when the service is made: its futures belong to the running loop.
        self._batcher = Batcher(
            self._predictor.predict_encoded,
            workers=settings.threads,
            row_tokens=ROW_TOKENS,
            max_waiting=settings.max_waiting,
            spare_shares=SPARE_SHARES.get(self.info.precision, 0),
            inline_tokens=PREDICT_INLINE,
            record_row=self.metrics.record_row,
        )

        watch = self.metrics.watch
        watch("waiting_sentences", "Sentences waiting for a free thread.", self._count_waiting)
        watch("log_lines_lost", "Log lines lost to a slow reader or a full disk.", self.lines_lost)

        # With all the time that it takes: a machine that is busy is slow at first.
        await self.analyze([CANARY])
        self._scoreboard.is_ready[self._number] = 1

    def close(self) -> None:
        """Stop the workers and write what the log still holds."""
        self._batcher.close()
        self.log.close()

    def can_predict(self, text: str) -> bool:
        """Say whether a text can be predicted, from any thread."""
        try:
            self._predictor.encode(text)
        except InvalidText:
            return False
        return True

    async def analyze(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict without a log line.

        Raises:
            RequestError: A text cannot be predicted, or too many sentences are waiting.
        """
        # A thread costs more than a short text, a long text more than others should wait.
        encode = self._predictor.encode
        if sum(map(len, texts)) <= ENCODE_INLINE:
            encoded = encode_all(encode, texts)
        else:
            encoded = await asyncio.to_thread(encode_all, encode, texts)

        try:
            return await self._batcher.predict(encoded)
        except QueueFullError as error:
            raise RequestError(503, "overloaded", str(error), {"Retry-After": "1"}) from None

    async def predict(
        self, texts: Sequence[str], request_id: str, started: float
    ) -> list[Prediction]:
        """Predict, count and log.

        Args:
            texts: The sentences.
            request_id: What the log lines carry.
            started: ``time.perf_counter()`` at the request's arrival.

        Raises:
            RequestError: See ``analyze``.
        """
        predictions = await self.analyze(texts)
        self.metrics.record_predictions(predictions)

        latency_ms = (time.perf_counter() - started) * 1000
        self.log.write(
            predictions, request_id=request_id, latency_ms=latency_ms, cold_start=self._is_cold
        )
        self._is_cold = False
        return predictions

    def record_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self.metrics.record_request(route, status, seconds)
        self._share_numbers()

    def lines_lost(self) -> int:
        """Return how many log lines were lost so far, by all workers and by the supervisor."""
        self._share_numbers()
        return sum(self._scoreboard.lines_lost)

    def _count_waiting(self) -> int:
        """Return how many sentences wait, for all workers."""
        self._share_numbers()
        return sum(self._scoreboard.waiting)

    def _share_numbers(self) -> None:
        """Show all workers this one's numbers; they know them as of its last request."""
        self._scoreboard.waiting[self._number] = self._batcher.waiting
        self._scoreboard.lines_lost[self._number] = self._lost_before + self.log.dropped

    def record_refusal(self, status: int, code: str, message: str, request_id: str) -> None:
        """Log a request that was answered with an error."""
        self.log.error(status, code, message, request_id=request_id)

    async def check(self) -> None:
        """Make a prediction, to see that one can be made, and soon.

        Raises:
            RequestError: None came in time, or predictions are no longer logged.
        """
        if not self.log.is_alive:
            message = "the thread that writes the log has ended: start the service again"
            raise RequestError(503, "not_ready", message)

        try:
            async with asyncio.timeout(READY_WITHIN_SECONDS):
                await self.analyze([CANARY])
        except TimeoutError:
            message = f"no prediction within {READY_WITHIN_SECONDS:g} seconds"
            raise RequestError(503, "not_ready", message, {"Retry-After": "1"}) from None
