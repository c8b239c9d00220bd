"""Dead letters: what the server refuses for good waits in a queue, once, until it is replayed."""

import base64
import json
import time
from random import randbytes
from uuid import uuid4

import pytest

from errors import DeliveryError
from monitoring import dead_letters, delivery
from monitoring.dead_letters import DeadLetterQueue
from monitoring.elastic import Elastic
from monitoring.forwarder import forward
from monitoring.log_events import CloudWatchLogsEvent, DeadLetter, decode, encode
from monitoring.replay import receive, replay
from tests.helpers.servers import FaultyProxy, search
from tests.helpers.subscription import LINE, POISON, REPORT, START, log_data, soon, with_text

on_one_server = pytest.mark.parametrize("running_server", ["opensearch"], indirect=True)


@pytest.fixture
def queue(aws: str) -> DeadLetterQueue:
    """Return an SQS queue of the test's own, in ministack."""
    client = dead_letters.sqs.__wrapped__()
    url = client.create_queue(QueueName=f"letters-{uuid4().hex}")["QueueUrl"]
    return DeadLetterQueue(client, url)


def letters(queue: DeadLetterQueue) -> list[DeadLetter]:
    """Return the dead letters in the queue."""
    received = receive(queue.client, queue.url, {})
    return [json.loads(message["Body"]) for messages in received for message in messages]


def request_sizes(queue: DeadLetterQueue) -> list[int]:
    """Return a list that takes how many letters each request to the queue holds from now on."""
    sizes: list[int] = []
    queue.client.meta.events.register(
        "provide-client-params.sqs.SendMessageBatch",
        lambda params, **rest: sizes.append(len(params["Entries"])),
    )
    return sizes


def poisonous(count: int) -> CloudWatchLogsEvent:
    """Return a subscription event that a server refuses as a whole, document by document."""
    return encode(log_data(*[POISON] * count))


def test_a_poisonous_document_becomes_a_letter_and_the_others_arrive(
    server: Elastic, queue: DeadLetterQueue
) -> None:
    event = encode(log_data(json.dumps(with_text("sentence 0")), POISON))

    counts = forward(event, server, soon(), queue)
    assert counts == {"events": 2, "forwarded": 1, "dropped": 0, "dead_letters": 1}
    assert search(server, {})["hits"]["total"]["value"] == 1

    (letter,) = letters(queue)
    assert "prediction" in letter["reason"]
    assert [e["message"] for e in decode(letter)["logEvents"]] == [POISON]

    with pytest.raises(DeliveryError, match="1 documents refused: .*prediction"):
        forward(event, server, soon())


def test_dead_letters_go_by_ten(server: Elastic, queue: DeadLetterQueue) -> None:
    sizes = request_sizes(queue)
    assert forward(poisonous(25), server, soon(), queue)["dead_letters"] == 25
    assert sizes == [10, 10, 5]
    assert len(letters(queue)) == 25


@on_one_server
def test_large_dead_letters_share_no_request(server: Elastic, queue: DeadLetterQueue) -> None:
    """SQS refuses a request whose messages are too large together."""
    # Random text, so that it cannot be packed.
    large = [json.dumps({"prediction": base64.b64encode(randbytes(90_000)).decode()})] * 3

    sizes = request_sizes(queue)
    assert forward(encode(log_data(*large)), server, soon(), queue)["dead_letters"] == 3
    assert sizes == [2, 1]
    assert len(letters(queue)) == 3


def test_dead_letters_stop_at_the_deadline(queue: DeadLetterQueue) -> None:
    refused = {str(10**55 + number): "mapping" for number in range(30)}
    queue.client.meta.events.register(
        "provide-client-params.sqs.SendMessageBatch", lambda **parts: time.sleep(0.2)
    )

    with pytest.raises(DeliveryError, match="no time left for dead letters; refused: mapping"):
        queue.send(log_data(*[POISON] * 30), refused, soon(0.3))
    assert len(letters(queue)) == 20


@on_one_server
def test_a_batch_that_is_refused_as_a_whole_is_its_own_dead_letter(
    server: Elastic, queue: DeadLetterQueue
) -> None:
    """A hundred letters and more, one by one, would take longer than the function has."""
    with pytest.raises(DeliveryError, match="101 documents refused.*prediction"):
        forward(poisonous(101), server, soon(), queue)
    assert letters(queue) == []


def test_one_client_serves_all_dead_letters(aws: str) -> None:
    dead_letters.sqs.cache_clear()
    try:
        assert dead_letters.sqs() is dead_letters.sqs()
    finally:
        dead_letters.sqs.cache_clear()


@on_one_server
def test_no_letter_is_written_while_the_batch_will_be_tried_again(
    monkeypatch: pytest.MonkeyPatch, server: Elastic, proxy: FaultyProxy, queue: DeadLetterQueue
) -> None:
    """Otherwise the next try would write the same letter again."""
    # One document per request.
    monkeypatch.setattr(delivery, "MAX_BULK_BYTES", 1)
    proxy.fault = lambda path, body: body if b"poison" in body else (503, b"")

    event = encode(log_data(POISON, LINE))
    with pytest.raises(DeliveryError, match="503"):
        forward(event, Elastic(proxy.url), soon(1.0), queue)
    assert letters(queue) == []


@on_one_server
def test_a_replay_deletes_only_what_it_delivered(server: Elastic, queue: DeadLetterQueue) -> None:
    """A stack with FORWARD_ALL buries lines that a replay elsewhere would drop."""
    body = json.dumps(encode(log_data(REPORT, START)))
    queue.client.send_message(QueueUrl=queue.url, MessageBody=body)

    assert replay(queue.client, queue.url, server) == {"delivered": 2}
    assert search(server, {})["hits"]["total"]["value"] == 2
    assert letters(queue) == []


@on_one_server
def test_what_a_replay_could_not_deliver_can_be_read_again_at_once(
    server: Elastic, queue: DeadLetterQueue
) -> None:
    for _ in range(12):
        queue.client.send_message(QueueUrl=queue.url, MessageBody=json.dumps(poisonous(1)))
    assert replay(queue.client, queue.url, server) == {"refused": 12}
    assert len(letters(queue)) == 12
