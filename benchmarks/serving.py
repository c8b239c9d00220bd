"""Requests a second, latency and memory of our API and of what else one could serve the model with.

    python benchmarks/serving.py --checkpoint models/best-checkpoint.ckpt --model models/model.onnx
    python benchmarks/serving.py --only ours_int8,bentoml_batches --rounds 1

Every server gets the same fine-tuned weights and the same sentences, one a request, from closed-loop clients
(Debian's `wrk`). Peers run in virtual environments of their own, made on first use in --work (about 4 GB), at
fp32; a peer with two sensible settings is measured with both. Servers are
measured in turn, --rounds times, and the medians reported. Before timing, each must give the labels that the
model gives in process. Prints a table; the last line is one JSON document, also written to
benchmarks/results/serving.json.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "serving_peers"
sys.path[:0] = [str(ROOT), str(PEERS)]

from contestants import Server, servers

CLIENTS = (1, 8, 32)
QUIET = {
    "ORT_DISABLE_TELEMETRY": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
}


def install(server: Server, work: Path) -> Path:
    """The Python to run a server with: this one for ours, a virtual environment for a peer."""
    if not server.packages:
        return Path(sys.executable)
    home = work / server.python
    if not (home / "complete").exists():
        print(f"installing {server.python} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", *server.packages], check=True)
        (home / "complete").touch()
    return home / "bin" / "python"


@contextmanager
def running(
    server: Server, work: Path, weights: Path, warm: str
) -> Iterator[tuple[int, psutil.Process, float]]:
    """Start a server, wait for its first answer; gives port, process and the seconds that took; ends it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    python = install(server, work)
    places = {"python": str(python), "bin": str(python.parent), "port": str(port)}
    environment = {
        **os.environ, **QUIET, **server.environment,
        "PORT": str(port), "WEIGHTS": str(weights), "ONNX": str(weights / "onnx" / "model.onnx"),
    }  # fmt: skip
    log = work / f"{server.name}.log"
    with log.open("w") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [part.format(**places) for part in server.command],
            cwd=PEERS if server.packages else ROOT,
            env=environment,
            stdout=subprocess.DEVNULL if not server.packages else output,
            stderr=output,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    ask(server, port, warm)
                    break
                except (urllib.error.URLError, ConnectionError, TimeoutError):
                    if process.poll() is not None or time.perf_counter() - started > 120:
                        raise SystemExit(
                            f"error: {server.name} does not answer; see {log}"
                        ) from None
                    time.sleep(0.02)
            yield port, psutil.Process(process.pid), time.perf_counter() - started
        finally:
            for end in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, end)
                    process.wait(10)


def ask(server: Server, port: int, sentence: str) -> str:
    method, path, body = server.request(sentence)
    url, headers = f"http://127.0.0.1:{port}{path}", {"content-type": "application/json"}
    request = urllib.request.Request(url, body.encode() or None, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(server.label(json.loads(response.read())))


def memory_mb(process: psutil.Process) -> float:
    """Of the process and all it started; shared pages are counted once (PSS)."""
    family = [process, *process.children(recursive=True)]
    return sum(member.memory_full_info().pss for member in family) / 1e6


def load(server: Server, port: int, clients: int, seconds: int, requests: Path) -> dict[str, float]:
    command = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "-s",
        str(PEERS / "load.lua"),
    ]
    output = subprocess.run(
        [*command, f"http://127.0.0.1:{port}", "--", str(requests)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = json.loads(output.splitlines()[-1])
    rate = round(found["requests"] / found["seconds"], 1)
    return {
        "requests_per_second": rate,
        **{key: found[key] for key in ("p50_ms", "p99_ms", "errors")},
    }


def measure(
    server: Server,
    options: argparse.Namespace,
    weights: Path,
    sentences: list[str],
    truth: list[str],
) -> dict[str, Any]:
    """One round of one server: agreement with the model in process, then every number of clients."""
    requests = options.work / f"{server.name}.requests"
    requests.write_text(
        "".join("\t".join(server.request(sentence)) + "\n" for sentence in sentences)
    )
    with running(server, options.work, weights, sentences[0]) as (port, process, start):
        same = sum(
            ask(server, port, text) == label for text, label in zip(sentences, truth, strict=False)
        )
        load(server, port, 8, 1, requests)
        result: dict[str, Any] = {"start_s": round(start, 2), "agreement": same / len(truth)}
        for clients in CLIENTS:
            result[str(clients)] = load(server, port, clients, options.seconds, requests)
        result["memory_mb"] = round(memory_mb(process), 1)
    return result


def in_process(path: Path, sentences: list[str], seconds: float) -> float:
    """Sentences a second of the predictor itself, all cores, rows packed full: the limit of any server."""
    from prediction.onnx_predictor import ColaONNXPredictor

    predictor = ColaONNXPredictor(path)
    predictor.predict_many(sentences[:200])
    done, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        done += len(predictor.predict_many(sentences))
    return done / passed


def median(rounds: list[Any]) -> Any:
    """The median of each number of dictionaries that have the same keys."""
    if isinstance(rounds[0], dict):
        return {key: median([result[key] for result in rounds]) for key in rounds[0]}
    return statistics.median(rounds)


def read_sentences(folder: Path) -> list[str]:
    paths = sorted(folder.glob("*_dev.tsv"))
    return [line.split("\t")[3] for path in paths for line in path.read_text("utf-8").splitlines()]


def table(results: dict[str, Any], limits: dict[str, float]) -> str:
    lines = [
        "server              "
        + "".join(f"{f'{n} clients':>20}" for n in CLIENTS)
        + "   errors   MB  start s"
    ]
    for name, result in results.items():
        cells = "".join(
            f"{result[str(n)]['requests_per_second']:>10.0f}/s{result[str(n)]['p99_ms']:>6.0f}ms"
            for n in CLIENTS
        )
        errors = sum(result[str(n)]["errors"] for n in CLIENTS)
        lines.append(
            f"{name:20}{cells}{errors:>9.0f}{result['memory_mb']:>5.0f}{result['start_s']:>9.1f}"
        )
    lines += [f"in process, {name}: {rate:.0f} sentences/s" for name, rate in limits.items()]
    return "\n".join([*lines, "(requests a second and p99)"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "models" / "best-checkpoint.ckpt")
    parser.add_argument(
        "--model", type=Path, default=ROOT / "models" / "model.onnx", help="our int8 file"
    )
    parser.add_argument(
        "--corpus", type=Path, default=ROOT / "corpus", help="its *_dev.tsv give the sentences"
    )
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "cola-serving-benchmark"
    )
    parser.add_argument("--only", default="", help="names or prefixes, separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of load for each number of clients")
    parser.add_argument(
        "--prepare", action="store_true", help="install and convert, measure nothing"
    )
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("error: wrk is not on PATH: apt-get install wrk")
    options.work.mkdir(parents=True, exist_ok=True)
    weights = options.work / "weights"
    fp32 = weights / "onnx" / "model.onnx"
    if not fp32.exists():
        script = [sys.executable, str(PEERS / "weights.py"), str(options.checkpoint), str(weights)]
        subprocess.run(
            script, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=sys.stderr
        )
    contestants = servers(options.model.absolute(), fp32, weights)
    if options.only:
        prefixes = tuple(options.only.split(","))
        contestants = [server for server in contestants if server.name.startswith(prefixes)]
    for server in contestants:
        install(server, options.work)
    if options.prepare:
        return
    run(contestants, options, weights, fp32)


def run(contestants: list[Server], options: argparse.Namespace, weights: Path, fp32: Path) -> None:
    """All rounds, the servers in turn; prints and writes the medians."""
    from prediction.onnx_predictor import ColaONNXPredictor

    sentences = read_sentences(options.corpus)
    files = {"int8": options.model.absolute(), "fp32": fp32}
    truth = [item.label for item in ColaONNXPredictor(fp32).predict_many(sentences[:50])]
    rounds: dict[str, list[Any]] = {server.name: [] for server in contestants}
    limits: dict[str, list[float]] = {name: [] for name in files}
    for number in range(options.rounds):
        for server in contestants:
            print(f"round {number + 1}/{options.rounds}: {server.name}", file=sys.stderr)
            rounds[server.name].append(measure(server, options, weights, sentences, truth))
        for name, path in files.items():
            limits[name].append(in_process(path, sentences, options.seconds))
    results = {name: median(found) for name, found in rounds.items()}
    limit = {name: round(statistics.median(found), 1) for name, found in limits.items()}
    print(table(results, limit))
    document = {
        "benchmark": "serving",
        "cores": len(os.sched_getaffinity(0)),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "sentences": len(sentences),
        "in_process_sentences_per_second": limit,
        "servers": results,
    }
    path = ROOT / "benchmarks" / "results" / "serving.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    main()
