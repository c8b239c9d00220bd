"""Releases of real images to a server that runs them: API Gateway -> Lambda -> the project's own container.

Needs Docker, the image that `docker build --target lambda -t cola:lambda .` makes (or LAMBDA_IMAGE's), and
`make tools`. The server speaks to AWS's runtime emulator in the container, which the image itself need not carry.
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
from infra import deploy, image, release, rest_api, stack

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]

NAME = "cola-release"
HANDLER = "def lambda_handler(event, context):\n"
FAILS_AT_ONCE = HANDLER + '    raise RuntimeError("no model")\n'
FAILS_BEHIND_THE_GATEWAY = (
    HANDLER
    + '    assert "httpMethod" not in event, "no REST"\n'
    + '    return {"text": "", "prediction": {"label": "acceptable", "score": 0.5}}\n'
)


def _docker(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["docker", *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


Build = Callable[..., str]


@pytest.fixture(scope="module")
def build(
    lambda_image: str, tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Build]:
    """Return a function that makes an image: the project's own and the emulator, one label or file changed."""
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
    """A stack whose version 1 answers; return the registry. Its containers go at the end."""
    deploy.up(NAME, build("one"), {"RequireApiKey": "true"}, registry=aws)
    yield aws
    containers = _docker("ps", "-aq", "--filter", "label=cola-release-test").split()
    subprocess.run(["docker", "rm", "-f", *containers], capture_output=True, check=False)
    stack.delete(NAME)


def _version() -> str:
    return str(boto3.client("lambda").get_alias(FunctionName=NAME, Name="live")["FunctionVersion"])


def _release(local_image: str, registry: str) -> str:
    outputs = stack.outputs(NAME)
    return release.release(outputs, image.push(local_image, outputs["RepositoryUri"], registry))


def test_rest_url_answers_get_and_post(live: str) -> None:
    outputs = stack.outputs(NAME)
    answer = rest_api.predict(outputs, "The boy is sitting on a bench.")
    assert answer["text"] == "The boy is sitting on a bench."
    assert answer["prediction"]["label"] in {"acceptable", "unacceptable"}
    key = boto3.client("apigateway").get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)[
        "value"
    ]
    text = urllib.parse.quote("The boy is sitting on a bench.")
    request = urllib.request.Request(
        f"{rest_api.address(outputs)}?text={text}", headers={"x-api-key": key}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        assert json.load(response)["prediction"] == answer["prediction"]


def test_malformed_body_is_400(live: str) -> None:
    outputs = stack.outputs(NAME)
    key = boto3.client("apigateway").get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)[
        "value"
    ]
    request = urllib.request.Request(rest_api.address(outputs), b"{not json", {"x-api-key": key})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 400
    assert set(json.load(refused.value)["error"]) >= {"code", "message"}


def test_release_then_rollback_then_return(live: str, build: Build) -> None:
    before = release.live_image(NAME)
    assert _release(build("two"), live) == "2"
    assert release.live_image(NAME) != before
    assert release.rollback(stack.outputs(NAME)) == "1"
    assert release.live_image(NAME) == before
    assert release.rollback(stack.outputs(NAME)) == "2"
    assert rest_api.predict(stack.outputs(NAME), "The boy sat.")["prediction"]


def test_the_same_image_again_is_the_same_version(live: str, build: Build) -> None:
    assert _release(build("one"), live) == "1"
    images = boto3.client("ecr").list_images(repositoryName=NAME)["imageIds"]
    assert len({i["imageDigest"] for i in images}) == len(images) == 1


@pytest.mark.parametrize(
    ("label", "handler", "says"),
    [
        ("dead", FAILS_AT_ONCE, "version 2 does not predict, the alias stays where it is"),
        ("half", FAILS_BEHIND_THE_GATEWAY, "the smoke test failed, the alias is back at version 1"),
    ],
    ids=["dead", "half"],
)
def test_a_broken_image_never_stays_live(
    live: str, build: Build, label: str, handler: str, says: str
) -> None:
    with pytest.raises(DeployError, match=says):
        _release(build(label, handler), live)
    assert _version() == "1"
    assert rest_api.predict(stack.outputs(NAME), "The boy sat.")["prediction"]


def test_settings_change_without_an_image_keeps_the_live_one(live: str, build: Build) -> None:
    with pytest.raises(DeployError):
        _release(
            build("dead", FAILS_AT_ONCE), live
        )  # leaves a broken image as the latest, unpublished one
    before = release.live_image(NAME)
    deploy.up(NAME, None, {"MemorySize": "2048"}, registry=live)
    live_now = boto3.client("lambda").get_function(FunctionName=NAME, Qualifier="live")
    assert live_now["Code"]["ImageUri"] == before
    assert live_now["Configuration"]["MemorySize"] == 2048


def test_a_missing_image_changes_nothing(live: str) -> None:
    with pytest.raises(DeployError, match=r"docker image.*failed"):
        image.push("cola-release-test:never-built", stack.outputs(NAME)["RepositoryUri"], live)
    assert _version() == "1"


def test_push_leaves_no_login_behind(
    live: str, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    image.push(build("three"), stack.outputs(NAME)["RepositoryUri"], live)
    assert not (tmp_path / "config.json").exists()
