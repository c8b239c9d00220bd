"""Servers for the monitoring tests: two that speak Elasticsearch's API, and a proxy that misbehaves.

Neither server is Elasticsearch. osmem-server follows OpenSearch (percentiles, strict errors, no ILM),
noida-db follows Elasticsearch 8 (no percentiles). Both come from requirements_dev.txt; without them the
tests that need them skip.
"""

import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from errors import ElasticError
from monitoring.elastic import Elastic

SERVERS = ("osmem", "noida")


def _command(name: str, port: int, folder: Path) -> list[str]:
    package, binary = {
        "osmem": ("osmem_server", "bin/osmem-server"),
        "noida": ("noida_db", "noida-db"),
    }[name]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed: pip install -r requirements_dev.txt")
    program = str(
        Path(spec.origin).parent / binary
    )  # not the console script: it would leave a child behind
    if name == "osmem":
        return [program, "-addr", f"127.0.0.1:{port}", "-no-stdin-watch"]
    options = ["--elasticsearch-port", str(port), "--host", "127.0.0.1", "--data-dir", str(folder)]
    return [program, "start", "--only", "elasticsearch", *options]


def start_server(name: str, port: int, folder: Path) -> "subprocess.Popen[bytes]":
    """Start one of SERVERS; it may take a moment until it answers (see `wait_until_up`)."""
    command = _command(name, port, folder)
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until_up(server: Elastic, seconds: float = 20.0) -> None:
    """Return once the server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            server.request("GET", "/")
            return
        except ElasticError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a server that a test started."""
    process.terminate()
    process.wait(10)


def has_percentiles(server: Elastic) -> bool:
    """osmem has the percentiles aggregation, noida does not."""
    return server.request("GET", "/")["version"].get("distribution") == "opensearch"


def search(server: Elastic, query: dict[str, Any], index: str = "cwl-*") -> Any:
    """A search after a refresh, so that everything delivered is seen."""
    server.request("POST", f"/{index}/_refresh")
    return server.request("POST", f"/{index}/_search", {"track_total_hits": True, **query})


Fault = Callable[[str, bytes], "tuple[int, bytes] | bytes"]


class FaultyProxy:
    """Passes requests on to a server. `fault(path, body)` may answer itself or change the body passed on;
    `amend` may change the server's answer."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.fault: Fault = lambda path, body: body
        self.amend: Callable[[bytes], bytes] = lambda answer: answer
        self.requests = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                proxy.requests += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, answer = proxy.respond(self.path, body, self.headers["Content-Type"])
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def respond(self, path: str, body: bytes, content_type: str) -> tuple[int, bytes]:
        """The status and body to answer with."""
        decided = self.fault(path, body)
        if isinstance(decided, tuple):
            return decided
        try:
            with urlopen(
                Request(self.target + path, decided, {"Content-Type": content_type})
            ) as answer:
                return answer.status, self.amend(answer.read())
        except HTTPError as error:
            return error.code, error.read()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
