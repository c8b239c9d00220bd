"""What the image and compose say of the service, as far as it can be tested without Docker."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import yaml

from tests.helpers.http_service import SMALL, serving
from tests.helpers.net import free_port
from tests.helpers.paths import ROOT


def check_health(port: int) -> int:
    """Run the command of the Dockerfile; return its exit code, which is 0 for healthy."""
    (found,) = re.findall(
        r"^HEALTHCHECK .*\n  CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    python, *arguments = json.loads(found)
    assert python == "python"

    # A proxy that does not exist.
    environment = {**os.environ, "PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    environment.pop("no_proxy", None)
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, env=environment, timeout=30, check=False, capture_output=True
    ).returncode


def test_a_service_with_a_name_and_a_proxy_is_healthy() -> None:
    with serving(replace(SMALL, allowed_hosts=("cola.example",))) as (client, _):
        port = client.base_url.port
        assert port
        assert check_health(port) == 0


def test_nothing_is_not_healthy() -> None:
    assert check_health(free_port()) != 0


def test_compose_starts_as_many_workers_as_its_limits_are_for() -> None:
    api = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["api"]
    assert {"mem_limit", "pids_limit"} <= api.keys()
    assert api["environment"]["WORKERS"] == "${WORKERS:-1}"
