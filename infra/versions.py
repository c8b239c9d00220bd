"""Published versions of the function: made of an image, and tried before anyone else calls them."""

import contextlib
import json

from botocore.exceptions import WaiterError

from errors import DeployError
from infra import rest_api
from infra.aws import POLL_SECONDS, aws_errors, client, waiter_config

# How long Lambda may pull and prepare an image.
_PREPARE_MINUTES = 5


def publish(function: str, image: str, poll_seconds: float) -> str:
    """Publish an image with the function's present settings; return its version.

    The same image with the same settings again is the same version.

    Raises:
        DeployError: Lambda cannot use the image, or another release has put its own there.
    """
    functions = client("lambda")
    with aws_errors():
        # Taking an image needs time: only one that is not there yet, or that it failed to take.
        current = functions.get_function(FunctionName=function)
        settings = current["Configuration"]
        code_sha256 = settings["CodeSha256"]
        if current["Code"]["ImageUri"] != image or settings.get("LastUpdateStatus") == "Failed":
            updated = functions.update_function_code(FunctionName=function, ImageUri=image)
            code_sha256 = updated["CodeSha256"]
        _wait("function_updated_v2", poll_seconds, FunctionName=function)

        # Lambda refuses if another release has put its own image there meanwhile.
        published = functions.publish_version(FunctionName=function, CodeSha256=code_sha256)
    return str(published["Version"])


def try_version(function: str, version: str) -> None:
    """Invoke a version itself, past the alias, so that a broken one never answers a caller.

    Raises:
        DeployError: It does not predict.
    """
    try:
        _make_ready(function, version)
        function_error, body = _invoke(function, version)
        _check_invocation(function_error, body)
    except DeployError as error:
        raise DeployError(
            f"version {version} does not predict, the alias stays where it is: {error}"
        ) from None


def _make_ready(function: str, version: str) -> None:
    """Return once Lambda has prepared a version.

    It does so after the version was published. Of one that nobody calls for weeks, such as the one
    that a rollback goes to, it drops what it prepared, refuses the next call, and begins again.
    """
    which = {"FunctionName": function, "Qualifier": version}
    with aws_errors():
        state = client("lambda").get_function_configuration(**which)["State"]

    if state == "Inactive":
        # The call that is refused.
        with contextlib.suppress(DeployError):
            _invoke(function, version)
    _wait("published_version_active", POLL_SECONDS, **which)


def _invoke(function: str, version: str) -> tuple[str | None, bytes]:
    """Ask a version for a prediction; return the kind of error, if it raised one, and the body."""
    payload = json.dumps({"sentence": rest_api.SMOKE_SENTENCE})
    with aws_errors():
        response = client("lambda").invoke(
            FunctionName=function, Qualifier=version, Payload=payload
        )
        return response.get("FunctionError"), response["Payload"].read()


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


def _wait(waiter: str, poll_seconds: float, **which: str) -> None:
    """Wait until Lambda has prepared an image.

    Args:
        waiter: boto3's name for what is waited for.
        poll_seconds: Seconds between two looks.
        which: The function, and maybe the version.

    Raises:
        DeployError: Lambda cannot prepare it; the message is Lambda's reason, if it gave one.
    """
    config = waiter_config(_PREPARE_MINUTES, poll_seconds)
    with aws_errors():
        try:
            client("lambda").get_waiter(waiter).wait(**which, WaiterConfig=config)
        except WaiterError as error:
            # The waiter itself tells the state alone. It reads the settings, or what holds them.
            settings = error.last_response.get("Configuration", error.last_response)
            reason = settings.get("LastUpdateStatusReason") or settings.get("StateReason")
            raise DeployError(f"Lambda cannot use the image: {reason or error}") from None
