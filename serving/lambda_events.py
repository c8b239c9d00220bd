"""A gateway's events: REST API (format 1.0), HTTP API and Function URL (2.0), and direct invocations.

Event formats: docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
and .../set-up-lambda-proxy-integrations.html. Real ones are in tests/serving/events/.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, Protocol

from errors import InvalidText, RequestError
from prediction.types import Encoded, ModelInfo, Prediction
from serving.messages import (
    BODY_TOO_LARGE,
    MISSING_TEXT,
    NOT_FOUND,
    UNAUTHORIZED,
    answer_body,
    check_sentence,
    encode_all,
    error_body,
    knows_key,
    parse_json,
    sentences_of,
)
from serving.settings import Settings

# Lambda answers with at most 6 MB, and the body is JSON within JSON there.
MAX_ANSWER_CHARACTERS = 5_500_000


class Predictor(Protocol):
    """What is needed of inference_onnx.ColaONNXPredictor."""

    info: ModelInfo

    def encode(self, text: str) -> Encoded: ...

    def predict_many(self, texts: Sequence[str]) -> list[Prediction]: ...


def is_gateway(event: Any) -> bool:
    """Whether an event came through a gateway; otherwise it is the request body itself, already parsed."""
    return isinstance(event, dict) and ("requestContext" in event or "httpMethod" in event)


def headers_of(event: Any) -> dict[str, str]:
    """The headers, names in lower case; empty for a direct invocation."""
    headers = _mapping(event, "headers")
    return {str(name).lower(): value for name, value in headers.items() if isinstance(value, str)}


def sentences_of_event(event: Any, settings: Settings) -> tuple[list[str], bool]:
    """The sentences of any event, and whether they came as ``sentences``. Raises RequestError."""
    if not is_gateway(event):
        return sentences_of(event, settings)
    if settings.api_key and not knows_key(headers_of(event), settings.api_key):
        raise RequestError(401, "unauthorized", UNAUTHORIZED, {"www-authenticate": "Bearer"})
    path = event.get("rawPath", event.get("path"))
    if isinstance(path, str) and path.rstrip("/").rpartition("/")[2] not in ("predict", ""):
        raise RequestError(404, "not_found", NOT_FOUND)
    method = event.get("httpMethod") or _mapping(_mapping(event, "requestContext"), "http").get(
        "method"
    )
    if method == "GET":
        text = _mapping(event, "queryStringParameters").get("text")
        if text is None:
            raise RequestError(422, "missing_text", MISSING_TEXT)
        check_sentence(text, settings)
        return [text], False
    if method != "POST":
        raise RequestError(
            405, "method_not_allowed", "call with GET or POST", {"allow": "GET, POST"}
        )
    return sentences_of(parse_json(_body(event, settings.max_body_bytes)), settings)


def predict(predictor: Predictor, texts: Sequence[str]) -> list[Prediction]:
    """Raises RequestError."""
    try:
        return predictor.predict_many(texts)
    except InvalidText:
        encode_all(predictor.encode, texts)  # raises for the first text that is to blame, naming it
        raise


def success(event: Any, predictions: Sequence[Prediction], many: bool, request_id: str) -> Any:
    """The answer as the event's sender expects it. Raises RequestError if Lambda could not send it."""
    body = answer_body(predictions, many)
    if not is_gateway(event):
        return json.loads(body)
    response = _response(200, body, request_id)
    if len(json.dumps(response)) > MAX_ANSWER_CHARACTERS:
        raise RequestError(
            413, "answer_too_large", "the answer would be larger than Lambda sends: send less"
        )
    return response


def failure(event: Any, error: RequestError, request_id: str) -> Any:
    body = error_body(error.code, str(error))
    return (
        _response(error.status, body, request_id, error.headers)
        if is_gateway(event)
        else json.loads(body)
    )


def _response(
    status: int, body: bytes, request_id: str, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    common = {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-request-id": request_id,
    }
    return {
        "statusCode": status,
        "headers": {**common, **(headers or {})},
        "body": body.decode(),
        "isBase64Encoded": False,
    }


def _body(event: dict[str, Any], limit: int) -> bytes | str:
    body = event.get("body")
    if body is None:
        return ""
    if not isinstance(body, str):
        raise RequestError(400, "invalid_json", "the event's body is not a string")
    if len(body) > limit:
        raise RequestError(413, "body_too_large", BODY_TOO_LARGE.format(limit))
    if not event.get("isBase64Encoded"):
        return body
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(400, "invalid_base64", "the event's body is not base64") from None


def _mapping(event: Any, key: str) -> dict[Any, Any]:
    value = event.get(key) if isinstance(event, dict) else None
    return value if isinstance(value, dict) else {}
