"""Processes that a test starts, waits for and ends: servers, and the API as a person runs it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from urllib.request import urlopen

import pytest

from tests.helpers.net import free_port
from tests.helpers.paths import ROOT

FAKE_SERVICE = (sys.executable, "-m", "tests.helpers.fake_predictor")
"""The command that serves the fake predictor, with settings from the environment."""

SHOWN_CHARACTERS = 2000
"""How much of the end of a log a failure shows."""


@contextmanager
def running(
    command: Sequence[str | Path],
    is_up: Callable[[], object],
    *,
    log: Path,
    errors: Path | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
    folder: Path = ROOT,
    seconds: float = 30,
    patience: float = 20,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process that is up when it is yielded, and gone afterwards, whatever has happened.

    Args:
        command: The program and its arguments.
        is_up: Is asked again and again until it returns something true.
        log: The file for standard output, and for standard error too unless ``errors`` is given.
        errors: The file for standard error alone.
        environment: Settings beside those that this process has.
        folder: The working directory.
        seconds: To come up in. A process that does not, or that ends instead, fails the test.
        patience: Seconds to end in once it is told to; then it is killed. 0 kills it at once.
    """
    with log.open("wb") as output, (errors or Path(os.devnull)).open("wb") as error_output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=error_output if errors else subprocess.STDOUT,
        )

    try:
        _wait_until_up(process, is_up, seconds, [path for path in (log, errors) if path])
        yield process
    finally:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(
    process: "subprocess.Popen[bytes]",
    is_up: Callable[[], object],
    seconds: float,
    logs: Sequence[Path],
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        # First: if it has ended, then what answers on its port is another one.
        code = process.poll()
        if code is None and is_up():
            return

        if code is not None or time.monotonic() > deadline:
            what = f"was not up in {seconds:g} s" if code is None else f"ended with code {code}"
            said = "\n".join(path.read_text(errors="replace")[-SHOWN_CHARACTERS:] for path in logs)
            pytest.fail(f"{process.args!r} {what}; it said:\n{said}")
        time.sleep(0.05)


@contextmanager
def api(settings: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Serve ``app.py`` on a free port; yield its URL once it is ready.

    Args:
        settings: Environment variables.
        folder: The working directory; what the process says goes to ``api.log`` in it.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(
        [sys.executable, ROOT / "app.py"],
        lambda: answers(f"{url}/ready"),
        log=folder / "api.log",
        environment={"PORT": str(port), **settings},
        folder=folder,
    ):
        yield url


def answers(url: str) -> bool:
    """Return whether the URL is answered, and not with an error."""
    with suppress(OSError, HTTPException), urlopen(url, timeout=5):
        return True
    return False


def is_listening(port: int) -> bool:
    """Return whether a process takes connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
