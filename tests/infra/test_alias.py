"""Where the alias ends after a release, with a stand-in for Lambda that can lose answers."""

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from errors import DeployError
from infra import deploy, release, rest_api, versions
from infra.stack import Stack, StackOutputs

OUTPUTS = StackOutputs(
    "s3://store/dvc", "registry.invalid/cola", function_name="cola", predict_url="https://invalid"
)
IMAGE_A, IMAGE_B = (f"registry.invalid/cola@sha256:{digit * 64}" for digit in "ab")


@dataclass
class Lambda:
    """Version 1 answers; any other predicts if it is invoked directly."""

    version: str = "1"
    description: str = ""
    revision: int = 1

    image: str = IMAGE_A
    """The function's own, of which the next version is published."""

    versions: dict[str, str] = field(default_factory=lambda: {"1": IMAGE_A})
    """The image of each version."""

    loses_answers: bool = False
    """A move takes place, and the client, which asks again, is told that the revision is old."""

    refuses: list[str] = field(default_factory=list)
    """Versions that the alias may not be moved to."""

    def invoke(self, **_: str) -> dict[str, Any]:
        return {"Payload": BytesIO(b'{"prediction": {"score": 0.5}}')}

    def get_function(self, Qualifier: str | None = None, **_: str) -> dict[str, Any]:  # noqa: N803
        image = self.versions[self.version] if Qualifier == "live" else self.image
        return {"Configuration": {"CodeSha256": image}, "Code": {"ImageUri": image}}

    def get_function_configuration(self, **_: str) -> dict[str, str]:
        return {"State": "Active"}

    def update_function_code(self, ImageUri: str, **_: str) -> dict[str, str]:  # noqa: N803
        self.image = ImageUri
        return {"CodeSha256": ImageUri}

    def publish_version(self, **_: str) -> dict[str, str]:
        """Publish the image with settings that are new each time."""
        version = str(len(self.versions) + 1)
        self.versions[version] = self.image
        return {"Version": version}

    def get_waiter(self, _: str) -> "Lambda":
        return self

    def wait(self, **_: Any) -> None:
        """Return at once."""

    def get_alias(self, **_: str) -> dict[str, str]:
        return {
            "FunctionVersion": self.version,
            "Description": self.description,
            "RevisionId": str(self.revision),
        }

    def update_alias(self, FunctionVersion: str, Description: str, **request: str) -> None:  # noqa: N803
        if FunctionVersion in self.refuses:
            raise error("AccessDeniedException", "not allowed")
        if request.get("RevisionId", str(self.revision)) != str(self.revision):
            raise error("PreconditionFailedException", "the revision is old")

        self.version, self.description = FunctionVersion, Description
        self.revision += 1
        if self.loses_answers:
            self.loses_answers = False
            raise error("PreconditionFailedException", "the revision is old")


def error(code: str, message: str) -> ClientError:
    """Return an error as Lambda sends it."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "UpdateAlias")


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Lambda:
    """Put the stand-in in Lambda's place."""
    functions = Lambda()
    for module in (release, versions):
        monkeypatch.setattr(module, "client", lambda service: functions)
    return functions


def fail_smoke_test(
    monkeypatch: pytest.MonkeyPatch, functions: Lambda, moved_by_another: str | None = None
) -> None:
    """Let the REST API answer with an error, and maybe somebody else move the alias meanwhile."""

    def predict(*_: object) -> None:
        if moved_by_another:
            functions.version = moved_by_another
            functions.revision += 1
        raise DeployError("status 502")

    monkeypatch.setattr(rest_api, "predict", predict)


def test_a_failed_smoke_test_puts_the_alias_back(
    functions: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions.description = "previous version 7"
    fail_smoke_test(monkeypatch, functions)
    with pytest.raises(DeployError, match="version 2 failed, version 1 answers: status 502"):
        release.rollback(OUTPUTS, to="2")
    assert (functions.version, functions.description) == ("1", "previous version 7")


class Silent(BytesIO):
    """An answer of Lambda's that stops coming."""

    def read(self, *_: object) -> bytes:
        raise ReadTimeoutError(endpoint_url="https://lambda.invalid")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(BytesIO(b'{"statusCode": 500}'), "status 500"), (Silent(), "Read timeout")],
)
def test_a_version_without_an_answer_is_one_line_and_stays_unused(
    functions: Lambda, monkeypatch: pytest.MonkeyPatch, payload: BytesIO, reason: str
) -> None:
    monkeypatch.setattr(functions, "invoke", lambda **_: {"Payload": payload})
    with pytest.raises(DeployError, match=f"version 2 does not predict, .*{reason}"):
        release.rollback(OUTPUTS, to="2")
    assert functions.revision == 1


def test_a_move_whose_answer_was_lost_is_undone(functions: Lambda) -> None:
    functions.loses_answers = True
    with pytest.raises(DeployError, match="version 2 failed, version 1 answers: UpdateAlias"):
        release.rollback(OUTPUTS, to="2")
    assert functions.version == "1"


def test_a_move_that_is_refused_leaves_the_alias(functions: Lambda) -> None:
    functions.refuses = ["2"]
    with pytest.raises(DeployError, match="version 2 failed, version 1 answers: .*not allowed"):
        release.rollback(OUTPUTS, to="2")
    assert functions.revision == 1


def test_the_release_of_another_is_not_undone(
    functions: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_smoke_test(monkeypatch, functions, moved_by_another="3")
    with pytest.raises(DeployError, match="version 2 failed, version 3 answers: status 502"):
        release.rollback(OUTPUTS, to="2")
    assert functions.version == "3"


def test_if_the_alias_cannot_go_back_both_errors_are_told(
    functions: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions.refuses = ["1"]
    fail_smoke_test(monkeypatch, functions)
    with pytest.raises(DeployError) as failed:
        release.rollback(OUTPUTS, to="2")

    for part in ("status 502", "not allowed", "version 2 may still answer", "rollback --to 1"):
        assert part in str(failed.value)


def test_an_interrupted_smoke_test_puts_the_alias_back(
    functions: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        assert functions.version == "2"
        raise KeyboardInterrupt

    monkeypatch.setattr(rest_api, "predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        release.rollback(OUTPUTS, to="2")
    assert functions.version == "1"


def test_after_a_change_of_settings_a_rollback_returns_to_the_image_before(
    functions: Lambda, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rest_api, "predict", lambda *_: None)
    monkeypatch.setattr(release, "mark_released", lambda image: None)
    release.release(OUTPUTS, IMAGE_B)

    # As `up MemorySize=...` does: the image that answers, published with other settings.
    assert release.release(OUTPUTS, release.live_image("cola")) == "3"
    assert functions.version == "3"

    monkeypatch.setattr(Stack, "outputs", lambda stack: OUTPUTS)
    monkeypatch.setattr("sys.argv", ["deploy", "rollback"])
    deploy.main()
    assert capsys.readouterr().out == f"version 1 answers: {IMAGE_A}\n"

    # And forward again, with the settings as they were changed.
    assert release.rollback(OUTPUTS) == "3"


def test_callers_who_have_used_up_the_quota_do_not_undo_a_rollback(
    functions: Lambda, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = (429, b'{"message": "Limit Exceeded"}')
    monkeypatch.setattr(rest_api, "_send", lambda request: refusal)
    monkeypatch.setattr(rest_api, "_SMOKE_TEST_SECONDS", 0)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    assert release.rollback(OUTPUTS, to="2") == "2"
    assert functions.version == "2"
    assert "Limit Exceeded" in capsys.readouterr().err
