"""Stage 4, serve: the model as an AWS Lambda function, behind API Gateway, a Function URL or alone.

    python -m awslambdaric lambda_handler.lambda_handler        # what the image runs; docs/07_serve.md
    aws lambda invoke --function-name cola --payload '{"sentence": "The boy is sitting."}' answer.json

Loads models/model.onnx (MODEL_PATH) when imported: Lambda's init phase is where that belongs. Writes one JSON
line a prediction (or error) to standard output, which Lambda passes on as it is with either of its log formats,
and one line with event cold_start. Needs no writable file system.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

from errors import RequestError
from prediction.onnx_predictor import ColaONNXPredictor
from serving import lambda_events
from serving.messages import request_id
from serving.prediction_log import PredictionLog
from serving.settings import Settings

WARM_UP = "The function is ready to answer."


def process_age() -> float:
    """Seconds since this process was started (proc(5), field 22 of stat)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


class Function:
    """The handler with its model; ``cold`` until it has answered."""

    def __init__(
        self, predictor: lambda_events.Predictor, settings: Settings, log: PredictionLog
    ) -> None:
        self._predictor, self._settings, self._log = predictor, settings, log
        self._cold = True
        lambda_events.predict(predictor, [WARM_UP])
        log.event("cold_start", init_ms=round(process_age() * 1000, 1))

    def __call__(self, event: Any, context: Any) -> Any:
        """Answer an event. Every failure is an answer with a status: nothing is raised to Lambda."""
        started = time.perf_counter()
        identity = request_id(
            lambda_events.headers_of(event).get("x-request-id"),
            getattr(context, "aws_request_id", None),
        )
        try:
            texts, many = lambda_events.sentences_of_event(event, self._settings)
            predictions = lambda_events.predict(self._predictor, texts)
            response = lambda_events.success(event, predictions, many, identity)
        except RequestError as error:
            return self._fail(event, error, identity)
        except Exception:
            logging.getLogger().exception("request %s failed", identity)
            hint = f"the function failed on this event; its log says why under {identity}"
            return self._fail(event, RequestError(500, "internal", hint), identity)
        latency_ms = (time.perf_counter() - started) * 1000
        self._log.write(
            predictions, request_id=identity, latency_ms=latency_ms, cold_start=self._cold
        )
        self._cold = False
        return response

    def _fail(self, event: Any, error: RequestError, identity: str) -> Any:
        self._log.error(error.status, error.code, str(error), request_id=identity)
        return lambda_events.failure(event, error, identity)


def load() -> Function:
    """Raises ModelFileError, ConfigError."""
    settings = Settings.from_environment()
    predictor = ColaONNXPredictor(settings.model_path)
    log = PredictionLog("lambda", predictor.info, settings.log_text, background=False)
    return Function(predictor, settings, log)


lambda_handler = load()
