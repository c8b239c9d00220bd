"""The OpenAPI description of the routes in app.py: shapes, statuses and examples, shown at /docs.

Requests are parsed by messages.py, whose errors are part of the contract and which Lambda shares; this file
describes that contract and a test sends what it describes.
"""

from typing import Any

from prediction.types import ModelInfo
from serving.settings import Settings

Schema = dict[str, Any]

DESCRIPTION = """Is this an acceptable English sentence? Each prediction is a label with its probability.
Errors come as `{"error": {"code": "...", "message": "..."}}` and say what to change."""

GOOD, BAD = "The boy is sitting on a bench.", "The boy is bench a on sitting."


def _object(required: list[str] | None = None, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": required or list(properties)}


def _described(type_: str, description: str, **more: Any) -> Schema:
    return {"type": type_, "description": description, **more}


PREDICTION = _object(
    text=_described("string", "The sentence as it was sent."),
    prediction=_object(
        label={"type": "string", "enum": ["acceptable", "unacceptable"]},
        score=_described("number", "Probability of the label.", minimum=0, maximum=1),
    ),
)
PREDICTIONS = _object(predictions={"type": "array", "items": PREDICTION})
EXPLANATION = _object(
    **PREDICTION["properties"],
    words={
        "type": "array",
        "items": _object(
            word={"type": "string"},
            start=_described("integer", "Where the word starts in the text, in code points."),
            end=_described("integer", "Where it ends."),
            effect={
                "type": ["number", "null"],
                "description": "Probability of `acceptable` with the word minus without it: negative "
                "where the word hurts. Null where nothing is left without it.",
            },
        ),
    },
)
HEALTH = _object(status={"const": "ok"})
READY = _object(
    status={"const": "ready"},
    version=_described("string", "First 12 digits of the file's SHA-256."),
)
MODEL = _object(
    version={"type": "string"},
    name={"type": "string"},
    precision={"type": "string"},
    max_length=_described("integer", "Tokens that are read of a sentence; more are cut off."),
    labels={"type": "array", "items": {"type": "string"}},
    lineage=_described("object", "Base model, corpus, commit, metrics: where the file comes from."),
)
METRICS = {
    "description": "Prometheus text format.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
ERROR = _object(error=_object(code={"type": "string"}, message={"type": "string"}))
ANSWER = {"text": GOOD, "prediction": {"label": "acceptable", "score": 0.9731}}
ERRORS = {
    400: ("The body is not JSON, or not HTTP.", "invalid_json"),
    401: ("The API key is missing or wrong (only where API_KEY is set).", "unauthorized"),
    413: ("The body is larger than MAX_BODY_BYTES.", "body_too_large"),
    422: (
        "The request is understood and cannot be predicted: the message says what to change.",
        "invalid_text",
    ),
    503: ("Too many sentences are waiting: try again after Retry-After seconds.", "overloaded"),
}


def model_card(info: ModelInfo) -> dict[str, Any]:
    """What /model tells: the lineage without the resolved configuration, which may name paths."""
    lineage = {key: value for key, value in info.lineage.to_json().items() if key != "config"}
    facts = {
        "version": info.version,
        "name": info.name,
        "precision": info.precision,
        "max_length": info.max_length,
    }
    return {**facts, "labels": info.labels, "lineage": lineage}


def _json(schema: Schema, **more: Any) -> Schema:
    return {"content": {"application/json": {"schema": schema, **more}}}


def responses(schema: Schema, *statuses: int, **more: Any) -> dict[int | str, dict[str, Any]]:
    """What a route answers: ``schema`` with status 200, and the error statuses named."""
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": "The answer.", **_json(schema, **more)}
    }
    for status in statuses:
        description, code = ERRORS[status]
        found[status] = {
            "description": description,
            **_json(
                ERROR,
                example={"error": {"code": code, "message": "What was wrong and what to change."}},
            ),
        }
    return found


def sentence_schema(limits: Settings) -> Schema:
    # At least one visible character: a blank text is refused.
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": limits.max_characters,
        "pattern": r"\S",
    }


def text_parameter(limits: Settings) -> dict[str, Any]:
    parameter = {"name": "text", "in": "query", "required": True, "schema": sentence_schema(limits)}
    return {
        "parameters": [{**parameter, "examples": {"good": {"value": GOOD}, "bad": {"value": BAD}}}]
    }


def sentence_body(limits: Settings) -> dict[str, Any]:
    schema = {**_object(sentence=sentence_schema(limits)), "additionalProperties": False}
    return {"requestBody": {"required": True, **_json(schema, example={"sentence": BAD})}}


def predict_body(limits: Settings) -> dict[str, Any]:
    one = {**_object(sentence=sentence_schema(limits)), "additionalProperties": False}
    many_items = {
        "type": "array",
        "minItems": 1,
        "maxItems": limits.max_sentences,
        "items": sentence_schema(limits),
    }
    many = {**_object(sentences=many_items), "additionalProperties": False}
    examples = {
        "one": {"summary": "One sentence", "value": {"sentence": GOOD}},
        "many": {"summary": "Several sentences", "value": {"sentences": [GOOD, BAD]}},
    }
    return {"requestBody": {"required": True, **_json({"oneOf": [one, many]}, examples=examples)}}
