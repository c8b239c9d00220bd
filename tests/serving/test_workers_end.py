"""How several workers end: when told to, with their supervisor, and when one cannot come up."""

import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
import pytest

from errors import ConfigError, ModelFileError
from serving.worker import Scoreboard, listen
from tests.helpers.paths import ROOT

# Workers that do nothing but wait for their end. Each test adds what is peculiar to it.
# The tests themselves may run under nohup.
PROGRAM = """
import errno, os, signal, sys, time

signal.signal(signal.SIGHUP, signal.Handlers[sys.argv[1]])

from serving import supervisor
from serving.log_writer import LineWriter
from serving.worker import listen

supervisor.RESTART_SECONDS = 0.5

def come_up_and_wait(slot):
    slot.scoreboard.is_ready[slot.number] = 1
    print(f"{slot.number} is up", file=sys.stderr, flush=True)
    time.sleep(600)

work = come_up_and_wait
fork = os.fork
"""
RUN = """
log = LineWriter(1, None, 1, background=True)
sys.exit(supervisor.Supervisor(listen("127.0.0.1", 0, 2), lambda slot: work(slot), log).run())
"""

SECONDS = 20

END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a supervisor of two workers."""
    with ExitStack() as stack:

        def build(peculiar: str = "", nohup: bool = False) -> subprocess.Popen[str]:
            hangup = "SIG_IGN" if nohup else "SIG_DFL"
            program = PROGRAM + textwrap.dedent(peculiar) + RUN
            process = subprocess.Popen(
                [sys.executable, "-c", program, hangup],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield build


def read_until(process: subprocess.Popen[str], *wanted: str) -> None:
    """Read standard error until each of these texts has been in a line."""
    assert process.stderr
    missing = set(wanted)
    while missing:
        line = process.stderr.readline()
        assert line, f"it ended before it said {missing}"
        missing = {text for text in missing if text not in line}


def require_good_end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> None:
    """Tell a service to end, and wait for it."""
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0


@pytest.mark.parametrize("number", END_SIGNALS)
def test_a_signal_while_a_worker_is_being_replaced_ends_the_service(
    start: Start, number: int
) -> None:
    process = start("""
        def work(slot):
            if slot.number == 1 and slot.scoreboard.restarts == 0:
                slot.scoreboard.is_ready[1] = 1
                sys.exit(3)
            come_up_and_wait(slot)
    """)
    read_until(process, "worker 1 has ended (exit code 3)")
    require_good_end(process, number)


@pytest.mark.parametrize("number", END_SIGNALS)
def test_a_signal_while_a_worker_is_being_started_ends_it_too(start: Start, number: int) -> None:
    process = start(f"""
        def fork_and_be_told():
            pid = fork()
            if pid:
                os.kill(os.getpid(), {number:d})
                time.sleep(0.2)
            return pid

        os.fork = fork_and_be_told
    """)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def test_under_nohup_a_closed_terminal_ends_nothing(start: Start) -> None:
    process = start(
        """
        def work(slot):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            come_up_and_wait(slot)
    """,
        nohup=True,
    )
    read_until(process, "0 is up", "1 is up")
    for child in psutil.Process(process.pid).children():
        child.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)

    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=SECONDS)
    assert (process.returncode, said) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_workers_end_with_their_supervisor_even_if_it_is_killed(start: Start) -> None:
    process = start()
    read_until(process, "0 is up", "1 is up")
    process.kill()

    # Returns once no process has the pipes any more.
    process.communicate(timeout=SECONDS)


def test_a_worker_that_cannot_be_forked_ends_the_service_with_one_line(start: Start) -> None:
    process = start("""
        def fork_once():
            os.fork = fail
            return fork()

        def fail():
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        os.fork = fork_once
    """)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    errors = [line for line in said.splitlines() if line != "0 is up"]
    assert errors == [
        "error: worker 1 cannot be started (Resource temporarily unavailable): lower WORKERS, or "
        "allow more processes and open files"
    ]


def test_a_first_worker_that_is_killed_before_it_comes_up_ends_the_service(start: Start) -> None:
    process = start("""
        def work(slot):
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert said == "error: worker 0 was ended by signal 9 before it came up: is memory short?\n"


def test_a_worker_that_never_comes_up_ends_the_service(start: Start) -> None:
    process = start("""
        supervisor.RESTART_SECONDS = 0.01

        def work(slot):
            if slot.number == 1:
                sys.exit(3)
            come_up_and_wait(slot)
    """)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert said.count("warning: worker 1 has ended (exit code 3)") == 4
    assert "error: worker 1 could not come up 5 times in a row" in said.splitlines()[-1]


def test_a_worker_that_comes_up_now_and_then_is_replaced_for_ever(start: Start) -> None:
    process = start("""
        supervisor.RESTART_SECONDS = 0.01

        def work(slot):
            if slot.number == 1 and slot.scoreboard.restarts < 8:
                # Every third time it comes up before it dies.
                slot.scoreboard.is_ready[1] = slot.scoreboard.restarts % 3 == 0
                sys.exit(3)
            come_up_and_wait(slot)
    """)
    read_until(process, "1 is up")
    require_good_end(process)


def test_a_worker_that_dies_at_once_is_not_replaced_at_once(start: Start) -> None:
    process = start("""
        forks = []

        def fork_and_note_when():
            forks.append(time.monotonic())
            return fork()

        def work(slot):
            if slot.number == 1 and slot.scoreboard.restarts == 0:
                sys.exit(3)
            if slot.number == 1:
                assert forks[2] - forks[1] >= supervisor.RESTART_SECONDS
            come_up_and_wait(slot)

        os.fork = fork_and_note_when
    """)
    read_until(process, "1 is up")
    require_good_end(process)


def test_nothing_waits_for_a_worker_that_has_ended(start: Start) -> None:
    process = start("""
        def work(slot):
            if slot.number == 1 and slot.scoreboard.restarts == 0:
                slot.scoreboard.waiting[1] = 7
                sys.exit(3)
            assert slot.scoreboard.waiting[1] == 0
            come_up_and_wait(slot)
    """)
    read_until(process, "1 is up")
    require_good_end(process)


def test_a_worker_with_another_model_does_not_serve(start: Start) -> None:
    process = start("""
        from dataclasses import replace
        from app import serve_with_workers
        from serving.settings import Settings
        from tests.helpers.fake_predictor import FakePredictor

        supervisor.RESTART_SECONDS = 0.01

        def load():
            # The model file is another one for each process that reads it.
            predictor = FakePredictor()
            predictor.info = replace(predictor.info, version=f"version-of-{os.getpid()}")
            return predictor

        serve_with_workers(load, Settings(port=0, workers=2))
    """)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert said.count("; start the service again, so that all answer with one model") == 5
    assert "error: worker 1 could not come up 5 times in a row" in said
    assert "Traceback" not in said


def test_the_scoreboard_knows_the_version_of_the_first_worker() -> None:
    scoreboard = Scoreboard(3)
    scoreboard.require_version("0123456789ab")
    scoreboard.require_version("0123456789ab")
    with pytest.raises(ModelFileError, match="version 0123456789a, the first one 0123456789ab: "):
        scoreboard.require_version("0123456789a")


def test_a_second_service_on_the_port_is_refused() -> None:
    with ExitStack() as stack:
        first = [stack.enter_context(listener) for listener in listen("127.0.0.1", 0, 2)]
        port = first[0].getsockname()[1]
        assert {listener.getsockname()[1] for listener in first} == {port}

        message = f"127.0.0.1:{port} cannot be listened on: {os.strerror(errno.EADDRINUSE)}"
        with pytest.raises(ConfigError, match=message):
            listen("127.0.0.1", port, 2)


def test_the_port_of_a_service_that_has_just_ended_is_free() -> None:
    (first,) = listen("127.0.0.1", 0, 1)
    port = first.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        first.accept()[0].close()
        first.close()
        (second,) = listen("127.0.0.1", port, 1)
        second.close()
