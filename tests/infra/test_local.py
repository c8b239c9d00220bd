"""AWS's own emulator of API Gateway and Lambda (sam local start-api) with the project's image."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.helpers.net import free_port
from tests.helpers.paths import ROOT
from tests.helpers.processes import running

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def url(
    lambda_image: str, tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Start the emulator on infra/local.yaml; yield the URL of /predict."""
    # The emulator adds a layer of its own to the image, which needs root.
    dockerfile = f"FROM {lambda_image}\nUSER root\n"
    build = ["docker", "build", "-q", "-t", "cola:sam", "-"]
    subprocess.run(build, input=dockerfile, text=True, check=True, capture_output=True)

    port = free_port()
    template = str(ROOT / "infra/local.yaml")
    command = [tool("sam"), "local", "start-api", "-t", template, "--skip-pull-image"]
    command += ["--warm-containers", "LAZY", "--region", "us-east-1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--container-host", "127.0.0.1", "--container-host-interface", "127.0.0.1"]
    settings = {
        "SAM_CLI_TELEMETRY": "0",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    log = tmp_path_factory.mktemp("sam") / "log"
    try:
        # It removes its container as it ends, which takes a while; the images stay.
        with running(
            command,
            lambda: "Running on" in log.read_text(),
            log=log,
            environment=settings,
            seconds=60,
            patience=60,
        ):
            yield f"http://127.0.0.1:{port}/predict"
    finally:
        made = ["docker", "images", "-q", "cola:rapid-*"]
        images = subprocess.run(made, capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(
            ["docker", "rmi", "-f", "cola:sam", *images], capture_output=True, check=False
        )


def _ask(url: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_get_and_post_predict_the_same(url: str) -> None:
    status, got = _ask(f"{url}?text=The%20boy%20sat.")
    assert status == 200
    assert got["text"] == "The boy sat."
    assert got["prediction"]["label"] in {"acceptable", "unacceptable"}

    assert _ask(url, b'{"sentence": "The boy sat."}') == (200, got)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{not json", 400),
        (b"[]", 422),
        (b'{"sentence": 3}', 422),
        (b'{"sentence": ""}', 422),
        (b"{}", 422),
    ],
)
def test_a_bad_body_is_refused_in_one_shape(url: str, body: bytes, expected: int) -> None:
    status, answer = _ask(url, body)
    assert status == expected
    assert set(answer["error"]) >= {"code", "message"}


def test_get_without_a_text_is_refused(url: str) -> None:
    status, answer = _ask(url)
    assert status == 422
    assert "text" in answer["error"]["message"]
