"""What a hostile or an unlucky world does to a service, and what that costs others.

    python -m pytest tests/serving/test_hostile.py -m slow -s

Prints what it measured. Most of it never reaches a model, so that the predictor is a fake one; the
memory is measured with ``models/model.onnx``, too, if there is one (``make train``).
"""

import contextlib
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from prediction.rows import ROW_TOKENS
from serving.settings import Settings
from tests.helpers.http_service import serving
from tests.helpers.net import free_port, wait_until
from tests.helpers.paths import ROOT
from tests.helpers.processes import FAKE_SERVICE, answers, running

pytestmark = pytest.mark.slow

BODY_BYTES = 2 * 1024 * 1024
MODEL = ROOT / "models/model.onnx"
REAL_SERVICE = (sys.executable, "app.py")
POST = "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


class Server:
    """A service as a process of its own, and a client of it."""

    def __init__(self, pid: int, port: int, client: httpx.Client) -> None:
        self.pid, self.port, self.client = pid, port, client

    def is_up(self) -> bool:
        return answers(f"http://localhost:{self.port}/health")

    @property
    def memory_mb(self) -> float:
        return float(psutil.Process(self.pid).memory_info().rss) / 1e6

    @property
    def peak_memory_mb(self) -> float:
        """The most that it ever had, which Linux keeps count of."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6

    def connect(self) -> socket.socket:
        return socket.create_connection(("localhost", self.port), timeout=60)

    def post(self, body: bytes, path: str = "/predict") -> httpx.Response:
        headers = {"content-type": "application/json"}
        return self.client.post(path, content=body, headers=headers)


@contextlib.contextmanager
def service(folder: Path, command: Sequence[str] = FAKE_SERVICE) -> Iterator[Server]:
    """Run a service whose log goes to ``folder``."""
    port = free_port()
    url = f"http://localhost:{port}"
    with (
        running(
            command,
            lambda: answers(f"{url}/health"),
            log=folder / "log",
            environment={"PORT": str(port)},
            patience=0,
        ) as process,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield Server(process.pid, port, client)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own for each test."""
    with service(tmp_path) as started:
        yield started


def filled(start: bytes, item: bytes, end: bytes) -> bytes:
    """Return a body of the largest size that is accepted, made of many items."""
    count = (BODY_BYTES - len(start) - len(end) - 1) // (len(item) + 1)
    return start + (item + b",") * (count - 1) + item + end


REFUSED = {
    "too many sentences": filled(b'{"sentences":[', b'""', b"]}"),
    "too long": b'{"sentence":"' + b"x" * (BODY_BYTES - 20) + b'"}',
    "unknown fields": b"{" + b",".join(b'"%06d":0' % number for number in range(190_000)) + b"}",
    "wrong types": filled(b'{"sentences":[', b"{}", b"]}"),
    "nested": b"[" * (BODY_BYTES - 1),
    "one bad among a thousand": json.dumps(
        {"sentences": [*["a long sentence " * 120] * 1023, " "]}
    ).encode(),
    "no JSON": b"x" * (BODY_BYTES - 1),
}


@pytest.mark.parametrize("command", [FAKE_SERVICE, REAL_SERVICE], ids=["fake model", "real model"])
def test_refused_bodies_leave_nothing_behind(tmp_path: Path, command: Sequence[str]) -> None:
    if command == REAL_SERVICE and not MODEL.exists():
        pytest.skip("no models/model.onnx: run `make train`")

    with service(tmp_path, command) as server:
        server.post(b'{"sentence": "warm"}')
        start = server.memory_mb

        for name, body in REFUSED.items():
            assert len(body) <= BODY_BYTES, name
            for _ in range(20):
                assert server.post(body).status_code in (400, 422), name
        one_by_one = server.memory_mb

        with ThreadPoolExecutor(5) as pool:
            bodies = [body for body in REFUSED.values() for _ in range(20)]
            statuses = {answer.status_code for answer in pool.map(server.post, bodies)}
        assert statuses <= {400, 422, 503}
        after = server.memory_mb
        peak = server.peak_memory_mb

        print(f"\nMB: {start:.0f} before, {one_by_one:.0f} and {after:.0f} after, peak {peak:.0f}")
        assert max(one_by_one, after) < start + 60
        assert peak < 512
        assert server.post(b'{"sentence": "It still answers."}').status_code == 200


def endless_header(server: Server) -> None:
    with server.connect() as connection, contextlib.suppress(OSError):
        connection.sendall(b"GET /health HTTP/1.1\r\nendless: ")
        for _ in range(1000):
            connection.sendall(b"x" * 65536)


def many_headers(server: Server) -> None:
    with server.connect() as connection, contextlib.suppress(OSError):
        connection.sendall(b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 300_000)
        connection.recv(1000)


def words_to_explain(server: Server) -> None:
    server.post(json.dumps({"sentence": "a " * 5000}).encode(), "/explain")


def million_keys(server: Server) -> None:
    server.post(REFUSED["unknown fields"])


def long_texts(server: Server) -> None:
    sentence = "\u4e2d" * 680
    server.post(json.dumps({"sentences": [sentence] * 1000}, ensure_ascii=False).encode())


def slow_body(server: Server) -> None:
    with server.connect() as connection, contextlib.suppress(OSError):
        connection.sendall((POST.format("/predict") + "content-length: 1000\r\n\r\n").encode())
        for _ in range(50):
            connection.sendall(b"x")
            time.sleep(0.01)


def pipelined_flood(server: Server) -> None:
    with server.connect() as connection, contextlib.suppress(OSError):
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100_000)
        connection.recv(1000)


ATTACKS: list[Callable[[Server], None]] = [
    endless_header,
    many_headers,
    words_to_explain,
    million_keys,
    long_texts,
    slow_body,
    pipelined_flood,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_nobody_else_waits_while_one_client_does_its_worst(
    server: Server, attack: Callable[[Server], None]
) -> None:
    waits: list[float] = []
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=f"http://localhost:{server.port}", timeout=60) as client:
            while not done.is_set():
                started = time.perf_counter()
                assert client.get("/health").status_code == 200
                waits.append(time.perf_counter() - started)
                time.sleep(0.002)

    def worst_wait_during(action: Callable[[], None]) -> float:
        before = len(waits)
        action()
        # The request that is under way at the end counts, too.
        after = len(waits)
        wait_until(lambda: len(waits) > after, seconds=60)
        return max(waits[before:])

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        worst = [worst_wait_during(lambda: time.sleep(0.2))]
        worst += [worst_wait_during(lambda: attack(server)) for _ in range(5)]
        done.set()
        asking.result()

    # What holds the service up does so each time; what else runs on this machine does not.
    calm, *attacked = worst
    print(f"\n{attack.__name__}: /health waited at most {max(attacked) * 1000:.0f} ms")
    assert min(attacked) < calm + 0.15


@pytest.mark.timeout(120)
def test_connections_that_send_nothing_more_are_closed(server: Server) -> None:
    half_body = (POST.format("/predict") + "content-length: 10\r\n\r\nhalf").encode()
    with contextlib.ExitStack() as stack:
        connections = []
        for number in range(600):
            connection = stack.enter_context(server.connect())
            connection.sendall((b"", b"GET /health HT", half_body)[number % 3])
            connections.append(connection)

        started = time.monotonic()
        for connection in connections:
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(1000):
                    pass
            assert server.is_up()
        seconds = time.monotonic() - started

    print(f"\n600 connections were closed within {seconds:.0f} s")
    assert seconds < 40


def test_requests_sent_in_advance_take_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One thread: it is busy with the first requests until all of the others have come.
    monkeypatch.setenv("COLA_THREADS", "1")
    body = json.dumps({"sentences": ["a b c d e f g h i j k l m n o p"] * 10}).encode()
    head = POST.format("/predict") + f"content-length: {len(body)}\r\n\r\n"
    in_advance = b"GET /health HTTP/1.1\r\nhost: localhost\r\nlarge: " + b"x" * 12_000
    data = head.encode() + body + (in_advance + b"\r\n\r\n") * 16

    with service(tmp_path) as server, contextlib.ExitStack() as stack:
        server.post(b'{"sentence": "warm"}')
        before = server.memory_mb
        connections = [stack.enter_context(server.connect()) for _ in range(300)]
        for connection in connections:
            connection.sendall(data)
        for connection in connections:
            with contextlib.suppress(ConnectionResetError):
                connection.recv(1000)
        grown = server.peak_memory_mb - before

        assert server.is_up()
        print(f"\n300 connections with 16 requests in advance: {grown:.0f} MB")
        assert grown < 50


def test_clients_that_leave_are_not_worked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not timed: in this process, where the predictor can be held up while they leave."""
    # Else the event loop would be held up, too.
    monkeypatch.setattr("serving.service.PREDICT_INLINE", 0)
    body = json.dumps({"sentences": [f"left {number}" for number in range(1024)]}).encode()
    head = POST.format("/predict") + f"content-length: {len(body)}\r\n\r\n"

    with serving(Settings(threads=1)) as (client, fake):

        def shows(line: str) -> bool:
            return re.search(f"^{re.escape(line)}$", client.get("/metrics").text, re.M) is not None

        # All but those of the row that is held up.
        waiting = 3 * 1024 - ROW_TOKENS // 2
        fake.gate.clear()
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                address = (client.base_url.host, client.base_url.port)
                connection = stack.enter_context(socket.create_connection(address))
                connection.sendall(head.encode() + body)
            wait_until(lambda: fake.running and shows(f"cola_waiting_sentences {waiting}.0"))

        wait_until(lambda: shows('cola_requests_total{route="/predict",status="0"} 3.0'))
        fake.gate.set()
        assert client.get("/predict?text=next").status_code == 200
        assert shows("cola_waiting_sentences 0.0")

        worked_for = sum(text.startswith("left") for row in fake.rows for text in row)
        assert 0 < worked_for <= ROW_TOKENS
