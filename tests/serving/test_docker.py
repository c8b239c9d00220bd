"""The images as they are built and run: size, rights, secrets, health, answers."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

BASE = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
LOCKED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
SECRETS = re.compile(
    rb"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|aws_secret_access_key\s*=|ghp_[A-Za-z0-9]{36}"
)
pytestmark = pytest.mark.container


def docker(*arguments, check=True, **options):
    return subprocess.run(
        ["docker", *arguments], check=check, capture_output=True, text=True, **options
    )


@pytest.fixture(scope="session")
def context(tmp_path_factory):
    """What a clone holds, with a model, in a folder of its own."""
    model = Path(os.environ.get("MODEL_PATH") or ROOT / "models" / "model.onnx")
    if not model.exists():
        pytest.skip(f"{model} is missing: run `make train` first")
    folder = tmp_path_factory.mktemp("context")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in listed.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".env").write_text("API_KEY=must-never-be-in-an-image\n")
    (folder / "models").mkdir(exist_ok=True)
    # Its owner's only, as after a download under a strict umask.
    shutil.copy(model, folder / "models" / "model.onnx")
    (folder / "models" / "model.onnx").chmod(0o600)
    return folder


def build(context, target, check=True):
    arguments = ["build", "--network", "host", "--target", target, "-t", f"cola-test:{target}", "."]
    return docker(*arguments, cwd=context, check=check, env={**os.environ, "DOCKER_BUILDKIT": "1"})


@pytest.fixture(scope="session", params=["api", "lambda"])
def image(request, context):
    build(context, request.param)
    return f"cola-test:{request.param}"


@pytest.fixture
def container():
    """Starts containers on a free port; gives id and port; removes them afterwards."""
    started = []

    def start(inner_port, *arguments):
        identity = docker(
            "run", "-d", "-p", f"127.0.0.1::{inner_port}", *LOCKED, *arguments
        ).stdout.strip()
        started.append(identity)
        return identity, int(
            docker("port", identity, str(inner_port)).stdout.split()[0].rpartition(":")[2]
        )

    yield start
    for identity in started:
        # Shown if the test fails.
        logs = docker("logs", identity, check=False)
        print(logs.stdout, logs.stderr)
        docker("rm", "-f", identity, check=False)


def call(url, message=None, patience=20.0):
    """The JSON answer, as soon as there is one."""
    data = None if message is None else json.dumps(message).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.loads(response.read())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_a_missing_model_fails_the_build_with_what_to_run(context, tmp_path):
    copy = shutil.copytree(
        context, tmp_path / "context", ignore=shutil.ignore_patterns("model.onnx")
    )
    built = build(copy, "api", check=False)
    assert built.returncode != 0
    assert (
        "models/model.onnx is missing: run 'make train' or 'make model-pull' first" in built.stderr
    )


def test_a_package_with_another_hash_fails_the_build(context, tmp_path):
    copy = shutil.copytree(context, tmp_path / "context")
    lock = copy / "infra/lock_inference.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", lock.read_text()))

    built = build(copy, "api", check=False)
    assert built.returncode != 0
    assert "DO NOT MATCH THE HASHES" in built.stderr


def test_what_the_image_adds_to_its_base(image):
    base, full = (
        int(docker("image", "inspect", "-f", "{{.Size}}", name).stdout) for name in (BASE, image)
    )
    added = (full - base) / 1e6
    print(f"\n{image} adds {added:.0f} MB")
    assert added <= (220 if image.endswith("api") else 200)


def extracted(archive, name):
    """A file of an archive, opened."""
    file = archive.extractfile(name)
    assert file, f"{name} is no file"
    return file


def test_no_secret_no_tool_and_no_stranger_in_the_layers(image, tmp_path):
    assert "must-never" not in docker("history", "--no-trunc", image).stdout
    archive = tmp_path / "image.tar"
    docker("save", "-o", str(archive), image)
    base_layers = len(
        json.loads(docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", BASE).stdout)
    )
    with tarfile.open(archive) as saved:
        manifest = json.load(extracted(saved, "manifest.json"))
        layers = [extracted(saved, name) for name in manifest[0]["Layers"][base_layers:]]
        names = []
        for layer in layers:
            with tarfile.open(fileobj=layer) as files:
                for member in files:
                    names.append(member.name)
                    if member.isfile() and member.size < 2_000_000:
                        content = extracted(files, member).read()
                        assert not SECRETS.search(content), member.name
                        assert b"must-never-be-in-an-image" not in content, member.name
    last = names[-1]
    assert last == "app/models/model.onnx", "the model is the last layer"
    forbidden = re.compile(
        r"(^|/)(\.env|\.git|tests?|dvc|torch|transformers|huggingface_hub|git|gcc|cc1)(/|$)"
    )
    assert [name for name in names if forbidden.search(name)] == []


def test_the_api_runs_locked_down_answers_and_ends_with_0(context, container):
    build(context, "api")
    identity, port = container(8000, "--memory", "512m", "cola-test:api")
    assert call(f"http://127.0.0.1:{port}/ready")["status"] == "ready"
    answer = call(f"http://127.0.0.1:{port}/predict", {"sentence": "The boy is sitting."})
    assert answer["text"] == "The boy is sitting."
    assert (
        docker("exec", identity, "python", "-c", "import os; print(os.getuid())").stdout.strip()
        != "0"
    )
    docker("stop", identity)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", identity).stdout.strip() == "0"
    logs = docker("logs", identity)
    assert [json.loads(line)["text"] for line in logs.stdout.splitlines()] == [
        "The boy is sitting."
    ]
    assert "Traceback" not in logs.stderr


def test_a_setting_that_cannot_be_used_is_one_line(context):
    build(context, "api")
    result = docker(
        "run", "--rm", *LOCKED, "-e", "MAX_SENTENCES=many", "cola-test:api", check=False
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "error: MAX_SENTENCES=many is not a whole number"


def test_the_function_runs_locked_down_under_the_emulator(context, container, emulator):
    build(context, "lambda")
    mounted = ["-v", f"{emulator}:/emulator:ro", "--entrypoint", "/emulator", "cola-test:lambda"]
    identity, port = container(
        8080, *mounted, "python", "-m", "awslambdaric", "lambda_handler.lambda_handler"
    )
    url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    assert call(url, {"sentence": "The boy is sitting."})["text"] == "The boy is sitting."
    event = json.loads((ROOT / "tests/serving/events/rest_post_base64.json").read_text())
    assert call(url, event)["statusCode"] == 200
    lines = [
        json.loads(line)
        for line in docker("logs", identity).stdout.splitlines()
        if line.startswith("{")
    ]
    assert [line["event"] for line in lines] == ["cold_start"] + ["prediction"] * 3


def test_compose_is_healthy_in_seconds(context, tmp_path):
    build(context, "api")
    docker("tag", "cola-test:api", "cola:api")
    override = tmp_path / "override.yml"
    override.write_text('services:\n  api:\n    ports: !override ["127.0.0.1::8000"]\n')
    compose = [
        "compose",
        "-p",
        "cola-test",
        "-f",
        str(context / "docker-compose.yml"),
        "-f",
        str(override),
    ]
    try:
        started = time.monotonic()
        docker(*compose, "up", "-d", "--wait", "--no-build", "api")
        seconds = time.monotonic() - started
        print(f"\nhealthy after {seconds:.1f} s")
        port = docker(*compose, "port", "api", "8000").stdout.strip().rpartition(":")[2]
        assert call(f"http://127.0.0.1:{port}/health") == {"status": "ok"}
        identity = docker(*compose, "ps", "-q", "api").stdout.strip()
        state = json.loads(docker("inspect", identity).stdout)[0]
        assert state["State"]["Health"]["Status"] == "healthy"
        assert state["HostConfig"]["ReadonlyRootfs"] is True
        assert state["HostConfig"]["CapDrop"] == ["ALL"]
        assert seconds < 10
    finally:
        docker(*compose, "down", "-v", check=False)
