"""Delivery to real servers that misbehave: at the end each event is there exactly once, or in a letter."""

import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from errors import DeliveryError, ElasticError
from monitoring import delivery, forwarder
from monitoring.elastic import Elastic, api_key
from monitoring.forwarder import decode, encode, forward
from tests.helpers.net import free_port
from tests.helpers.servers import (
    SERVERS,
    FaultyProxy,
    search,
    start_server,
    stop,
    wait_until_up,
)
from tests.monitoring.test_forwarder import END, PREDICTION, START, payload


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.02)


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


def predictions(count: int) -> dict[str, Any]:
    """A subscription event with `count` predictions between START and END."""
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
    return encode(payload(START, *lines, END))


def texts(server: Elastic) -> Counter[str]:
    """How often each text is in the index."""
    hits = search(server, {"size": 10_000, "_source": ["text"]})["hits"]["hits"]
    return Counter(hit["_source"]["text"] for hit in hits)


def each_once(count: int) -> Counter[str]:
    return Counter(f"sentence {n}" for n in range(count))


def test_predictions_are_found_by_label(server: Elastic) -> None:
    counts = forward(predictions(200), server, soon(), bury=None)
    assert counts == {"events": 202, "forwarded": 200, "dropped": 2, "dead_letters": 0}
    for label, expected in (("acceptable", 150), ("unacceptable", 50)):
        found = search(server, {"size": 1, "query": {"term": {"prediction.label.keyword": label}}})
        assert found["hits"]["total"]["value"] == expected
    assert found["hits"]["hits"][0]["_source"]["@log_group"] == "/aws/lambda/cola"


def test_forwarding_the_same_batch_again_changes_nothing(server: Elastic) -> None:
    event = predictions(50)
    first = forward(event, server, soon(), bury=None)
    assert forward(event, server, soon(), bury=None) == first
    assert texts(server) == each_once(50)


def test_half_refused_with_429_is_delivered_in_the_end(server: Elastic, proxy: FaultyProxy) -> None:
    """Each request, the server takes every second document and has no room for the others."""
    taken: list[bool] = []

    def every_second(path: str, body: bytes) -> bytes:
        lines = body.splitlines(keepends=True)
        pairs = [lines[i] + lines[i + 1] for i in range(0, len(lines), 2)]
        taken[:] = [n % 2 == 0 for n in range(len(pairs))]
        return b"".join(pair for pair, take in zip(pairs, taken, strict=True) if take)

    def busy(answer: bytes) -> bytes:
        items = iter(json.loads(answer)["items"])
        full = {
            "create": {
                "status": 429,
                "error": {"type": "es_rejected_execution_exception", "reason": "full"},
            }
        }
        return json.dumps(
            {"errors": True, "items": [next(items) if take else full for take in taken]}
        ).encode()

    proxy.fault, proxy.amend = every_second, busy
    assert forward(predictions(100), Elastic(proxy.url), soon(), bury=None)["forwarded"] == 100
    assert proxy.requests == 7  # 100, 50, 25, 12, 6, 3, 1
    assert texts(server) == each_once(100)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_request_refused_for_now_is_tried_again(
    server: Elastic, proxy: FaultyProxy, status: int
) -> None:
    proxy.fault = lambda path, body: (status, b"try later") if proxy.requests < 4 else body
    assert forward(predictions(20), Elastic(proxy.url), soon(), bury=None)["forwarded"] == 20
    assert texts(server) == each_once(20)


def test_an_answer_that_was_lost_does_not_make_duplicates(
    server: Elastic, proxy: FaultyProxy
) -> None:
    """The server took the documents, but the answer never came: the second try finds them there (409)."""
    proxy.amend = lambda answer: b"<html>" if proxy.requests == 1 else answer
    assert forward(predictions(20), Elastic(proxy.url), soon(), bury=None)["forwarded"] == 20
    assert proxy.requests == 2
    assert texts(server) == each_once(20)


def test_a_body_too_large_for_a_proxy_is_halved(server: Elastic, proxy: FaultyProxy) -> None:
    proxy.fault = lambda path, body: (413, b"") if len(body) > 20_000 else body
    assert forward(predictions(100), Elastic(proxy.url), soon(), bury=None)["forwarded"] == 100
    assert texts(server) == each_once(100)


def test_a_poisonous_document_becomes_a_letter_and_the_others_arrive(server: Elastic) -> None:
    poison = json.dumps({"text": "poison", "prediction": "not an object"})
    good = json.dumps({**PREDICTION, "text": "sentence 0"})
    letters: list[str] = []
    event = encode(payload(good, poison))
    counts = forward(event, server, soon(), bury=letters.append)
    assert counts == {"events": 2, "forwarded": 1, "dropped": 0, "dead_letters": 1}
    assert texts(server) == each_once(1)
    letter = json.loads(letters[0])
    assert "prediction" in letter["reason"]
    assert [e["message"] for e in decode(letter)["logEvents"]] == [poison]
    with pytest.raises(DeliveryError, match="DEAD_LETTER_QUEUE_URL"):
        forward(event, server, soon(), bury=None)


def test_no_letter_is_written_while_the_batch_will_be_tried_again(
    monkeypatch: pytest.MonkeyPatch, server: Elastic, proxy: FaultyProxy
) -> None:
    """Otherwise the next try would write the same letter again."""
    monkeypatch.setattr(delivery, "MAX_BULK_BYTES", 1)  # one document a request
    proxy.fault = lambda path, body: body if b"poison" in body else (503, b"")
    poison = json.dumps({"text": "poison", "prediction": "not an object"})
    letters: list[str] = []
    event = encode(payload(poison, json.dumps(PREDICTION)))
    with pytest.raises(DeliveryError, match="503"):
        forward(event, Elastic(proxy.url), soon(1.0), bury=letters.append)
    assert letters == []


def test_malformed_values_do_not_lose_the_document(server: Elastic) -> None:
    strange = {
        **PREDICTION,
        "text": "sentence 0",
        "latency_ms": "fast",
        "prediction": {"label": "acceptable", "score": "high"},
        "never_seen": {"deep": [1, "two"]},
    }
    counts = forward(encode(payload(json.dumps(strange))), server, soon(), bury=None)
    assert counts["forwarded"] == 1
    (hit,) = search(server, {"query": {"term": {"prediction.label.keyword": "acceptable"}}})[
        "hits"
    ]["hits"]
    assert hit["_source"]["never_seen"] == {"deep": [1, "two"]}
    mapping = server.request("GET", "/cwl-2026.11.21/_mapping")["cwl-2026.11.21"]["mappings"]
    assert "never_seen" not in mapping["properties"]


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_down_for_a_while_gets_everything(name: str, tmp_path: Path) -> None:
    port = free_port()
    server = Elastic(f"http://127.0.0.1:{port}")
    counts: list[dict[str, int]] = []
    thread = threading.Thread(
        target=lambda: counts.append(forward(predictions(50), server, soon(), bury=None))
    )
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
        forward(predictions(20), server, soon(0.5), bury=None)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_wrong_setting_raises_at_once(status: int) -> None:
    proxy = FaultyProxy("http://127.0.0.1:1")
    proxy.fault = lambda path, body: (status, b'{"error": {"reason": "no such key"}}')
    try:
        with pytest.raises(ElasticError, match=f"HTTP {status}: no such key"):
            forward(predictions(2), Elastic(proxy.url, api_key("c2VjcmV0")), soon(), bury=None)
        assert proxy.requests == 1
    finally:
        proxy.close()


def test_large_batches_are_cut(
    monkeypatch: pytest.MonkeyPatch, server: Elastic, proxy: FaultyProxy
) -> None:
    monkeypatch.setattr(delivery, "MAX_BULK_BYTES", 10_000)
    largest = 0

    def measure(path: str, body: bytes) -> bytes:
        nonlocal largest
        largest = max(largest, len(body))
        return body

    proxy.fault = measure
    forward(predictions(300), Elastic(proxy.url), soon(), bury=None)
    assert proxy.requests > 10
    assert largest <= 10_000
    assert texts(server) == each_once(300)


def test_the_handler_leaves_itself_time_and_says_what_it_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: Elastic
) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 10_000

    monkeypatch.setenv("ELASTICSEARCH_URL", server.url)
    monkeypatch.delenv("DEAD_LETTER_QUEUE_URL", raising=False)
    forwarder._server.cache_clear()
    try:
        forwarder.lambda_handler(predictions(10), Context())
    finally:
        forwarder._server.cache_clear()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["forwarded"]["forwarded"] == 10
    assert texts(server) == each_once(10)
