"""What tests of servers need: a free port, and waiting until something has happened."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(check: Callable[[], T], seconds: float = 10.0, pause: float = 0.01) -> T:
    """Return what ``check`` returns once that is true; fail the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds:.0f} s: {result!r}"
        time.sleep(pause)

    return result


async def wait_until_async(check: Callable[[], object], seconds: float = 10.0) -> None:
    """Return once ``check`` returns something true, leaving the event loop to others meanwhile."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"it did not happen within {seconds:.0f} s"
        await asyncio.sleep(0.001)
