"""Replaying dead letters: when it stops, what stays in the queue, and what it says of AWS."""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import UnauthorizedSSOTokenError
from pytest_httpserver import HTTPServer

from commands.run import run_command
from errors import ElasticError
from monitoring import dead_letters, replay
from monitoring.elastic import Elastic
from monitoring.log_events import encode
from monitoring.signers import aws_errors
from tests.helpers.net import free_port
from tests.helpers.servers import FaultyProxy, search
from tests.helpers.subscription import LINE, POISON, log_data

QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/letters"

on_one_server = pytest.mark.parametrize("running_server", ["opensearch"], indirect=True)


class Queue:
    """In the place of SQS: a message that was read is hidden until it is shown again.

    Attributes:
        messages: Bodies by id.
        hidden: The ids of those that cannot be read now.
        handles: The latest receipt handle by id, the only one to show a message again by.
    """

    def __init__(self, *lines: str) -> None:
        bodies = [json.dumps(encode(log_data(line))) for line in lines]
        self.messages = {str(number): body for number, body in enumerate(bodies)}
        self.hidden: set[str] = set()
        self.handles: dict[str, str] = {}

    def receive_message(self, MaxNumberOfMessages: int, **rest: Any) -> Any:  # noqa: N803
        shown = [identity for identity in self.messages if identity not in self.hidden]
        taken = shown[:MaxNumberOfMessages]
        self.hidden.update(taken)
        self.handles |= {identity: f"{identity} {uuid4()}" for identity in taken}
        messages = [
            {
                "MessageId": identity,
                "ReceiptHandle": self.handles[identity],
                "Body": self.messages[identity],
            }
            for identity in taken
        ]
        return {"Messages": messages} if messages else {}

    def delete_message(self, ReceiptHandle: str, **rest: Any) -> None:  # noqa: N803
        identity = ReceiptHandle.split()[0]
        del self.messages[identity]
        self.hidden.discard(identity)

    def change_message_visibility_batch(
        self,
        Entries: list[dict[str, Any]],  # noqa: N803
        **rest: Any,
    ) -> None:
        assert 0 < len(Entries) <= 10
        assert {entry["VisibilityTimeout"] for entry in Entries} == {0}
        given = {entry["ReceiptHandle"] for entry in Entries}
        self.hidden -= {identity for identity, handle in self.handles.items() if handle in given}

    def get_queue_attributes(self, AttributeNames: list[str], **rest: Any) -> Any:  # noqa: N803
        return {"Attributes": {name: str(len(self.hidden)) for name in AttributeNames}}


def command(monkeypatch: pytest.MonkeyPatch, queue: Queue | None, *arguments: str) -> int:
    """Run the command, on a queue if one is given; return its exit code."""
    # Where a person has set it, run_command catches nothing.
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", QUEUE_URL)
    monkeypatch.setattr(sys, "argv", ["replay", *arguments])
    if queue is not None:
        monkeypatch.setattr(replay, "sqs", lambda: queue)

    try:
        run_command(replay.main)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


# --- What stays in the queue -----------------------------------------------------------------


@on_one_server
def test_a_refused_letter_stays_and_the_others_are_delivered(
    server: Elastic, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = Queue(POISON, LINE, *[POISON] * 12)
    assert replay.replay(queue, QUEUE_URL, server) == {"delivered": 1, "refused": 13}
    assert capsys.readouterr().out.startswith("still refused: 0: 1 documents refused: ")

    assert len(queue.messages) == 13
    assert queue.hidden == set()
    assert search(server, {})["hits"]["total"]["value"] == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_replay_stops_at_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    httpserver: HTTPServer,
    status: int,
) -> None:
    proxy, queue = FaultyProxy(httpserver, target="http://127.0.0.1:1"), Queue(*[LINE] * 15)
    proxy.fault = lambda path, body: (status, b"{}")
    monkeypatch.setenv("ELASTICSEARCH_URL", proxy.url)

    assert command(monkeypatch, queue) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: stopped, 0 log events were delivered: ")
    assert f"HTTP {status}" in error
    assert error.count("\n") == 1

    assert proxy.requests == 1
    assert len(queue.messages) == 15
    assert queue.hidden == set()


def test_a_replay_stops_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "SECONDS_PER_DEAD_LETTER", 0.3)
    queue = Queue(LINE, LINE)

    with pytest.raises(ElasticError, match=r"^stopped, 0 .* is the server up") as caught:
        replay.replay(queue, QUEUE_URL, Elastic(f"http://127.0.0.1:{free_port()}"))
    assert "\n" not in str(caught.value)
    assert queue.hidden == set()


@on_one_server
def test_a_replay_whose_credentials_expire_says_what_it_delivered(
    server: Elastic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS refuses them too: the letters are shown again once their time has passed."""
    signed: list[str] = []

    def sign(method: str, url: str, body: bytes) -> dict[str, str]:
        signed.append(url)
        with aws_errors():
            if len(signed) > 1:
                raise UnauthorizedSSOTokenError
        return {}

    def refuse(**request: Any) -> None:
        raise UnauthorizedSSOTokenError

    queue = Queue(LINE, LINE, LINE)
    monkeypatch.setattr(queue, "change_message_visibility_batch", refuse)
    with pytest.raises(ElasticError, match=r"^stopped, 1 log events .*: AWS: The SSO session"):
        replay.replay(queue, QUEUE_URL, Elastic(server.url, sign))
    assert len(signed) == 2
    assert len(queue.messages) == 2


def test_a_letter_that_is_shown_again_is_read_once() -> None:
    queue = Queue(LINE)
    batches = replay.receive(queue, QUEUE_URL, {})
    assert len(next(batches)) == 1

    # Its delivery took longer than it was hidden.
    queue.hidden.clear()
    assert list(batches) == []


def test_letters_that_are_shown_again_do_not_keep_back_those_behind_them() -> None:
    queue = Queue(*[LINE] * 25)
    batches = replay.receive(queue, QUEUE_URL, {})
    first = next(batches)

    queue.hidden.clear()
    assert [len(batch) for batch in (first, *batches)] == [10, 10, 5]


def test_a_letter_that_was_shown_twice_can_be_read_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its first receipt handle is worth nothing any more."""
    queue = Queue(LINE)

    def take_longer_than_it_is_hidden(message: replay.QueueMessage) -> str:
        queue.hidden.clear()
        return ""

    monkeypatch.setattr(replay, "_reason", take_longer_than_it_is_hidden)
    assert replay.show(queue, QUEUE_URL) == {"waiting": 1}
    assert queue.hidden == set()


def test_a_dry_run_reads_a_long_queue_to_its_end_and_leaves_it_to_others() -> None:
    queue = Queue(*[LINE] * 25)
    assert replay.show(queue, QUEUE_URL) == {"waiting": 25}
    assert queue.hidden == set()


def test_a_queue_that_only_looks_empty_is_not_called_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", f"http://127.0.0.1:{free_port()}")
    queue = Queue(LINE, LINE)
    queue.hidden = set(queue.messages)

    for arguments in ([], ["--dry-run"]):
        assert command(monkeypatch, queue, *arguments) == 0
        assert "hidden=2" in capsys.readouterr().out

    assert command(monkeypatch, Queue()) == 0
    assert capsys.readouterr().out == "the queue is empty\n"


# --- AWS refuses -----------------------------------------------------------------------------


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Take away all that this machine knows of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "missing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("ELASTICSEARCH_URL", f"http://127.0.0.1:{free_port()}")

    dead_letters.sqs.cache_clear()
    yield
    dead_letters.sqs.cache_clear()


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "You must specify a region"),
        ({"AWS_REGION": "eu-west-1"}, "Unable to locate credentials"),
        ({"AWS_REGION": "eu-west-1", "AWS_PROFILE": "nobody"}, r"profile \(nobody\) could not be"),
    ],
    ids=["no region", "no credentials", "no such profile"],
)
def test_without_access_to_aws_a_replay_ends_with_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_aws: None,
    environment: dict[str, str],
    reason: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert command(monkeypatch, None) == 2
    error = capsys.readouterr().err
    assert re.search(f"^error: AWS: .*{reason}.*: check AWS_REGION, AWS_PROFILE", error)
    assert error.count("\n") == 1


def test_the_queue_is_in_the_region_that_aws_region_names(
    monkeypatch: pytest.MonkeyPatch, no_aws: None
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert dead_letters.sqs().meta.region_name == "eu-west-1"

    dead_letters.sqs.cache_clear()
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert dead_letters.sqs().meta.region_name == "eu-west-2"


def test_a_queue_that_refuses_letters_is_one_line(
    monkeypatch: pytest.MonkeyPatch, no_aws: None
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    queue = dead_letters.DeadLetterQueue(dead_letters.sqs(), QUEUE_URL)

    data = log_data(POISON)
    refused = {data["logEvents"][0]["id"]: "mapping"}
    with pytest.raises(ElasticError, match="^AWS: Could not connect to the endpoint"):
        queue.send(data, refused, time.monotonic() + 20)
