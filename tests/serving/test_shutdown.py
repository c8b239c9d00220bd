"""How a service ends: one that has hardly begun, and one that is answering."""

import json
import subprocess
import sys

import httpx
import pytest

from tests.helpers.net import free_port
from tests.helpers.paths import ROOT

# The tests themselves may run under nohup.
PROGRAM = """
import signal, sys

number, hangup, port = signal.Signals[sys.argv[1]], signal.Handlers[sys.argv[2]], int(sys.argv[3])
signal.signal(signal.SIGHUP, hangup)

import os, time
import uvicorn
import app
from serving import log_writer
from serving.settings import Settings
from tests.helpers.fake_predictor import FakePredictor
"""

# Ends itself where uvicorn would install its own handlers, which is too late for such a signal.
EARLY = """
def run(*arguments, **options):
    os.kill(os.getpid(), number)
    time.sleep(20)

uvicorn.Server.run = run
app.serve(FakePredictor(), Settings())
"""

# Is told to end by a request that it is answering, and whose line then waits for the log's thread.
BUSY = """
class Predictor(FakePredictor):
    def predict_encoded(self, encoded, exclusive=False):
        if encoded[0].text == "end":
            os.kill(os.getpid(), number)
        return super().predict_encoded(encoded, exclusive)

log_writer.GATHER_SECONDS = 1
app.serve(Predictor(), Settings(port=port))
"""


def start(
    program: str, signal: str, hangup: str = "SIG_DFL", port: int = 0
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program, signal, hangup, str(port)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ask(port: int, text: str) -> int:
    url = f"http://127.0.0.1:{port}/predict"
    with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
        return client.get(url, params={"text": text}).status_code


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_that_comes_before_uvicorn_listens_ends_the_service(signal: str) -> None:
    with start(EARLY, signal) as process:
        _, said = process.communicate(timeout=15)
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_what_is_being_answered_is_answered_and_logged(signal: str) -> None:
    port = free_port()
    with start(BUSY, signal, port=port) as process:
        assert ask(port, "end") == 200
        logged, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert [json.loads(line)["text"] for line in logged.splitlines()] == ["end"]


def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    port = free_port()
    with start(BUSY, "SIGHUP", "SIG_IGN", port) as process:
        assert [ask(port, text) for text in ("end", "it goes on")] == [200, 200]
        process.terminate()
        logged, _ = process.communicate(timeout=15)
    assert process.returncode == 0
    assert [json.loads(line)["text"] for line in logged.splitlines()] == ["end", "it goes on"]
