"""Clients of AWS, and AWS's errors as one line each.

Credentials, region and endpoint come from where every AWS tool takes them: ``aws configure``,
``aws sso login``, AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from errors import DeployError

POLL_SECONDS = 2.0
"""Seconds between two looks at something that AWS is making or changing."""

_LOGIN = "sign in with `aws sso login` or set AWS_PROFILE"
_CHANGE_ROLE = "use a role that may do this: AWS_PROFILE=..."
_HINTS = {
    "ExpiredToken": _LOGIN,
    "ExpiredTokenException": _LOGIN,
    "InvalidClientTokenId": _LOGIN,
    "UnrecognizedClientException": _LOGIN,
    "AccessDenied": _CHANGE_ROLE,
    "AccessDeniedException": _CHANGE_ROLE,
}


def client(service: str) -> Any:
    """Return a boto3 client that gives up on a dead connection within seconds.

    Args:
        service: AWS's name of the service, such as ``lambda``.

    Raises:
        DeployError: No region is configured.
    """
    # The default is to wait a minute for a connection, several times over.
    config = Config(
        connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}
    )

    # boto3 itself reads AWS_DEFAULT_REGION only; None leaves it that, or the profile's region.
    region = os.environ.get("AWS_REGION") or None
    with aws_errors():
        return boto3.client(service, region_name=region, config=config)


@contextmanager
def aws_errors() -> Iterator[None]:
    """Turn whatever AWS or its client raises inside the block into an error of one line.

    Raises:
        DeployError: The block failed; ``code`` is AWS's own name of the error, if it sent one.
    """
    # Raised `from None`: the message says what to do, and AWS's stack trace would only hide it.
    try:
        yield
    except NoCredentialsError:
        raise DeployError(f"no AWS credentials: {_LOGIN}") from None
    except NoRegionError:
        message = "no AWS region: set AWS_REGION, for example AWS_REGION=eu-west-1"
        raise DeployError(message) from None
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]

        # AWS says what it refuses, rarely what to do about it.
        hint = f" ({_HINTS[code]})" if code in _HINTS else ""
        raise DeployError(f"{error.operation_name}: {message}{hint}", code) from None
    except BotoCoreError as error:
        raise DeployError(str(error)) from None


def waiter_config(minutes: float, poll_seconds: float) -> dict[str, float]:
    """Return the ``WaiterConfig`` of a boto3 waiter.

    Args:
        minutes: How long to wait at most.
        poll_seconds: Seconds between two looks.
    """
    return {"Delay": poll_seconds, "MaxAttempts": math.ceil(60 * minutes / poll_seconds)}
