"""How requests to Elasticsearch and Kibana authenticate: a signer for each kind of credentials.

Also the clients of AWS, for credentials (Secrets Manager) and dead letters (SQS). botocore is
imported only where one of them, or a signature for an Amazon domain, is needed.
"""

import base64
import json
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from errors import ElasticError

Sign = Callable[[str, str, bytes], dict[str, str]]
"""Takes a request's method, URL and body; returns the headers that authenticate it."""

AMAZON_DOMAIN = re.compile(
    r"\.([a-z0-9-]+)\.es\.amazonaws\.com(\.cn)?$|\.aos\.([a-z0-9-]+)\.on\.aws$"
)
"""The end of an Amazon domain's host name, of the older and of the newer kind; its region is in
group 1 or 3."""


@contextmanager
def aws_errors() -> Iterator[None]:
    """Turn what AWS or its client raises inside the block into an error of one line.

    Raises:
        ElasticError: No region, no valid credentials, no right, no connection. ``status`` is 401,
            as if the server had refused the credentials: trying again does not help.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        reason = str(error).rstrip(".")
        hint = "check AWS_REGION, AWS_PROFILE and its login, and what its role may do"
        raise ElasticError(f"AWS: {reason}: {hint}", 401) from None


def aws_client(service: str, region: str | None) -> Any:
    """Return a client of an AWS service; AWS_ENDPOINT_URL says where, if not at Amazon.

    Args:
        service: AWS's name of the service, such as ``sqs``.
        region: Its region. None: the one that botocore finds.

    Raises:
        ElasticError: There is no region, or no such profile.
    """
    from botocore.config import Config
    from botocore.session import Session

    # The forwarder has a minute for everything; by default, a connection alone may take as long.
    limits = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})
    with aws_errors():
        return Session().create_client(service, region_name=region, config=limits)


def basic(username: str, password: str) -> Sign:
    """Return a signer for HTTP basic authentication."""
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return lambda method, url, body: {"Authorization": f"Basic {token}"}


def api_key(encoded: str) -> Sign:
    """Return a signer for Elasticsearch's API keys.

    Args:
        encoded: Base64 of ``id:key``, as Elasticsearch shows it.
    """
    return lambda method, url, body: {"Authorization": f"ApiKey {encoded}"}


def sigv4(region: str) -> Sign:
    """Return a signer for Amazon domains: AWS's Signature Version 4.

    It signs with the credentials that botocore finds; on Lambda these are the function's role.

    Raises:
        ElasticError: There are no AWS credentials. The signer raises it too, if they have expired.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    with aws_errors():
        credentials = Session().get_credentials()
    if credentials is None:
        raise ElasticError("no AWS credentials to sign with: set AWS_PROFILE or AWS_ACCESS_KEY_ID")

    def sign(method: str, url: str, body: bytes) -> dict[str, str]:
        # A role's credentials are replaced every few hours: freeze those of this moment.
        request = AWSRequest(method=method, url=url, data=body)
        with aws_errors():
            SigV4Auth(credentials.get_frozen_credentials(), "es", region).add_auth(request)
        return dict(request.headers.items())

    return sign


def choose_signer(url: str, environment: Mapping[str, str]) -> Sign | None:
    """Return the signer for a server, None if its requests carry no credentials.

    Args:
        url: The server's URL; an Amazon domain is recognised by it.
        environment: The credentials, see the module's docstring.

    Raises:
        ElasticError: The secret cannot be read or has the wrong form, or there is nothing to sign
            with.
    """
    if arn := environment.get("ELASTICSEARCH_SECRET_ARN"):
        environment = {**environment, **_read_secret(arn)}

    if key := environment.get("ELASTICSEARCH_API_KEY"):
        return api_key(key)
    if username := environment.get("ELASTICSEARCH_USERNAME"):
        return basic(username, environment.get("ELASTICSEARCH_PASSWORD", ""))
    if domain := AMAZON_DOMAIN.search(urllib.parse.urlsplit(url).hostname or ""):
        return sigv4(domain[1] or domain[3])
    return None


def _read_secret(arn: str) -> dict[str, str]:
    """Return a secret's values under the names of the environment variables they stand for.

    Raises:
        ElasticError: It cannot be read, or has the wrong form.
    """
    # The secret may be in another region: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME
    region = arn.split(":")[3] if arn.count(":") >= 3 else None
    client = aws_client("secretsmanager", region)
    with aws_errors():
        answer = client.get_secret_value(SecretId=arn)

    try:
        secret = json.loads(answer["SecretString"])
        names = ("api_key",) if "api_key" in secret else ("username", "password")
        return {f"ELASTICSEARCH_{name.upper()}": str(secret[name]) for name in names}
    except (KeyError, ValueError, TypeError) as error:
        raise ElasticError(
            "ELASTICSEARCH_SECRET_ARN: the secret must be JSON, "
            '{"api_key"} or {"username", "password"}'
        ) from error
