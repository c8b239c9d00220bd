"""The API as a process of its own, under 200 clients that come and go, and ended meanwhile.

LOAD_SECONDS=60 python -m pytest tests/serving/test_app_load.py -m slow -s
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.helpers.fake_predictor import expected
from tests.helpers.net import free_port
from tests.helpers.processes import FAKE_SERVICE, is_listening, running

CLIENTS = 200
SECONDS = float(os.environ.get("LOAD_SECONDS", "8"))
pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path):
    """``tests/helpers/fake_predictor.py`` served by app.serve; its process, port and log file."""
    port = free_port()
    with running(
        FAKE_SERVICE,
        lambda: is_listening(port),
        log=tmp_path / "log",
        errors=tmp_path / "errors",
        environment={"PORT": str(port)},
        patience=0,
    ) as process:
        yield process, port, tmp_path


class Crowd:
    """Clients that ask, read, check and sometimes leave.

    ``ended`` is set when the server was asked to stop.
    """

    def __init__(self, port):
        self.port = port
        self.stop = self.ended = False
        self.answered = []  # request ids
        self.left = self.refused = 0
        self.wrong = []

    async def client(self, number):
        dice = random.Random(number)
        turn = 0
        while not self.stop:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                assert self.ended, "a connection was refused before the end"
                return
            try:
                while not self.stop and await self.exchange(
                    reader, writer, dice, f"{number}-{turn}"
                ):
                    turn += 1
            finally:
                turn += 1
                writer.close()

    async def exchange(self, reader, writer, dice, identity):
        """One request; False when the connection is over."""
        texts = [f"{identity} sentence {n}" for n in range(dice.choice([1, 1, 1, 1, 8]))]
        message = {"sentence": texts[0]} if len(texts) == 1 else {"sentences": texts}
        body = json.dumps(message).encode()
        head = (
            f"POST /predict HTTP/1.1\r\nhost: localhost\r\nx-request-id: {identity}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        request = head.encode() + body
        fate = dice.random()
        received = b""
        try:
            if fate < 0.08:
                writer.write(request[: dice.randrange(1, len(request))])
                await asyncio.sleep(dice.random() * 0.02)
                self.left += 1
                return False
            writer.write(request)
            if fate < 0.16:
                await asyncio.sleep(dice.random() * 0.02)
                self.left += 1
                return False
            received = await reader.readuntil(b"\r\n\r\n")
            headers = received.decode().lower()
            length = int(headers.split("content-length: ")[1].split("\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError) as error:
            received = received or getattr(error, "partial", b"")
            if (
                received or not self.ended
            ):  # an answer that has begun must end, and before the end there is one
                self.wrong.append((identity, repr(error)))
            return False
        status = int(headers.split()[1])
        found = [expected(text).as_dict() for text in texts]
        if status == 503:
            self.refused += 1
        elif status == 200 and answer == (found[0] if len(texts) == 1 else {"predictions": found}):
            self.answered.append((identity, len(texts)))
        else:
            self.wrong.append((identity, status, answer))
        return "connection: close" not in headers


def test_every_accepted_request_is_answered_memory_is_flat_and_the_end_is_0(server):
    process, port, folder = server
    crowd = Crowd(port)
    memory = []

    async def scenario():
        clients = [asyncio.create_task(crowd.client(number)) for number in range(CLIENTS)]
        for _ in range(6):
            await asyncio.sleep(SECONDS / 6)
            memory.append(psutil.Process(process.pid).memory_info().rss / 1e6)
        crowd.ended = True
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)
        crowd.stop = True
        await asyncio.gather(*clients)

    asyncio.run(scenario())
    print(
        f"\n{len(crowd.answered)} answered, {crowd.left} left, {crowd.refused} refused, "
        f"memory MB {memory}"
    )
    assert crowd.wrong == []
    assert len(crowd.answered) > 10 * CLIENTS
    assert crowd.left > CLIENTS
    assert process.returncode == 0
    assert memory[-1] - memory[1] < 10
    records = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    logged: dict[str, int] = {}
    for record in records:
        assert record["event"] == "prediction"
        assert record["text"].startswith(record["request_id"] + " ")
        logged[record["request_id"]] = logged.get(record["request_id"], 0) + 1
    assert {identity: logged.get(identity) for identity, _ in crowd.answered} == dict(
        crowd.answered
    )
    errors = (folder / "errors").read_text()
    assert "Traceback" not in errors
    assert "warning" not in errors


def test_a_client_that_never_finishes_cannot_hold_the_end_up(server):
    process, port, _ = server
    head = (
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: 1000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as stuck:
        stuck.sendall(head + b"{")
        with pytest.raises(TimeoutError):
            stuck.recv(1)

        # It is waited for, but not for ever.
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        assert process.wait(40) == 0


def test_schemathesis_finds_no_server_error_and_no_undocumented_answer(server):
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists() and not shutil.which("schemathesis"):
        pytest.skip("schemathesis is not installed")
    _, port, folder = server
    # Too large is a refusal as well.
    (folder / "schemathesis.toml").write_text(
        "[checks.negative_data_rejection]\n"
        "expected-statuses = [400, 401, 404, 405, 413, 415, 422]\n"
    )

    # Left out: whether every text that the description allows is accepted. No pattern says what
    # is blank.
    command = [
        str(program if program.exists() else "schemathesis"),
        "run",
        f"http://127.0.0.1:{port}/openapi.json",
    ]
    command += [
        "--checks",
        "all",
        "--exclude-checks",
        "positive_data_acceptance",
        "--max-examples",
        "30",
    ]
    result = subprocess.run(
        [*command, "--no-color"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
