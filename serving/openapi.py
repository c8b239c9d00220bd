"""The OpenAPI description of the routes in http.py: shapes, statuses and examples, at /docs.

The models describe; they do not validate. Requests are parsed by messages.py, whose errors are part
of the contract and which Lambda shares. A test sends what is described here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from prediction.types import ModelInfo
from serving.settings import Settings

DESCRIPTION = """Is this an acceptable English sentence? Each prediction is a label with its
probability. Errors come as `{"error": {"code": "...", "message": "..."}}` and say what to do."""

GOOD, BAD = "The boy is sitting on a bench.", "The boy is bench a on sitting."
ANSWER = {"text": GOOD, "prediction": {"label": "acceptable", "score": 0.9731}}

# Unknown fields are refused.
STRICT = ConfigDict(extra="forbid")

Schema = dict[str, Any]
"""A piece of an OpenAPI document."""


class LabelAndScore(BaseModel):
    """A label and its probability."""

    label: Literal["acceptable", "unacceptable"]
    score: float = Field(ge=0, le=1, description="Probability of the label.")


class Prediction(BaseModel):
    """The answer for one sentence."""

    text: str = Field(description="The sentence as it was sent.")
    prediction: LabelAndScore


class Predictions(BaseModel):
    """The answers for several sentences, in the order in which they were sent."""

    predictions: list[Prediction]


class Word(BaseModel):
    """A word of an explained sentence."""

    word: str
    start: int = Field(description="Where the word starts in the text, in code points.")
    end: int = Field(description="Where it ends.")
    effect: float | None = Field(
        description="Probability of `acceptable` with the word minus without it: negative where "
        "the word hurts. Null where nothing is left without it."
    )


class Explanation(Prediction):
    """A prediction, and what each word contributes to it."""

    words: list[Word]


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"]


class Ready(BaseModel):
    """The service predicts."""

    status: Literal["ready"]
    version: str = Field(description="First 12 digits of the model file's SHA-256.")
    log_lines_lost: int = Field(description="Log lines that could not be written so far.")


class Model(BaseModel):
    """The model that answers."""

    version: str
    name: str
    precision: str
    max_length: int = Field(description="Tokens that are read of a sentence; more are cut off.")
    labels: list[str]
    lineage: dict[str, Any] = Field(
        description="Base model, corpus, commit, metrics: where the file comes from."
    )


class ErrorDetail(BaseModel):
    """What was wrong."""

    code: str
    message: str


class Error(BaseModel):
    """The answer to a request that cannot be served."""

    error: ErrorDetail


METRICS = {
    "description": "Prometheus text format.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}

# status -> what it means, and the code of an example
ERRORS = {
    400: ("The body is not JSON, or not HTTP.", "invalid_json"),
    401: ("The API key is missing or wrong (only where API_KEY is set).", "unauthorized"),
    403: ("A web page of another site has made a browser ask.", "cross_site"),
    413: ("The body is larger than MAX_BODY_BYTES.", "body_too_large"),
    415: ("The body is not declared as JSON.", "unsupported_media_type"),
    422: (
        "The request is understood and cannot be predicted: the message says what to change.",
        "invalid_text",
    ),
    503: ("Too many sentences are waiting: try again after Retry-After seconds.", "overloaded"),
}


def model_card(info: ModelInfo) -> dict[str, Any]:
    """Return what /model answers: no resolved configuration, which may name paths."""
    lineage = {key: value for key, value in info.lineage.to_json().items() if key != "config"}
    return {
        "version": info.version,
        "name": info.name,
        "precision": info.precision,
        "max_length": info.max_length,
        "labels": info.labels,
        "lineage": lineage,
    }


def responses(model: Any, *statuses: int, example: Any = None) -> dict[int | str, Schema]:
    """Describe what a route answers.

    Args:
        model: The pydantic model of the answer with status 200.
        statuses: The error statuses that the route may answer.
        example: An example of the answer.
    """
    # FastAPI turns a model into a schema, and keeps what else is said of a status.
    described: dict[int | str, Schema] = {200: {"model": model, "description": "The answer."}}
    if example is not None:
        described[200]["content"] = {"application/json": {"example": example}}

    for status in statuses:
        description, code = ERRORS[status]
        error = {"error": {"code": code, "message": "What was wrong and what to change."}}
        described[status] = {
            "model": Error,
            "description": description,
            "content": {"application/json": {"example": error}},
        }
    return described


def text_parameter(settings: Settings) -> Schema:
    """Describe the parameter of ``GET /predict``."""
    # The same limits as those of a body's sentence.
    schema = _one_sentence(settings).model_json_schema()["properties"]["sentence"]
    examples = {"good": {"value": GOOD}, "bad": {"value": BAD}}
    parameter = {"name": "text", "in": "query", "required": True, "schema": schema}
    return {"parameters": [{**parameter, "examples": examples}]}


def sentence_body(settings: Settings) -> Schema:
    """Describe a body with one sentence."""
    return _body(_one_sentence(settings).model_json_schema(), example={"sentence": BAD})


def predict_body(settings: Settings) -> Schema:
    """Describe a body with one sentence or several."""
    models = (_one_sentence(settings), _many_sentences(settings))
    examples = {
        "one": {"summary": "One sentence", "value": {"sentence": GOOD}},
        "many": {"summary": "Several sentences", "value": {"sentences": [GOOD, BAD]}},
    }
    schema = {"oneOf": [model.model_json_schema() for model in models]}
    return _body(schema, examples=examples)


def _sentence(settings: Settings) -> Any:
    # At least one visible character: a blank text is refused.
    return Annotated[
        str,
        StringConstraints(min_length=1, max_length=settings.max_characters, pattern=r"\S"),
    ]


def _one_sentence(settings: Settings) -> type[BaseModel]:
    return create_model("OneSentence", __config__=STRICT, sentence=_sentence(settings))


def _many_sentences(settings: Settings) -> type[BaseModel]:
    several = Field(min_length=1, max_length=settings.max_sentences)
    sentence = _sentence(settings)
    sentences: Any = Annotated[list[sentence], several]  # type: ignore[valid-type]
    return create_model("ManySentences", __config__=STRICT, sentences=sentences)


def _body(schema: Schema, **more: Any) -> Schema:
    content = {"application/json": {"schema": schema, **more}}
    return {"requestBody": {"required": True, "content": content}}
