"""The JSON record of a prediction and its writer: always one line, never a failure, never a wait."""

import hashlib
import json
import os
import re
import threading
import time
from contextlib import contextmanager

import pytest

from serving import prediction_log
from serving.prediction_log import PredictionLog, text_field
from tests.helpers.fake_predictor import INFO, expected

ODD_TEXTS = [
    'quotes " and \\ backslashes',
    "line\nfeeds\r\nand\u2028separators\u2029\x85",
    "a NUL \0 and a bell \a",
    "emoji \U0001f600 and \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "half a pair \ud800",
    "</script>{}[]",
    "x" * 100_000,
]


@contextmanager
def captured(**options):
    """A log that writes to a pipe; the function given reads all lines after closing it."""
    reader, writer = os.pipe()
    chunks = []

    def read():
        while chunk := os.read(reader, 65536):
            chunks.append(chunk)

    thread = threading.Thread(target=read)
    thread.start()
    log = PredictionLog("api", INFO, descriptor=writer, **options)

    def lines():
        log.close()
        os.close(writer)
        thread.join(5)
        return b"".join(chunks).decode().splitlines()

    try:
        yield log, lines
    finally:
        os.close(reader)


@pytest.mark.parametrize("background", [True, False])
def test_the_record_has_the_fields_of_the_contract(background):
    with captured(background=background) as (log, lines):
        log.write([expected("The boy zzz")], request_id="r-1", latency_ms=1.23456, cold_start=True)
        (line,) = lines()
    record = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("@timestamp"))
    answer = expected("The boy zzz")
    assert record == {
        "event": "prediction",
        "text": "The boy zzz",
        "prediction": {
            "label": answer.label,
            "score": answer.score,
            "probability_acceptable": answer.probability_acceptable,
        },
        "model": {"version": "0123456789ab", "name": "fake"},
        "input": {"characters": 11, "tokens": 3, "unknown_tokens": 1, "truncated": False},
        "latency_ms": 1.235,
        "request_id": "r-1",
        "service": "api",
        "cold_start": True,
    }


@pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
def test_any_text_stays_one_line_of_valid_json(text, monkeypatch):
    answer = expected("any")
    answer = type(answer)(
        **{name: getattr(answer, name) for name in answer.__slots__} | {"text": text}
    )
    with captured() as (log, lines):
        log.write([answer], request_id="r", latency_ms=1)
        (line,) = lines()
    assert json.loads(line)["text"] == text
    assert line.isascii()


def test_what_the_record_carries_of_the_text():
    assert text_field("one", "full") == "one"
    assert text_field("one", "hash") == "sha256:" + hashlib.sha256(b"one").hexdigest()
    assert text_field("half \ud800", "hash").startswith("sha256:")
    assert text_field("one", "none") is None


@pytest.mark.parametrize("mode", ["hash", "none"])
def test_a_hidden_text_is_nowhere_in_the_line(mode):
    with captured(text_mode=mode) as (log, lines):
        log.write([expected("confidential")], request_id="r", latency_ms=1)
        (line,) = lines()
    assert "confidential" not in line


def test_lines_of_many_threads_are_never_mixed():
    with captured() as (log, lines):

        def write(number):
            for turn in range(100):
                log.write(
                    [expected(f"{number}-{turn}-" + "y" * 5000)],
                    request_id=f"{number}",
                    latency_ms=1,
                )

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [json.loads(line) for line in lines()]
    assert len({record["text"] for record in found}) == len(found) == 800
    assert all(record["text"].startswith(record["request_id"] + "-") for record in found)


def test_a_slow_reader_delays_nobody_and_the_loss_is_counted(monkeypatch, capsys):
    monkeypatch.setattr(prediction_log, "MAX_PENDING", 100_000)
    reader, writer = os.pipe()
    log = PredictionLog("api", INFO, descriptor=writer)
    slowest = 0.0
    for _ in range(2000):
        started = time.perf_counter()
        log.write([expected("z" * 1000)], request_id="r", latency_ms=1)
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 1
    assert log.dropped > 1500
    assert (
        capsys.readouterr().err == "warning: prediction log loses lines: its reader is too slow\n"
    )
    closing = time.perf_counter()
    log.close(timeout=0.2)
    assert time.perf_counter() - closing < 2
    os.close(reader)  # the blocked write fails now, and the thread ends
    log.close()
    os.close(writer)


def test_a_pipe_set_to_non_blocking_loses_nothing():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    log = PredictionLog("api", INFO, descriptor=writer)
    received = bytearray()
    for number in range(50):
        log.write([expected(f"{number} " + "z" * 9000)], request_id="r", latency_ms=1)

    def read():
        while received.count(b"\n") < 50:
            time.sleep(0.005)
            received.extend(os.read(reader, 65536))

    thread = threading.Thread(target=read)
    thread.start()
    log.close()
    thread.join(5)
    assert [json.loads(line)["input"]["tokens"] for line in received.splitlines()] == [2] * 50
    assert log.dropped == 0
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("background", [True, False])
def test_a_closed_pipe_fails_no_request(background, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    log = PredictionLog("api", INFO, descriptor=writer, background=background)
    log.write([expected("one"), expected("two")], request_id="r", latency_ms=1)
    log.close()
    os.close(writer)
    assert log.dropped == 2
    assert (
        "warning: prediction log loses lines: standard output: Broken pipe"
        in capsys.readouterr().err
    )


def test_the_file_is_rotated_and_keeps_whole_lines(tmp_path):
    path = tmp_path / "logs" / "predictions.jsonl"
    with captured(file=path, file_mb=1) as (log, lines):
        for number in range(300):
            log.write([expected(f"{number} " + "z" * 9000)], request_id="r", latency_ms=1)
            time.sleep(0.0005)
        assert len(lines()) == 300
    files = sorted(path.parent.iterdir())
    assert 2 <= len(files) <= 1 + prediction_log.ROTATED_FILES
    assert all(file.stat().st_size <= 1_000_000 for file in files)
    texts = [
        json.loads(line)["text"].split()[0]
        for file in files
        for line in file.read_text().splitlines()
    ]
    assert sorted(map(int, texts)) == list(range(300))


def test_a_full_disk_is_counted(capsys):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    with captured() as (log, lines):
        log._file = prediction_log._RotatedFile(log, prediction_log.Path("/dev/full"), 1)
        log._file.maxBytes = 0  # a device cannot be rotated
        log.write([expected("one")], request_id="r", latency_ms=1)
        assert len(lines()) == 1
        assert log.dropped == 1
    assert "/dev/full: [Errno 28] No space left on device" in capsys.readouterr().err


def test_events_carry_service_and_model():
    with captured() as (log, lines):
        log.event("cold_start", init_ms=12.5)
        (line,) = lines()
    record = json.loads(line)
    assert record["event"] == "cold_start"
    assert record["init_ms"] == 12.5
    assert record["model"]["version"] == "0123456789ab"


def test_an_error_waits_for_no_reader_and_quotes_nobody_without_the_text(monkeypatch):
    with captured(text_mode="hash") as (log, lines):
        writers = []
        emit = log._emit
        monkeypatch.setattr(
            log,
            "_emit",
            lambda *written: (writers.append(threading.current_thread().name), emit(*written)),
        )
        log.error(422, "unknown_field", "unknown field 'my secret'", request_id="r")
        log.error(404, "not_found", "no such page", request_id="r")
        (line,) = lines()
    assert set(writers) == {"prediction-log"}
    record = json.loads(line)
    assert record["error"] == {"code": "unknown_field", "message": None}
    assert (record["event"], record["status"], record["request_id"]) == ("error", 422, "r")
