"""Starting a retraining run: GitHub is asked once a cool-down, however many checks find drift at once."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drift import dispatch
from drift.dispatch import Cooldown, ElasticCooldown, FileCooldown
from errors import ColaError
from monitoring.elastic import Elastic
from tests.helpers.net import free_port

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


class GitHub:
    """Answers dispatches as api.github.com does: 204 and no body, or a refusal."""

    def __init__(self) -> None:
        self.status = 204
        self.requests: list[tuple[str, str, dict[str, object]]] = []
        github = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                github.requests.append((self.path, self.headers["Authorization"], body))
                self.send_response(github.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    github = GitHub()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{github.server.server_port}")
    monkeypatch.setenv("GITHUB_TOKEN", "a-token")
    yield github
    github.server.shutdown()
    github.server.server_close()
    github.thread.join()


@pytest.fixture(params=["elasticsearch", "file"])
def make_cooldown(
    request: pytest.FixtureRequest, server: Elastic, tmp_path: Path
) -> Callable[[], Cooldown]:
    """A function that makes cool-downs that share one place."""
    if request.param == "elasticsearch":
        return lambda: ElasticCooldown(server)
    return lambda: FileCooldown(tmp_path / "log.last_dispatch")


def test_github_is_asked_once_a_cooldown(
    github: GitHub, make_cooldown: Callable[[], Cooldown]
) -> None:
    verdict = {"verdict": "alarm", "reasons": ["score_psi"]}
    assert dispatch.send("owner/repo", verdict, make_cooldown(), WEEK)
    assert not dispatch.send("owner/repo", verdict, make_cooldown(), WEEK)
    ((path, authorization, body),) = github.requests
    assert path == "/repos/owner/repo/dispatches"
    assert authorization == "Bearer a-token"
    assert body == {"event_type": "drift", "client_payload": {"drift": verdict}}


def test_after_the_cooldown_it_is_asked_again(make_cooldown: Callable[[], Cooldown]) -> None:
    claims = [
        make_cooldown().claim(NOW + days * timedelta(days=1), WEEK)
        for days in (0, 3, 6.9, 7, 10, 14)
    ]
    assert claims == [True, False, False, True, False, True]


def test_a_dispatch_that_github_refuses_may_be_tried_again(
    github: GitHub, make_cooldown: Callable[[], Cooldown]
) -> None:
    github.status = 404
    with pytest.raises(ColaError, match=r"HTTP 404.*GITHUB_TOKEN") as caught:
        dispatch.send("owner/repo", {}, make_cooldown(), WEEK)
    assert "a-token" not in str(caught.value)
    github.status = 204
    assert dispatch.send("owner/repo", {}, make_cooldown(), WEEK)


def test_two_checks_at_once_fire_once(make_cooldown: Callable[[], Cooldown]) -> None:
    start = threading.Barrier(8)
    claims: list[bool] = []

    def claim(cooldown: Cooldown) -> None:
        start.wait()
        claims.append(cooldown.claim(NOW, WEEK))

    threads = [threading.Thread(target=claim, args=(make_cooldown(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claims) == 8
    assert sum(claims) == 1


def test_without_a_token_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(ColaError, match="set GITHUB_TOKEN"):
        dispatch.send("owner/repo", {}, FileCooldown(tmp_path / "x"), WEEK)


def test_github_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "a-token")
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{free_port()}")
    cooldown = FileCooldown(tmp_path / "x")
    with pytest.raises(ColaError, match="no retraining run"):
        dispatch.send("owner/repo", {}, cooldown, WEEK)
    assert cooldown.claim(NOW, WEEK)


def test_the_cooldown_is_kept_with_the_predictions(server: Elastic, tmp_path: Path) -> None:
    assert isinstance(dispatch.cooldown(server, None), ElasticCooldown)
    assert isinstance(dispatch.cooldown(None, tmp_path / "predictions.jsonl"), FileCooldown)
