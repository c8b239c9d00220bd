"""Releases of real images to a server that runs them: API Gateway -> Lambda -> the own container.

Needs Docker, the image that `docker build --target lambda -t cola:lambda .` makes (or the one that
LAMBDA_IMAGE names), and `make tools`. The server speaks to AWS's runtime emulator in the container,
which the image itself need not carry.
"""

import json
import platform
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from errors import DeployError
from infra import deploy, image, release, rest_api
from infra.stack import Stack
from tests.helpers.aws_fixtures import POLL_SECONDS

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]

NAME = "cola-release"
STACK = Stack(NAME, POLL_SECONDS)
SENTENCE = "The boy is sitting on a bench."
HANDLER = "def lambda_handler(event, context):\n"
FAILS_AT_ONCE = HANDLER + '    raise RuntimeError("no model")\n'
FAILS_BEHIND_THE_GATEWAY = (
    HANDLER
    + '    assert "httpMethod" not in event, "no REST"\n'
    + '    return {"text": "", "prediction": {"label": "acceptable", "score": 0.5}}\n'
)


Build = Callable[..., str]


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def build(
    lambda_image: str, tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Build]:
    """Return a function that makes an image: the project's with the emulator and one change."""
    # AWS's own, from AWS SAM.
    machine = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    sam = Path(tool("sam")).resolve().parents[1]
    emulator = next(
        sam.glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")
    )

    def make(label: str, handler: str | None = None) -> str:
        folder = tmp_path_factory.mktemp("image")
        (folder / "lambda_handler.py").write_text(handler or "")
        shutil.copy(emulator, folder / "emulator")
        (folder / "emulator").chmod(0o755)

        lines = [
            f"FROM {lambda_image}",
            f"LABEL cola-release-test={label}",
            "COPY emulator /emulator",
            "COPY lambda_handler.py ." if handler else "",
            'ENTRYPOINT ["/emulator", "python", "-m", "awslambdaric"]',
            'CMD ["lambda_handler.lambda_handler"]',
        ]
        (folder / "Dockerfile").write_text("\n".join(lines))
        _docker("build", "-q", "-t", f"cola-release-test:{label}", str(folder))
        return f"cola-release-test:{label}"

    yield make

    images = set(_docker("images", "-q", "--filter", "label=cola-release-test").split())
    subprocess.run(["docker", "rmi", "-f", *images], capture_output=True, check=False)


@pytest.fixture
def live(aws: str, build: Build) -> Iterator[str]:
    """Make a stack whose version 1 answers; yield the registry. Its containers go at the end."""
    deploy.up(STACK, build("one"), {"RequireApiKey": "true"}, registry=aws)
    yield aws

    containers = _docker("ps", "-aq", "--filter", "label=cola-release-test").split()
    subprocess.run(["docker", "rm", "-f", *containers], capture_output=True, check=False)
    STACK.delete()


def _live_version() -> str:
    alias = boto3.client("lambda").get_alias(FunctionName=NAME, Name="live")
    return str(alias["FunctionVersion"])


def _release(local_image: str, registry: str) -> str:
    outputs = STACK.outputs()
    image_uri = image.push(local_image, outputs.repository_uri, registry)
    return release.release(outputs, image_uri, POLL_SECONDS)


def _key_header() -> dict[str, str]:
    key_id = STACK.outputs().api_key_id
    key = boto3.client("apigateway").get_api_key(apiKey=key_id, includeValue=True)
    return {"x-api-key": key["value"]}


# --- the API -----------------------------------------------------------------------------------


def test_rest_url_answers_get_and_post(live: str) -> None:
    outputs = STACK.outputs()
    answer = rest_api.predict(outputs, SENTENCE)
    assert answer["text"] == SENTENCE
    assert answer["prediction"]["label"] in {"acceptable", "unacceptable"}

    url = f"{rest_api.predict_url(outputs)}?text={urllib.parse.quote(SENTENCE)}"
    request = urllib.request.Request(url, headers=_key_header())
    with urllib.request.urlopen(request, timeout=30) as response:
        assert json.load(response)["prediction"] == answer["prediction"]


def test_malformed_body_is_400(live: str) -> None:
    url = rest_api.predict_url(STACK.outputs())
    request = urllib.request.Request(url, b"{not json", _key_header())
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)

    assert refused.value.code == 400
    assert set(json.load(refused.value)["error"]) >= {"code", "message"}


# --- releases ----------------------------------------------------------------------------------


def test_release_then_rollback_then_return(live: str, build: Build) -> None:
    before = release.live_image(NAME)
    assert _release(build("two"), live) == "2"
    assert release.live_image(NAME) != before

    assert release.rollback(STACK.outputs()) == "1"
    assert release.live_image(NAME) == before

    assert release.rollback(STACK.outputs()) == "2"
    assert rest_api.predict(STACK.outputs(), SENTENCE)["prediction"]


def test_the_same_image_again_is_the_same_version(live: str, build: Build) -> None:
    assert _release(build("one"), live) == "1"
    images = boto3.client("ecr").list_images(repositoryName=NAME)["imageIds"]
    assert len({i["imageDigest"] for i in images}) == len(images) == 1


@pytest.mark.parametrize(
    ("label", "handler", "says"),
    [
        ("dead", FAILS_AT_ONCE, "version 2 does not predict, the alias stays where it is"),
        ("half", FAILS_BEHIND_THE_GATEWAY, "the switch to version 2 failed, version 1 answers"),
    ],
    ids=["dead", "half"],
)
def test_a_broken_image_never_stays_live(
    live: str, build: Build, label: str, handler: str, says: str
) -> None:
    with pytest.raises(DeployError, match=says):
        _release(build(label, handler), live)
    assert _live_version() == "1"
    assert rest_api.predict(STACK.outputs(), SENTENCE)["prediction"]


def test_an_interrupted_smoke_test_leaves_the_alias_where_it_was(
    live: str, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        assert _live_version() == "2"
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rest_api, "predict", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _release(build("two"), live)
    assert _live_version() == "1"


def test_settings_change_without_an_image_keeps_the_live_one(live: str, build: Build) -> None:
    # A failed release leaves its broken image as the latest, unpublished one.
    with pytest.raises(DeployError):
        _release(build("dead", FAILS_AT_ONCE), live)
    before = release.live_image(NAME)

    deploy.up(STACK, None, {"MemorySize": "2048"}, registry=live)
    live_now = boto3.client("lambda").get_function(FunctionName=NAME, Qualifier="live")
    assert live_now["Code"]["ImageUri"] == before
    assert live_now["Configuration"]["MemorySize"] == 2048


def test_a_missing_image_changes_nothing(live: str) -> None:
    with pytest.raises(DeployError, match=r"docker image.*failed"):
        image.push("cola-release-test:never-built", STACK.outputs().repository_uri, live)
    assert _live_version() == "1"


def test_push_leaves_no_login_behind(
    live: str, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    image.push(build("three"), STACK.outputs().repository_uri, live)
    assert not (tmp_path / "config.json").exists()
