"""A server that speaks AWS's API (ministack) for the tests of infra/; `make tools` installs it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _tool(name: str) -> str:
    places = [ROOT / ".venv-tools/bin", ROOT / ".venv-sam/bin", os.environ["PATH"]]
    path = shutil.which(name, path=os.pathsep.join(map(str, places)))
    if path is None:
        pytest.skip(f"{name} is not installed: run `make tools`")
    return path


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Return the path of a tool that `make tools` installs; skip the test without it."""
    return _tool


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture(scope="session")
def lambda_image() -> str:
    """The image that `docker build --target lambda` makes; skip the test without it, or without Docker."""
    name = os.environ.get("LAMBDA_IMAGE", "cola:lambda")
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run([docker, "image", "inspect", name], capture_output=True).returncode
    ):
        pytest.skip(
            f"no image {name}: start Docker and run `docker build --target lambda -t {name} .`"
        )
    return name


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start the server; yield its port."""
    command, port, folder = _tool("ministack"), _free_port(), tmp_path_factory.mktemp("ministack")
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        "MINISTACK_DOCKER_TIMEOUT": "120",  # the daemon may be slow on a busy machine
        "STATE_DIR": str(folder),
        "DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
    }
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [command], env=os.environ | settings, stdout=log, stderr=log, cwd=folder
        )
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/_ministack/health", timeout=5
                ).close()
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        else:
            pytest.fail(f"ministack did not start: {(folder / 'log').read_text()[-500:]}")
        yield port
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture
def aws(ministack: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point AWS's usual settings at the server; return HOST:PORT."""
    from infra import release, stack

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{ministack}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(stack, "_WAIT", {"Delay": 0.1, "MaxAttempts": 600})
    monkeypatch.setattr(release, "_WAIT", {"Delay": 0.1, "MaxAttempts": 600})
    return f"127.0.0.1:{ministack}"


@pytest.fixture
def deploy(aws: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m infra.deploy` as a person does."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "infra.deploy", "--registry", aws, *arguments]
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )

    return run
