"""The service behind the routes of app.py: tokenizes, batches, counts and logs."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from errors import QueueFullError, RequestError
from prediction.cores import available_cores
from prediction.rows import ROW_TOKENS
from prediction.types import Encoded, ModelInfo, Prediction
from serving.batching import Batcher, Runner
from serving.messages import encode_all
from serving.metrics import Metrics
from serving.prediction_log import PredictionLog
from serving.settings import Settings

# Up to this many characters are tokenized on the event loop (about 0.3 ms); more, in a thread.
ENCODE_INLINE = 2_000
# A lone sentence of up to this many tokens is run there too (about 2 ms): it uses all cores, so that nothing else
# could be done meanwhile.
RUN_INLINE = 64
CANARY = "The service is ready to answer."
READY_WITHIN_SECONDS = 2.0


class Predictor(Runner, Protocol):
    """What the service needs of inference_onnx.ColaONNXPredictor."""

    info: ModelInfo

    def encode(self, text: str) -> Encoded: ...


class Service:
    """Create it on the event loop that uses it."""

    def __init__(self, predictor: Predictor, settings: Settings) -> None:
        self.info = predictor.info
        self.log = PredictionLog(
            "api", self.info, settings.log_text, settings.log_file, settings.log_file_mb
        )
        self.metrics = Metrics(self.info, lambda: self._batcher.waiting, lambda: self.log.dropped)
        self._encode = predictor.encode
        self._batcher = Batcher(
            predictor,
            workers=available_cores(),
            row_tokens=ROW_TOKENS,
            max_waiting=settings.max_waiting,
            inline_tokens=RUN_INLINE,
            observe=self.metrics.observe_row,
        )
        self._cold = True

    async def analyze(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict without a log line. Raises RequestError: an unusable text, too many waiting."""
        short = sum(map(len, texts)) <= ENCODE_INLINE
        encoded = (
            encode_all(self._encode, texts)
            if short
            else await asyncio.to_thread(encode_all, self._encode, texts)
        )
        try:
            return await self._batcher.predict(encoded)
        except QueueFullError as error:
            raise RequestError(503, "overloaded", str(error), {"Retry-After": "1"}) from None

    async def predict(
        self, texts: Sequence[str], request_id: str, started: float
    ) -> list[Prediction]:
        """Predict, count and log. ``started``: time.perf_counter() at the request's arrival."""
        predictions = await self.analyze(texts)
        self.metrics.observe_predictions(predictions)
        latency_ms = (time.perf_counter() - started) * 1000
        self.log.write(
            predictions, request_id=request_id, latency_ms=latency_ms, cold_start=self._cold
        )
        self._cold = False
        return predictions

    def observe(
        self, route: str, status: int, seconds: float, error: RequestError | None, request_id: str
    ) -> None:
        """Count a request that has ended, and log the error if it ended with one."""
        self.metrics.observe_request(route, status, seconds)
        if error:
            self.log.error(error.status, error.code, str(error), request_id=request_id)

    async def check(self) -> None:
        """Raises RequestError unless a prediction can be made, and soon."""
        try:
            async with asyncio.timeout(READY_WITHIN_SECONDS):
                await self.analyze([CANARY])
        except TimeoutError:
            message = f"no prediction within {READY_WITHIN_SECONDS:g} seconds"
            raise RequestError(503, "not_ready", message, {"Retry-After": "1"}) from None

    def close(self) -> None:
        self._batcher.close()
        self.log.close()
