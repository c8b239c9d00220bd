"""Several processes that serve one port, and the process that starts them and writes their log.

::

                      +--> worker 0 --+
    supervisor (fork) +--> worker 1 --+--> pipes --> supervisor --> standard output, LOG_FILE
                      +--> ...      --+

Each worker has a listening socket of its own on the port (SO_REUSEPORT), so that the kernel spreads
the connections. The supervisor keeps all sockets open: what connects while a worker is replaced
waits for the next one. Only the supervisor writes the log, so that lines of several processes
cannot mix and the file is rotated once. Workers end with the supervisor, however that ends.
"""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType

from commands.run import FAILED
from serving.log_outputs import say
from serving.log_writer import Batch, LineWriter
from serving.worker import END_SIGNALS, SIGNALS, Scoreboard, WorkerSlot, become_worker

# The least time from a worker's start to the start of the one that replaces it.
RESTART_SECONDS = 1.0

# Failed starts of one worker, in a row, that end the service: until it comes up, its share of the
# connections waits for nobody. Whoever runs the service starts all of it again.
MAX_FAILED_STARTS = 5

READ_BYTES = 1 << 16


@dataclass
class _Worker:
    """A worker as the supervisor sees it."""

    pid: int
    pipe: int
    """The end of the pipe that its log lines come out of."""

    started: float
    rest: bytes = b""
    """The beginning of a log line whose end has not come yet."""


class Supervisor:
    """Starts workers, replaces those that die, writes what they log, and ends them.

    Args:
        listeners: A listening socket for each worker.
        work: Runs in the worker's process, until that is to end.
        log: Where the workers' lines go.
    """

    def __init__(
        self, listeners: list[socket.socket], work: Callable[[WorkerSlot], None], log: LineWriter
    ) -> None:
        self._listeners = listeners
        self._work = work
        self._log = log
        self._scoreboard = Scoreboard(len(listeners))
        self._workers: dict[int, _Worker] = {}

        # By number of the worker: when it is started again, and how often in a row it has failed.
        self._due: dict[int, float] = {}
        self._failed_starts = [0] * len(listeners)

        self._exit_code = 0
        self._is_ending = False
        self._has_told_workers = False
        self._selector = selectors.DefaultSelector()
        self._wake_up, self._waker = socket.socketpair()

    def run(self) -> int:
        """Run until one of ``END_SIGNALS`` and the end of all workers.

        Returns:
            The exit code: 0 if it was told to end; else what ended it was said before.
        """
        self._listen_for_signals()

        # The first one alone: what is wrong with the model or the settings is said once.
        self._start(0)
        while not self._is_over and not self._scoreboard.is_ready[0]:
            self._turn()

        for number in range(1, len(self._listeners)):
            if not self._is_ending:
                self._start(number)
        while not self._is_over:
            self._turn()

        self._log.close()
        return self._exit_code

    @property
    def _is_over(self) -> bool:
        return not self._workers and not self._due

    def _turn(self) -> None:
        """Wait a moment; write what was logged; end, replace and start workers as need be."""
        for key, _ in self._selector.select(timeout=0.1):
            key.data()
        self._scoreboard.lines_lost[-1] = self._log.dropped

        if self._is_ending and not self._has_told_workers:
            self._end_workers()

        for number, worker in list(self._workers.items()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid != 0:
                self._reap(number, worker)
                if not self._is_ending:
                    self._replace(number, worker, os.waitstatus_to_exitcode(status))

        for number, moment in list(self._due.items()):
            if moment <= time.monotonic():
                del self._due[number]
                self._start(number)

    def _start(self, number: int) -> None:
        """Fork a worker. The supervisor has no model and, but for the log's, no threads."""
        supervisor = os.getpid()

        # A signal in between would find the supervisor's handlers in the worker.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pipe, log_descriptor = os.pipe()
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            say(
                f"error: worker {number} cannot be started ({error.strerror}): lower WORKERS, or "
                "allow more processes and open files"
            )
            self._give_up(FAILED)
            return

        if pid == 0:
            os.close(pipe)
            slot = WorkerSlot(number, self._listeners[number], log_descriptor, self._scoreboard)
            become_worker(slot, self._listeners, self._work, supervisor)

        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(log_descriptor)
        worker = self._workers[number] = _Worker(pid, pipe, time.monotonic())
        self._selector.register(pipe, selectors.EVENT_READ, partial(self._relay, worker))

    def _replace(self, number: int, worker: _Worker, code: int) -> None:
        """Start a worker again a moment later, unless that is in vain."""
        # The first one of all has said why it cannot come up, unless it was not given the time.
        if not self._scoreboard.is_ready[0] and not self._scoreboard.restarts:
            if code < 0:
                say(
                    f"error: worker {number} was ended by signal {-code} before it came up: "
                    "is memory short?"
                )
            self._give_up(code if code > 0 else FAILED)
            return

        was_ready, self._scoreboard.is_ready[number] = self._scoreboard.is_ready[number], 0
        self._failed_starts[number] = 0 if was_ready else self._failed_starts[number] + 1
        if self._failed_starts[number] == MAX_FAILED_STARTS:
            say(
                f"error: worker {number} could not come up {MAX_FAILED_STARTS} times in a row, for "
                "the reason above: the service ends, so that all of it can be started again"
            )
            self._give_up(FAILED)
            return

        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        say(f"warning: worker {number} has ended ({reason}): a new one takes its place")
        self._scoreboard.restarts += 1
        self._scoreboard.waiting[number] = 0
        self._due[number] = worker.started + RESTART_SECONDS

    def _reap(self, number: int, worker: _Worker) -> None:
        """Write the whole lines that a dead worker has left in its pipe, and forget it."""
        while worker.pipe >= 0:
            self._relay(worker)
        del self._workers[number]

    def _relay(self, worker: _Worker) -> None:
        """Write the whole lines among the bytes that a worker has logged."""
        received = os.read(worker.pipe, READ_BYTES)
        if not received:
            self._selector.unregister(worker.pipe)
            os.close(worker.pipe)
            worker.pipe = -1
            return

        lines, newline, worker.rest = (worker.rest + received).rpartition(b"\n")
        if newline:
            text = (lines + newline).decode("ascii", "backslashreplace")
            self._log.put(Batch(text.count("\n"), len(text), lambda: [text]))

    def _listen_for_signals(self) -> None:
        """End at ``END_SIGNALS``; wake up for these and for a worker's end."""
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno())
        drain = partial(self._wake_up.recv, READ_BYTES)
        self._selector.register(self._wake_up, selectors.EVENT_READ, drain)

        for number in END_SIGNALS:
            signal.signal(number, self._end)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _end(self, signal_number: int, frame: FrameType | None) -> None:
        # The next turn tells the workers. Here, one that is just being started would be missed.
        self._is_ending = True

    def _give_up(self, code: int) -> None:
        """End the service, which cannot be kept up."""
        self._exit_code = code
        self._is_ending = True

    def _end_workers(self) -> None:
        """Close the port, and tell all workers to finish what they have accepted."""
        self._has_told_workers = True
        self._due.clear()

        # While there is a copy of a worker's socket, connections are accepted on it.
        for listener in self._listeners:
            listener.close()
        for worker in self._workers.values():
            os.kill(worker.pid, signal.SIGTERM)
