"""A server's process: installed, started, asked, loaded, and ended."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.documents import Load
from benchmarks.results import ROOT
from benchmarks.servers import Server

PEERS = ROOT / "benchmarks" / "serving_peers"
"""The scripts of the servers that are not ours."""

# Nothing is reported to anybody, or fetched, while a server is measured.
QUIET = {
    "ORT_DISABLE_TELEMETRY": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
}
MIN_AGREEMENT = 0.96
"""Int8 may turn one or two labels of that many; a server with other weights turns many."""
START_SECONDS = 120.0
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Running:
    """A server that has given its first answer."""

    server: Server
    port: int
    process: psutil.Process
    start_seconds: float

    def ask(self, sentence: str) -> str:
        """Return the label that the server gives to a sentence."""
        return ask(self.server, self.port, sentence)

    def memory_mb(self) -> float:
        """Return the memory of the process and all it started; shared pages count once (PSS)."""
        family = [self.process, *self.process.children(recursive=True)]
        return float(sum(member.memory_full_info().pss for member in family) / 1e6)


def install(server: Server, work: Path) -> Path:
    """Return the Python to run a server with.

    It is this one for ours, and a virtual environment, made on first use, for a peer.
    """
    if not server.packages:
        return Path(sys.executable)

    home = work / server.environment_name
    complete = home / "complete"
    if not complete.exists():
        print(f"installing {server.environment_name} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", *server.packages], check=True)
        # An installation that was interrupted is repeated.
        complete.touch()

    return home / "bin" / "python"


@contextmanager
def running(server: Server, work: Path, weights: Path, sentence: str) -> Iterator[Running]:
    """Start a server and wait for its first answer; end it afterwards.

    Args:
        server: What to start.
        work: Where environments and logs are.
        weights: The model, in the forms that ``peer_weights`` writes.
        sentence: The first question.
    """
    port, python = free_port(), install(server, work)
    with (work / f"{server.name}.log").open("w") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            command_of(server, python, port),
            cwd=PEERS if server.packages else ROOT,
            env=environment_of(server, weights, port),
            # Our own servers print a line per prediction.
            stdout=log if server.packages else subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_for_answer(server, process, port, sentence, log.name)
            seconds = time.perf_counter() - start

            yield Running(server, port, psutil.Process(process.pid), seconds)
        finally:
            end(process)


def command_of(server: Server, python: Path, port: int) -> list[str]:
    """Return the command that starts a server."""
    values = {"python": str(python), "bin": str(python.parent), "port": str(port)}
    return [part.format(**values) for part in server.command]


def environment_of(server: Server, weights: Path, port: int) -> dict[str, str]:
    """Return the environment variables of a server."""
    model = {"WEIGHTS": str(weights), "ONNX": str(weights / "onnx" / "model.onnx")}
    return {**os.environ, **QUIET, **server.environment, **model, "PORT": str(port)}


def wait_for_answer(
    server: Server, process: "subprocess.Popen[bytes]", port: int, sentence: str, log: str
) -> None:
    """Return once the server answers; end the benchmark if it does not."""
    deadline = time.perf_counter() + START_SECONDS
    while True:
        try:
            ask(server, port, sentence)
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            # A server that has ended will never answer.
            if process.poll() is not None or time.perf_counter() > deadline:
                raise SystemExit(f"error: {server.name} does not answer; see {log}") from None
            time.sleep(POLL_SECONDS)


def ask(server: Server, port: int, sentence: str) -> str:
    """Return the label that a server gives to a sentence."""
    method, path, body = server.request(sentence)
    url, headers = f"http://127.0.0.1:{port}{path}", {"content-type": "application/json"}
    request = urllib.request.Request(url, body.encode() or None, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return server.label(json.loads(response.read()))


def agreement(started: Running, sentences: list[str], labels: list[str]) -> float:
    """Return the share of the labels that the server gives, too; end the benchmark if it is low."""
    checked = zip(sentences, labels, strict=False)
    try:
        same = sum(started.ask(text) == label for text, label in checked) / len(labels)
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        name = started.server.name
        raise SystemExit(f"error: {name}: {error}; start it by hand to see why") from None

    if same < MIN_AGREEMENT:
        raise SystemExit(
            f"error: {started.server.name} gives {same:.0%} of the model's labels: it serves "
            "another model, or reads sentences differently; mend it before it is timed"
        )
    return same


def load(started: Running, clients: int, seconds: int, requests: Path) -> Load:
    """Let clients ask one question after another, each as soon as it has the last answer.

    An answer that is an error costs next to nothing and would count as any other, so that one ends
    the benchmark.
    """
    # One thread of wrk can ask much more than any of the servers can answer.
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-s", str(PEERS / "load.lua"), f"http://127.0.0.1:{started.port}"]
    run = subprocess.run(
        [*command, "--", str(requests)], check=True, capture_output=True, text=True
    )

    # The script's last line is JSON.
    measured = json.loads(run.stdout.splitlines()[-1])
    if measured["errors"]:
        raise SystemExit(
            f"error: {started.server.name} failed {measured['errors']} times under {clients} "
            "clients, so its speed says nothing; start it by hand to see why"
        )
    return {
        "requests_per_second": round(measured["requests"] / measured["seconds"], 1),
        "p50_ms": measured["p50_ms"],
        "p99_ms": measured["p99_ms"],
        "errors": measured["errors"],
    }


def end(process: "subprocess.Popen[Any]") -> None:
    """End a server and all it started."""
    # Servers start workers; start_new_session put them all into one group.
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, kind)
            process.wait(10)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
