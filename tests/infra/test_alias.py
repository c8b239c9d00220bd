"""Where the alias ends when a release fails, with a stand-in for Lambda that can lose answers."""

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError

from errors import DeployError
from infra import release, rest_api
from infra.stack import StackOutputs

OUTPUTS = StackOutputs("s3://store/dvc", "registry.invalid/cola", function_name="cola")


@dataclass
class Lambda:
    """Version 1 answers; version 2 predicts if it is invoked directly."""

    version: str = "1"
    description: str = ""
    revision: int = 1

    loses_answers: bool = False
    """A move takes place, and the client, which asks again, is told that the revision is old."""

    refuses: list[str] = field(default_factory=list)
    """Versions that the alias may not be moved to."""

    def invoke(self, **_: str) -> dict[str, Any]:
        return {"Payload": BytesIO(b'{"prediction": {"score": 0.5}}')}

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
    monkeypatch.setattr(release, "client", lambda service: functions)
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
