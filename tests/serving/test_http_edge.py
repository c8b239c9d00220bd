"""What a stranger may ask of the HTTP service, and what is done for it: names, methods, limits."""

import json
import re
import socket
import time
from dataclasses import replace

import pytest

from errors import RequestError
from serving.messages import parse_json
from serving.settings import Settings
from tests.helpers.http_service import JSON, SMALL, error_of, serving
from tests.helpers.net import wait_until


@pytest.fixture(scope="module")
def client():
    with serving() as (client, _):
        yield client


# Names, methods, policies


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example", ""])
def test_a_local_service_answers_to_its_own_names_only(client, host):
    response = client.get("/predict?text=a", headers={"host": host})
    assert error_of(response, 400)["code"] == "invalid_host"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:8000"])
def test_a_local_service_has_several_names(client, host):
    assert client.get("/predict?text=a", headers={"host": host}).status_code == 200


def test_a_service_for_others_may_be_called_by_any_name_unless_told():
    with serving(replace(SMALL, host="0.0.0.0")) as (client, _):
        assert client.get("/predict?text=a", headers={"host": "cola.example"}).status_code == 200
    with serving(replace(SMALL, allowed_hosts=("cola.example",))) as (client, _):
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


def test_bodies_in_flight_have_a_limit_together():
    settings = replace(SMALL, max_in_flight_bytes=3000)
    head = (
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: 1900\r\n\r\n"
    )
    with serving(settings) as (client, _):
        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address) as first:
            first.sendall(head + b"x" * 1800)
            time.sleep(0.2)
            response = client.post("/predict", content=b"y" * 1900, headers=JSON)
            assert error_of(response, 503)["code"] == "overloaded"

        def is_free():
            return client.post("/predict", content=b"y" * 1900, headers=JSON).status_code == 400

        wait_until(is_free)
