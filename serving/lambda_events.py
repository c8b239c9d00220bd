"""The events of lambda_handler.py: a gateway's HTTP requests, and direct invocations.

Formats: REST API (payload format 1.0), HTTP API and Function URL (2.0), as AWS describes them under
docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html and
.../set-up-lambda-proxy-integrations.html. Recorded ones are in tests/serving/events/.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from errors import InvalidText, RequestError
from prediction.types import Prediction, Predictor
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

# Characters of an answer in JSON: Lambda sends at most 6 MB.
MAX_ANSWER_CHARACTERS = 5_500_000


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """An HTTP request as a gateway hands it over.

    An event may come from anybody who may invoke the function. What has a wrong type in it counts
    as absent.
    """

    method: str | None
    path: str | None

    headers: dict[str, str]
    """Names in lower case."""

    text: Any
    """The query parameter ``text``, or None."""

    body: Any
    """A string if the sender is a gateway; None for no body."""

    is_base64: bool

    @classmethod
    def of(cls, event: Any) -> "GatewayRequest | None":
        """Read an event; None for a direct invocation, whose event is the message itself."""
        if not isinstance(event, dict):
            return None
        if "requestContext" not in event and "httpMethod" not in event:
            return None

        # Format 2.0 has method and path in other places than 1.0.
        http = _mapping(_mapping(event, "requestContext"), "http")
        path = event.get("rawPath", event.get("path"))
        return cls(
            method=event.get("httpMethod") or http.get("method"),
            path=path if isinstance(path, str) else None,
            headers=_headers(event),
            text=_mapping(event, "queryStringParameters").get("text"),
            body=event.get("body"),
            is_base64=bool(event.get("isBase64Encoded")),
        )

    def read_body(self, limit: int) -> bytes | str:
        """Return the body: at most ``limit`` characters, or bytes if it came as base64.

        Raises:
            RequestError: It is too large, or neither text nor base64.
        """
        if self.body is None:
            return ""
        if not isinstance(self.body, str):
            raise RequestError(400, "invalid_json", "the event's body is not a string")

        body: bytes | str = self.body
        if self.is_base64:
            try:
                body = base64.b64decode(self.body, validate=True)
            except ValueError:
                message = "the event's body is not base64"
                raise RequestError(400, "invalid_base64", message) from None

        if len(body) > limit:
            raise RequestError(413, "body_too_large", BODY_TOO_LARGE.format(limit))
        return body


def proposed_request_id(event: Any) -> str | None:
    """Return the request id that the sender of an event proposes."""
    return _headers(event).get("x-request-id")


def read_sentences(event: Any, settings: Settings) -> tuple[list[str], bool]:
    """Return the sentences of any event, and whether they came as ``sentences``.

    Raises:
        RequestError: It has none that can be predicted, or the API key is missing.
    """
    request = GatewayRequest.of(event)
    if request is None:
        return sentences_of(event, settings)

    if settings.api_key and not knows_key(request.headers, settings.api_key):
        raise RequestError(401, "unauthorized", UNAUTHORIZED, {"www-authenticate": "Bearer"})

    # A stage or a custom domain may stand before the path.
    if request.path and request.path.rstrip("/").rpartition("/")[2] not in ("predict", ""):
        raise RequestError(404, "not_found", NOT_FOUND)

    if request.method == "GET":
        if request.text is None:
            raise RequestError(422, "missing_text", MISSING_TEXT)
        check_sentence(request.text, settings)
        return [request.text], False

    if request.method != "POST":
        allow = {"allow": "GET, POST"}
        raise RequestError(405, "method_not_allowed", "call with GET or POST", allow)
    return sentences_of(parse_json(request.read_body(settings.max_body_bytes)), settings)


def predict(predictor: Predictor, texts: Sequence[str]) -> list[Prediction]:
    """Predict texts, in order.

    Raises:
        RequestError: One of them cannot be predicted; the message names it.
    """
    # All at once is quicker; which of them was refused is looked for only if one was.
    try:
        return predictor.predict_many(texts)
    except InvalidText:
        encode_all(predictor.encode, texts)
        raise


def answer(event: Any, predictions: Sequence[Prediction], many: bool, request_id: str) -> Any:
    """Build the answer as the event's sender expects it.

    Raises:
        RequestError: Lambda could not send it.
    """
    body = answer_body(predictions, many)
    is_direct = GatewayRequest.of(event) is None
    response = json.loads(body) if is_direct else _response(200, body, request_id)

    # What Lambda sends is ASCII, and for a gateway JSON within JSON: its size is known only now.
    if len(json.dumps(response)) > MAX_ANSWER_CHARACTERS:
        message = "the answer would be larger than Lambda sends: send less"
        raise RequestError(413, "answer_too_large", message)
    return response


def answer_error(event: Any, error: RequestError, request_id: str) -> Any:
    """Build the answer to a refused event."""
    body = error_body(error.code, str(error))
    if GatewayRequest.of(event) is None:
        return json.loads(body)
    return _response(error.status, body, request_id, error.headers)


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


def _headers(event: Any) -> dict[str, str]:
    headers = _mapping(event, "headers")
    return {str(name).lower(): value for name, value in headers.items() if isinstance(value, str)}


def _mapping(event: Any, key: str) -> dict[Any, Any]:
    value = event.get(key) if isinstance(event, dict) else None
    return value if isinstance(value, dict) else {}
