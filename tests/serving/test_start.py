"""How a service starts: with room for all its connections, or not at all."""

import subprocess
import sys

from tests.helpers.paths import ROOT

PROGRAM = """
import resource
import uvicorn
import app
from serving.settings import Settings
from tests.helpers.fake_predictor import FakePredictor
"""

# May open 200 files at first; says how many where it would serve.
ROOM = """
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))

def run(*arguments, **options):
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

uvicorn.Server.run = run
app.serve(FakePredictor(), Settings(max_connections=300))
"""

BROKEN = """
class Predictor(FakePredictor):
    def predict_encoded(self, encoded, exclusive=False):
        raise RuntimeError("no prediction")

app.serve(Predictor(), Settings(port=0))
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_limit_of_open_files_is_raised_for_all_connections_and_a_file_for_each() -> None:
    done = run(ROOM)
    assert done.stdout == "700\n", done.stderr


def test_a_model_that_cannot_predict_is_not_served() -> None:
    done = run(BROKEN)
    assert done.returncode == 3, done.stderr
    assert "no prediction" in done.stderr
