"""The REST API as a caller sees it: its address, its key, one request, and the smoke test of a release."""

import json
import os
import time
import urllib.error
import urllib.request
from typing import Any

from errors import DeployError
from infra.aws import client, one_line_errors

SMOKE_SENTENCE = "The boy is sitting on a bench."
_RETRIED = {403, 429}  # a key that is seconds old is not yet known everywhere


def address(outputs: dict[str, str]) -> str:
    """Return the URL of /predict. An emulator (AWS_ENDPOINT_URL) serves it under a path of its own."""
    if "PredictUrl" not in outputs:
        raise DeployError("the stack serves nothing yet: give it an image with `make deploy`")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        return f"{endpoint}/restapis/{outputs['RestApiId']}/{outputs['StageName']}/_user_request_/predict"
    return outputs["PredictUrl"]


def predict(outputs: dict[str, str], text: str, patience: float = 0) -> dict[str, Any]:
    """Return the API's answer for one sentence; for ``patience`` seconds also while it refuses the key.

    Raises DeployError with the API's own message when it answers anything but a prediction.
    """
    body = json.dumps({"sentence": text}).encode()
    request = urllib.request.Request(address(outputs), body)
    request.add_header("content-type", "application/json")
    if key_id := outputs.get("ApiKeyId"):
        with one_line_errors():
            key = client("apigateway").get_api_key(apiKey=key_id, includeValue=True)["value"]
        request.add_header("x-api-key", key)
    deadline = time.monotonic() + patience
    while True:
        status, body = _send(request)
        if status not in _RETRIED or time.monotonic() > deadline:
            return checked(status, body)
        time.sleep(2)


def _send(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=35) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise DeployError(
            f"{request.full_url} did not answer: {getattr(error, 'reason', error)}"
        ) from None


def checked(status: int, body: bytes | str) -> dict[str, Any]:
    """Return the prediction in an answer, or raise DeployError saying what came instead."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise DeployError(f"the answer (status {status}) is not a JSON object: {body[:80]!r}")
    if status != 200:
        error = answer.get("error")
        message = error.get("message") if isinstance(error, dict) else answer.get("message", answer)
        raise DeployError(f"status {status}: {message!s:.200}")
    prediction = answer.get("prediction")
    score = prediction.get("score") if isinstance(prediction, dict) else None
    if not isinstance(score, float) or not 0 <= score <= 1:
        raise DeployError(f"the answer holds no prediction: {answer!r:.120}")
    return answer


def snapshot(outputs: dict[str, str]) -> None:
    """Put the methods as they are now on the stage: CloudFormation deploys them only once."""
    with one_line_errors():
        client("apigateway").create_deployment(
            restApiId=outputs["RestApiId"], stageName=outputs["StageName"]
        )
