"""What one of several workers is given: its number, its socket, its pipe, and what all can see."""

import mmap
import socket
from dataclasses import dataclass

from errors import ConfigError

BACKLOG = 2048


class Board:
    """Numbers that all processes see, in memory that they share across a fork.

    Args:
        workers: How many workers there are.
    """

    def __init__(self, workers: int) -> None:
        memory = mmap.mmap(-1, 8 * (2 * workers + 2))
        numbers = memoryview(memory).cast("Q")

        self.waiting = numbers[:workers]
        """Sentences that wait, by worker."""

        self.is_ready = numbers[workers : 2 * workers]
        """1 for each worker that has come up."""

        self._totals = numbers[2 * workers :]

    @property
    def lines_lost(self) -> int:
        """Log lines that the supervisor could not write."""
        return self._totals[0]

    @lines_lost.setter
    def lines_lost(self, count: int) -> None:
        self._totals[0] = count

    @property
    def restarts(self) -> int:
        """Workers that had to be replaced."""
        return self._totals[1]

    @restarts.setter
    def restarts(self, count: int) -> None:
        self._totals[1] = count


@dataclass(frozen=True)
class Place:
    """What a worker is given."""

    number: int
    """0 for the first one."""

    listener: socket.socket
    """Its own listening socket."""

    log_descriptor: int
    """The end of the pipe that its log lines go into."""

    board: Board


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Open several listening sockets on one address.

    Raises:
        ConfigError: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listeners = []
    try:
        for _ in range(count):
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
            listeners.append(listener)

            # Port 0: the others take the one that the first was given.
            port = listener.getsockname()[1]
    except OSError as error:
        raise ConfigError(f"{host}:{port} cannot be listened on: {error.strerror}") from None
    return listeners
