"""Releases against a Lambda and a REST API that fail in ways that no emulator does."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from errors import DeployError
from infra import release, rest_api, versions
from infra.stack import StackOutputs


@pytest.fixture(params=["200 OK", "403 Forbidden"])
def cut_off(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a server that ends each answer in the middle."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                head = f"HTTP/1.1 {request.param}\r\ncontent-length: 100\r\n\r\n"
                connection.sendall(head.encode() + b"{")

                # All that the client sends is read: what is not would reset the connection.
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_an_answer_that_ends_in_the_middle_is_one_line(
    cut_off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    outputs = StackOutputs("s3://store/dvc", "registry/cola", predict_url=cut_off)

    with pytest.raises(DeployError, match=r"did not answer: IncompleteRead"):
        rest_api.predict(outputs, rest_api.SMOKE_SENTENCE)


class Lambda:
    """A function in which another release puts its own image as soon as ours is there."""

    def __init__(self) -> None:
        self.code = "old"

    def get_function(self, **_: Any) -> dict[str, Any]:
        return {"Configuration": {"CodeSha256": self.code}, "Code": {"ImageUri": self.code}}

    def update_function_code(self, **arguments: Any) -> dict[str, str]:
        self.code = "another's"
        return {"CodeSha256": arguments["ImageUri"]}

    def get_waiter(self, name: str) -> "Lambda":
        return self

    def wait(self, **_: Any) -> None:
        """Return at once."""

    def publish_version(self, **arguments: Any) -> dict[str, str]:
        # As Lambda does: without CodeSha256 it publishes whatever is there.
        if arguments.get("CodeSha256", self.code) != self.code:
            error = {"Code": "InvalidParameterValueException", "Message": "CodeSHA256 differs"}
            raise ClientError({"Error": error}, "PublishVersion")
        return {"Version": "2"}


def test_a_release_does_not_publish_what_another_one_put_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    functions = Lambda()
    monkeypatch.setattr(versions, "client", lambda service: functions)
    outputs = StackOutputs("s3://store/dvc", "registry/cola", function_name="cola")

    with pytest.raises(DeployError, match="CodeSHA256 differs"):
        release.release(outputs, "registry/cola@sha256:" + "0" * 64, poll_seconds=1)
