"""What every HTTP request passes on its way in and out: request id, API key, time, headers, the last catch.

A plain ASGI class: Starlette's base class for middleware costs more than the rest of a route.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import RequestError
from serving.messages import UNAUTHORIZED, error_body, knows_key, request_id

PROTECTED = ("/predict", "/explain")
HEADERS = {b"x-content-type-options": b"nosniff", b"cache-control": b"no-store"}

Endpoint = Callable[[Request], Awaitable[Response]]

logger = logging.getLogger("uvicorn.error")


class Boundary:
    """The outermost layer. ``direct`` maps (method, path) to the routes that are called often: they are called
    from here, past the machinery of FastAPI, which would cost them twice as much as all else but the model.

    Puts ``request_id`` and ``started`` (time.perf_counter) into the scope, and whoever answers with an error
    puts that in as ``error``, a RequestError. ``observe(scope, status, seconds)`` is told of the end; a status
    of 0 means that the client left before the answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        api_key: str,
        observe: Callable[[Scope, int, float], None],
        direct: Mapping[tuple[str, str], Endpoint],
    ) -> None:
        self._app = app
        self._key = api_key
        self._observe = observe
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = scope["started"] = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        identity = scope["request_id"] = request_id(
            headers.get(b"x-request-id", b"").decode("latin-1")
        )
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *({**HEADERS, **dict(message["headers"])}.items()),
                    (b"x-request-id", identity.encode()),
                ]
            await send(message)

        try:
            if (
                self._key
                and scope["path"] in PROTECTED
                and not knows_key(_text(headers), self._key)
            ):
                error = RequestError(
                    401, "unauthorized", UNAUTHORIZED, {"www-authenticate": "Bearer"}
                )
                await answer_error(scope, error)(scope, receive, send_with_headers)
            elif endpoint := self._direct.get((scope["method"], scope["path"])):
                await _call(endpoint, scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # in the middle of its request: nobody to answer
        except (
            Exception
        ):  # nothing may leave without an answer, and nobody outside may see the trace
            logger.exception("request %s failed", identity)
            if not status:
                hint = f"the server failed on this request; its log says why under {identity}"
                error = RequestError(500, "internal", hint)
                await answer_error(scope, error)(scope, receive, send_with_headers)
        finally:
            self._observe(scope, status, time.perf_counter() - started)


def answer_error(scope: Scope, error: RequestError) -> Response:
    """The answer; ``scope`` keeps the error for the log."""
    scope["error"] = error
    return Response(
        error_body(error.code, str(error)), error.status, error.headers, "application/json"
    )


async def _call(endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        response = await endpoint(Request(scope, receive))
    except RequestError as error:
        response = answer_error(scope, error)
    await response(scope, receive, send)


def _text(headers: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
