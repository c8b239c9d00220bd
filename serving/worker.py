"""One of several workers: what it is given, how it begins, and which signals end it."""

import ctypes
import logging
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from errors import ConfigError, ModelFileError

# Signals that end a service in good order: SIGTERM, Ctrl-C, and a terminal that is closed, which is
# ignored from the start where the service runs under nohup.
END_SIGNALS = [signal.SIGTERM, signal.SIGINT]
if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
    END_SIGNALS.append(signal.SIGHUP)

# Signals that the process that starts the workers handles.
SIGNALS = (*END_SIGNALS, signal.SIGCHLD)

BACKLOG = 2048

# Bytes that are kept of a model's version.
VERSION_BYTES = 64

# The option of prctl(2) by which the kernel signals a process when its parent ends.
PR_SET_PDEATHSIG = 1

logger = logging.getLogger("uvicorn.error")


class Scoreboard:
    """Numbers that all processes see, in memory that they share across a fork.

    Args:
        workers: How many workers there are.
    """

    def __init__(self, workers: int) -> None:
        memory = memoryview(mmap.mmap(-1, VERSION_BYTES + 8 * (3 * workers + 2)))
        self._version = memory[:VERSION_BYTES]
        numbers = memory[VERSION_BYTES:].cast("Q")

        self.waiting = numbers[:workers]
        """Sentences that wait, by worker."""

        self.is_ready = numbers[workers : 2 * workers]
        """1 for each worker that has come up."""

        self.lines_lost = numbers[2 * workers : 3 * workers + 1]
        """Log lines that were lost, by worker; the last number is the supervisor's."""

        self._restarts = numbers[3 * workers + 1 :]

    @property
    def restarts(self) -> int:
        """Workers that had to be replaced."""
        return self._restarts[0]

    @restarts.setter
    def restarts(self, count: int) -> None:
        self._restarts[0] = count

    def require_version(self, version: str) -> None:
        """Keep the model version of the first worker; all others must have the same.

        Raises:
            ModelFileError: It is another one.
        """
        own = version.encode()[:VERSION_BYTES].ljust(VERSION_BYTES, b"\0")
        if not any(self._version):
            self._version[:] = own

        if self._version != own:
            known = bytes(self._version).rstrip(b"\0").decode()
            raise ModelFileError(
                f"this worker has loaded model version {version}, the first one {known}: the model "
                "file has been changed; start the service again, so that all answer with one model"
            )


@dataclass(frozen=True)
class WorkerSlot:
    """What a worker is given. The one that replaces it is given the same, but another pipe."""

    number: int
    """0 for the first one."""

    listener: socket.socket
    """Its own listening socket."""

    log_descriptor: int
    """The end of the pipe that its log lines go into."""

    scoreboard: Scoreboard


def become_worker(
    slot: WorkerSlot,
    listeners: list[socket.socket],
    work: Callable[[WorkerSlot], None],
    supervisor: int,
) -> NoReturn:
    """Work in a process that has just been forked, with ``SIGNALS`` blocked, and end it.

    Args:
        slot: What this worker is given.
        listeners: All workers' listening sockets.
        work: Runs until the worker is to end.
        supervisor: The process that it was forked from.
    """
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        _end_with(supervisor)

        # Not the other workers' sockets: their connections would wait for this process.
        for listener in listeners:
            if listener is not slot.listener:
                listener.close()
        work(slot)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        logger.exception("worker %d failed", slot.number)
    finally:
        # What the supervisor has registered to do at its own end is not the worker's to do.
        os._exit(code)


def _end_with(parent: int) -> None:
    """Have this process told to end as soon as its parent has, even by SIGKILL. On Linux only.

    Raises:
        SystemExit: It has ended already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise SystemExit(1)


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Open several listening sockets on one address.

    Raises:
        ConfigError: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listeners = []
    try:
        # The kernel would let another service with SO_REUSEPORT join the port, and spread its
        # connections over both. A socket without it is refused where anybody listens.
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))

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
