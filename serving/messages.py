"""What a client may say and what it is answered, the same for app.py and lambda_handler.py.

{"sentence": "..."}             ->  {"text": "...", "prediction": {"label": "...", "score": 0.97}}
{"sentences": ["...", ...]}     ->  {"predictions": [{"text": "...", "prediction": {...}}, ...]}
anything else                   ->  {"error": {"code": "...", "message": "..."}} and a status of 400 or more
"""

import hmac
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from errors import InvalidText, RequestError
from prediction.types import Encoded, Prediction
from serving.settings import Settings

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=+-]{0,127}", re.ASCII)
UNAUTHORIZED = "the API key is missing or wrong: send it as x-api-key or as a bearer token"
MISSING_TEXT = "the parameter text is missing: call /predict?text=A+sentence."
BODY_TOO_LARGE = "the body is larger than {} bytes: send fewer sentences"
NOT_FOUND = "no such page: /docs lists what there is"
SHAPES = 'send {"sentence": "..."} or {"sentences": ["...", "..."]}'


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Made once: json.loads and json.dumps make new ones for every call with options.
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
_encode = json.JSONEncoder(ensure_ascii=False).encode


def error_body(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def answer_body(predictions: Sequence[Prediction], many: bool) -> bytes:
    """The answer in JSON; ``many`` says whether the client asked with ``sentences``."""
    found = [prediction.as_dict() for prediction in predictions]
    return _encode({"predictions": found} if many else found[0]).encode()


def request_id(proposed: str | None, fallback: str | None = None) -> str:
    """The client's own request id if it is harmless in a log, else ``fallback``, else a new one."""
    for candidate in (proposed, fallback):
        if candidate and SANE_REQUEST_ID.fullmatch(candidate):
            return candidate
    return os.urandom(16).hex()


def knows_key(headers: Mapping[str, str], key: str) -> bool:
    """Whether the headers (names in lower case) carry the API key, as ``x-api-key`` or as a bearer token."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), key.encode())


def encode_all(encode: Callable[[str], Encoded], texts: Sequence[str]) -> list[Encoded]:
    """Tokenize every text. Raises RequestError for an unusable one, naming it if there are several."""
    encoded = []
    for index, text in enumerate(texts):
        try:
            encoded.append(encode(text))
        except InvalidText as error:
            where = f"sentence {index}: " if len(texts) > 1 else ""
            raise RequestError(422, "invalid_text", f"{where}{error}") from None
    return encoded


def parse_json(body: bytes | str) -> Any:
    """Raises RequestError for what is not JSON (NaN and Infinity are not)."""
    try:
        return _decode(body if isinstance(body, str) else body.decode())
    except (
        ValueError,
        RecursionError,
    ) as error:  # ValueError: JSON's own, UTF-8's, and integers of 5,000 digits
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(
            400, "invalid_json", f"the body is not JSON ({reason}): {SHAPES}"
        ) from None


def sentences_of(message: Any, limits: Settings) -> tuple[list[str], bool]:
    """The sentences of a parsed request body, and whether it came with ``sentences``. Raises RequestError."""
    if not isinstance(message, dict) or not message:
        raise RequestError(
            422, "invalid_body", f"the body is not an object with a sentence: {SHAPES}"
        )
    if unknown := message.keys() - {"sentence", "sentences"}:
        names = ", ".join(sorted(ascii(key)[:40] for key in unknown)[:5])
        raise RequestError(422, "unknown_field", f"unknown field {names}: {SHAPES}")
    if len(message) == 2:
        raise RequestError(
            422, "invalid_body", "sentence and sentences cannot come together: send one of them"
        )
    many = "sentences" in message
    sentences = message["sentences"] if many else [message["sentence"]]
    if not isinstance(sentences, list) or not sentences:
        raise RequestError(
            422, "invalid_body", "sentences is not a list with at least one sentence"
        )
    if len(sentences) > limits.max_sentences:
        raise RequestError(
            422,
            "too_many_sentences",
            f"{len(sentences)} sentences: send at most {limits.max_sentences} a request",
        )
    for index, sentence in enumerate(sentences):
        check_sentence(sentence, limits, f"sentence {index}: " if many else "")
    return sentences, many


def check_sentence(sentence: Any, limits: Settings, where: str = "") -> None:
    """Type and length; whether it can be predicted is the predictor's to say. Raises RequestError."""
    if not isinstance(sentence, str):
        raise RequestError(
            422, "invalid_text", f"{where}not a string: send a sentence as a JSON string"
        )
    if len(sentence) > limits.max_characters:
        raise RequestError(
            422,
            "text_too_long",
            f"{where}{len(sentence)} characters: send at most {limits.max_characters}",
        )
