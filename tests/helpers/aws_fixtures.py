"""Fixtures for what runs on AWS: a server that speaks AWS's API (ministack), tools, images.

`make tools` installs ministack.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.net import free_port
from tests.helpers.paths import ROOT, find_tool
from tests.helpers.processes import answers, running

POLL_SECONDS = 0.1
"""For waiters: ministack is done at once, or within tenths of a second."""

Deploy = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Return the path of a tool that `make tools` installs; skip the test without it."""
    return find_tool


@pytest.fixture(scope="session")
def lambda_image() -> str:
    """Return the image that `docker build --target lambda` makes; skip the test without it."""
    name = os.environ.get("LAMBDA_IMAGE", "cola:lambda")
    docker = shutil.which("docker")
    inspect = [docker or "", "image", "inspect", name]
    if docker is None or subprocess.run(inspect, capture_output=True, check=False).returncode:
        pytest.skip(
            f"no image {name}: start Docker and run `docker build --target lambda -t {name} .`"
        )
    return name


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start the server; yield its port."""
    command, port = find_tool("ministack"), free_port()
    folder = tmp_path_factory.mktemp("ministack")
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        # The Docker daemon may be slow on a busy machine.
        "MINISTACK_DOCKER_TIMEOUT": "120",
        "STATE_DIR": str(folder),
        "DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
        # It runs functions with the first Python on PATH: this one has botocore.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    health = f"http://127.0.0.1:{port}/_ministack/health"
    with running(
        [command],
        lambda: answers(health),
        log=folder / "log",
        environment=settings,
        folder=folder,
    ):
        yield port


@pytest.fixture
def aws(ministack: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point AWS's usual settings at the server; return HOST:PORT."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)

    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ministack}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        # For the tests' own clients.
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return f"127.0.0.1:{ministack}"


@pytest.fixture
def deploy(aws: str) -> Deploy:
    """Run `python -m infra.deploy` as a person does, who sets the variable that the docs name."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "infra.deploy", "--registry", aws, *arguments]
        environment = {k: v for k, v in os.environ.items() if k != "AWS_DEFAULT_REGION"}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
