"""The forwarder as Lambda calls it: its time, its settings, its secret."""

import json
from collections.abc import Callable, Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from errors import DeliveryError, ElasticError
from monitoring import forwarder
from monitoring.forwarder import Counts
from monitoring.log_events import encode
from tests.helpers.subscription import LINE, REPORT, START, log_data

Handle = Callable[..., Counts]


class Context:
    """What the forwarder reads of Lambda's context object."""

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> Iterator[Handle]:
    """Yield the handler for some log messages, in the time that Lambda leaves it."""
    monkeypatch.setenv("ELASTICSEARCH_URL", httpserver.url_for(""))
    monkeypatch.delenv("DEAD_LETTER_QUEUE_URL", raising=False)

    def call(*messages: str, seconds: float = 30) -> Counts:
        event, context = encode(log_data(*messages)), Context(round(1000 * seconds))
        return forwarder.lambda_handler(event, context)

    forwarder.connect.cache_clear()
    yield call
    forwarder.connect.cache_clear()


@pytest.fixture
def takes_all(httpserver: HTTPServer) -> None:
    """Let the server take every document."""
    httpserver.expect_request("/_bulk").respond_with_json({"errors": False})


def test_the_handler_says_what_it_did(
    handle: Handle, takes_all: None, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = handle(START, LINE)
    assert counts == {"events": 2, "forwarded": 1, "dropped": 1, "dead_letters": 0}
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"forwarded": counts}


def test_the_handler_keeps_time_to_report_a_failure(handle: Handle, takes_all: None) -> None:
    with pytest.raises(DeliveryError, match="no time was left to try"):
        handle(LINE, seconds=forwarder.MARGIN_SECONDS - 0.1)


@pytest.mark.parametrize(("setting", "dropped"), [("0", 2), ("1", 0)])
def test_what_is_no_prediction_is_kept_on_request(
    handle: Handle, takes_all: None, monkeypatch: pytest.MonkeyPatch, setting: str, dropped: int
) -> None:
    monkeypatch.setenv("FORWARD_ALL", setting)
    assert handle(START, LINE, REPORT)["dropped"] == dropped


def test_a_secret_that_was_rotated_is_read_again(
    handle: Handle, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: Request) -> Response:
        if request.headers["Authorization"] == "ApiKey new":
            return Response('{"errors": false}')
        return Response("{}", 401)

    httpserver.expect_request("/_bulk").respond_with_handler(answer)
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "old")
    with pytest.raises(ElasticError, match="HTTP 401"):
        handle(LINE)

    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "new")
    assert handle(LINE)["forwarded"] == 1
