"""The application on a free port of this machine, with a fake predictor behind it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from app import create_app
from serving.connections import Limits
from serving.protocol import bounded_by
from serving.settings import Settings
from tests.helpers.fake_predictor import FakePredictor

SMALL = Settings(max_sentences=5, max_characters=50, max_body_bytes=2000, max_waiting=8)


@contextmanager
def serving(
    settings: Settings = SMALL, fake: FakePredictor | None = None
) -> Iterator[tuple[httpx.Client, FakePredictor]]:
    """The application on a free port of 127.0.0.1, with its predictor."""
    fake = fake or FakePredictor()
    app = create_app(fake, settings)
    config = uvicorn.Config(
        app,
        "127.0.0.1",
        0,
        loop="uvloop",
        http=bounded_by(Limits.of(settings), app.service.metrics.record_unread),
        ws="none",
        access_log=False,
        log_level="critical",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            yield client, fake
    finally:
        fake.gate.set()
        server.should_exit = True
        thread.join(10)


JSON = {"content-type": "application/json"}


def error_of(response: httpx.Response, status: int) -> dict[str, str]:
    """The error of a response that must be of our one shape, without a stack trace."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message"}
    assert "Traceback" not in response.text
    assert ".py" not in response.text
    error: dict[str, str] = body["error"]
    return error
