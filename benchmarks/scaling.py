"""How the API grows with cores: what a request costs, where, and what more processes give.

    python -m benchmarks.scaling --model models/model.onnx
    BENCHMARK_RESULTS=trial python -m benchmarks.scaling --rounds 1

Measures one process pinned to one core and two processes pinned to two, in turn, under 1, 8, 32 and
128 closed-loop clients (Debian's ``wrk``, on whatever core is free), and the CPU time of each
thread. What one process can answer at most follows from its serial part: the threads that hold
Python's lock one at a time. Prints a table and a projection to 4, 16 and 64 cores; the last line is
one JSON document, also written to benchmarks/results/scaling_vnni.json (or _no_vnni).
"""

import argparse
import dataclasses
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from benchmarks import results
from benchmarks.cpu_times import client_cpu_seconds, parts_of, thread_seconds
from benchmarks.documents import Scaling, ScalingLoad, Spread
from benchmarks.inputs import validation_texts
from benchmarks.results import ROOT
from benchmarks.server_process import Running, load, running
from benchmarks.servers import Server, own
from serving.settings import CORES_PER_WORKER

CLIENTS = (1, 8, 32, 128)
PROJECTED_CORES = (4, 16, 64)
ROUNDS, SECONDS = 5, 3
WARM_UP_CLIENTS, WARM_UP_SECONDS = 8, 1

# Clients under which a worker's rows never run on its event loop, so that the two are apart.
BUSY_CLIENTS = 32

CONTESTANTS = {"1 process": 1, "2 processes": 2}
"""How many processes, and cores, each has."""

Measured = dict[str, dict[int, list[ScalingLoad]]]
"""Loads by contestant and number of clients, one per round."""


class Options(argparse.Namespace):
    """What the command line says."""

    model: Path
    corpus: Path
    rounds: int
    seconds: int


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--model", type=Path, default=ROOT / "models/model.onnx")
    add("--corpus", type=Path, default=ROOT / "corpus", help="its *_dev.tsv give the sentences")
    add("--rounds", type=int, default=ROUNDS)
    add("--seconds", type=int, default=SECONDS, help="of load for each number of clients")
    options = parser.parse_args(namespace=Options())

    results.refuse_trial(options.rounds < ROUNDS or options.seconds < SECONDS)
    if not shutil.which("wrk"):
        raise SystemExit("error: wrk is not on PATH: apt-get install wrk")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < len(CONTESTANTS):
        raise SystemExit("error: this benchmark needs two cores")

    measured = measure(options, cores)
    result: Scaling = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "loads": {name: median(rounds) for name, rounds in measured.items()},
        "two_to_one": ratios(measured),
        "projection": {},
    }
    result["projection"] = projection(result)
    print(table(result))
    results.record("scaling", result, by_processor=True)


def measure(options: Options, cores: Sequence[int]) -> Measured:
    """Load the contestants in turn, so that a slow minute of the machine hits both."""
    sentences = validation_texts(options.corpus)
    measured: Measured = {name: {clients: [] for clients in CLIENTS} for name in CONTESTANTS}

    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder) / "requests"
        server = own("int8", options.model.absolute())
        lines = ("\t".join(server.request(sentence)) + "\n" for sentence in sentences)
        requests.write_text("".join(lines), encoding="utf-8")

        for number in range(options.rounds):
            for name, count in CONTESTANTS.items():
                print(f"round {number + 1}/{options.rounds}: {name}", file=sys.stderr)
                pinned = pin(server, count, cores[:count])
                loads = measure_round(pinned, count, options.seconds, requests, sentences[0])
                for clients, measured_load in loads.items():
                    measured[name][clients].append(measured_load)
    return measured


def measure_round(
    server: Server, workers: int, seconds: int, requests: Path, sentence: str
) -> dict[int, ScalingLoad]:
    """Start a server once, and load it with each number of clients in turn.

    Args:
        server: What to start.
        workers: How many worker processes it has.
        seconds: How long each load takes.
        requests: The file that ``wrk`` reads; the server's log is written beside it.
        sentence: What the server is asked until it answers.
    """
    folder = requests.parent
    with running(server, folder, folder, sentence) as started:
        wait_for_all(started, workers)

        # The first requests fill caches, which is not what is compared.
        load(started, WARM_UP_CLIENTS, WARM_UP_SECONDS, requests)
        return {clients: measure_load(started, clients, seconds, requests) for clients in CLIENTS}


def pin(server: Server, workers: int, cores: Sequence[int]) -> Server:
    """Return a server with so many workers that may use these cores only."""
    taskset = ["taskset", "--cpu-list", ",".join(map(str, cores))]
    environment = {**server.environment, "WORKERS": str(workers), "COLA_THREADS": str(workers)}
    command = [*taskset, *server.command]
    return dataclasses.replace(server, command=command, environment=environment)


def wait_for_all(started: Running, workers: int) -> None:
    """Return once every worker has loaded its model."""
    # The only process is the one that was started; several are its children.
    deadline = time.monotonic() + 30
    while workers > 1 and len(started.process.children()) < workers:
        if time.monotonic() > deadline:
            raise SystemExit("error: not all workers came up")
        time.sleep(0.05)

    # A worker is there before its model is.
    time.sleep(2)


def measure_load(started: Running, clients: int, seconds: int, requests: Path) -> ScalingLoad:
    """Measure the rate, and the CPU milliseconds that a request takes in each part."""
    before, client_before = thread_seconds(started), client_cpu_seconds()
    answered = load(started, clients, seconds, requests)
    after, client_after = thread_seconds(started), client_cpu_seconds()

    count = answered["requests_per_second"] * seconds
    used = dict.fromkeys(("event loop", "model", "log"), 0.0)
    for thread, part in parts_of(started, after).items():
        used[part] += after[thread] - before.get(thread, 0.0)

    return {
        "requests_per_second": answered["requests_per_second"],
        "p99_ms": answered["p99_ms"],
        "event_loop_ms": round(1000 * used["event loop"] / count, 4),
        "model_ms": round(1000 * used["model"] / count, 4),
        "log_ms": round(1000 * used["log"] / count, 4),
        "client_ms": round(1000 * (client_after - client_before) / count, 4),
    }


def median(rounds: dict[int, list[ScalingLoad]]) -> dict[str, ScalingLoad]:
    """Return the medians of the rounds, by number of clients."""
    medians: dict[str, ScalingLoad] = {}
    for clients, loads in rounds.items():
        figures = {
            key: statistics.median(load[key] for load in loads)  # type: ignore[literal-required]
            for key in loads[0]
        }
        medians[str(clients)] = cast(ScalingLoad, figures)
    return medians


def ratios(measured: Measured) -> dict[str, Spread]:
    """Return how many times as much two processes answer as one, round by round."""
    found: dict[str, Spread] = {}
    for clients in CLIENTS:
        one, two = (measured[name][clients] for name in CONTESTANTS)
        rounds = [
            round(b["requests_per_second"] / a["requests_per_second"], 3)
            for a, b in zip(one, two, strict=True)
        ]
        found[str(clients)] = results.spread(rounds)
    return found


def projection(result: Scaling) -> dict[str, dict[str, float]]:
    """Return requests/s on more cores, with one process and with one per CORES_PER_WORKER.

    A request takes ``t`` seconds of CPU in all, ``s`` of them on the event loop and for the log.
    ``n`` cores give ``n / t``; one process gives at most ``1 / s``, because its Python runs on one
    core at a time. Memory bandwidth and the network are left out.
    """
    one = result["loads"]["1 process"][str(BUSY_CLIENTS)]
    serial = (one["event_loop_ms"] + one["log_ms"]) / 1000
    total = serial + one["model_ms"] / 1000

    projected: dict[str, dict[str, float]] = {}
    for cores in PROJECTED_CORES:
        workers = max(1, cores // CORES_PER_WORKER)
        projected[str(cores)] = {
            "one process": round(min(cores / total, 1 / serial)),
            "workers": workers,
            "all workers": round(min(cores / total, workers / serial)),
        }
    return projected


def table(result: Scaling) -> str:
    """Return what was measured and what follows from it, as text."""
    head = f"{'':14}{'clients':>8}{'req/s':>8}{'p99 ms':>8}"
    lines = [
        head + "".join(f"{part:>12}" for part in ("loop ms", "model ms", "log ms", "client ms"))
    ]

    for name, loads in result["loads"].items():
        for clients, one in loads.items():
            parts = (one["event_loop_ms"], one["model_ms"], one["log_ms"], one["client_ms"])
            line = f"{name:14}{clients:>8}{one['requests_per_second']:>8.0f}{one['p99_ms']:>8.1f}"
            lines.append(line + "".join(f"{part:>12.3f}" for part in parts))

    for clients, ratio in result["two_to_one"].items():
        line = f"two processes to one, {clients} clients: {ratio['median']:.2f}"
        lines.append(f"{line} ({ratio['min']:.2f} to {ratio['max']:.2f})")

    for cores, rates in result["projection"].items():
        line = f"projected to {cores} cores: {rates['one process']:.0f} requests/s with one process"
        lines.append(f"{line}, {rates['all workers']:.0f} with {rates['workers']:.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
