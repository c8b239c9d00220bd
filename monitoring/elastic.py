"""The one way this package speaks HTTP to Elasticsearch and Kibana.

This is a thin JSON client and not the official one, because the official 9.x client refuses every
server that is not Elastic's own, Amazon's Elasticsearch 7.10 domain included. It needs the
standard library only; botocore is imported only to sign requests to an Amazon domain or to read
Secrets Manager.

``Elastic.from_environment`` reads:

    ELASTICSEARCH_URL         https://host:9200, or an Amazon domain's endpoint
    ELASTICSEARCH_API_KEY     the base64 key that Elasticsearch shows as ``encoded``, or
    ELASTICSEARCH_USERNAME, ELASTICSEARCH_PASSWORD, or
    ELASTICSEARCH_SECRET_ARN  a Secrets Manager secret: JSON with ``api_key``, or with ``username``
                              and ``password``

With none of these credentials, requests to an Amazon domain are signed (SigV4) with the caller's
AWS credentials, and requests to another server carry none. Credentials go over https only, except
to this machine and to hosts of the local network that have no domain (compose's services).
"""

import base64
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from errors import ElasticError

JsonObject = dict[str, Any]
"""A JSON object in another program's format: Elasticsearch's, Kibana's, AWS's or a log line's."""

Sign = Callable[[str, str, bytes], dict[str, str]]
"""Takes a request's method, URL and body; returns the headers that authenticate it."""

AMAZON_DOMAIN = re.compile(
    r"\.([a-z0-9-]+)\.es\.amazonaws\.com(\.cn)?$|\.aos\.([a-z0-9-]+)\.on\.aws$"
)
"""The end of an Amazon domain's host name, of the older and of the newer kind; its region is in
group 1 or 3."""

LONGEST_REASON = 500
"""Characters of a server's error answer that an error message quotes."""


class Elastic:
    """A server by its URL and a way to authenticate; it may be Elasticsearch or Kibana.

    Attributes:
        url: The server's URL without a slash at its end.
        headers: Headers that every request carries.
    """

    def __init__(
        self, url: str, sign: Sign | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        _check_url(url, has_credentials=sign is not None)

        self.url = url.rstrip("/")
        self.headers = dict(headers or {})
        self._sign = sign

        # Redirects are not followed: one would carry the credentials to wherever it points.
        self._open = urllib.request.build_opener(_NoRedirect).open

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Elastic":
        """Return the server that the environment names (see the module's docstring).

        Raises:
            ElasticError: There is no usable URL, or the secret has the wrong form.
        """
        url = environment.get("ELASTICSEARCH_URL", "")
        if not url:
            raise ElasticError("no server: set ELASTICSEARCH_URL, e.g. http://127.0.0.1:9200")

        _check_url(url, has_credentials=False)
        return cls(url, choose_signer(url, environment))

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout: float = 30.0,
        content_type: str = "application/json",
    ) -> Any:
        """Send a request and return the decoded JSON answer, ``{}`` if the answer is empty.

        Args:
            method: The HTTP method.
            path: What follows the server's URL, with its query string.
            body: Bytes are sent as they are, anything else as JSON.
            timeout: Seconds that the server may take for each step of the answer.
            content_type: What ``body`` is.

        Raises:
            ElasticError: The server refused the request (``status`` is the HTTP status), could not
                be reached, or did not answer with JSON (``status`` is 0).
        """
        if isinstance(body, bytes):
            data = body
        else:
            data = b"" if body is None else json.dumps(body).encode()

        url = self.url + path
        headers = {**self.headers, "Accept": "application/json"}
        if data:
            headers["Content-Type"] = content_type

        # A signature covers the method, the URL and the body, so it is made for each request.
        if self._sign is not None:
            headers.update(self._sign(method, url, data))

        # That the scheme is http or https was checked when this object was made.
        request = urllib.request.Request(url, data or None, headers, method=method)  # noqa: S310
        try:
            with self._open(request, timeout=timeout) as response:
                answer = response.read()
            return json.loads(answer) if answer else {}

        except urllib.error.HTTPError as error:
            # A proxy may answer with a page of HTML: its beginning is enough.
            reason = _reason(error.read(2000).decode("utf-8", "replace"))
            message = f"{method} {url}: HTTP {error.code}: {reason}"
            raise ElasticError(message, error.code) from None

        except (OSError, HTTPException, ValueError) as error:
            message = f"{method} {url}: no usable answer ({error}): is the server up?"
            raise ElasticError(message) from None


def _check_url(url: str, *, has_credentials: bool) -> None:
    """Check that a URL can be used, and printed, without giving away credentials.

    Raises:
        ElasticError: It cannot; the message never holds a password.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urllib.parse.urlsplit(""), ""

    # The URL is a part of every error message, and what stands before an @ is for nobody's eyes.
    if "@" in url:
        raise ElasticError(
            "a URL must not hold credentials: take them out of ELASTICSEARCH_URL (or KIBANA_URL) "
            "and set ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD"
        )

    if parts.scheme not in ("http", "https") or not host:
        raise ElasticError(
            f"{url!r} is not an http(s) URL: set ELASTICSEARCH_URL, e.g. http://127.0.0.1:9200"
        )

    is_near = host == "::1" or host.startswith("127.") or "." not in host
    if has_credentials and parts.scheme == "http" and not is_near:
        raise ElasticError(f"{url} would take the credentials unencrypted: use https")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A handler that lets a redirect fail as the 3xx answer it is."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _reason(answer: str) -> str:
    """Return the part of an error answer that a person needs.

    Elasticsearch says it in ``error.reason``, Kibana in ``message``.
    """
    try:
        body = json.loads(answer)
        error = body.get("error")

        if isinstance(error, dict):
            reason = error["reason"]
        else:
            reason = body.get("message") or error or answer
        return str(reason)[:LONGEST_REASON]

    except (ValueError, KeyError, AttributeError):
        # Not JSON, or in nobody's form.
        return answer[:LONGEST_REASON].strip() or "no reason given"


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
        ElasticError: There are no AWS credentials.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    credentials = Session().get_credentials()
    if credentials is None:
        raise ElasticError("no AWS credentials to sign with: set AWS_PROFILE or AWS_ACCESS_KEY_ID")

    def sign(method: str, url: str, body: bytes) -> dict[str, str]:
        # A role's credentials are replaced every few hours: freeze those of this moment.
        request = AWSRequest(method=method, url=url, data=body)
        SigV4Auth(credentials.get_frozen_credentials(), "es", region).add_auth(request)
        return dict(request.headers.items())

    return sign


def choose_signer(url: str, environment: Mapping[str, str]) -> Sign | None:
    """Return the signer for a server, None if its requests carry no credentials.

    Args:
        url: The server's URL; an Amazon domain is recognised by it.
        environment: The credentials, see the module's docstring.

    Raises:
        ElasticError: The secret has the wrong form, or there is nothing to sign with.
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
    """Return a secret's values under the names of the environment variables they stand for."""
    from botocore.session import Session

    # The secret may be in another region: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME
    region = arn.split(":")[3] if arn.count(":") >= 3 else None
    client = Session().create_client("secretsmanager", region_name=region)
    answer = client.get_secret_value(SecretId=arn)

    try:
        secret = json.loads(answer["SecretString"])
        return {f"ELASTICSEARCH_{name.upper()}": str(value) for name, value in secret.items()}
    except (KeyError, ValueError, AttributeError) as error:
        raise ElasticError(
            "ELASTICSEARCH_SECRET_ARN: the secret must be JSON, "
            '{"api_key"} or {"username", "password"}'
        ) from error
