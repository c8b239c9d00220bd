"""Releases: every image is a published version of the function, the alias ``live`` picks one.

A release publishes a version, tries it before anyone else can, moves the alias, asks the REST API,
and moves the alias back if the answer is not a prediction. A rollback moves the alias to the
version that answered before the present image.
"""

import json
import re
from dataclasses import dataclass

from errors import DeployError
from infra import rest_api
from infra.aws import POLL_SECONDS, aws_errors, client, waiter_config
from infra.image import mark_released
from infra.stack import StackOutputs

ALIAS = "live"
"""The function's alias that the REST API calls."""

_PUBLISH_MINUTES = 5


def live_image(function: str) -> str:
    """Return the image, by digest, of the version that answers now."""
    with aws_errors():
        live = client("lambda").get_function(FunctionName=function, Qualifier=ALIAS)
    return str(live["Code"]["ImageUri"])


def release(outputs: StackOutputs, image: str, poll_seconds: float = POLL_SECONDS) -> str:
    """Make an image the one that answers; return its version.

    Args:
        outputs: The stack's.
        image: The image by digest, REPOSITORY@sha256:...
        poll_seconds: Seconds between two looks while Lambda takes the image.

    Raises:
        DeployError: The image is not named by digest, or the new version does not predict; the
            message says which one answers. Or it answers, but the registry would not mark it.
    """
    if "@sha256:" not in image:
        raise DeployError(
            f"{image!r} is not an image by digest (REPOSITORY@sha256:...); a tag may move"
        )

    function = outputs.require_function()
    version = _publish(function, image, poll_seconds)
    alias = _read_alias(function)
    if alias.version == version:
        # It is live already: there is nothing to move, but it should answer.
        rest_api.smoke_test(outputs)
    elif live_image(function) == image:
        # Other settings only: a rollback is to leave this image, so it goes where it went before.
        _switch(outputs, version, alias, alias.description)
    else:
        _switch(outputs, version, alias, f"previous version {alias.version}")

    # Only now: images that fail must not use up the places of those that can be rolled back to.
    mark_released(image)
    return version


def rollback(outputs: StackOutputs, to: str | None = None) -> str:
    """Move the alias back; return the version that answers now.

    Args:
        outputs: The stack's.
        to: The version to go to. If not given, the one that answered before the present image; a
            second rollback thus returns.

    Raises:
        DeployError: There is no other version, or it does not predict; the message says which one
            answers.
    """
    alias = _read_alias(outputs.require_function())
    version = to or alias.previous_version
    if version is None:
        raise DeployError(
            f"no other image answered before version {alias.version}: nothing to go back to"
        )
    if version == alias.version:
        raise DeployError(f"version {version} is the one that answers already")

    _switch(outputs, version, alias, f"previous version {alias.version}")
    return version


@dataclass(frozen=True)
class _Alias:
    """The alias as it was read."""

    version: str

    description: str
    """Names the version that a rollback goes to: "previous version 3"; empty at first."""

    revision: str
    """Changes with every change of the alias."""

    @property
    def previous_version(self) -> str | None:
        match = re.search(r"previous version (\d+)", self.description)
        return match.group(1) if match else None


def _read_alias(function: str) -> _Alias:
    with aws_errors():
        alias = client("lambda").get_alias(FunctionName=function, Name=ALIAS)
    return _Alias(alias["FunctionVersion"], alias.get("Description", ""), alias["RevisionId"])


def _publish(function: str, image: str, poll_seconds: float) -> str:
    """Publish an image with the function's present settings; return its version.

    The same image with the same settings again is the same version.
    """
    functions = client("lambda")
    config = waiter_config(_PUBLISH_MINUTES, poll_seconds)

    with aws_errors():
        # Lambda pulls and prepares an image, which takes time: only where it is another one.
        current = functions.get_function(FunctionName=function)
        code_sha256 = current["Configuration"]["CodeSha256"]
        if current["Code"]["ImageUri"] != image:
            updated = functions.update_function_code(FunctionName=function, ImageUri=image)
            code_sha256 = updated["CodeSha256"]
        waiter = functions.get_waiter("function_updated_v2")
        waiter.wait(FunctionName=function, WaiterConfig=config)

        # Lambda refuses if another release has put its own image there meanwhile.
        published = functions.publish_version(FunctionName=function, CodeSha256=code_sha256)
        version = str(published["Version"])
        waiter = functions.get_waiter("published_version_active")
        waiter.wait(FunctionName=function, Qualifier=version, WaiterConfig=config)
    return version


def _switch(outputs: StackOutputs, version: str, before: _Alias, description: str) -> None:
    """Make a version the one that answers, with a test before and after the alias moves.

    Args:
        outputs: The stack's.
        version: The version.
        before: The alias as it is.
        description: The alias's new one.

    Raises:
        DeployError: The version does not predict; the message says which one answers.
    """
    function = outputs.require_function()
    _try_version(function, version)

    # The move is inside: Lambda may have moved the alias and its answer was lost.
    try:
        _move_alias(function, version, description, before.revision)
        rest_api.smoke_test(outputs)
    except BaseException as error:
        # Ctrl-C counts: a version that was not seen to predict must not stay live.
        live = _move_alias_back(function, version, before, error)
        if not isinstance(error, DeployError):
            raise
        raise DeployError(
            f"the switch to version {version} failed, version {live} answers: {error}"
        ) from None


def _try_version(function: str, version: str) -> None:
    """Invoke a version itself, past the alias, so that a broken one never answers a caller.

    Raises:
        DeployError: It does not predict.
    """
    payload = json.dumps({"sentence": rest_api.SMOKE_SENTENCE})
    try:
        with aws_errors():
            response = client("lambda").invoke(
                FunctionName=function, Qualifier=version, Payload=payload
            )
            body = response["Payload"].read()
        _check_invocation(response.get("FunctionError"), body)
    except DeployError as error:
        raise DeployError(
            f"version {version} does not predict, the alias stays where it is: {error}"
        ) from None


def _check_invocation(function_error: str | None, body: bytes) -> None:
    """Check what a direct invocation returned: the answer itself, or one for API Gateway."""
    # A function that raised returns its error in place of an answer.
    if function_error is not None:
        reason = json.loads(body).get("errorMessage", body)
        raise DeployError(f"{function_error}: {reason}")

    answer = json.loads(body)
    if isinstance(answer, dict) and "statusCode" in answer:
        rest_api.check_answer(answer["statusCode"], answer.get("body") or "")
    else:
        rest_api.check_answer(200, body)


def _move_alias(function: str, version: str, description: str, revision: str) -> None:
    """Move the alias, unless someone else has moved it since ``revision`` was read."""
    # Lambda refuses if the alias has another revision by now.
    with aws_errors():
        client("lambda").update_alias(
            FunctionName=function,
            Name=ALIAS,
            FunctionVersion=version,
            Description=description,
            RevisionId=revision,
        )


def _move_alias_back(function: str, version: str, before: _Alias, reason: BaseException) -> str:
    """Move the alias to where it was, if it is at ``version``; return the version that answers.

    Args:
        function: The function's name.
        version: The version that failed.
        before: The alias as it was.
        reason: Why the version failed.

    Raises:
        DeployError: The alias may still be at ``version``; the message has both errors.
    """
    try:
        alias = _read_alias(function)
        # It never moved, or another release has moved it since: that one is not ours to undo.
        if alias.version != version:
            return alias.version
        _move_alias(function, before.version, before.description, alias.revision)
    except DeployError as error:
        failure = str(reason) or type(reason).__name__
        raise DeployError(
            f"the switch to version {version} failed ({failure}) and moving the alias back failed "
            f"too ({error}): version {version} may still answer; go back with "
            f"`python -m infra.deploy rollback --to {before.version}`"
        ) from None
    return before.version
