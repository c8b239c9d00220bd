"""What one client may send, and for how long, on a real uvicorn over real sockets."""

import asyncio
import contextlib
import json
import logging.handlers
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import uvicorn

from serving.connections import Limits
from serving.protocol import bounded_by
from tests.helpers.net import wait_until

LIMITS = Limits(
    max_connections=20,
    max_head_bytes=4096,
    max_headers=20,
    max_body_bytes=10_000,
    max_pipelined=4,
    head_seconds=0.4,
    body_seconds=0.4,
    write_seconds=0.4,
)
REQUEST = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
LARGE = 20_000_000

# Two fit into a connection's own buffer of 64 KiB, beyond which uvicorn is told of it.
MEDIUM = 30_000


async def application(scope, receive, send) -> None:
    """Answer with the size of the body; ``/large`` with more than any socket buffers.

    ``/early`` is answered before the body is read, ``/slow`` after a second.
    """
    if scope["type"] != "http":
        return

    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]

    if scope["path"] == "/slow":
        await asyncio.sleep(1)

    sizes = {"/large": LARGE, "/medium": MEDIUM}
    body = b"x" * sizes[scope["path"]] if scope["path"] in sizes else b"%d" % size
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def serving(
    limits: Limits, record: Callable[[int], None] = lambda status: None
) -> Iterator[uvicorn.Server]:
    config = uvicorn.Config(
        application,
        port=0,
        http=bounded_by(limits, record),
        ws="none",
        lifespan="off",
        timeout_keep_alive=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)

    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(10)


def port_of(server: uvicorn.Server) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[uvicorn.Server]:
    with serving(LIMITS) as server:
        yield server


@pytest.fixture(scope="module")
def port(server: uvicorn.Server) -> int:
    return port_of(server)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the server closes; a reset after its answer is a close too."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            answer += part
    return answer


def ask(port: int, *parts: bytes, pause: float = 0) -> bytes:
    with connect(port) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sendall(part)
                if pause:
                    time.sleep(pause)
        return read_to_end(connection)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def code_of(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"])


def test_requests_in_one_or_many_pieces_are_answered(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(REQUEST)
        assert connection.recv(1000).endswith(b"5")

        for byte in REQUEST:
            connection.sendall(bytes([byte]))
        assert connection.recv(1000).endswith(b"5")


def test_one_endless_header_is_refused(port: int) -> None:
    answer = ask(port, b"GET / HTTP/1.1\r\nendless: ", b"x" * 200_000)
    assert (status_of(answer), code_of(answer)) == (431, "headers_too_large")


def test_an_endless_address_is_refused(port: int) -> None:
    assert status_of(ask(port, b"GET /" + b"x" * 200_000)) == 431


def test_many_small_headers_are_refused(port: int) -> None:
    head = b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100 + b"\r\n"
    assert status_of(ask(port, head)) == 431


@pytest.mark.parametrize("trailer", [b"endless: " + b"x" * 200_000, b"a: b\r\n" * 100])
def test_trailers_are_limited_as_headers_are(port: int, trailer: bytes) -> None:
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = ask(port, head, b"1\r\na\r\n0\r\n", trailer)
    assert status_of(answer) in (413, 431)


def test_a_body_without_end_is_cut(port: int) -> None:
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = ask(port, head, b"1000\r\n" + b"x" * 0x1000 + b"\r\n", *[b"1\r\nx\r\n"] * 5000)
    assert (status_of(answer), code_of(answer)) == (413, "body_too_large")


def test_bytes_that_are_no_http_are_refused_in_the_same_form(port: int) -> None:
    answer = ask(port, b"\x16\x03\x01 not HTTP\r\n\r\n")
    assert (status_of(answer), code_of(answer)) == (400, "invalid_http")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),
        (b"GET / HT", 408),
        (b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhe", 408),
        (REQUEST + b"GET / HT", 200),
    ],
    ids=["silent", "half a head", "half a body", "half a second request"],
)
def test_a_request_that_does_not_arrive_is_closed(
    port: int, sent: bytes, status: int | None
) -> None:
    started = time.monotonic()
    answer = ask(port, sent)
    assert time.monotonic() - started < 3
    assert (status_of(answer) if answer else None) == status


def test_a_slow_but_steady_body_is_cut_too(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        started = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - started < 3:
                connection.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - started < 3


def test_a_body_behind_a_request_that_is_being_answered_is_not_late() -> None:
    """Its rest is not read until that answer, when the time for it has long passed."""
    last = REQUEST.replace(b"host", b"connection: close\r\nhost")
    limits = replace(LIMITS, head_seconds=10)
    with serving(limits) as server, connect(port_of(server)) as connection:
        connection.sendall(REQUEST.replace(b"/echo", b"/slow"))
        wait_until(lambda: server.server_state.tasks)
        connection.sendall(last[:-3])
        time.sleep(0.1)
        connection.sendall(last[-3:])
        assert read_to_end(connection).count(b"HTTP/1.1 200 ") == 2


def test_the_time_of_a_body_behind_another_request_begins_with_that_request_s_answer() -> None:
    limits = replace(LIMITS, body_seconds=2)
    with serving(limits) as server, connect(port_of(server)) as connection:
        connection.sendall(REQUEST.replace(b"/echo", b"/slow"))
        wait_until(lambda: server.server_state.tasks)
        connection.sendall(REQUEST[:-3])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")

        # Later than the limit after it was sent, earlier than the limit after the answer.
        time.sleep(1.5)
        connection.sendall(REQUEST[-3:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_an_answer_that_is_not_read_is_given_up(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(REQUEST.replace(b"/echo", b"/large"))
        time.sleep(1.5)
        assert len(read_to_end(connection)) < LARGE


@pytest.mark.parametrize(
    ("request_", "rest"),
    [
        (REQUEST, b"\r\n"),
        (b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n", b"hello"),
    ],
    ids=["a line break", "the rest of a body"],
)
def test_bytes_behind_an_answer_do_not_keep_a_connection_open(
    port: int, request_: bytes, rest: bytes
) -> None:
    with connect(port) as connection:
        connection.sendall(request_)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        connection.sendall(rest)
        assert read_to_end(connection) == b""


@pytest.mark.parametrize("last", [b"", b"connection: close\r\n"], ids=["idle", "ended"])
def test_a_few_bytes_that_are_not_read_do_not_keep_a_connection_open(
    server: uvicorn.Server, port: int, last: bytes
) -> None:
    """Neither the connection that is not used any more nor the one that is asked to be closed."""
    state = server.server_state
    wait_until(lambda: not state.connections)

    request = b"GET /medium HTTP/1.1\r\nhost: x\r\n%s\r\n"
    with connect(port) as connection:

        def unread_after(head: bytes) -> int:
            answered = state.total_requests
            connection.sendall(head)
            wait_until(lambda: state.total_requests > answered)
            return unread_bytes(server)

        # The kernel's buffers hold many answers; then one waits in the server's own.
        while not (unread := unread_after(request % b"")):
            pass
        assert unread <= MEDIUM

        if last:
            connection.sendall(request % last)
        wait_until(lambda: not state.connections, seconds=5)


def unread_bytes(server: uvicorn.Server) -> int:
    """What the only connection's buffer holds, asked for on the event loop."""
    (protocol,) = server.server_state.connections

    async def size() -> int:
        return int(protocol.transport.get_write_buffer_size())

    return asyncio.run_coroutine_threadsafe(size(), protocol.loop).result(5)


@pytest.mark.parametrize(
    "sent",
    [
        b"no HTTP\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 100 + b"\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n",
    ],
    ids=["no HTTP", "too many headers", "upgrade"],
)
def test_what_clients_do_wrong_is_not_written_to_standard_error(port: int, sent: bytes) -> None:
    """Nobody may read it, and then the event loop would wait for ever."""
    handler = logging.handlers.BufferingHandler(capacity=100)
    logging.getLogger("uvicorn").addHandler(handler)
    try:
        assert ask(port, sent)
    finally:
        logging.getLogger("uvicorn").removeHandler(handler)
    assert handler.buffer == []


def test_who_leaves_with_several_requests_under_way_leaves_quietly(server: uvicorn.Server) -> None:
    state = server.server_state
    handler = logging.handlers.BufferingHandler(capacity=100)
    logging.getLogger("uvicorn").addHandler(handler)
    try:
        with connect(port_of(server)) as connection:
            connection.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
            wait_until(lambda: len(state.tasks) == 1)
        wait_until(lambda: not state.tasks)
    finally:
        logging.getLogger("uvicorn").removeHandler(handler)
    assert handler.buffer == []


INNER = b"GET /early HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: %d\r\n\r\n" % len(INNER),
        b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(INNER),
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("cut", ["nowhere", "before the body", "everywhere"])
def test_a_body_behind_an_upgrade_is_a_body_and_no_second_request(
    port: int, head: bytes, cut: str
) -> None:
    """Java's ``HttpClient`` and ``curl --http2`` send the header with their first request."""
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\n" + UPGRADE + head
    body = INNER + (b"\r\n0\r\n\r\n" if b"chunked" in head else b"")
    last = REQUEST.replace(b"host", b"connection: close\r\nhost")
    parts = {
        "nowhere": [head + body + last],
        "before the body": [head, body, last],
        "everywhere": [bytes([byte]) for byte in head + body + last],
    }

    answer = ask(port, *parts[cut], pause=0.05 if cut == "before the body" else 0)
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 200 ") == 2
    assert b"\r\n\r\n%dHTTP/1.1" % len(INNER) in answer
    assert answer.endswith(b"\r\n\r\n5")


def test_several_upgrades_on_one_connection_are_ignored(port: int) -> None:
    request = REQUEST.replace(b"host: x\r\n", b"host: x\r\n" + UPGRADE)
    last = REQUEST.replace(b"host", b"connection: close\r\nhost")
    assert ask(port, request * 2 + last).count(b"\r\n\r\n5") == 3


def test_a_tunnel_is_refused(port: int) -> None:
    answer = ask(port, b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello")
    assert (status_of(answer), code_of(answer)) == (400, "invalid_http")


def test_a_flood_of_requests_on_one_connection_is_refused_and_counted() -> None:
    refused: list[int] = []
    with serving(LIMITS, record=refused.append) as server:
        answers = ask(port_of(server), REQUEST * 200)

    assert answers.count(b"HTTP/1.1 200") <= 1 + LIMITS.max_pipelined
    assert refused == [429]


def test_as_many_connections_as_are_allowed_are_served(server: uvicorn.Server, port: int) -> None:
    wait_until(lambda: not server.server_state.connections)
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.max_connections):
            last = stack.enter_context(connect(port))
        last.sendall(REQUEST)
        assert last.recv(1000).endswith(b"5")


def test_one_connection_too_many_is_refused_and_then_there_is_room_again(
    server: uvicorn.Server, port: int
) -> None:
    wait_until(lambda: not server.server_state.connections)
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.max_connections):
            stack.enter_context(connect(port))
        answer = ask(port, REQUEST)
        assert (status_of(answer), code_of(answer)) == (503, "overloaded")

    wait_until(lambda: not server.server_state.connections)
    with connect(port) as connection:
        connection.sendall(REQUEST)
        assert connection.recv(1000).endswith(b"5")
