"""What a stranger may ask of the HTTP service, and what is done for it: names, methods, limits."""

import asyncio
import json
import re
import socket
import time
from contextlib import ExitStack
from dataclasses import replace

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request

from errors import RequestError
from serving.clients import cancelled_if_client_leaves
from serving.connections import Connection
from serving.messages import parse_json
from serving.settings import Settings
from tests.helpers.http_service import JSON, SMALL, error_of, serving
from tests.helpers.net import wait_until

# Of a request whose body is yet to come.
HEAD = (
    b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n"
)


@pytest.fixture(scope="module")
def client():
    with serving() as (client, _):
        yield client


# Names, methods, policies


@pytest.mark.parametrize("path", ["/predict%0A?text=a", "/model%0A", "/health%0A"])
def test_a_line_feed_behind_a_path_leads_past_no_check(path):
    with serving(replace(SMALL, api_key="s3cret")) as (client, _):
        assert error_of(client.get(path), 404)["code"] == "not_found"


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example", ""])
def test_a_local_service_answers_to_its_own_names_only(client, host):
    response = client.get("/predict?text=a", headers={"host": host})
    assert error_of(response, 400)["code"] == "invalid_host"


def test_scanners_that_know_the_address_only_leave_no_line(tmp_path):
    path = tmp_path / "predictions.jsonl"
    with serving(replace(SMALL, log_file=path, allowed_hosts=("cola.example",))) as (client, _):
        for page in ("/", "/predict?text=a"):
            assert error_of(client.get(page), 400)["code"] == "invalid_host"
    assert path.read_text() == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000", "LocalHost"])
def test_a_local_service_has_several_names(client, host):
    assert client.get("/predict?text=a", headers={"host": host}).status_code == 200


def test_a_service_for_others_may_be_called_by_any_name_unless_told():
    with serving(replace(SMALL, host="0.0.0.0")) as (client, _):
        assert client.get("/predict?text=a", headers={"host": "cola.example"}).status_code == 200
    with serving(replace(SMALL, allowed_hosts=("Cola.Example",))) as (client, _):
        named = {"host": "cola.example:443"}
        assert client.get("/predict?text=a", headers=named).status_code == 200
        assert client.get("/predict?text=a").status_code == 400


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_probes_may_call_the_service_by_its_address(path):
    with serving(replace(SMALL, allowed_hosts=("cola.example",))) as (client, _):
        assert client.get(path, headers={"host": "10.0.0.7:8000"}).status_code == 200


def test_no_answer_repeats_the_host(client):
    response = client.get("/predict/?text=a", headers={"host": "localhost"})
    assert error_of(response, 404)
    assert "location" not in response.headers


@pytest.mark.parametrize("path", ["/health", "/ready", "/", "/docs", "/predict?text=a"])
def test_head_is_get_without_a_body(client, path):
    response = client.head(path)
    assert response.status_code == 200
    assert response.content == b""


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/predict", {"GET", "HEAD", "POST"}),
        ("/explain", {"POST"}),
        ("/health", {"GET", "HEAD"}),
        ("/static/app.js", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(client, path, methods):
    response = client.delete(path)
    assert error_of(response, 405)
    assert set(response.headers["allow"].split(", ")) == methods


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/metrics", "/nothing", "/openapi.json"])
def test_every_answer_has_a_policy_that_loads_nothing_from_elsewhere(client, path):
    policy = client.get(path).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_the_description_is_shown_with_files_of_this_service(client):
    page = client.get("/docs").text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert "/swagger/swagger-ui-bundle.js" in files
    for path in files:
        if not path.startswith("data:"):
            assert path.startswith("/")
            assert client.get(path).status_code == 200


# What a web page could make a browser do, and what no route gets to see


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_have_sentences_predicted_and_logged(tmp_path, site):
    path = tmp_path / "predictions.jsonl"
    foreign = {"sec-fetch-site": site}
    with serving(replace(SMALL, log_file=path)) as (client, fake):
        before = len(fake.rows)
        for response in (
            client.get("/predict?text=a", headers=foreign),
            client.post("/explain", json={"sentence": "a"}, headers=foreign),
            client.get("/model", headers=foreign),
        ):
            assert error_of(response, 403)["code"] == "cross_site"
        assert len(fake.rows) == before
        assert client.get("/health", headers=foreign).status_code == 200
    assert path.read_text() == ""


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_the_service_s_own_page_and_an_address_that_is_typed_in_are_answered(client, site):
    headers = {"sec-fetch-site": site}
    assert client.get("/predict?text=a", headers=headers).status_code == 200


def send_to(client, data=b""):
    """Send bytes on a connection of their own, which is returned."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port), timeout=5)
    connection.sendall(data)
    return connection


def test_what_the_protocol_refuses_is_counted_and_leaves_no_line(tmp_path):
    path = tmp_path / "predictions.jsonl"
    with serving(replace(SMALL, log_file=path)) as (client, _):
        for data in (b"not http\r\n\r\n", b"GET / HTTP/1.1\r\nlarge: " + b"x" * 40_000):
            with send_to(client, data) as connection:
                assert connection.recv(1000)

        page = client.get("/metrics").text
        for status in (400, 431):
            assert f'cola_requests_total{{route="unread",status="{status}"}} 1.0' in page
        assert 'cola_request_seconds_count{route="unread"}' not in page
    assert path.read_text() == ""


def test_one_connection_too_many_is_counted():
    with serving(replace(SMALL, max_connections=20)) as (client, _), ExitStack() as stack:
        assert client.get("/health").status_code == 200
        for _ in range(19):
            stack.enter_context(send_to(client))
        assert stack.enter_context(send_to(client)).recv(1000).startswith(b"HTTP/1.1 503 ")

        refused = 'cola_requests_total{route="unread",status="503"} 1.0'
        assert refused in client.get("/metrics").text


# Work that is not done for nothing


def test_a_long_text_is_not_taken_apart_to_be_refused():
    with serving(Settings()) as (client, _):
        started = time.perf_counter()
        response = client.post("/explain", json={"sentence": "a " * 5000})
        assert time.perf_counter() - started < 0.1
        assert error_of(response, 422)["code"] == "invalid_body"


@pytest.mark.parametrize(
    "body",
    [
        b'{"sentences":[' + b"{}," * 500_000 + b"{}]}",
        b'{"sentences":[' + b"[]," * 500_000 + b"[]]}",
        b"{" + b",".join(b'"%d":0' % number for number in range(150_000)) + b"}",
        b'{"sentences":[' + b"0," * 500_000 + b"0]}",
    ],
    ids=["objects", "lists", "fields", "numbers"],
)
def test_a_bomb_of_small_values_is_refused_before_it_is_parsed(body):
    settings = Settings()
    assert len(body) <= settings.max_body_bytes
    started = time.perf_counter()
    with pytest.raises(RequestError, match="only be sentences"):
        parse_json(body)
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize(
    "message",
    [
        {"sentences": ['quotes " and \\ backslashes', "\u2028 \U0001f600", "x" * 200_000, ""]},
        {"sentence": "\n" * 200_000},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_large_body_of_sentences_is_read_like_a_small_one(message, indent):
    assert parse_json(json.dumps(message, indent=indent)) == message
    assert parse_json(json.dumps(message, ensure_ascii=False).encode()) == message


def test_a_body_that_is_declared_too_large_is_refused_before_it_comes(
    client: httpx.Client,
) -> None:
    with send_to(client, HEAD % (SMALL.max_body_bytes + 1)) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_declared_length_may_begin_with_zeros(client: httpx.Client) -> None:
    body = b'{"sentence": "a"}'
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=10) as connection:
        # More of them than Python makes a number of.
        connection.sendall(HEAD.replace(b"%d", b"0" * 5000 + b"%d") % len(body) + body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_nothing_is_done_for_a_client_that_has_left_already() -> None:
    connection = Connection()
    connection.is_lost = True

    async def work() -> None:
        with cancelled_if_client_leaves(Request({"type": "http", "connection": connection})):
            pytest.fail("it was worked for")

    with pytest.raises(ClientDisconnect):
        asyncio.run(work())


def test_bodies_in_flight_have_a_limit_together():
    settings = replace(SMALL, max_in_flight_bytes=3000)
    with serving(settings) as (client, _):

        def answer():
            return client.post("/predict", content=b"y" * 1900, headers=JSON)

        with send_to(client, HEAD % 1900 + b"x" * 1800):
            wait_until(lambda: answer().status_code == 503)
            assert error_of(answer(), 503)["code"] == "overloaded"

        wait_until(lambda: answer().status_code == 400)
