"""The JSON record of a prediction and its writer: one line, no failure, no wait."""

import contextlib
import errno
import hashlib
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from serving import log_writer
from serving.log_outputs import ROTATED_FILES
from serving.prediction_log import PredictionLog, text_field
from tests.helpers.fake_predictor import INFO, expected
from tests.helpers.net import wait_until
from tests.helpers.paths import ROOT

ODD_TEXTS = [
    'quotes " and \\ backslashes',
    "line\nfeeds\r\nand\u2028separators\u2029\x85",
    "a NUL \0 and a bell \a",
    "emoji \U0001f600 and \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "half a pair \ud800",
    "</script>{}[]",
    "x" * 20_000,
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
    assert str(text_field("half \ud800", "hash")).startswith("sha256:")
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_lines_that_come_one_by_one_do_not_each_wake_the_thread(monkeypatch):
    def naps(thread_id):
        """Return how often a thread has gone to sleep."""
        status = Path(f"/proc/self/task/{thread_id}/status").read_text(encoding="ascii")
        match = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)
        assert match
        return int(match[1])

    # Longer than all writes take on a slow machine.
    monkeypatch.setattr(log_writer, "GATHER_SECONDS", 10)
    with captured() as (log, lines):
        (thread,) = (item for item in threading.enumerate() if item.name == "log-writer")
        before = naps(thread.native_id)
        for _ in range(100):
            log.write([expected("a sentence")], request_id="r", latency_ms=1.0)
            time.sleep(0.001)
        after = naps(thread.native_id)
        assert len(lines()) == 100
    assert after - before < 20


def test_a_slow_reader_delays_nobody_and_the_loss_is_counted(monkeypatch, capsys):
    monkeypatch.setattr(log_writer, "MAX_HELD_BYTES", 100_000)
    reader, writer = os.pipe()
    log = PredictionLog("api", INFO, descriptor=writer)
    slowest = 0.0
    for _ in range(2000):
        started = time.perf_counter()
        log.write([expected("z" * 1000)], request_id="r", latency_ms=1)
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 1
    assert log.dropped > 1500
    closing = time.perf_counter()
    log.close(timeout=0.2)
    assert time.perf_counter() - closing < 2
    said = capsys.readouterr().err
    assert said.startswith("warning: prediction log loses lines: ")
    assert said.count("\n") == 1
    os.close(reader)
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
    assert 2 <= len(files) <= 1 + ROTATED_FILES
    assert all(file.stat().st_size <= 1_000_000 for file in files)
    texts = [
        json.loads(line)["text"].split()[0]
        for file in files
        for line in file.read_text().splitlines()
    ]
    assert sorted(map(int, texts)) == list(range(300))


def test_a_file_that_somebody_moves_away_is_begun_again(tmp_path):
    path, moved, old = (tmp_path / name for name in ("logs/new.jsonl", "logs/moved.jsonl", "old"))
    with captured(file=path, background=False) as (log, lines):
        log.write([expected("1")], request_id="r", latency_ms=1)
        path.rename(moved)
        log.write([expected("2")], request_id="r", latency_ms=1)
        path.parent.rename(old)
        log.write([expected("3")], request_id="r", latency_ms=1)
        assert len(lines()) == 3

    files = old / moved.name, old / path.name, path
    assert [json.loads(file.read_text())["text"] for file in files] == ["1", "2", "3"]


def test_a_file_that_another_machine_removes_is_begun_again(tmp_path, monkeypatch):
    def stale(descriptor):
        monkeypatch.undo()
        path.unlink()
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    path = tmp_path / "predictions.jsonl"
    with captured(file=path) as (log, lines):
        log.write([expected("1")], request_id="r", latency_ms=1)
        wait_until(lambda: path.stat().st_size > 0)
        monkeypatch.setattr(os, "fstat", stale)
        log.write([expected("2")], request_id="r", latency_ms=1)
        assert len(lines()) == 2

    assert json.loads(path.read_text())["text"] == "2"
    assert log.dropped == 0


def test_a_full_disk_is_counted(tmp_path, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    # A link, so that nothing is rotated: a device cannot be.
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with captured(file=full, file_mb=1000) as (log, lines):
        log.write([expected("one")], request_id="r", latency_ms=1)
        assert len(lines()) == 1
        assert log.dropped == 1
    assert "[Errno 28] No space left on device" in capsys.readouterr().err


def test_a_file_that_cannot_be_rotated_gets_every_line(tmp_path, monkeypatch, capsys):
    """As one that is mounted into a container by itself."""

    def fail(source, target):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    path = tmp_path / "predictions.jsonl"
    monkeypatch.setattr(os, "rename", fail)
    with captured(file=path, file_mb=1) as (log, lines):
        for number in range(300):
            log.write([expected(f"{number} " + "z" * 9000)], request_id="r", latency_ms=1)
            time.sleep(0.0005)
        assert len(lines()) == 300

    assert list(tmp_path.iterdir()) == [path]
    texts = [json.loads(line)["text"].split()[0] for line in path.read_text().splitlines()]
    assert texts == [str(number) for number in range(300)]
    assert log.dropped == 0
    assert capsys.readouterr().err == (
        f"warning: LOG_FILE={path} cannot be rotated (Device or resource busy): it grows without "
        "end; if it is mounted by itself, mount its folder instead\n"
    )


@pytest.mark.parametrize("length", [100, 9000])
@pytest.mark.parametrize(
    "output", ["file=path", "descriptor=os.open(path, os.O_CREAT | os.O_RDWR)"]
)
def test_a_line_that_a_full_disk_cuts_short_spoils_no_other(tmp_path, output, length):
    script = f"""
import os, resource, sys
from pathlib import Path
from serving.prediction_log import PredictionLog
from tests.helpers.fake_predictor import INFO, expected

def write(text):
    log.write([expected(text)], request_id="r", latency_ms=1)

path = Path({str(tmp_path / "log.jsonl")!r})
log = PredictionLog("api", INFO, {output}, background=False)
write("before")
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (600, unlimited[1]))
write("lost " + "z" * {length})
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
write("next")
write("last")
print(log.dropped, file=sys.stderr)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "1"

    before, lost, *after = (tmp_path / "log.jsonl").read_text().splitlines()
    with pytest.raises(json.JSONDecodeError):
        json.loads(lost)
    texts = [json.loads(line)["text"] for line in (before, *after)]
    assert texts == ["before", "next", "last"]


def test_half_a_line_of_a_process_that_was_killed_spoils_no_other(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"text": "hal')
    with captured(file=path) as (log, lines):
        log.write([expected("next")], request_id="r", latency_ms=1)
        lines()
    half, line = path.read_text().splitlines()
    assert half == '{"text": "hal'
    assert json.loads(line)["text"] == "next"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_file_that_cannot_be_written_is_said_in_one_line(tmp_path, workers):
    script = """
from functools import partial
from app import serve, serve_with_workers
from commands.run import run_command
from serving.settings import Settings
from tests.helpers.fake_predictor import FakePredictor

settings = Settings.from_environment()
if settings.workers > 1:
    run_command(partial(serve_with_workers, FakePredictor, settings))
else:
    run_command(partial(serve, FakePredictor(), settings))
"""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "logs" / "log.jsonl"
    environment = {**os.environ, "LOG_FILE": str(path), "WORKERS": workers, "PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == f"error: LOG_FILE={path} cannot be written (Not a directory)\n"
    assert done.returncode == 2


# What breaks must not end the log


def write_until_broken_stderr(folder, code):
    """Run ``code`` with a log on a pipe whose reader has gone, standard error included."""
    script = f"""
import os, sys, time
from pathlib import Path
from serving.prediction_log import PredictionLog
from tests.helpers.fake_predictor import INFO, expected
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
os.dup2(writer, 2)
log = PredictionLog("api", INFO, file=Path({str(folder)!r}) / "log.jsonl")
{code}
log.close()
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=False)
    return (folder / "log.jsonl").read_text().splitlines()


def test_the_file_goes_on_when_both_outputs_are_gone(tmp_path):
    lines = write_until_broken_stderr(
        tmp_path,
        """
for number in range(60):
    log.write([expected(str(number))], request_id="r", latency_ms=1)
    time.sleep(0.01)
""",
    )
    assert [json.loads(line)["text"] for line in lines] == [str(number) for number in range(60)]


def test_lines_that_cannot_be_made_are_counted_and_the_next_ones_written():
    with captured() as (log, lines):
        broken = SimpleNamespace(text="no prediction")
        log.write([expected("fine"), broken, expected("lost")], request_id="r", latency_ms=1)
        log.write([expected("next")], request_id="r", latency_ms=1)
        texts = [json.loads(line)["text"] for line in lines()]
    assert log.dropped == 2
    assert texts[-1] == "next"


def test_the_largest_request_is_logged_whole(monkeypatch):
    monkeypatch.setattr(log_writer, "MAX_HELD_BYTES", 100_000)
    monkeypatch.setattr(log_writer, "SLICE_BYTES", 10_000)
    with captured() as (log, lines):
        answers = [expected(str(number)) for number in range(2000)]
        log.write(answers, request_id="r", latency_ms=1)
        assert len(lines()) == 2000
    assert log.dropped == 0


def is_larger(path, size):
    return path.stat().st_size > size


def test_the_file_goes_on_however_much_waits_for_the_reader_of_the_output(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(log_writer, "MAX_HELD_BYTES", 100_000)
    monkeypatch.setattr(log_writer, "READER_SECONDS", 0.01)
    reader, writer = os.pipe()
    path = tmp_path / "log.jsonl"
    log = PredictionLog("api", INFO, file=path, descriptor=writer)
    for _ in range(30):
        before = path.stat().st_size
        log.write([expected("z" * 9000)], request_id="r", latency_ms=1)
        wait_until(partial(is_larger, path, before))
    log.close(timeout=0.1)
    assert path.read_text().count("\n") == 30

    assert log.dropped > 5
    assert "loses lines: the reader of standard output is too slow" in capsys.readouterr().err
    os.close(reader)
    os.close(writer)


def test_a_slow_but_steady_reader_of_the_output_does_not_hold_up_the_file(tmp_path):
    reader, writer = os.pipe()
    path = tmp_path / "log.jsonl"
    is_over = threading.Event()

    def read():
        while not is_over.wait(0.05):
            os.read(reader, select.PIPE_BUF)

    thread = threading.Thread(target=read)
    thread.start()
    log = PredictionLog("api", INFO, file=path, descriptor=writer)
    try:
        # The reader takes seven seconds for the first ones.
        log.write([expected("z" * 20_000)] * 30, request_id="r", latency_ms=1)
        wait_until(lambda: path.read_text().count("\n") == 30)
        log.write([expected("next")], request_id="r", latency_ms=1)
        wait_until(lambda: path.read_text().count("\n") == 31, seconds=2)
    finally:
        is_over.set()
        log.close(timeout=0.1)
        # An empty pipe without a writer has an end, at which the reader's thread ends.
        os.close(writer)
        thread.join()
        os.close(reader)


def test_a_stopped_reader_costs_the_file_no_line_at_the_end_and_all_others_are_counted(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(log_writer, "MAX_HELD_BYTES", 320_000)
    monkeypatch.setattr(log_writer, "SLICE_BYTES", 10_000)
    reader, writer = os.pipe()
    path = tmp_path / "log.jsonl"
    log = PredictionLog("api", INFO, file=path, descriptor=writer)
    try:
        log.write([expected("y" * 1_000)] * 1_200, request_id="r", latency_ms=1)
        log.close(timeout=1)
        sent = len(os.read(reader, 1_000_000).splitlines())
    finally:
        os.close(reader)
        os.close(writer)

    assert not log.is_alive
    assert path.read_text().count("\n") == 1_200
    assert 1_200 - sent <= log.dropped <= 1_200


def test_memory_is_bounded_in_bytes_whatever_the_characters():
    script = """
import os, re
from dataclasses import replace
from pathlib import Path
from serving.prediction_log import PredictionLog
from tests.helpers.fake_predictor import INFO, expected
reader, writer = os.pipe()
log = PredictionLog("api", INFO, descriptor=writer)

def peak():
    # Not ru_maxrss: a process inherits that of the one that started it.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak()
for number in range(20_000):
    answer = replace(expected("x"), text=chr(0x1F600) * 9_999 + str(number))
    log.write([answer], request_id="r", latency_ms=1)
print(log.dropped, (peak() - before) / 1000)
os._exit(0)
"""
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    dropped, megabytes = map(float, output.split())
    assert dropped > 0
    assert megabytes < 150


def test_a_text_in_the_log_is_no_longer_than_cloudwatch_takes():
    with captured() as (log, lines):
        text = chr(0x1F600) * 100_000
        answer = replace(expected("x"), text=text, characters=len(text))
        log.write([answer], request_id="r", latency_ms=1)
        (line,) = lines()
    assert len(line) < 256 * 1024
    assert json.loads(line)["input"]["characters"] == 100_000


def test_events_carry_service_and_model():
    with captured() as (log, lines):
        log.event("cold_start", init_ms=12.5)
        (line,) = lines()
    record = json.loads(line)
    assert record["event"] == "cold_start"
    assert record["init_ms"] == 12.5
    assert record["model"]["version"] == "0123456789ab"


def test_an_error_quotes_nobody_without_the_text():
    with captured(text_mode="hash") as (log, lines):
        log.error(422, "unknown_field", "unknown field 'my secret'", request_id="r")
        (line,) = lines()
    record = json.loads(line)
    assert record["error"] == {"code": "unknown_field", "message": None}
    assert (record["event"], record["status"], record["request_id"]) == ("error", 422, "r")


def test_an_error_waits_for_no_reader():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 65536)
    os.set_blocking(writer, True)
    log = PredictionLog("api", INFO, descriptor=writer)
    started = time.perf_counter()
    log.error(500, "internal", "failed", request_id="r")
    assert time.perf_counter() - started < 0.5
    log.close(timeout=0.1)
    os.close(reader)
    os.close(writer)
