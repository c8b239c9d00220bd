"""Clients of AWS, and AWS's errors as one line each.

Credentials, region and endpoint come from where every AWS tool takes them: `aws configure`, `aws sso login`,
AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    WaiterError,
)

from errors import ColaError

_LOGIN = "sign in with `aws sso login` or set AWS_PROFILE"
_HINTS = {
    "ExpiredToken": _LOGIN,
    "ExpiredTokenException": _LOGIN,
    "InvalidClientTokenId": _LOGIN,
    "UnrecognizedClientException": _LOGIN,
    "AccessDenied": "use a role that may do this: AWS_PROFILE=...",
    "AccessDeniedException": "use a role that may do this: AWS_PROFILE=...",
}


class DeployError(ColaError):
    """Something on AWS is not as the command needs it; the message says what mends it.

    ``code`` is AWS's own name of the error, where AWS raised it.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(" ".join(message.split()))
        self.code = code


def client(service: str) -> Any:
    """Return a client of ``service`` that gives up on a dead connection within seconds."""
    settings = Config(
        connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}
    )
    with one_line_errors():
        return boto3.client(service, config=settings)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn whatever AWS or its client raises into a DeployError of one line."""
    try:
        yield
    except NoCredentialsError:
        raise DeployError(f"no AWS credentials: {_LOGIN}") from None
    except NoRegionError:
        raise DeployError(
            "no AWS region: set AWS_REGION, for example AWS_REGION=eu-west-1"
        ) from None
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        hint = f" ({_HINTS[code]})" if code in _HINTS else ""
        raise DeployError(f"{error.operation_name}: {message}{hint}", code) from None
    except (BotoCoreError, WaiterError) as error:
        raise DeployError(str(error)) from None
