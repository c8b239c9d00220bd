"""What the image and compose say of the service, as far as it can be tested without Docker."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import yaml

from serving.settings import Settings
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
    for name in ("no_proxy", "NO_PROXY"):
        environment.pop(name, None)
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


def services() -> dict[str, Any]:
    """Return the services of the compose file."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return dict(compose["services"])


def test_compose_starts_as_many_workers_as_its_limits_are_for() -> None:
    api = services()["api"]
    assert {"mem_limit", "pids_limit"} <= api.keys()
    assert api["environment"]["WORKERS"] == "${WORKERS:-1}"


def test_under_compose_no_web_page_reaches_the_api_under_a_name_of_its_own() -> None:
    given = services()["api"]["environment"]["ALLOWED_HOSTS"]
    (default,) = re.findall(r"^\$\{ALLOWED_HOSTS:-(.+)\}$", given)

    settings = Settings.from_environment({"HOST": "0.0.0.0", "ALLOWED_HOSTS": default})
    assert settings.hosts == ("127.0.0.1", "localhost", "[::1]", "api")


def test_no_containers_log_fills_the_disk() -> None:
    unlimited = {
        name
        for name, service in services().items()
        if not {"max-size", "max-file"} <= service.get("logging", {}).get("options", {}).keys()
    }
    assert unlimited == set()


def test_a_new_model_reinstalls_no_package_and_any_user_can_read_it() -> None:
    """Docker builds again what comes after the first line that changed."""
    _, *stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    copies = re.compile(r"^COPY (?!--from).*models/", re.MULTILINE)
    (model,) = (stage for stage in stages if copies.search(stage))
    assert "pip install" not in model
    assert "chmod a+r" in model

    (build,) = (stage for stage in stages if "pip install" in stage)
    assert "--from=model" not in build.partition("pip install")[0]
