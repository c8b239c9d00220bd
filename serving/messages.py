"""What a client may say and what it is answered, the same for app.py and lambda_handler.py.

{"sentence": "..."}             ->  {"text": "...", "prediction": {"label": "...", "score": 0.97}}
{"sentences": ["...", ...]}     ->  {"predictions": [{"text": "...", "prediction": {...}}, ...]}
anything else                   ->  {"error": {"code": "...", "message": "..."}}, status 400 or more
"""

import hmac
import itertools
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from errors import InvalidText, RequestError
from prediction.types import Encoded, Prediction
from serving.settings import Settings

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+-]{0,127}", re.ASCII)
UNAUTHORIZED = "the API key is missing or wrong: send it as x-api-key or as a bearer token"
MISSING_TEXT = "the parameter text is missing: call /predict?text=A+sentence."
QUERY_NOT_UTF8 = "the parameters are not UTF-8: send a text with \u00e9 as text=%C3%A9"
BODY_TOO_LARGE = "the body is larger than {} bytes: send fewer sentences"
NOT_FOUND = "no such page: /docs lists what there is"
NOT_JSON = "the body is not declared as JSON: send the header content-type: application/json"
SHAPES = 'send {"sentence": "..."} or {"sentences": ["...", "..."]}'


# The size up to which a body is parsed whatever it holds; a larger one must have the one shape that
# a large body can need. The check makes nothing but a yes or no, where the parser would make
# millions of objects of a few megabytes before anybody can count them.
MAX_FREE_FORM_BYTES = 64 * 1024
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_LARGE_BODY = re.compile(
    r'\s*+\{\s*+"(?:sentence"\s*+:\s*+STRING|'
    r'sentences"\s*+:\s*+\[\s*+STRING(?:\s*+,\s*+STRING)*+\s*+\])\s*+\}\s*+'.replace(
        "STRING", _STRING
    ),
    re.DOTALL,
)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# A decoder and an encoder for all: json.loads and json.dumps make one in every call with options.
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
_encode = json.JSONEncoder(ensure_ascii=False).encode


def error_body(code: str, message: str) -> bytes:
    """Return the body of the answer to a request that cannot be served."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def answer_body(predictions: Sequence[Prediction], many: bool) -> bytes:
    """Return the body of an answer; ``many`` says whether the client asked with ``sentences``."""
    answers = [prediction.as_dict() for prediction in predictions]
    return _encode({"predictions": answers} if many else answers[0]).encode()


def choose_request_id(proposed: str | None, fallback: str | None = None) -> str:
    """Return the client's request id if it is harmless in a log, else ``fallback`` or a new one."""
    for candidate in (proposed, fallback):
        if candidate and SANE_REQUEST_ID.fullmatch(candidate):
            return candidate
    return os.urandom(16).hex()


def knows_key(headers: Mapping[str, str], key: str) -> bool:
    """Say whether headers carry the API key, as ``x-api-key`` or as a bearer token.

    Args:
        headers: Names in lower case.
        key: The right key.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""

    # Somebody else's bearer token must not hide the right key beside it.
    return any(
        hmac.compare_digest(given.encode("utf-8", "surrogatepass"), key.encode())
        for given in (headers.get("x-api-key", ""), bearer)
    )


def encode_all(encode: Callable[[str], Encoded], texts: Sequence[str]) -> list[Encoded]:
    """Tokenize every text.

    Raises:
        RequestError: One cannot be predicted; the message names it if there are several.
    """
    encoded = []
    for index, text in enumerate(texts):
        try:
            encoded.append(encode(text))
        except InvalidText as error:
            where = f"sentence {index}: " if len(texts) > 1 else ""
            raise RequestError(422, "invalid_text", f"{where}{error}") from None
    return encoded


def text_of_query(query: bytes) -> str:
    """Return the sentence of ``GET /predict?text=...``.

    Starlette would replace what is not UTF-8: the answer would be for another sentence.

    Args:
        query: What follows the question mark, still escaped.

    Raises:
        RequestError: There is none, or it is not UTF-8.
    """
    try:
        parameters = dict(parse_qsl(query.decode(), keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        raise RequestError(422, "invalid_text", QUERY_NOT_UTF8) from None

    if "text" not in parameters:
        raise RequestError(422, "missing_text", MISSING_TEXT)
    return parameters["text"]


def parse_json(body: bytes | bytearray | str) -> Any:
    """Parse a request body.

    Raises:
        RequestError: It is not JSON (NaN and Infinity are not), or large and of another shape.
    """
    try:
        text = body if isinstance(body, str) else body.decode()
        if len(text) > MAX_FREE_FORM_BYTES and not _LARGE_BODY.fullmatch(text):
            message = f"a body of this size can only be sentences, as strings: {SHAPES}"
            raise RequestError(422, "invalid_body", message)
        return _decode(text)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        # JSON's own errors, UTF-8's, and those of integers with thousands of digits.
        reason = str(error)

    raise RequestError(400, "invalid_json", f"the body is not JSON ({reason}): {SHAPES}")


def sentences_of(message: Any, settings: Settings) -> tuple[list[str], bool]:
    """Return the sentences of a parsed body, and whether they came as ``sentences``.

    Raises:
        RequestError: It has another shape, or breaks a limit.
    """
    if not isinstance(message, dict) or not message:
        text = f"the body is not an object with a sentence: {SHAPES}"
        raise RequestError(422, "invalid_body", text)

    if unknown := message.keys() - {"sentence", "sentences"}:
        names = ", ".join(sorted(ascii(key)[:40] for key in itertools.islice(unknown, 5)))
        raise RequestError(422, "unknown_field", f"unknown field {names}: {SHAPES}")

    if len(message) == 2:
        text = "sentence and sentences cannot come together: send one of them"
        raise RequestError(422, "invalid_body", text)

    many = "sentences" in message
    sentences = message["sentences"] if many else [message["sentence"]]
    if not isinstance(sentences, list) or not sentences:
        text = "sentences is not a list with at least one sentence"
        raise RequestError(422, "invalid_body", text)

    if len(sentences) > settings.max_sentences:
        text = f"{len(sentences)} sentences: send at most {settings.max_sentences} per request"
        raise RequestError(422, "too_many_sentences", text)

    for index, sentence in enumerate(sentences):
        check_sentence(sentence, settings, f"sentence {index}: " if many else "")
    return sentences, many


def check_sentence(sentence: Any, settings: Settings, where: str = "") -> None:
    """Check type and length; whether it can be predicted is the predictor's to say.

    Args:
        sentence: What the client sent as a sentence.
        settings: How long it may be.
        where: What the message begins with.

    Raises:
        RequestError: It is no string, or too long.
    """
    if not isinstance(sentence, str):
        text = f"{where}not a string: send a sentence as a JSON string"
        raise RequestError(422, "invalid_text", text)

    if len(sentence) > settings.max_characters:
        text = f"{where}{len(sentence)} characters: send at most {settings.max_characters}"
        raise RequestError(422, "text_too_long", text)
