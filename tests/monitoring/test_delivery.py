"""Delivery to real servers that misbehave: each event arrives exactly once, or as a dead letter."""

import base64
import json
import threading
import time
from collections import Counter
from pathlib import Path
from random import randbytes
from uuid import uuid4

import pytest
from pytest_httpserver import HTTPServer

from errors import DeliveryError, ElasticError
from monitoring import dead_letters, delivery, forwarder
from monitoring.dead_letters import DeadLetterQueue
from monitoring.elastic import Elastic
from monitoring.forwarder import Counts, forward
from monitoring.log_events import CloudWatchLogsEvent, DeadLetter, decode, encode
from monitoring.replay import receive, replay
from monitoring.signers import api_key
from tests.helpers.net import free_port
from tests.helpers.servers import (
    SERVERS,
    FaultyProxy,
    search,
    start_server,
    stop,
    wait_until_up,
)
from tests.helpers.subscription import (
    END,
    LINE,
    POISON,
    PREDICTION,
    REPORT,
    START,
    log_data,
    with_text,
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.02)


def soon(seconds: float = 20.0) -> float:
    """Return the deadline that many seconds from now."""
    return time.monotonic() + seconds


def predictions(count: int) -> CloudWatchLogsEvent:
    """Return a subscription event with ``count`` predictions between START and END."""
    lines = [
        json.dumps(
            {
                **PREDICTION,
                "text": f"sentence {n}",
                "prediction": {
                    "label": "acceptable" if n % 4 else "unacceptable",
                    "score": 1 if n % 2 else 0.5,
                },
            }
        )
        for n in range(count)
    ]
    return encode(log_data(START, *lines, END))


def deliver(event: CloudWatchLogsEvent, server: Elastic, seconds: float = 20.0) -> Counts:
    """Forward an event where there is no queue for dead letters."""
    return forward(event, server, soon(seconds))


def texts(server: Elastic) -> Counter[str]:
    """Return how often each text is in the index."""
    hits = search(server, {"size": 10_000, "_source": ["text"]})["hits"]["hits"]
    return Counter(hit["_source"]["text"] for hit in hits)


def each_once(count: int) -> Counter[str]:
    return Counter(f"sentence {n}" for n in range(count))


# --- A server that works ---------------------------------------------------------------------


def test_predictions_are_found_by_label(server: Elastic) -> None:
    counts = deliver(predictions(200), server)
    assert counts == {"events": 202, "forwarded": 200, "dropped": 2, "dead_letters": 0}

    for label, expected in (("acceptable", 150), ("unacceptable", 50)):
        query = {"size": 1, "query": {"term": {"prediction.label.keyword": label}}}
        answer = search(server, query)
        assert answer["hits"]["total"]["value"] == expected
        assert answer["hits"]["hits"][0]["_source"]["@log_group"] == "/aws/lambda/cola"


def test_forwarding_the_same_batch_again_changes_nothing(server: Elastic) -> None:
    event = predictions(50)
    first = deliver(event, server)

    assert deliver(event, server) == first
    assert texts(server) == each_once(50)


def test_malformed_values_do_not_lose_the_document(server: Elastic) -> None:
    strange = {
        **PREDICTION,
        "text": "sentence 0",
        "latency_ms": "fast",
        "prediction": {"label": "acceptable", "score": "high"},
        "never_seen": {"deep": [1, "two"]},
    }
    assert deliver(encode(log_data(json.dumps(strange))), server)["forwarded"] == 1

    query = {"query": {"term": {"prediction.label.keyword": "acceptable"}}}
    (hit,) = search(server, query)["hits"]["hits"]
    assert hit["_source"]["never_seen"] == {"deep": [1, "two"]}

    mapping = server.request("GET", "/cwl-2026.11.21/_mapping")["cwl-2026.11.21"]["mappings"]
    assert "never_seen" not in mapping["properties"]


def test_the_handler_leaves_itself_time_and_says_what_it_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: Elastic
) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 10_000

    monkeypatch.setenv("ELASTICSEARCH_URL", server.url)
    monkeypatch.delenv("DEAD_LETTER_QUEUE_URL", raising=False)
    forwarder.connect.cache_clear()
    try:
        forwarder.lambda_handler(predictions(10), Context())
    finally:
        forwarder.connect.cache_clear()

    assert json.loads(capsys.readouterr().out.splitlines()[-1])["forwarded"]["forwarded"] == 10
    assert texts(server) == each_once(10)


# --- A server that fails for a while ---------------------------------------------------------


def test_half_refused_with_429_is_delivered_in_the_end(server: Elastic, proxy: FaultyProxy) -> None:
    """In each request, the server takes every second document and has no room for the others."""
    taken: list[bool] = []

    def every_second(path: str, body: bytes) -> bytes:
        lines = body.splitlines(keepends=True)
        pairs = [lines[i] + lines[i + 1] for i in range(0, len(lines), 2)]
        taken[:] = [n % 2 == 0 for n in range(len(pairs))]
        return b"".join(pair for pair, take in zip(pairs, taken, strict=True) if take)

    def busy(answer: bytes) -> bytes:
        items = iter(json.loads(answer)["items"])
        error = {"type": "es_rejected_execution_exception", "reason": "full"}
        full = {"create": {"status": 429, "error": error}}
        answered = [next(items) if take else full for take in taken]
        return json.dumps({"errors": True, "items": answered}).encode()

    proxy.fault, proxy.amend = every_second, busy
    assert deliver(predictions(100), Elastic(proxy.url))["forwarded"] == 100

    # 100 documents, then 50, 25, 12, 6, 3, 1.
    assert proxy.requests == 7
    assert texts(server) == each_once(100)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_request_refused_for_now_is_tried_again(
    server: Elastic, proxy: FaultyProxy, status: int
) -> None:
    proxy.fault = lambda path, body: (status, b"try later") if proxy.requests < 4 else body

    assert deliver(predictions(20), Elastic(proxy.url))["forwarded"] == 20
    assert texts(server) == each_once(20)


def test_an_answer_that_was_lost_does_not_make_duplicates(
    server: Elastic, proxy: FaultyProxy
) -> None:
    """The server took the documents, but the answer is lost: the second try gets 409 for each."""
    proxy.amend = lambda answer: b"<html>" if proxy.requests == 1 else answer

    assert deliver(predictions(20), Elastic(proxy.url))["forwarded"] == 20
    assert proxy.requests == 2
    assert texts(server) == each_once(20)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_down_for_a_while_gets_everything(name: str, tmp_path: Path) -> None:
    port = free_port()
    server = Elastic(f"http://127.0.0.1:{port}")
    counts: list[Counts] = []
    thread = threading.Thread(target=lambda: counts.append(deliver(predictions(50), server)))
    thread.start()
    time.sleep(0.5)

    process = start_server(name, port, tmp_path)
    try:
        thread.join(20)
        assert counts == [{"events": 52, "forwarded": 50, "dropped": 2, "dead_letters": 0}]
        wait_until_up(server)
        assert texts(server) == each_once(50)
    finally:
        stop(process)


def test_what_cannot_be_delivered_in_time_raises() -> None:
    server = Elastic(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(
        DeliveryError, match=r"20 documents not delivered in time.*is the server up"
    ):
        deliver(predictions(20), server, seconds=0.5)


# --- Requests that are too large -------------------------------------------------------------


def test_a_body_too_large_for_a_proxy_is_halved(server: Elastic, proxy: FaultyProxy) -> None:
    proxy.fault = lambda path, body: (413, b"") if len(body) > 20_000 else body

    assert deliver(predictions(100), Elastic(proxy.url))["forwarded"] == 100
    assert texts(server) == each_once(100)


def test_large_batches_are_cut(
    monkeypatch: pytest.MonkeyPatch, server: Elastic, proxy: FaultyProxy
) -> None:
    monkeypatch.setattr(delivery, "MAX_BULK_BYTES", 10_000)
    sizes: list[int] = []

    def measure(path: str, body: bytes) -> bytes:
        sizes.append(len(body))
        return body

    proxy.fault = measure
    deliver(predictions(300), Elastic(proxy.url))

    assert proxy.requests > 10
    assert max(sizes) <= 10_000
    assert texts(server) == each_once(300)


# --- What no retry can help ------------------------------------------------------------------


on_one_server = pytest.mark.parametrize("running_server", ["opensearch"], indirect=True)


@pytest.fixture
def queue(aws: str) -> DeadLetterQueue:
    """Return an SQS queue of the test's own, in ministack."""
    client = dead_letters.sqs.__wrapped__()
    url = client.create_queue(QueueName=f"letters-{uuid4().hex}")["QueueUrl"]
    return DeadLetterQueue(client, url)


def letters(queue: DeadLetterQueue) -> list[DeadLetter]:
    """Return the dead letters in the queue."""
    received = receive(queue.client, queue.url, 60)
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
    assert texts(server) == each_once(1)

    (letter,) = letters(queue)
    assert "prediction" in letter["reason"]
    assert [e["message"] for e in decode(letter)["logEvents"]] == [POISON]

    with pytest.raises(DeliveryError, match="DEAD_LETTER_QUEUE_URL"):
        deliver(event, server)


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


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_wrong_setting_raises_at_once(status: int, httpserver: HTTPServer) -> None:
    proxy = FaultyProxy(httpserver, target="http://127.0.0.1:1")
    proxy.fault = lambda path, body: (status, b'{"error": {"reason": "no such key"}}')

    with pytest.raises(ElasticError, match=f"HTTP {status}: no such key"):
        deliver(predictions(2), Elastic(proxy.url, api_key("c2VjcmV0")))
    assert proxy.requests == 1
