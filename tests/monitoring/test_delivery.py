"""Delivery to real servers that misbehave: each event arrives exactly once, or is refused."""

import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import UnauthorizedSSOTokenError
from pytest_httpserver import HTTPServer

from errors import DeliveryError, ElasticError
from monitoring import delivery
from monitoring.delivery import Document
from monitoring.elastic import Elastic
from monitoring.forwarder import Counts, forward
from monitoring.log_events import CloudWatchLogsEvent, encode
from monitoring.signers import api_key, aws_errors
from tests.helpers.net import free_port
from tests.helpers.servers import SERVERS, FaultyProxy, search, search_server
from tests.helpers.subscription import END, PREDICTION, START, log_data, soon


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.02)


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


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_request_refused_for_now_is_tried_again(
    server: Elastic, proxy: FaultyProxy, status: int
) -> None:
    proxy.fault = lambda path, body: (status, b"try later") if proxy.requests < 4 else body

    assert deliver(predictions(20), Elastic(proxy.url))["forwarded"] == 20
    assert texts(server) == each_once(20)


def test_a_busy_server_is_asked_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    pauses: list[float] = []
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=pauses.append)
    monkeypatch.setattr(delivery, "time", clock)

    proxy = FaultyProxy(httpserver, target="http://127.0.0.1:1")
    proxy.fault = lambda path, body: (
        (503, b"busy") if proxy.requests < 6 else (200, b'{"errors": false}')
    )
    deliver(predictions(2), Elastic(proxy.url))

    # Up to 0.02 s, 0.04 s, ...: see short_pauses.
    assert len(pauses) == 5
    for number, pause in enumerate(pauses):
        assert 0.01 <= pause / 2**number <= 0.02


def test_an_answer_that_was_lost_does_not_make_duplicates(
    server: Elastic, proxy: FaultyProxy
) -> None:
    """The server took the documents, but the answer is lost: the second try gets 409 for each."""
    proxy.amend = lambda answer: b"<html>" if proxy.requests == 1 else answer

    assert deliver(predictions(20), Elastic(proxy.url))["forwarded"] == 20
    assert proxy.requests == 2
    assert texts(server) == each_once(20)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"status": "ok"}'])
def test_an_answer_that_does_not_speak_of_documents_delivers_none(
    httpserver: HTTPServer, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy or another program may answer 200 to anything."""
    # One try: another one, shortly before the deadline, would not have the time.
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 9.0)
    httpserver.expect_request("/_bulk").respond_with_data(body)
    server = Elastic(httpserver.url_for(""))
    with pytest.raises(DeliveryError, match="2 documents not delivered in time: .*bulk request"):
        deliver(predictions(2), server, seconds=1)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_down_for_a_while_gets_everything(name: str, tmp_path: Path) -> None:
    port = free_port()
    server = Elastic(f"http://127.0.0.1:{port}")
    counts: list[Counts] = []
    thread = threading.Thread(target=lambda: counts.append(deliver(predictions(50), server)))
    thread.start()
    time.sleep(0.5)

    with search_server(name, port, tmp_path):
        thread.join(20)
        assert counts == [{"events": 52, "forwarded": 50, "dropped": 2, "dead_letters": 0}]
        assert texts(server) == each_once(50)


def test_what_cannot_be_delivered_in_time_raises() -> None:
    server = Elastic(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(
        DeliveryError, match=r"20 documents not delivered in time.*is the server up"
    ):
        deliver(predictions(20), server, seconds=0.5)


def test_a_silent_server_is_given_up_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = Elastic(f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(DeliveryError, match=r"not delivered in time: .*timed out"):
            deliver(predictions(2), server, seconds=0.5)

    # A request alone may take longer than there is time.
    assert time.monotonic() - started < delivery.REQUEST_TIMEOUT / 2


# --- Requests that are too large -------------------------------------------------------------


def test_a_body_too_large_for_a_proxy_is_halved(server: Elastic, proxy: FaultyProxy) -> None:
    proxy.fault = lambda path, body: (413, b"") if len(body) > 20_000 else body

    assert deliver(predictions(100), Elastic(proxy.url))["forwarded"] == 100
    assert texts(server) == each_once(100)


def test_a_document_too_large_for_a_proxy_holds_up_no_other(
    server: Elastic, proxy: FaultyProxy
) -> None:
    proxy.fault = lambda path, body: (413, b"too large") if len(body) > 20_000 else body
    documents = [
        Document(str(number), "cwl-2026.11.21", json.dumps({"text": text}).encode())
        for number, text in enumerate(["x" * 30_000, "sentence 0", "x" * 30_000, "sentence 1"])
    ]

    refused = delivery.deliver(documents, Elastic(proxy.url), soon())
    assert set(refused) == {"0", "2"}
    assert "HTTP 413: too large" in refused["0"]
    assert texts(server) == each_once(2)


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


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_wrong_setting_raises_at_once(status: int, httpserver: HTTPServer) -> None:
    proxy = FaultyProxy(httpserver, target="http://127.0.0.1:1")
    proxy.fault = lambda path, body: (status, b'{"error": {"reason": "no such key"}}')

    with pytest.raises(ElasticError, match=f"HTTP {status}: no such key"):
        deliver(predictions(2), Elastic(proxy.url, api_key("c2VjcmV0")))
    assert proxy.requests == 1


def test_expired_credentials_raise_at_once() -> None:
    """The server would answer 401: to wait for it to come back would take the whole minute."""
    asked: list[str] = []

    def sign(method: str, url: str, body: bytes) -> dict[str, str]:
        asked.append(url)
        with aws_errors():
            raise UnauthorizedSSOTokenError
        return {}

    with pytest.raises(ElasticError, match="^AWS: The SSO session .* has expired") as caught:
        deliver(predictions(2), Elastic("http://127.0.0.1:1", sign), seconds=2)
    assert caught.value.status == 401
    assert len(asked) == 1
