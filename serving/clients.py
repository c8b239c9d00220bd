"""What a route takes from its client: the body, and the work for as long as the client stays."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from starlette.requests import ClientDisconnect, Request

from errors import RequestError
from serving.connections import Connection
from serving.messages import BODY_TOO_LARGE, NOT_JSON, parse_json


class Bodies:
    """Reads request bodies, and knows how much all of them hold.

    Args:
        max_bytes: What one body may have.
        max_in_flight_bytes: What all that are being read or answered may have together.
    """

    def __init__(self, max_bytes: int, max_in_flight_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_in_flight_bytes = max_in_flight_bytes
        self._in_flight_bytes = 0

    @asynccontextmanager
    async def read_json(self, request: Request) -> AsyncIterator[Any]:
        """Give the JSON of a request's body, which counts as held until the context ends.

        Raises:
            RequestError: It is not JSON, too large, or one too many. Raised as soon as it is known.
        """
        # Browsers send other types to a foreign service without asking it first.
        content_type = request.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise RequestError(415, "unsupported_media_type", NOT_JSON)

        # Zeros in front are allowed, and Python makes no number of thousands of them.
        declared = request.headers.get("content-length", "").lstrip("0")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise self._too_large()

        held_bytes = 0
        try:
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                held_bytes += len(chunk)
                self._in_flight_bytes += len(chunk)

                if held_bytes > self._max_bytes:
                    raise self._too_large()
                if self._in_flight_bytes > self._max_in_flight_bytes:
                    message = "too much is being sent at one time: try again later"
                    raise RequestError(503, "overloaded", message, {"retry-after": "1"})

            # The strings in it need as much memory again: not both for as long as the model runs.
            content = parse_json(body)
            del body
            yield content
        finally:
            self._in_flight_bytes -= held_bytes

    def _too_large(self) -> RequestError:
        return RequestError(413, "body_too_large", BODY_TOO_LARGE.format(self._max_bytes))


@contextmanager
def cancelled_if_client_leaves(request: Request) -> Iterator[None]:
    """Cancel what is awaited in this context when the client closes its connection.

    Raises:
        ClientDisconnect: It has.
    """
    connection: Connection | None = request.scope.get("connection")
    task = asyncio.current_task()
    if connection is None or task is None:
        yield
        return

    if connection.is_lost:
        raise ClientDisconnect
    connection.on_lost = task.cancel
    try:
        yield
    except asyncio.CancelledError:
        raise ClientDisconnect from None
    finally:
        connection.on_lost = None
