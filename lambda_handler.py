"""Chapter 7: serve the model as an AWS Lambda function, behind API Gateway or alone.

    python -m awslambdaric lambda_handler.lambda_handler     # what the image runs; docs/07
    echo '{"sentence": "The boy is sitting."}' > event.json
    aws lambda invoke --function-name cola:live --payload fileb://event.json out.json

Loads models/model.onnx (MODEL_PATH) when imported: that is what Lambda's init phase is for. Writes
one JSON line per prediction or error to standard output, which Lambda passes on unchanged with
either of its log formats, and one line with event cold_start. Needs no writable file system.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

from errors import RequestError
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Predictor
from serving import lambda_events
from serving.messages import choose_request_id
from serving.prediction_log import PredictionLog
from serving.settings import Settings

WARM_UP = "The function is ready to answer."


def process_age() -> float:
    """Return the seconds since this process was started (proc(5), field 22 of stat)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


class Function:
    """The handler with its model; the first prediction is made when it is built."""

    def __init__(self, predictor: Predictor, settings: Settings, log: PredictionLog) -> None:
        self._predictor, self._settings, self._log = predictor, settings, log
        self._is_cold = True

        lambda_events.predict(predictor, [WARM_UP])
        log.event("cold_start", init_ms=round(process_age() * 1000, 1))

    def __call__(self, event: Any, context: Any) -> Any:
        """Answer an event. A failure is an answer with a status: nothing is raised to Lambda."""
        started = time.perf_counter()
        proposed = lambda_events.proposed_request_id(event)
        request_id = choose_request_id(proposed, getattr(context, "aws_request_id", None))

        try:
            texts, many = lambda_events.read_sentences(event, self._settings)
            predictions = lambda_events.predict(self._predictor, texts)
            answer = lambda_events.answer(event, predictions, many, request_id)
        except RequestError as error:
            return self._fail(event, error, request_id)
        except Exception:
            logging.getLogger().exception("request %s failed", request_id)
            hint = f"the function failed on this event; its log says why under {request_id}"
            return self._fail(event, RequestError(500, "internal", hint), request_id)

        latency_ms = (time.perf_counter() - started) * 1000
        self._log.write(
            predictions, request_id=request_id, latency_ms=latency_ms, cold_start=self._is_cold
        )
        self._is_cold = False
        return answer

    def _fail(self, event: Any, error: RequestError, request_id: str) -> Any:
        self._log.error(error.status, error.code, str(error), request_id=request_id)
        return lambda_events.answer_error(event, error, request_id)


def load() -> Function:
    """Build the handler from the environment's settings.

    Raises:
        ConfigError: A setting cannot be used.
        ModelFileError: The model file is missing or damaged.
    """
    settings = Settings.from_environment()
    predictor = ColaONNXPredictor(settings.model_path)
    log = PredictionLog("lambda", predictor.info, settings.log_text, background=False)
    return Function(predictor, settings, log)


lambda_handler = load()
