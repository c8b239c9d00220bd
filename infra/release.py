"""Releases: every image is a published version of the function, and the alias `live` says which one answers.

A release publishes a version, tries it before anyone else can, moves the alias, asks the REST API, and moves
the alias back if the answer is not a prediction. A rollback moves the alias to where it was before.
"""

import json
import re
from typing import Any

from errors import DeployError
from infra import rest_api
from infra.aws import client, one_line_errors

ALIAS = "live"
_WAIT = {"Delay": 2, "MaxAttempts": 150}


def live_image(function: str) -> str:
    """Return the image, by digest, of the version that answers now."""
    with one_line_errors():
        return str(
            client("lambda").get_function(FunctionName=function, Qualifier=ALIAS)["Code"][
                "ImageUri"
            ]
        )


def release(outputs: dict[str, str], image: str) -> str:
    """Make ``image`` (REPOSITORY@sha256:...) the one that answers; return its version.

    Raises DeployError, with the alias where it was, if the new version does not predict.
    """
    if "@sha256:" not in image:
        raise DeployError(
            f"{image!r} is not an image by digest (REPOSITORY@sha256:...); a tag may move"
        )
    function = _function(outputs)
    version = _publish(function, image)
    before = _alias(function)
    if before["FunctionVersion"] == version:
        rest_api.predict(outputs, rest_api.SMOKE_SENTENCE, patience=60)
        return version
    _try_version(function, version)
    _move(function, version, before)
    _ask_or_move_back(outputs, before)
    return version


def rollback(outputs: dict[str, str], to: str | None = None) -> str:
    """Move the alias back to the version before (or to ``to``) and return it; a second rollback returns."""
    function = _function(outputs)
    before = _alias(function)
    found = re.search(r"previous version (\d+)", before.get("Description", ""))
    version = to or (found.group(1) if found else None)
    if version is None:
        raise DeployError(
            f"version {before['FunctionVersion']} is the first one released: nothing to go back to"
        )
    if version == before["FunctionVersion"]:
        raise DeployError(f"version {version} is the one that answers already")
    _try_version(function, version)
    _move(function, version, before)
    _ask_or_move_back(outputs, before)
    return version


def _function(outputs: dict[str, str]) -> str:
    if "FunctionName" not in outputs:
        raise DeployError("the stack has no function yet: give it an image with `make deploy`")
    return outputs["FunctionName"]


def _alias(function: str) -> dict[str, Any]:
    with one_line_errors():
        alias: dict[str, Any] = client("lambda").get_alias(FunctionName=function, Name=ALIAS)
    return alias


def _publish(function: str, image: str) -> str:
    """Publish ``image`` with the function's present settings; the same again is the same version."""
    functions = client("lambda")
    with one_line_errors():
        if functions.get_function(FunctionName=function)["Code"]["ImageUri"] != image:
            functions.update_function_code(FunctionName=function, ImageUri=image)
        functions.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig=_WAIT)
        version = str(functions.publish_version(FunctionName=function)["Version"])
        waiter = functions.get_waiter("published_version_active")
        waiter.wait(FunctionName=function, Qualifier=version, WaiterConfig=_WAIT)
    return version


def _try_version(function: str, version: str) -> None:
    """Invoke the version itself, past the alias, so that a broken one never answers a caller."""
    with one_line_errors():
        payload = json.dumps({"sentence": rest_api.SMOKE_SENTENCE})
        response = client("lambda").invoke(
            FunctionName=function, Qualifier=version, Payload=payload
        )
    body = response["Payload"].read()
    try:
        if "FunctionError" in response:
            raise DeployError(
                f"{response['FunctionError']}: {json.loads(body).get('errorMessage', body)}"
            )
        answer = json.loads(body)
        proxied = isinstance(answer, dict) and "statusCode" in answer
        rest_api.checked(
            answer["statusCode"] if proxied else 200, answer["body"] if proxied else body
        )
    except DeployError as error:
        raise DeployError(
            f"version {version} does not predict, the alias stays where it is: {error}"
        ) from None


def _move(function: str, version: str, seen: dict[str, Any]) -> None:
    """Move the alias, unless someone else moved it since ``seen``."""
    with one_line_errors():
        client("lambda").update_alias(
            FunctionName=function,
            Name=ALIAS,
            FunctionVersion=version,
            Description=f"previous version {seen['FunctionVersion']}",
            RevisionId=seen["RevisionId"],
        )


def _ask_or_move_back(outputs: dict[str, str], before: dict[str, Any]) -> None:
    try:
        rest_api.predict(outputs, rest_api.SMOKE_SENTENCE, patience=60)
    except DeployError as error:
        with one_line_errors():
            client("lambda").update_alias(
                FunctionName=_function(outputs),
                Name=ALIAS,
                FunctionVersion=before["FunctionVersion"],
                Description=before.get("Description", ""),
            )
        at = before["FunctionVersion"]
        raise DeployError(
            f"the smoke test failed, the alias is back at version {at}: {error}"
        ) from None
