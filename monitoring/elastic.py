"""The one way this package speaks HTTP to Elasticsearch and Kibana.

A thin JSON client instead of the official one, because the official 9.x client refuses every server that
is not Elastic's own, Amazon's Elasticsearch 7.10 domain included. Standard library only; botocore is
imported only to sign for an Amazon domain or to read Secrets Manager.

Reads from the environment (`Elastic.from_environment`):
    ELASTICSEARCH_URL         https://host:9200, or an Amazon domain's endpoint
    ELASTICSEARCH_API_KEY     the base64 key that Elasticsearch shows as `encoded`, or
    ELASTICSEARCH_USERNAME, ELASTICSEARCH_PASSWORD, or
    ELASTICSEARCH_SECRET_ARN  a Secrets Manager secret, JSON with `api_key` or `username` and `password`;
    none of them and an Amazon domain: requests are signed (SigV4) with the caller's AWS credentials.
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

AMAZON_DOMAIN = re.compile(r"\.([a-z0-9-]+)\.es\.amazonaws\.com(\.cn)?$")
Sign = Callable[[str, str, bytes], dict[str, str]]  # (method, url, body) -> headers


class Elastic:
    """A server by its URL and a way to authenticate; the same class serves Elasticsearch and Kibana."""

    def __init__(
        self, url: str, sign: Sign | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise ElasticError(
                f"{url!r} is not an http(s) URL: set ELASTICSEARCH_URL, e.g. http://127.0.0.1:9200"
            )
        self.url = url.rstrip("/")
        self._sign = sign
        self.headers = dict(headers or {})
        # No redirects: one would carry the credentials to wherever it points.
        self._open = urllib.request.build_opener(_NoRedirect).open

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Elastic":
        """The server and credentials that the environment names (see the module's docstring)."""
        url = environment.get("ELASTICSEARCH_URL", "")
        if not url:
            raise ElasticError("no server: set ELASTICSEARCH_URL, e.g. http://127.0.0.1:9200")
        return cls(url, _signer(url, environment))

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout: float = 30.0,
        content_type: str = "application/json",
    ) -> Any:
        """Send `body` (bytes as they are, anything else as JSON) and return the decoded JSON answer.

        Raises ElasticError with the HTTP status, or with status 0 when the server could not be reached.
        """
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        url = self.url + path
        headers = {**self.headers, "Accept": "application/json"}
        if data:
            headers["Content-Type"] = content_type
        if self._sign is not None:
            headers.update(self._sign(method, url, data))
        request = urllib.request.Request(url, data or None, headers, method=method)
        try:
            with self._open(request, timeout=timeout) as response:
                answer = response.read()
            return json.loads(answer) if answer else {}
        except urllib.error.HTTPError as error:
            reason = error.read(2000).decode("utf-8", "replace")
            raise ElasticError(
                f"{method} {url}: HTTP {error.code}: {_reason(reason)}", error.code
            ) from None
        except (OSError, HTTPException, ValueError) as error:
            raise ElasticError(
                f"{method} {url}: no usable answer ({error}): is the server up?"
            ) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _reason(answer: str) -> str:
    """The part of an error answer that a person needs: Elasticsearch's `error.reason`, Kibana's `message`."""
    try:
        body = json.loads(answer)
        error = body.get("error")
        return str(
            error["reason"] if isinstance(error, dict) else body.get("message") or error or answer
        )[:500]
    except (ValueError, KeyError, AttributeError):
        return answer[:500].strip() or "no reason given"


def basic(username: str, password: str) -> Sign:
    """HTTP basic authentication."""
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return lambda method, url, body: {"Authorization": f"Basic {token}"}


def api_key(encoded: str) -> Sign:
    """Elasticsearch's API keys: `encoded` is base64 of `id:key`."""
    return lambda method, url, body: {"Authorization": f"ApiKey {encoded}"}


def sigv4(region: str) -> Sign:
    """Amazon's request signature, with the credentials that botocore finds (Lambda: the function's role)."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    credentials = Session().get_credentials()
    if credentials is None:
        raise ElasticError("no AWS credentials to sign with: set AWS_PROFILE or AWS_ACCESS_KEY_ID")

    def sign(method: str, url: str, body: bytes) -> dict[str, str]:
        request = AWSRequest(method=method, url=url, data=body)
        SigV4Auth(credentials.get_frozen_credentials(), "es", region).add_auth(request)
        return dict(request.headers.items())

    return sign


def _signer(url: str, environment: Mapping[str, str]) -> Sign | None:
    if arn := environment.get("ELASTICSEARCH_SECRET_ARN"):
        environment = {**environment, **_secret(arn)}
    if key := environment.get("ELASTICSEARCH_API_KEY"):
        return api_key(key)
    if username := environment.get("ELASTICSEARCH_USERNAME"):
        return basic(username, environment.get("ELASTICSEARCH_PASSWORD", ""))
    if domain := AMAZON_DOMAIN.search(urllib.parse.urlsplit(url).hostname or ""):
        return sigv4(domain[1])
    return None


def _secret(arn: str) -> dict[str, str]:
    from botocore.session import Session

    region = arn.split(":")[3] if arn.count(":") >= 3 else None
    answer = (
        Session().create_client("secretsmanager", region_name=region).get_secret_value(SecretId=arn)
    )
    try:
        secret = json.loads(answer["SecretString"])
        return {f"ELASTICSEARCH_{name.upper()}": str(value) for name, value in secret.items()}
    except (KeyError, ValueError, AttributeError) as error:
        raise ElasticError(
            'ELASTICSEARCH_SECRET_ARN: the secret must be JSON, {"api_key"} or {"username", "password"}'
        ) from error
