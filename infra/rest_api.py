"""The REST API as a caller sees it: its URL, its key, one request, and the check of its answer."""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import TypedDict, cast

from errors import DeployError
from infra.aws import aws_errors, client
from infra.stack import StackOutputs

SMOKE_SENTENCE = "The boy is sitting on a bench."
"""What a release asks to learn whether the API predicts."""

# Refusals that pass by themselves: a key that is seconds old is not known everywhere at once.
_RETRIED_STATUSES = {403, 429}

_SMOKE_TEST_SECONDS = 60


class PredictedLabel(TypedDict):
    """The prediction in an answer."""

    label: str
    score: float


class PredictionAnswer(TypedDict):
    """The answer to a request for one sentence."""

    text: str
    prediction: PredictedLabel


def predict_url(outputs: StackOutputs) -> str:
    """Return the URL of /predict; an emulator (AWS_ENDPOINT_URL) serves it under a path of its own.

    Raises:
        DeployError: The stack has no REST API yet.
    """
    if outputs.predict_url is None:
        raise DeployError("the stack serves nothing yet: give it an image with `make deploy`")

    # The output names Amazon's host, which no emulator is.
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        stage = f"{endpoint}/restapis/{outputs.rest_api_id}/{outputs.stage_name}"
        return f"{stage}/_user_request_/predict"
    return outputs.predict_url


def predict(outputs: StackOutputs, text: str, retry_seconds: float = 0) -> PredictionAnswer:
    """Ask the REST API for a prediction.

    Args:
        outputs: The stack's.
        text: The sentence.
        retry_seconds: For how long a refusal of the key is tried again.

    Raises:
        DeployError: The API answered anything but a prediction; the message is the API's own.
    """
    body = json.dumps({"sentence": text}).encode()
    request = urllib.request.Request(predict_url(outputs), body)  # noqa: S310
    request.add_header("content-type", "application/json")
    if outputs.api_key_id:
        request.add_header("x-api-key", _read_key(outputs.api_key_id))

    deadline = time.monotonic() + retry_seconds
    while True:
        status, body = _send(request)
        if status not in _RETRIED_STATUSES or time.monotonic() > deadline:
            return check_answer(status, body)
        time.sleep(2)


def smoke_test(outputs: StackOutputs) -> None:
    """Ask the REST API for a prediction after a release; warn if callers have used up the quota.

    Raises:
        DeployError: The API answered anything else.
    """
    try:
        predict(outputs, SMOKE_SENTENCE, _SMOKE_TEST_SECONDS)
    except DeployError as error:
        # The function never sends it: API Gateway does, whichever version is behind it.
        if error.code != "429":
            raise
        print(f"warning: not tried through API Gateway, which refuses: {error}", file=sys.stderr)


def check_answer(status: int, body: bytes | str) -> PredictionAnswer:
    """Return the answer in a response.

    Args:
        status: The response's HTTP status.
        body: Its JSON.

    Raises:
        DeployError: It holds no prediction; the message says what came instead, and ``code`` is
            the status where that is the reason.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise DeployError(f"the answer (status {status}) is not a JSON object: {body[:80]!r}")

    if status != 200:
        # The function's errors have a message inside "error", API Gateway's have one at the top.
        error = answer.get("error")
        message = error.get("message") if isinstance(error, dict) else answer.get("message", answer)
        raise DeployError(f"status {status}: {message!s:.200}", code=str(status))

    prediction = answer.get("prediction")
    score = prediction.get("score") if isinstance(prediction, dict) else None
    if not isinstance(score, float) or not 0 <= score <= 1:
        raise DeployError(f"the answer holds no prediction: {answer!r:.120}")
    return cast(PredictionAnswer, answer)


def redeploy_stage(outputs: StackOutputs) -> None:
    """Put the methods as they are now on the stage: CloudFormation deploys them only once."""
    with aws_errors():
        client("apigateway").create_deployment(
            restApiId=outputs.rest_api_id, stageName=outputs.stage_name
        )


def _read_key(key_id: str) -> str:
    with aws_errors():
        key = client("apigateway").get_api_key(apiKey=key_id, includeValue=True)
    return str(key["value"])


def _send(request: urllib.request.Request) -> tuple[int, bytes]:
    """Return the status and the body of the response, whatever the status is."""
    # API Gateway itself gives up after 29 seconds.
    try:
        try:
            with urllib.request.urlopen(request, timeout=35) as response:  # noqa: S310
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            # A refusal is an answer too, whose body may fail to arrive like any other.
            with error:
                return error.code, error.read()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise DeployError(f"{request.full_url} did not answer: {reason}") from None
