"""The API over real HTTP, with a fake predictor behind it."""

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest

from errors import ConfigError, InvalidText
from serving.log_writer import LineWriter
from serving.settings import Settings
from tests.helpers.fake_predictor import FakePredictor, expected
from tests.helpers.http_service import JSON, SMALL, error_of, serving
from tests.helpers.net import wait_until
from tests.helpers.paths import ROOT
from tests.helpers.processes import api

TINY_MODEL = ROOT / "tests/helpers/tiny_model.onnx"


@pytest.fixture(scope="module")
def client():
    with serving() as (client, _):
        yield client


# Predictions


def test_one_sentence_by_get_and_post(client):
    answer = expected("The boy is").as_dict()
    assert client.get("/predict", params={"text": "The boy is"}).json() == answer
    assert client.post("/predict", json={"sentence": "The boy is"}).json() == answer


def test_many_sentences_come_back_in_order(client):
    sentences = ["one", "two three", "four", "five five five"]
    response = client.post("/predict", json={"sentences": sentences})
    assert response.json() == {"predictions": [expected(text).as_dict() for text in sentences]}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_read(client, content_type):
    headers = {"content-type": content_type}
    response = client.post("/predict", content='{"sentence": "one"}', headers=headers)
    assert error_of(response, 415)["code"] == "unsupported_media_type"


def test_json_may_name_its_encoding(client):
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    response = client.post("/predict", content='{"sentence": "one"}', headers=headers)
    assert response.json() == expected("one").as_dict()


def test_text_that_is_not_ascii_comes_back_unchanged(client):
    text = "\u05e9\u05dc\u05d5\u05dd \U0001f600 na\u00efve"
    assert client.post("/predict", json={"sentence": text}).json()["text"] == text
    assert client.get("/predict", params={"text": text}).json()["text"] == text


@pytest.mark.parametrize(
    ("body", "status", "code", "hint"),
    [
        (b"", 400, "invalid_json", "sentence"),
        (b"{", 400, "invalid_json", "sentence"),
        (b"\xff\xfe{}", 400, "invalid_json", "sentence"),
        (b'{"sentence": NaN}', 400, "invalid_json", "NaN"),
        (b"[" * 1900, 400, "invalid_json", "nested"),
        (b"[]", 422, "invalid_body", "object"),
        (b"{}", 422, "invalid_body", "object"),
        (b'"text"', 422, "invalid_body", "object"),
        (b'{"text": "one"}', 422, "unknown_field", "'text'"),
        (b'{"sentence": "one", "sentences": ["two"]}', 422, "invalid_body", "one of them"),
        (b'{"sentence": null}', 422, "invalid_text", "string"),
        (b'{"sentence": 5}', 422, "invalid_text", "string"),
        (b'{"sentence": ["one"]}', 422, "invalid_text", "string"),
        (b'{"sentence": "  "}', 422, "invalid_text", "empty"),
        (b'{"sentences": "one"}', 422, "invalid_body", "list"),
        (b'{"sentences": []}', 422, "invalid_body", "at least one"),
        (b'{"sentences": ["one", null]}', 422, "invalid_text", "sentence 1"),
        (b'{"sentences": ["one", ""]}', 422, "invalid_text", "sentence 1"),
        (json.dumps({"sentences": ["x"] * 6}).encode(), 422, "too_many_sentences", "at most 5"),
        (json.dumps({"sentence": "x" * 51}).encode(), 422, "text_too_long", "at most 50"),
        (json.dumps({"sentences": ["x", "x" * 51]}).encode(), 422, "text_too_long", "sentence 1"),
        (json.dumps({"sentence": "x" * 2000}).encode(), 413, "body_too_large", "2000 bytes"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_what_to_change(
    client, body, status, code, hint
):
    error = error_of(client.post("/predict", content=body, headers=JSON), status)
    assert error["code"] == code
    assert hint in error["message"]


def test_a_body_without_a_declared_length_is_cut_off_at_the_limit(client):
    def endless():
        for _ in range(100):
            yield b"x" * 100

    assert (
        error_of(client.post("/predict", content=endless(), headers=JSON), 413)["code"]
        == "body_too_large"
    )


def test_get_without_text_or_with_too_much_of_it(client):
    assert error_of(client.get("/predict"), 422)["code"] == "missing_text"
    assert error_of(client.get("/predict?text="), 422)["code"] == "invalid_text"
    assert (
        error_of(client.get("/predict", params={"text": "x" * 51}), 422)["code"] == "text_too_long"
    )


@pytest.mark.parametrize("query", ["text=Caf%C3%A9+is", "text=a&text=Caf%c3%a9%20is"])
def test_a_text_in_the_address_is_utf_8(client, query):
    assert client.get(f"/predict?{query}").json()["text"] == "Caf\u00e9 is"


def test_a_text_in_another_encoding_is_not_taken_for_another_text(client):
    error = error_of(client.get("/predict?text=Caf%E9"), 422)
    assert (error["code"], "not UTF-8" in error["message"]) == ("invalid_text", True)


@pytest.mark.parametrize("text", [b"Caf\xc3\xa9", b"Caf\xe9"])
def test_a_text_that_is_not_escaped_is_not_taken_for_another_text(client, text):
    with socket.create_connection((client.base_url.host, client.base_url.port), 10) as connection:
        connection.sendall(b"GET /predict?text=%s HTTP/1.1\r\nhost: localhost\r\n\r\n" % text)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_unknown_pages_and_methods_have_the_same_error_shape(client):
    assert error_of(client.get("/nothing"), 404)["code"] == "not_found"
    assert error_of(client.get("/static/../app.py"), 404)["code"] == "not_found"
    assert error_of(client.get("/static/%2e%2e/app.py"), 404)["code"] == "not_found"
    assert error_of(client.put("/predict"), 405)["code"] == "method_not_allowed"


def test_an_unexpected_failure_tells_nothing_of_its_inside(client):
    error = error_of(client.post("/predict", json={"sentence": "explode"}), 500)
    assert error["code"] == "internal"
    assert "secret" not in error["message"]
    assert client.post("/predict", json={"sentence": "one"}).status_code == 200


# Explanations


def test_explain_scores_the_sentence_without_each_word():
    with serving() as (client, fake):
        rows_before = len(fake.rows)
        answer = client.post("/explain", json={"sentence": "Boys don't run, they"}).json()
        assert answer["prediction"] == expected("Boys don't run, they").as_dict()["prediction"]
        assert [(word["word"], word["start"], word["end"]) for word in answer["words"]] == [
            ("Boys", 0, 4),
            ("don't", 5, 10),
            ("run", 11, 14),
            ("they", 16, 20),
        ]
        without = ["don't run, they", "Boys run, they", "Boys don't, they", "Boys don't run,"]
        whole = expected("Boys don't run, they").probability_acceptable
        for word, text in zip(answer["words"], without, strict=True):
            assert word["effect"] == pytest.approx(whole - expected(text).probability_acceptable)
        asked = [text for row in fake.rows[rows_before:] for text in row]
        assert sorted(asked) == sorted([*without, "Boys don't run, they"])


def test_explain_of_a_single_word_has_nothing_to_compare_with(client):
    assert client.post("/explain", json={"sentence": "Run"}).json()["words"][0]["effect"] is None
    assert client.post("/explain", json={"sentence": "?!"}).json()["words"] == []


def test_explain_of_a_word_beside_a_character_that_no_model_reads(monkeypatch):
    def encode(self, text):
        if text == "\ufeff":
            raise InvalidText("text has only invisible characters")
        return encode_anything(self, text)

    encode_anything = FakePredictor.encode
    monkeypatch.setattr(FakePredictor, "encode", encode)
    with serving() as (client, _):
        answer = client.post("/explain", json={"sentence": "\ufeffRun"})
    assert answer.json()["words"] == [{"word": "Run", "start": 1, "end": 4, "effect": None}]


def test_explain_takes_one_sentence_of_bounded_length():
    with serving(Settings()) as (client, _):
        assert error_of(client.post("/explain", json={"sentences": ["a", "b"]}), 422)
        assert error_of(client.post("/explain", json={"sentence": "a " * 201}), 422)
        assert client.post("/explain", json={"sentence": "a " * 200}).status_code == 200


def test_the_longest_explanations_are_held_two_at_a_time(monkeypatch):
    # The fake's gate would hold the event loop.
    monkeypatch.setattr("serving.service.PREDICT_INLINE", 0)
    # 8 MB of variants: the emoji makes four bytes of every character.
    longest = {"sentence": ("\U0001f600 " + ("x" * 49 + " ") * 200)[:10_000]}
    with serving(Settings(threads=1)) as (client, fake):
        fake.gate.clear()
        with ThreadPoolExecutor(2) as pool:
            held = [pool.submit(client.post, "/explain", json=longest) for _ in range(2)]
            wait_until(lambda: waiting_sentences(client) > 300)

            refused = client.post("/explain", json=longest)
            assert error_of(refused, 503)["code"] == "overloaded"
            assert refused.headers["retry-after"] == "1"

            fake.gate.set()
            assert [answer.result().status_code for answer in held] == [200, 200]
        assert client.post("/explain", json=longest).status_code == 200


def waiting_sentences(client):
    (count,) = re.findall(r"^cola_waiting_sentences (\S+)$", client.get("/metrics").text, re.M)
    return float(count)


def test_a_sentence_whose_variants_could_never_be_held_is_refused_for_good():
    settings = Settings(max_characters=100_000)
    with serving(settings) as (client, _):
        response = client.post("/explain", json={"sentence": ("x" * 499 + " ") * 200})
        assert error_of(response, 422)["code"] == "text_too_long"


# Operations


def test_health_ready_and_model(client):
    assert client.get("/health").json() == {"status": "ok"}
    ready = {"status": "ready", "version": "0123456789ab", "log_lines_lost": 0}
    assert client.get("/ready").json() == ready
    model = client.get("/model").json()
    assert model["lineage"]["metrics"] == {"overall": {"mcc": 0.5}}
    assert "/secret" not in json.dumps(model)


def test_not_ready_while_predictions_do_not_come(monkeypatch):
    monkeypatch.setattr("serving.service.READY_WITHIN_SECONDS", 0.1)
    # The fake's gate would hold the event loop.
    monkeypatch.setattr("serving.service.PREDICT_INLINE", 0)
    with serving() as (client, fake):
        fake.gate.clear()
        assert error_of(client.get("/ready"), 503)["code"] == "not_ready"
        assert client.get("/health").status_code == 200
        fake.gate.set()
        wait_until(lambda: client.get("/ready").status_code == 200)


def test_a_busy_machine_has_time_for_the_first_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.service.READY_WITHIN_SECONDS", 0.0)
    monkeypatch.setattr("serving.service.PREDICT_INLINE", 0)
    with serving() as (client, _):
        assert client.post("/predict", json={"sentence": "one"}).status_code == 200


def test_a_folder_of_another_program_s_counters_is_left_to_it(tmp_path: Path) -> None:
    settings = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "gone"), "MODEL_PATH": str(TINY_MODEL)}
    with api(settings, tmp_path) as url, urlopen(f"{url}/metrics", timeout=5) as answer:
        assert b"process_cpu_seconds_total" in answer.read()


def test_not_ready_once_predictions_are_no_longer_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (client, _):
        monkeypatch.setattr(LineWriter, "is_alive", False)
        error = error_of(client.get("/ready"), 503)
        assert (error["code"], "writes the log" in error["message"]) == ("not_ready", True)


def test_metrics_count_what_happened():
    with serving() as (client, _):
        sentences = ["one", "two", "three"]
        client.post("/predict", json={"sentences": sentences})
        client.post("/predict", json={"sentence": ""})
        client.get("/nothing/at/all")
        page = client.get("/metrics").text

    def value(line):
        (found,) = re.findall(rf"^{re.escape(line)} (\S+)$", page, re.MULTILINE)
        return float(found)

    assert value('cola_requests_total{route="/predict",status="200"}') == 1
    assert value('cola_requests_total{route="/predict",status="422"}') == 1
    assert value('cola_requests_total{route="other",status="404"}') == 1
    acceptable = sum(expected(text).label == "acceptable" for text in sentences)
    assert value('cola_predictions_total{label="acceptable"}') == acceptable
    assert value("cola_probability_acceptable_count") == 3
    assert value("cola_row_sentences_sum") == 4  # the canary of the start included
    assert value("cola_waiting_sentences") == 0
    assert value('cola_request_seconds_count{route="/predict"}') == 2
    assert 'cola_model_info{name="fake",precision="fp32",version="0123456789ab"} 1.0' in page


def test_the_api_key_protects_predictions_and_nothing_else():
    with serving(replace(SMALL, api_key="s3cret")) as (client, _):
        for headers in (
            {},
            {"x-api-key": "wrong"},
            {"authorization": "Bearer wrong"},
            {"authorization": "s3cret"},
        ):
            assert (
                error_of(client.get("/predict?text=a", headers=headers), 401)["code"]
                == "unauthorized"
            )
        assert error_of(client.post("/explain", json={"sentence": "a"}), 401)
        assert client.get("/predict?text=a", headers={"x-api-key": "s3cret"}).status_code == 200
        assert (
            client.get("/predict?text=a", headers={"authorization": "bearer s3cret"}).status_code
            == 200
        )
        assert all(
            client.get(path).status_code == 200 for path in ("/health", "/ready", "/metrics", "/")
        )


def test_the_key_protects_what_tells_of_the_code():
    with serving(replace(SMALL, api_key="s3cret")) as (client, _):
        assert error_of(client.get("/model"), 401)
        assert client.get("/model", headers={"x-api-key": "s3cret"}).status_code == 200


def test_a_foreign_token_does_not_hide_the_key():
    headers = {"authorization": "Bearer somebody-else's", "x-api-key": "s3cret"}
    with serving(replace(SMALL, api_key="s3cret")) as (client, _):
        assert client.get("/predict?text=a", headers=headers).status_code == 200


@pytest.mark.parametrize("value", [b"s3cret\xff", b"\xc3\xa9"])
def test_a_key_that_is_no_text_is_wrong_and_nothing_worse(value):
    with serving(replace(SMALL, api_key="s3cret")) as (client, _):
        headers = [(b"x-api-key", value)]
        assert error_of(client.get("/predict?text=a", headers=headers), 401)


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("API_KEY", " ", "blank"),
        ("API_KEY", "na\u00efve", "ASCII"),
        ("API_KEY", "two words", "ASCII"),
        ("MAX_WAITING", "200", "MAX_WAITING"),
        ("MAX_SENTENCES", "5000", "MAX_WAITING=4096 is less than MAX_SENTENCES=5000"),
        ("MAX_IN_FLIGHT_BYTES", "2000", "MAX_IN_FLIGHT_BYTES"),
        ("LOG_TEXT", "hashed", "none of full, hash, none"),
        ("PORT", "65536", "give 0 to 65535"),
        ("HOST", "0.0.0..0", "HOST=0.0.0..0"),
    ],
)
def test_settings_that_would_open_or_block_the_service_are_refused(variable, value, hint):
    environment = {"MAX_SENTENCES": "10", variable: value}
    with pytest.raises(ConfigError, match=hint):
        Settings.from_environment(environment)


def test_a_key_from_a_file_may_end_in_a_newline():
    assert Settings.from_environment({"API_KEY": "s3cret\n"}).api_key == "s3cret"


def test_the_key_is_not_in_the_settings_printed_form():
    assert "s3cret" not in repr(Settings(api_key="s3cret"))


@pytest.mark.parametrize(
    ("proposed", "kept"),
    [
        ("abc-123_X.y", True),
        ("Root=1-67-abc", True),
        ("", False),
        ("x" * 129, False),
        ("a b", False),
        ('a"}', False),
    ],
)
def test_a_request_id_is_kept_if_sane(client, proposed, kept):
    identity = client.get("/health", headers={"x-request-id": proposed}).headers["x-request-id"]
    assert (identity == proposed) == kept
    assert kept or re.fullmatch("[0-9a-f]{32}", identity)


def test_every_answer_has_a_request_id_errors_included(client):
    for path in ("/", "/nothing", "/predict", "/predict?text=explode", "/static/style.css"):
        assert re.fullmatch("[0-9a-f]{32}", client.get(path).headers["x-request-id"]), path


def test_the_log_file_has_a_line_for_each_prediction(tmp_path):
    path = tmp_path / "predictions.jsonl"
    with serving(replace(SMALL, log_file=path, log_text="hash")) as (client, _):
        client.get("/predict?text=one", headers={"x-request-id": "first"})
        client.post(
            "/predict", json={"sentences": ["two", "three"]}, headers={"x-request-id": "second"}
        )
        client.post("/explain", json={"sentence": "not logged"})
        client.get("/ready")
        wait_until(lambda: path.read_text().count("\n") >= 3)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["request_id"] for record in records] == ["first", "second", "second"]
    assert [record["cold_start"] for record in records] == [True, False, False]
    assert {record["service"] for record in records} == {"api"}
    assert all(0 < record["latency_ms"] < 10_000 for record in records)


def test_refused_and_failed_requests_are_in_the_log_and_scans_are_not(tmp_path):
    path = tmp_path / "predictions.jsonl"
    fake = FakePredictor()
    with serving(Settings(log_file=path, api_key="k" * 20, max_characters=50), fake) as (client, _):
        for key, body, identity in (
            ("wrong", {"sentence": "a"}, "r-401"),
            ("k" * 20, {"sentence": ""}, "r-422"),
            ("k" * 20, {"sentence": "explode"}, "r-500"),
        ):
            client.post("/predict", json=body, headers={"x-api-key": key, "x-request-id": identity})
        assert client.get("/wp-admin").status_code == 404
        assert client.delete("/predict", headers={"x-api-key": "k" * 20}).status_code == 405
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [
        (record["request_id"], record["status"], record["error"]["code"]) for record in records
    ] == [
        ("r-422", 422, "invalid_text"),
        ("r-500", 500, "internal"),
    ]
    assert {record["event"] for record in records} == {"error"}
    assert "r-500" in records[1]["error"]["message"]


# Under load


def test_past_the_queue_503_at_once_with_retry_after(monkeypatch):
    # The fake's gate would hold the event loop.
    monkeypatch.setattr("serving.service.PREDICT_INLINE", 0)
    with serving(replace(SMALL, threads=1)) as (client, fake):
        fake.gate.clear()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(client.get, "/predict?text=running")
            wait_until(lambda: fake.running)
            waiting = pool.submit(client.post, "/predict", json={"sentences": ["w"] * 5})
            wait_until(lambda: waiting_sentences(client) == 5)
            started = time.perf_counter()
            response = client.post("/predict", json={"sentences": ["w"] * 5})
            assert time.perf_counter() - started < 1
            assert error_of(response, 503)["code"] == "overloaded"
            assert response.headers["retry-after"] == "1"
            fake.gate.set()
            assert len(waiting.result().json()["predictions"]) == 5
        assert client.get("/predict?text=after").status_code == 200


def test_concurrent_clients_get_their_own_answers():
    with serving(Settings(), FakePredictor(seconds=0.002)) as (client, fake):

        def ask(number):
            text = f"sentence {number}"
            return client.get("/predict", params={"text": text}).json() == expected(text).as_dict()

        # httpx keeps 20 connections: of more, it may close one that another thread is about to use.
        with ThreadPoolExecutor(20) as pool:
            assert all(pool.map(ask, range(500)))
        assert max(map(len, fake.rows)) > 1, "nothing was batched"


def test_a_client_that_leaves_harms_nobody():
    request = (
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: 19\r\n\r\n"
        b'{"sentence": "one"}'
    )
    with serving() as (client, _):
        address = client.base_url.host, client.base_url.port
        for sent in (request[:10], request[:60], request[:-5]):
            with socket.create_connection(address) as connection:
                connection.sendall(sent)

        # Only the last one was a request already.
        left = 'cola_requests_total{route="/predict",status="0"} 1.0'
        wait_until(lambda: left in client.get("/metrics").text)
        assert client.get("/predict?text=one").json() == expected("one").as_dict()


# Description and page


def test_the_description_names_every_route_and_its_examples_work():
    with serving(Settings()) as (client, _):
        document = client.get("/openapi.json").json()
        assert document["paths"].keys() == {
            "/predict",
            "/explain",
            "/health",
            "/ready",
            "/model",
            "/metrics",
        }
        body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
        for example in body["examples"].values():
            assert client.post("/predict", json=example["value"]).status_code == 200
        assert client.get("/docs").status_code == 200


def test_the_page_comes_with_a_strict_policy_and_no_foreign_address(client):
    response = client.get("/")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    for path in ("/", "/static/style.css", "/static/app.js"):
        text = client.get(path).text
        assert not re.search(r"(src|href|url|import|fetch)\W{1,3}https?:", text), path
