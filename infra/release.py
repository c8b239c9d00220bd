"""Releases: every image is a published version of the function, the alias ``live`` picks one.

A release publishes a version, tries it before anyone else can, moves the alias, asks the REST API,
and moves the alias back if the answer is not a prediction. A rollback moves the alias to the
version that answered before the present image.
"""

import re
from dataclasses import dataclass

from errors import DeployError
from infra import rest_api
from infra.aws import POLL_SECONDS, aws_errors, client
from infra.image import mark_released
from infra.stack import StackOutputs
from infra.versions import publish, try_version

ALIAS = "live"
"""The function's alias that the REST API calls."""


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
        poll_seconds: Seconds between two looks while the function takes the image.

    Raises:
        DeployError: The image is not named by digest, or the new version does not predict; the
            message says which one answers. Or it answers, but the registry would not mark it.
    """
    if "@sha256:" not in image:
        raise DeployError(
            f"{image!r} is not an image by digest (REPOSITORY@sha256:...); a tag may move"
        )

    function = outputs.require_function()
    version = publish(function, image, poll_seconds)
    alias = _read_alias(function)
    if alias.version == version:
        # It is live already: there is nothing to move, but it should answer.
        try_version(function, version)
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
    try_version(function, version)

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
