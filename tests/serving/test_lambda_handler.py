"""The Lambda function: recorded gateway events, malformed ones, and AWS's own emulator."""

import base64
import importlib
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from errors import RequestError
from serving import lambda_events
from serving.prediction_log import PredictionLog
from serving.settings import Settings
from tests.helpers.fake_predictor import INFO, FakePredictor, expected
from tests.helpers.net import free_port
from tests.helpers.paths import ROOT
from tests.helpers.tiny_model import TINY_MODEL

EVENTS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((ROOT / "tests" / "serving" / "events").glob("*.json"))
}
SENTENCES = {
    "rest_post_base64": ["One boy sits.", "A sits boy."],
    "http_api_post": ["One boy sits.", "A sits boy."],
    "direct_sentences": ["One boy sits.", "A sits boy."],
}
# 1.9 MB of characters, each of which takes six bytes and more in an answer of ASCII JSON.
CYRILLIC = {"sentences": ["\u0436" * 9_000] * 210}
CONTEXT = SimpleNamespace(aws_request_id="aws-request-1")


@pytest.fixture(scope="session")
def handler_module():
    """lambda_handler, imported once; the import loads a model file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_PATH", str(TINY_MODEL))
        return importlib.import_module("lambda_handler")


@pytest.fixture
def function(handler_module, tmp_path):
    """A handler with a fake predictor, and a function that reads the log lines so far."""
    log_file = tmp_path / "stdout"
    writer = os.open(log_file, os.O_CREAT | os.O_WRONLY)
    log = PredictionLog("lambda", INFO, descriptor=writer, background=False)
    handler = handler_module.Function(FakePredictor(), Settings(), log)
    yield (handler, lambda: [json.loads(line) for line in log_file.read_text().splitlines()])
    os.close(writer)


def test_the_import_loads_the_model_and_predicts(handler_module):
    answer = handler_module.lambda_handler({"sentence": "The boy sits."}, None)
    assert answer["prediction"]["label"] in ("acceptable", "unacceptable")


def answer_of(name):
    """What the API answers to the sentences of a recorded event."""
    if name in SENTENCES:
        return {"predictions": [expected(text).as_dict() for text in SENTENCES[name]]}
    return expected("The boy is sitting on a bench.").as_dict()


@pytest.mark.parametrize("name", EVENTS)
def test_each_kind_of_event_is_answered_in_its_own_form(name, function):
    handler, _ = function
    response = handler(EVENTS[name], CONTEXT)
    if name.startswith("direct"):
        assert response == answer_of(name)
        return
    assert response["statusCode"] == 200
    assert response["isBase64Encoded"] is False
    assert response["headers"]["content-type"] == "application/json"
    assert response["headers"]["x-request-id"] == "aws-request-1"
    assert json.loads(response["body"]) == answer_of(name)


def test_log_lines_of_a_cold_start_and_after(function):
    handler, lines = function
    handler(EVENTS["rest_post"], CONTEXT)
    handler({"sentence": "next"}, None)
    start, first, second = lines()
    assert start["event"] == "cold_start"
    assert start["init_ms"] > 0
    assert first["event"] == second["event"] == "prediction"
    assert (first["cold_start"], second["cold_start"]) == (True, False)
    assert first["service"] == "lambda"
    assert first["request_id"] == "aws-request-1"
    assert len(second["request_id"]) == 32


def test_the_callers_request_id_is_taken_if_sane(function):
    handler, _ = function
    event = EVENTS["http_api_post"]
    for proposed, kept in (("mine-1", "mine-1"), ('a"b', "aws-request-1"), (5, "aws-request-1")):
        response = handler({**event, "headers": {"X-Request-Id": proposed}}, CONTEXT)
        assert response["headers"]["x-request-id"] == kept


def through_gateway(body, **more):
    return {
        "requestContext": {"http": {"method": "POST"}},
        "rawPath": "/predict",
        "body": body,
        **more,
    }


def in_base64(body):
    return through_gateway(base64.b64encode(body).decode(), isBase64Encoded=True)


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        (through_gateway(None), 400, "invalid_json"),
        (through_gateway("{"), 400, "invalid_json"),
        (through_gateway({"sentence": "parsed"}), 400, "invalid_json"),
        (through_gateway("%%%", isBase64Encoded=True), 400, "invalid_base64"),
        (through_gateway("\ud800", isBase64Encoded=True), 400, "invalid_base64"),
        (in_base64(b"\xff"), 400, "invalid_json"),
        (through_gateway('{"sentence": " "}'), 422, "invalid_text"),
        (through_gateway('{"sentences": ["a", ""]}'), 422, "invalid_text"),
        (through_gateway('{"sentences": []}'), 422, "invalid_body"),
        (through_gateway(json.dumps({"sentences": ["x"] * 1025})), 422, "too_many_sentences"),
        (through_gateway(json.dumps({"sentence": "x" * 10_001})), 422, "text_too_long"),
        (through_gateway("x" * 2_097_153), 413, "body_too_large"),
        (in_base64(b"x" * 2_097_153), 413, "body_too_large"),
        (through_gateway(json.dumps(CYRILLIC, ensure_ascii=False)), 413, "answer_too_large"),
        (through_gateway('{"sentence": "explode"}'), 500, "internal"),
        (through_gateway('{"sentence": "a"}', rawPath="/admin"), 404, "not_found"),
        ({**EVENTS["rest_get"], "httpMethod": "DELETE"}, 405, "method_not_allowed"),
        ({**EVENTS["rest_get"], "queryStringParameters": None}, 422, "missing_text"),
        ({**EVENTS["rest_get"], "queryStringParameters": {"text": 5}}, 422, "invalid_text"),
    ],
)
def test_what_cannot_be_answered_gets_the_apis_status_and_error(event, status, code, function):
    handler, lines = function
    response = handler(event, CONTEXT)
    error = json.loads(response["body"])["error"]
    assert (response["statusCode"], error["code"]) == (status, code)
    assert "secret" not in error["message"]
    logged = [
        (line["status"], line["error"]["code"]) for line in lines() if line["event"] == "error"
    ]
    assert logged == ([] if status in (401, 404, 405) else [(status, code)])
    assert "prediction" not in [line["event"] for line in lines()]


def test_a_body_in_base64_may_be_as_large_as_any_other(function):
    handler, _ = function
    body = b'{"sentence": "a"}'.ljust(Settings().max_body_bytes)
    assert handler(in_base64(body), CONTEXT)["statusCode"] == 200


def test_the_first_unusable_sentence_is_named(function):
    handler, _ = function
    error = handler({"sentences": ["a", "b", " ", ""]}, CONTEXT)["error"]
    assert error["message"].startswith("sentence 2: ")


def test_the_api_key_is_asked_for_if_set():
    settings = Settings(api_key="k")
    event = EVENTS["http_api_post"]
    with pytest.raises(RequestError) as caught:
        lambda_events.read_sentences(event, settings)
    assert caught.value.status == 401
    assert lambda_events.read_sentences({**event, "headers": {"X-Api-Key": "k"}}, settings)
    assert lambda_events.read_sentences(
        EVENTS["direct_sentence"], settings
    )  # IAM let the caller in


def mutated(event, dice):
    """The event with one of its values replaced by something that does not belong there."""
    junk: list[object] = [
        None,
        True,
        0,
        -1.5,
        "",
        "x",
        "\ud800\0",
        [],
        {},
        [[]],
        {"a": {}},
        "9" * 5000,
        ["x"],
        b"x".hex(),
    ]
    event = json.loads(json.dumps(event))
    place = event
    while True:
        key = dice.choice(list(place)) if isinstance(place, dict) else dice.randrange(len(place))
        if not isinstance(place[key], (dict, list)) or not place[key] or dice.random() < 0.4:
            place[key] = dice.choice(junk)
            return event
        place = place[key]


def test_two_thousand_malformed_events_never_raise(function):
    handler, _ = function
    dice = random.Random(0)
    statuses = set()
    for _ in range(2000):
        event = dice.choice(list(EVENTS.values()))
        for _ in range(dice.randrange(1, 6)):
            event = mutated(event, dice)
        response = handler(event, CONTEXT)
        json.dumps(response)
        statuses.add(response.get("statusCode", "direct"))
    assert 500 not in statuses
    assert {200, 400, 422, "direct"} <= statuses


def test_a_direct_answer_too_large_for_lambda_is_refused(function):
    handler, _ = function
    assert handler(CYRILLIC, CONTEXT)["error"]["code"] == "answer_too_large"


@pytest.mark.parametrize(
    "event", [None, True, 5, 1.5, "text", [], [1], {}, {"a": 1}, {"sentence": {}}]
)
def test_direct_nonsense_is_told_what_to_send(event, function):
    handler, _ = function
    assert "sentence" in handler(event, None)["error"]["message"]


# With AWS's runtime client and emulator, and a real model file


def model_file():
    path = Path(os.environ.get("MODEL_PATH") or ROOT / "models" / "model.onnx")
    if not path.exists():
        pytest.skip(f"{path} is missing: run `make train` first")
    return path


class Emulated:
    """The function under the emulator: invoke it, read its log lines, end it."""

    def __init__(self, emulator, log_format):
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        self.url = f"http://{addresses[0]}/2015-03-31/functions/function/invocations"
        settings = {
            "AWS_LAMBDA_FUNCTION_NAME": "cola",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "30",
            "AWS_LAMBDA_LOG_FORMAT": log_format,
            "MODEL_PATH": str(model_file()),
        }
        listen = [
            "--runtime-interface-emulator-address",
            addresses[0],
            "--runtime-api-address",
            addresses[1],
        ]
        runtime = [sys.executable, "-m", "awslambdaric", "lambda_handler.lambda_handler"]
        self.process = subprocess.Popen(
            [emulator, *listen, *runtime],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.output: list[bytes] = []
        assert self.process.stdout
        lines = self.process.stdout
        self.thread = threading.Thread(target=lambda: self.output.extend(lines))
        self.thread.start()

    def invoke(self, event):
        """The first call may come before the emulator listens; it starts the runtime then."""
        request = urllib.request.Request(
            self.url, json.dumps(event).encode(), {"content-type": "application/json"}
        )
        for _ in range(200):
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return json.loads(response.read())
            except urllib.error.URLError:
                time.sleep(0.01)
        raise AssertionError("the emulator does not listen")

    def end(self):
        """The JSON lines that the function wrote."""
        self.process.terminate()
        self.process.wait(10)
        self.thread.join(10)
        assert self.process.stdout
        self.process.stdout.close()
        return [json.loads(line) for line in self.output if line.startswith(b"{")]


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["Text", "JSON"])
def test_under_the_emulator_each_event_is_answered_and_logged(emulator, log_format):
    emulated = Emulated(emulator, log_format)
    try:
        for name, event in EVENTS.items():
            response = emulated.invoke(event)
            body = response if name.startswith("direct") else json.loads(response["body"])
            texts = [item["text"] for item in body.get("predictions", [body])]
            assert texts == SENTENCES.get(name, ["The boy is sitting on a bench."])
        assert emulated.invoke({"requestContext": 5})["statusCode"] == 405
        warm = []
        for number in range(100):
            started = time.perf_counter()
            emulated.invoke({"sentence": f"The boy sits on bench {number}."})
            warm.append(time.perf_counter() - started)
    finally:
        lines = emulated.end()
    (start,) = [line for line in lines if line.get("event") == "cold_start"]
    predictions = [line for line in lines if line.get("event") == "prediction"]
    assert len(predictions) == len(EVENTS) + len(SENTENCES) + 100
    assert [line["cold_start"] for line in predictions].count(True) == 1
    assert all(line["service"] == "lambda" and line["prediction"]["label"] for line in predictions)
    handled = statistics.median(line["latency_ms"] for line in predictions[-100:])
    print(
        f"\n{log_format}: init {start['init_ms']} ms, warm p50 in the handler {handled:.2f} ms, ",
        end="",
    )
    print(f"through the emulator {statistics.median(warm) * 1000:.2f} ms")
