"""The one way this package speaks HTTP to Elasticsearch and Kibana.

This is a thin JSON client and not the official one, because the official 9.x client refuses every
server that is not Elastic's own, Amazon's Elasticsearch 7.10 domain included. It needs the
standard library only.

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

import ipaddress
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from errors import ElasticError
from monitoring.signers import Sign, choose_signer

JsonObject = dict[str, Any]
"""A JSON object in another program's format: Elasticsearch's, Kibana's, AWS's or a log line's."""

MAX_REASON_LENGTH = 500
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

        # What goes to a near host, credentials over http included, is no proxy's to see.
        is_near = _is_near(urllib.parse.urlsplit(url).hostname or "")
        proxies = urllib.request.ProxyHandler({} if is_near else None)

        # Redirects are not followed: one would carry the credentials to wherever it points.
        self._open = urllib.request.build_opener(_NoRedirect, proxies).open

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
                be reached, or did not answer with JSON (``status`` is 0), or its credentials
                cannot be sent (401).
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

            # http.client refuses a line break too, with an error that quotes the credentials.
            if any("\n" in value or "\r" in value for value in headers.values()):
                message = "the credentials hold a line break: take it out of the key or token"
                raise ElasticError(f"{method} {url}: {message}", 401)

        # That the scheme is http or https was checked when this object was made.
        request = urllib.request.Request(url, data or None, headers, method=method)  # noqa: S310
        try:
            with self._open(request, timeout=timeout) as response:
                answer = response.read()
            return json.loads(answer) if answer else {}

        except urllib.error.HTTPError as error:
            message = f"{method} {url}: HTTP {error.code}: {_reason_of(error)}"
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
            f"{url!r} is not an http(s) URL: give one in full, e.g. http://127.0.0.1:9200"
        )

    if has_credentials and parts.scheme == "http" and not _is_near(host):
        raise ElasticError(f"{url} would take the credentials unencrypted: use https")


def _is_near(host: str) -> bool:
    """Return whether a host is this machine, or has a name without a domain."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A handler that lets a redirect fail as the 3xx answer it is."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _reason_of(error: urllib.error.HTTPError) -> str:
    """Return why the server refused a request, as far as its answer arrives."""
    try:
        # A proxy may answer with a page of HTML: its beginning is enough.
        with error:
            return _reason(error.read(2000).decode("utf-8", "replace"))
    except (OSError, HTTPException) as broken:
        return f"no reason arrived ({broken})"


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
        return str(reason)[:MAX_REASON_LENGTH]

    except (ValueError, KeyError, AttributeError):
        # Not JSON, or in nobody's form.
        return answer[:MAX_REASON_LENGTH].strip() or "no reason given"
