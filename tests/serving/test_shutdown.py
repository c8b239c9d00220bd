"""How a service ends that has hardly begun."""

import subprocess
import sys

from tests.helpers.paths import ROOT

# Ends itself where uvicorn would install its own handlers, which is too late for such a signal.
PROGRAM = """
import os, signal, time
import uvicorn
import app
from serving.settings import Settings
from tests.helpers.fake_predictor import FakePredictor

def run(*arguments, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)

uvicorn.Server.run = run
app.serve(FakePredictor(), Settings.from_environment())
"""


def test_a_signal_that_comes_before_uvicorn_listens_ends_the_service() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
