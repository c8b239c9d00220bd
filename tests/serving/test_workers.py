"""Several processes behind one port: they answer, count, log and end as one does."""

import asyncio
import contextlib
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from serving.explain import MAX_WORDS
from serving.service import Service
from serving.settings import Settings
from serving.worker import Scoreboard, WorkerSlot
from tests.helpers.fake_predictor import FakePredictor, expected
from tests.helpers.net import free_port, wait_until
from tests.helpers.paths import ROOT
from tests.helpers.processes import FAKE_SERVICE, answers, is_listening, running

HEADERS = {"connection": "close"}


class Workers:
    """``tests/helpers/fake_predictor.py`` with several workers, until the stack is left."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log, self.errors = folder / "log", folder / "errors"
        self.process = stack.enter_context(
            running(
                FAKE_SERVICE,
                lambda: answers(f"{self.url}/ready"),
                log=self.log,
                errors=self.errors,
                environment={"WORKERS": "2", "PORT": str(self.port), **environment},
            )
        )
        wait_until(lambda: len(self.pids) == 2)

    @property
    def pids(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def predict(self, text: str) -> httpx.Response:
        """Ask on a connection of its own: the kernel chooses a worker for each."""
        body = {"sentence": text}
        return httpx.post(f"{self.url}/predict", json=body, headers=HEADERS, timeout=30)

    def value(self, name: str) -> float:
        """Return a value of /metrics, by its name with its labels."""
        page = httpx.get(f"{self.url}/metrics", headers=HEADERS).text
        match = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
        return float(match.group(1)) if match else 0.0

    def texts(self) -> list[str]:
        """Return the texts in the log."""
        return [json.loads(line)["text"] for line in self.log.read_text().splitlines()]

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    """Return a function that starts workers, with settings from its arguments."""
    with contextlib.ExitStack() as stack:
        yield functools.partial(Workers, tmp_path, stack)


PREDICTED = 'cola_requests_total{route="/predict",status="200"}'


def test_workers_answer_count_log_and_end_as_one(start: Callable[..., Workers]) -> None:
    workers = start()
    sentences = [f"sentence {number}" for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(workers.predict, sentences))
    assert [answer.json() for answer in answers] == [expected(text).as_dict() for text in sentences]

    # Whichever worker is asked, it knows of all requests.
    assert {workers.value(PREDICTED) for _ in range(10)} == {60.0}
    with socket.create_connection(("127.0.0.1", workers.port), timeout=5) as connection:
        connection.sendall(b"not http\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert workers.value('cola_requests_total{route="unread",status="400"}') == 1.0

    assert workers.value("cola_log_lines_lost") == 0
    assert workers.value("cola_worker_restarts") == 0

    assert workers.end() == 0
    assert sorted(workers.texts()) == sorted(sentences)
    assert "Traceback" not in workers.errors.read_text()


def test_a_worker_that_is_killed_is_replaced_and_nothing_else_is_lost(
    start: Callable[..., Workers],
) -> None:
    workers = start()
    failed: list[str] = []
    answered: list[str] = []
    is_over = threading.Event()

    def ask(client: int) -> None:
        number = 0
        while not is_over.is_set():
            text = f"sentence {client} {number}"
            number += 1
            try:
                assert workers.predict(text).status_code == 200
                answered.append(text)
            except httpx.HTTPError:
                failed.append(text)

    clients = 8
    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask, client) for client in range(clients)]
        time.sleep(0.5)
        victim, counted = min(workers.pids), workers.value(PREDICTED)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(workers.pids - {victim}) == 2, seconds=3)
        wait_until(lambda: workers.value("cola_worker_restarts") == 1, seconds=3)
        time.sleep(1)
        is_over.set()
        for asked in asking:
            asked.result()

    assert len(failed) <= clients
    assert workers.value(PREDICTED) >= counted
    assert workers.value(PREDICTED) >= len(answered) - clients

    assert workers.end() == 0
    lost = set(answered) - set(workers.texts())
    print(f"{len(answered)} answered, {len(failed)} failed with the worker, {len(lost)} not logged")

    # What it had answered and not yet handed over went with it: at most what it gathers at a time.
    assert len(lost) <= 10 * clients
    warning = "warning: worker [01] has ended \\(signal 9\\): a new one takes its place"
    assert re.search(warning, workers.errors.read_text())


def test_workers_that_end_finish_what_they_have_and_take_no_more(
    start: Callable[..., Workers],
) -> None:
    workers = start()
    body = b'{"sentence": "the last one"}'
    head = (
        "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", workers.port), timeout=30) as connection:
        # A request whose body a worker waits for.
        connection.sendall(head.encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        workers.process.send_signal(signal.SIGTERM)

        wait_until(lambda: not is_listening(workers.port))
        assert workers.process.poll() is None

        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")

    assert workers.process.wait(30) == 0
    assert workers.texts() == ["the last one"]


def test_the_log_file_of_several_workers_is_rotated_once(
    start: Callable[..., Workers], tmp_path: Path
) -> None:
    path = tmp_path / "predictions.jsonl"
    workers = start(LOG_FILE=str(path), LOG_FILE_MB="1")
    sentences = [[f"{number} {n} " + "long " * 1500 for n in range(5)] for number in range(60)]

    def ask(texts: list[str]) -> None:
        answer = httpx.post(f"{workers.url}/predict", json={"sentences": texts}, headers=HEADERS)
        assert answer.status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, sentences))
    assert workers.end() == 0

    files = sorted(tmp_path.glob("predictions.jsonl*"))
    assert len(files) == 3
    lines = [line for file in files for line in file.read_text().splitlines()]
    texts = [json.loads(line)["text"] for line in lines]
    assert sorted(texts) == sorted(text for request in sentences for text in request)


def test_what_is_wrong_is_said_once(tmp_path: Path) -> None:
    environment = {**os.environ, "WORKERS": "3", "MODEL_PATH": str(tmp_path / "none.onnx")}
    environment["PORT"] = str(free_port())
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("No such file or directory") == done.stderr.count("\n") == 1


def test_lost_log_lines_are_added_up_over_workers_and_kept_over_a_replacement() -> None:
    asyncio.run(lose_lines())


async def lose_lines() -> None:
    # Nobody reads what the workers log.
    reader, writer = os.pipe()
    os.close(reader)
    scoreboard = Scoreboard(2)

    async def start(number: int) -> Service:
        with socket.socket() as listener:
            slot = WorkerSlot(number, listener, writer, scoreboard)
        service = Service(FakePredictor(), Settings(), slot)
        await service.start()
        return service

    def lose_one(service: Service) -> None:
        before = service.log.dropped
        service.record_refusal(503, "overloaded", "too much", "r")
        wait_until(lambda: service.log.dropped == before + 1)
        service.record_request("/predict", 503, 0.1)

    first, second = await start(0), await start(1)
    lose_one(first)
    lose_one(second)
    lose_one(second)
    scoreboard.lines_lost[-1] = 10
    assert first.lines_lost() == second.lines_lost() == 1 + 2 + 10

    third = await start(1)
    lose_one(third)
    assert first.lines_lost() == third.lines_lost() == 1 + 3 + 10

    for service in (first, second, third):
        service.close()
    os.close(writer)


def test_each_worker_has_its_part_of_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLA_THREADS", "8")
    given = {"WORKERS": "4", "MAX_CONNECTIONS": "10", "MAX_WAITING": "2000"}
    settings = Settings.from_environment(given)
    share = settings.share()

    assert (settings.workers, share.threads) == (4, 8 // 4)
    assert share.max_connections == 3
    assert share.max_in_flight_bytes == settings.max_in_flight_bytes // 4

    # Less could not take the largest request that is allowed.
    assert share.max_waiting == settings.max_sentences


def test_a_worker_s_part_can_take_the_largest_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLA_THREADS", "64")
    share = Settings.from_environment({"WORKERS": "32", "MAX_SENTENCES": "10"}).share()
    assert share.max_in_flight_bytes == share.max_body_bytes

    # /explain predicts the sentence, and once without each word.
    assert share.max_waiting == MAX_WORDS + 1


@pytest.mark.parametrize(("cores", "workers"), [("1", 1), ("2", 1), ("8", 2), ("64", 16)])
def test_small_machines_have_one_worker(
    monkeypatch: pytest.MonkeyPatch, cores: str, workers: int
) -> None:
    monkeypatch.setenv("COLA_THREADS", cores)
    assert Settings.from_environment({}).workers == workers


def test_the_largest_machine_has_as_many_workers_as_there_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.settings.available_cores", lambda: 2000)
    assert Settings.from_environment({}).workers == 256


def test_a_file_of_settings_may_have_the_line_ends_of_windows() -> None:
    environment = {"HOST": "0.0.0.0\r", "LOG_TEXT": "hash\r"}
    settings = Settings.from_environment(environment)
    assert (settings.host, settings.log_text) == ("0.0.0.0", "hash")
