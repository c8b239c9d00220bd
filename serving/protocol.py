"""uvicorn's HTTP protocol with limits on what a client may send, and for how long.

uvicorn and httptools themselves limit neither the bytes nor the number of headers, nor the time
that a request takes to arrive. The limits here are checked on the raw bytes, before anything is
parsed or authenticated. A request that breaks one is answered in the project's error form and its
connection is closed.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from serving.connections import Connection, Limits
from serving.messages import error_body
from serving.upgrades import UpgradeIgnoringProtocol

HEAD = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
INVALID = (400, "invalid_http", "the request is not valid HTTP")


class _RefusedError(Exception):
    """Raised inside the parser's callbacks, which ends the parsing. Its arguments: the answer."""


class BoundedProtocol(UpgradeIgnoringProtocol):
    """One connection.

    ::

        connected -> head -> body -> complete -> head (the next request) ...

    ``_deadline`` limits how long a request takes to arrive; it runs in ``head`` and ``body``, and
    in ``complete`` once bytes have come that begin no request. A request that arrives whole in one
    piece, as nearly all do, never starts it. ``_write_deadline`` limits how long an answer stays
    unread; it runs while the client is behind, and from the end of a connection.

    Attributes:
        limits: What the client may take up.
        record: Told the status of every request that is refused here.
    """

    limits = Limits()
    record: Callable[[int], None] = staticmethod(lambda status: None)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._connection = Connection()
        self._answered: RequestResponseCycle | None = None
        self._in_body = False
        self._is_complete = False
        self._raw_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse one connection too many; else wait for the first request, but not for ever."""
        super().connection_made(transport)

        if len(self.connections) > self.limits.max_connections:
            self._refuse(503, "overloaded", "too many connections: try again later")
        else:
            self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers, and the work for whoever has left."""
        super().connection_lost(exc)

        # uvicorn tells the request that has come last, behind which this one may be.
        if self._answered is not None:
            self._answered.disconnected = True
        self._connection.is_lost = True
        if self._connection.on_lost is not None:
            self._connection.on_lost()

        self._stop_deadline()
        self._stop_write_deadline()

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as the limits allow."""
        while data and not self.transport.is_closing():
            room = self._raw_limit() - self._raw_bytes
            if room <= 0:
                self._refuse_size()
                return

            part, data = data[:room], data[room:]
            self._raw_bytes += len(part)
            try:
                self.parse(part)
            except HttpParserError as error:
                # What a callback has raised is the context of the parser's own error.
                cause = error.__context__
                self._refuse(*(cause.args if isinstance(cause, _RefusedError) else INVALID))

        # Bytes behind an answer that begin no request (a line break, the rest of a refused body)
        # have ended uvicorn's timer: ours goes on.
        is_answering = self._is_complete and not self.cycle.response_complete
        if is_answering or self.transport.is_closing():
            self._stop_deadline()
        elif self._deadline is None:
            self._start_deadline()

    def on_message_begin(self) -> None:
        """Begin with a request's headers."""
        super().on_message_begin()
        self.scope["connection"] = self._connection  # type: ignore[typeddict-unknown-key]
        self._in_body = self._is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, unless there are too many."""
        if len(self.headers) >= self.limits.max_headers:
            message = "the request has too many headers: send fewer"
            raise _RefusedError(431, "headers_too_large", message)

        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Go on to the body, on a timer and a count of its own."""
        if len(self.pipeline) >= self.limits.max_pipelined:
            message = "wait for answers before you send more"
            raise _RefusedError(429, "too_many_requests", message)

        super().on_headers_complete()
        self._in_body = True
        self._raw_bytes = 0
        self._stop_deadline()

    def on_message_complete(self) -> None:
        """Mark the request as arrived."""
        super().on_message_complete()
        self._in_body, self._is_complete = False, True
        self._raw_bytes = 0

    def on_response_complete(self) -> None:
        """Go on to the next request, or wait for the client to read the last answer."""
        was_paused = self.flow.read_paused
        super().on_response_complete()

        if self.transport.is_closing():
            self._start_write_deadline()
        elif was_paused and self._deadline is not None:
            # What has arrived of the next request is read only now: its client has all its time.
            self._stop_deadline()
            self._start_deadline()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is not used any more."""
        self._close()

    def pause_writing(self) -> None:
        """Wait for a client that does not read its answer, but not for ever."""
        super().pause_writing()
        self._start_write_deadline()

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self._stop_write_deadline()

        # What is left in the buffer may stay there.
        if self.transport.is_closing():
            self._start_write_deadline()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _raw_limit(self) -> int:
        """Return how many raw bytes the current part of the request may have."""
        if not self._in_body:
            return self.limits.max_head_bytes
        return 2 * self.limits.max_body_bytes + self.limits.max_head_bytes

    def _refuse_size(self) -> None:
        if not self._in_body:
            self._refuse(431, "headers_too_large", "the headers are too large: send less")
        else:
            limit = self.limits.max_body_bytes
            self._refuse(413, "body_too_large", f"the body is larger than {limit} bytes: send less")

    def _time_out(self) -> None:
        # Nothing is read behind a request that is still being answered: not the client's delay.
        if self.flow.read_paused:
            self._start_deadline()
            return

        # Browsers connect in advance: an answer to no request would confuse them.
        if self._is_complete or (not self._in_body and self._raw_bytes == 0):
            self._close()
            return

        part = "body" if self._in_body else "headers"
        message = f"the request's {part} took too long to arrive: send it again"
        self._refuse(408, "timeout", message)

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Count, answer where an answer has a place, and close."""
        self.record(status)
        self._stop_deadline()

        if self._may_answer() and not self.transport.is_closing():
            body = error_body(code, message)
            head = HEAD % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)

        self._close()

    def _close(self) -> None:
        """Close once the client has read everything, but do not wait for that for ever."""
        self.transport.close()
        self._start_write_deadline()

    def _may_answer(self) -> bool:
        """Return whether the connection's next bytes would answer the refused request."""
        if self.cycle is None:
            return True
        if not self._in_body:
            return bool(self.cycle.response_complete)
        return not self.cycle.response_started and not self.pipeline

    def _start_deadline(self) -> None:
        seconds = self.limits.body_seconds if self._in_body else self.limits.head_seconds
        self._deadline = self.loop.call_later(seconds, self._time_out)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _start_write_deadline(self) -> None:
        if self._write_deadline is None:
            write_seconds = self.limits.write_seconds
            self._write_deadline = self.loop.call_later(write_seconds, self.transport.abort)

    def _stop_write_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None


def bounded_by(
    limits: Limits, record: Callable[[int], None] = BoundedProtocol.record
) -> type[BoundedProtocol]:
    """Return the protocol as uvicorn's option ``http`` takes it; see its attributes."""
    attributes = {"limits": limits, "record": staticmethod(record)}
    return type("BoundedProtocol", (BoundedProtocol,), attributes)
