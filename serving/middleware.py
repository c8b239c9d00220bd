"""What every HTTP request passes on its way in and out: id, API key, time, headers, last catch.

A plain ASGI class: Starlette's base class for middleware costs more than the rest of a route.
"""

import logging
import re
import time
from collections.abc import Set

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import RequestError
from serving.messages import NOT_FOUND, UNAUTHORIZED, choose_request_id, knows_key
from serving.refusals import Refusal, answer_error
from serving.service import Service
from serving.settings import Settings

# Paths that need the API key, and that pages of other sites may not ask for: predictions, and what
# /model tells of the code behind them.
PROTECTED = ("/predict", "/explain", "/model")

# Paths that may be called by any host name, since probes and Prometheus use IP addresses. DNS
# rebinding shows a page only counts and the model's name and version there.
BY_ANY_NAME = ("/health", "/ready", "/metrics")

# Default security headers; a route's own replace them, such as the policies of the pages.
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}

# Values of Sec-Fetch-Site for a request that a page of another site has the browser make. That page
# could not read the answer; but what is predicted is logged, and the drift check reads the log.
FOREIGN_SITES = (b"cross-site", b"same-site")

CROSS_SITE = "a page of another site may not have this asked: call the service from a program"
INVALID_HOST = "the service is not known by this name: call it by one of ALLOWED_HOSTS"
PORT = re.compile(r":\d+$")

logger = logging.getLogger("uvicorn.error")


class RequestMiddleware:
    """The outermost layer of the application.

    Puts ``request_id`` and ``started`` (``time.perf_counter()``) into the scope; whoever answers
    with an error puts a ``Refusal`` in as ``refusal``. Reports the end of each request to the
    service; a status of 0 means that the client left before the answer.

    Args:
        app: What answers the requests.
        service: What is told about their ends.
        settings: The API key and the names that clients may call the service by.
        paths: The paths that exist; any other is reported as ``other``.
    """

    def __init__(self, app: ASGIApp, service: Service, settings: Settings, paths: Set[str]) -> None:
        self._app = app
        self.service = service
        self._key = settings.api_key
        self._hosts = settings.hosts
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and its answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        # A GET whose body the server leaves out, as it does for the method in its own scope.
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}

        started = scope["started"] = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        proposed_id = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = scope["request_id"] = choose_request_id(proposed_id)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

                # A dictionary, so that a route's header replaces ours. It would drop repeated
                # headers; no answer has any.
                own = {**HEADERS, **dict(message["headers"])}
                message["headers"] = [*own.items(), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            if error := self._refuse(scope["path"], headers):
                await answer_error(scope, error)(scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)

        except ClientDisconnect:
            # In the middle of its request: there is nobody to answer.
            pass

        except Exception:
            # Nothing may end without an answer, and nobody outside may see the stack trace.
            logger.exception("request %s failed", request_id)
            if not status:
                hint = f"the server failed on this request; its log says why under {request_id}"
                error = RequestError(500, "internal", hint)
                await answer_error(scope, error)(scope, receive, send_with_headers)

        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _refuse(self, path: str, headers: dict[bytes, bytes]) -> RequestError | None:
        """Return why a request is not passed on, if it is not."""
        # Starlette would answer it like the path without the line feed, which is the one that is
        # protected.
        if path.endswith("\n"):
            return RequestError(404, "not_found", NOT_FOUND)

        if self._hosts and path not in BY_ANY_NAME:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            if PORT.sub("", host) not in self._hosts:
                return RequestError(400, "invalid_host", INVALID_HOST)

        if path in PROTECTED and headers.get(b"sec-fetch-site") in FOREIGN_SITES:
            return RequestError(403, "cross_site", CROSS_SITE)

        if self._key and path in PROTECTED:
            decoded = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()
            }
            if not knows_key(decoded, self._key):
                header = {"www-authenticate": "Bearer"}
                return RequestError(401, "unauthorized", UNAUTHORIZED, header)

        return None

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._paths else "other"
        self.service.record_request(route, status, seconds)

        refusal: Refusal | None = scope.get("refusal")
        if refusal:
            self.service.record_refusal(
                refusal.status, refusal.code, refusal.message, scope["request_id"]
            )
