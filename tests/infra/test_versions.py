"""Versions that Lambda has to prepare first, with a stand-in for it: no emulator takes its time."""

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from errors import DeployError
from infra import versions

IMAGE = "registry.invalid/cola@sha256:" + "a" * 64


@dataclass
class Lambda:
    """A function with one image, and one version of it."""

    state: str = "Active"
    """The version's."""

    update_status: str = "Successful"
    """Of the function's image."""

    can_prepare: bool = True
    calls: list[str] = field(default_factory=list)

    def get_function(self, **_: str) -> dict[str, Any]:
        settings = {"CodeSha256": "a", "LastUpdateStatus": self.update_status}
        return {"Configuration": settings, "Code": {"ImageUri": IMAGE}}

    def get_function_configuration(self, **_: str) -> dict[str, str]:
        return {"State": self.state}

    def update_function_code(self, **_: str) -> dict[str, str]:
        self.calls.append("update")
        self.update_status = "InProgress"
        return {"CodeSha256": "a"}

    def publish_version(self, **_: str) -> dict[str, str]:
        assert self.update_status == "Successful"
        return {"Version": "2"}

    def invoke(self, **_: str) -> dict[str, Any]:
        self.calls.append("invoke")
        if self.state != "Active":
            self.state = "Pending"
            refusal = {"Code": "CodeArtifactUserPendingException", "Message": "initializing"}
            raise ClientError({"Error": refusal}, "Invoke")
        return {"Payload": BytesIO(b'{"prediction": {"score": 0.5}}')}

    def get_waiter(self, _: str) -> "Lambda":
        return self

    def wait(self, **_: Any) -> None:
        if not self.can_prepare:
            settings = {"State": "Failed", "StateReason": "the image is gone"}
            raise WaiterError("PublishedVersionActive", "matched Failed", settings)

        # Nothing begins by itself.
        done = {"Pending": "Active", "InProgress": "Successful"}
        self.state = done.get(self.state, self.state)
        self.update_status = done.get(self.update_status, self.update_status)
        if (self.state, self.update_status) != ("Active", "Successful"):
            raise WaiterError("PublishedVersionActive", "Max attempts exceeded", {})


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Lambda:
    """Put the stand-in in Lambda's place."""
    functions = Lambda()
    monkeypatch.setattr(versions, "client", lambda service: functions)
    return functions


def test_an_image_that_lambda_could_not_take_is_given_again(functions: Lambda) -> None:
    functions.update_status = "Failed"
    assert versions.publish("cola", IMAGE, poll_seconds=0.1) == "2"
    assert functions.calls == ["update"]

    assert versions.publish("cola", IMAGE, poll_seconds=0.1) == "2"
    assert functions.calls == ["update"]


@pytest.mark.parametrize(
    ("state", "calls"),
    [("Active", ["invoke"]), ("Pending", ["invoke"]), ("Inactive", ["invoke", "invoke"])],
)
def test_a_version_that_nobody_called_for_weeks_is_woken(
    functions: Lambda, state: str, calls: list[str]
) -> None:
    functions.state = state
    versions.try_version("cola", "1")
    assert functions.calls == calls


def test_lambda_s_own_reason_is_told(functions: Lambda) -> None:
    functions.state, functions.can_prepare = "Pending", False
    with pytest.raises(DeployError, match="Lambda cannot use the image: the image is gone"):
        versions.try_version("cola", "1")
