"""`make demo`, step by step, without Docker: the API, its log, the search engine, the drift check.

    DEMO_WINDOW_SECONDS=45 python -m pytest tests/monitoring/test_demo.py -m slow -s

The stand-ins: a server of servers.py for Elasticsearch, and this test for Filebeat. Windows are
shorter than the demo's unless DEMO_WINDOW_SECONDS says otherwise.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.delivery import Document, deliver
from monitoring.elastic import Elastic
from tests.helpers import processes
from tests.helpers.paths import ROOT

MODEL = ROOT / "models/model.onnx"
WINDOW_SECONDS = float(os.environ.get("DEMO_WINDOW_SECONDS", "10"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    """Serve the trained model, with a log file; yield its URL."""
    if not MODEL.exists():
        pytest.skip("no models/model.onnx: run `make train`")

    settings = {"LOG_FILE": "predictions.jsonl", "MODEL_PATH": str(MODEL)}
    with processes.api(settings, tmp_path) as url:
        yield url


def send(url: str, kind: str, seconds: float) -> None:
    """Send traffic as the demo does."""
    command = [sys.executable, "-m", "drift.simulate", "--url", url, "--kind", kind]
    subprocess.run([*command, "--seconds", str(seconds)], cwd=ROOT, check=True, capture_output=True)


def ship(log: Path, server: Elastic) -> None:
    """Put the lines of the log into the index of their day, as Filebeat does."""
    documents = []
    for number, line in enumerate(log.read_text().splitlines()):
        day = json.loads(line)["@timestamp"][:10].replace("-", ".")
        documents.append(Document(str(number), f"cwl-{day}", line.encode()))
    assert deliver(documents, server, time.monotonic() + 30) == {}
    server.request("POST", "/cwl-*/_refresh")


@pytest.mark.parametrize("running_server", ["opensearch"], indirect=True)
def test_drifted_traffic_ends_in_an_alarm_that_the_dashboard_shows(
    api: str, server: Elastic, tmp_path: Path
) -> None:
    send(api, "normal", WINDOW_SECONDS * 2 / 3)

    started = time.monotonic()
    send(api, "shuffled", 2 * WINDOW_SECONDS)
    ship(tmp_path / "predictions.jsonl", server)
    # A busy machine predicts fewer in so short a window than the check asks for.
    options = ["--window", f"{WINDOW_SECONDS:g}s", "--min-sample", "100"]
    check = subprocess.run(
        [sys.executable, "-m", "drift", "--model", str(MODEL), *options],
        cwd=ROOT,
        env={**os.environ, "ELASTICSEARCH_URL": server.url},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    print(f"\n{check.stdout}\nthe alarm was there {seconds:.0f} s after the first drifted request")
    assert check.returncode == 3, check.stdout + check.stderr

    server.request("POST", "/drift-*/_refresh")
    (hit,) = server.request("GET", "/drift-*/_search")["hits"]["hits"]
    assert hit["_source"]["verdict"] == "alarm"
    assert seconds < 2 * WINDOW_SECONDS + 30
