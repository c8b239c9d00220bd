"""A client's connection: what it may take up, and what the routes know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from serving.settings import Settings


@dataclass(frozen=True)
class Limits:
    """What one client may take up. Sizes in bytes, times in seconds."""

    max_connections: int = 1000
    """Open connections; one more is answered with 503."""

    max_head_bytes: int = 32 * 1024
    """Request line and headers together."""

    max_headers: int = 100
    """Number of headers, trailers included."""

    max_body_bytes: int = 2 * 1024 * 1024
    """Payload of a body. The application answers 413 for more; here the connection is cut at twice
    as many raw bytes, which leaves room for the framing of chunks."""

    max_pipelined: int = 2
    """Requests that wait on one connection while an earlier one is answered. Few, as their headers
    are held meanwhile."""

    head_seconds: float = 10.0
    """Time from the connection, or the first byte of a request, to the end of its headers."""

    body_seconds: float = 30.0
    """Time from the end of the headers to the end of the body."""

    write_seconds: float = 30.0
    """How long a client may leave an answer unread."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits of a service with these settings."""
        return cls(max_connections=settings.max_connections, max_body_bytes=settings.max_body_bytes)


class Connection:
    """What a route knows of its client: the scope's ``connection``.

    Only one request of a connection is answered at a time.
    """

    __slots__ = ("is_lost", "on_lost")

    def __init__(self) -> None:
        self.is_lost = False
        self.on_lost: Callable[[], object] | None = None
