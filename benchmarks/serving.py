"""Requests per second, latency and memory of this API and of other servers of the same model.

    python -m benchmarks.serving --checkpoint models/best-checkpoint.ckpt --model models/model.onnx
    BENCHMARK_RESULTS=trial python -m benchmarks.serving --only ours_int8,bentoml --rounds 1

Every server gets the same fine-tuned weights and the same sentences, one per request, from
closed-loop clients (Debian's ``wrk``). Peers run in virtual environments of their own, made on
first use in --work (about 4 GB), at fp32; a peer with two sensible settings is measured with both.
Servers are measured in turn, --rounds times, and the medians are reported. Before timing, each must
give the labels that the model gives in process; one error under load ends the benchmark. Prints a
table; the last line is one JSON document, also written to benchmarks/results/serving_vnni.json (or
_no_vnni).
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.documents import Load, ServerResult, Serving
from benchmarks.inputs import validation_texts
from benchmarks.results import ROOT
from benchmarks.server_process import agreement, install, load, running
from benchmarks.servers import Server, servers
from commands.files import sha256_of
from prediction.cores import usable_cores
from prediction.onnx_predictor import ColaONNXPredictor

AGREEMENT_SENTENCES = 50
"""Sentences whose labels each server must give as the model in process does at fp32."""
ROUNDS, SECONDS = 3, 5
WARM_UP_CLIENTS, WARM_UP_SECONDS = 8, 1


class Options(argparse.Namespace):
    """What the command line says."""

    checkpoint: Path
    model: Path
    corpus: Path
    work: Path
    only: str
    rounds: int
    seconds: int
    prepare: bool


def main() -> None:
    """Prepare all servers, and measure them unless only preparation is wanted."""
    options = read_options()
    is_smaller = bool(options.only) or options.rounds < ROUNDS or options.seconds < SECONDS
    results.refuse_trial(is_smaller and not options.prepare)
    if not shutil.which("wrk"):
        raise SystemExit("error: wrk is not on PATH: apt-get install wrk")

    options.work.mkdir(parents=True, exist_ok=True)
    weights = prepare_weights(options)
    fp32 = weights / "onnx" / "model.onnx"

    chosen = choose(servers(options.model.absolute(), fp32, weights), options.only)
    # Before the first round, because installing takes minutes.
    for server in chosen:
        install(server, options.work)

    if not options.prepare:
        measure_all(chosen, options, weights, fp32)


def choose(everything: Sequence[Server], only: str) -> list[Server]:
    """Return the servers that ``--only`` names; all of them, if it is empty.

    Raises:
        SystemExit: No server has one of the names.
    """
    if not only:
        return list(everything)

    prefixes = tuple(filter(None, only.split(",")))
    for prefix in prefixes:
        if not any(server.name.startswith(prefix) for server in everything):
            names = ", ".join(server.name for server in everything)
            raise SystemExit(f"error: --only: there is no server {prefix}, but {names}")
    return [server for server in everything if server.name.startswith(prefixes)]


def read_options() -> Options:
    """Return what the command line says."""
    cache = Path.home() / ".cache" / "cola-serving-benchmark"
    models = ROOT / "models"

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--checkpoint", type=Path, default=models / "best-checkpoint.ckpt")
    add("--model", type=Path, default=models / "model.onnx", help="our int8 file")
    add("--corpus", type=Path, default=ROOT / "corpus", help="its *_dev.tsv give the sentences")
    add("--work", type=Path, default=cache, help="environments, weights, logs")
    add("--only", default="", help="names or prefixes, separated by commas")
    add("--rounds", type=int, default=ROUNDS)
    add("--seconds", type=int, default=SECONDS, help="of load for each number of clients")
    add("--prepare", action="store_true", help="install and convert, measure nothing")
    return parser.parse_args(namespace=Options())


def prepare_weights(options: Options) -> Path:
    """Return the folder with the checkpoint in the forms that the peers read, made on first use."""
    digest = sha256_of(options.checkpoint)
    if ColaONNXPredictor(options.model).info.lineage.checkpoint_sha256 != digest:
        raise SystemExit(
            f"error: {options.model} is not of {options.checkpoint}: the servers would have "
            "different weights; make it with convert_model_to_onnx.py"
        )

    # A folder for each checkpoint: after new training nothing of the last one is measured.
    weights = options.work / f"weights-{digest[:16]}"
    if not (weights / "onnx" / "model.onnx").exists():
        checkpoint = str(options.checkpoint.absolute())
        command = [sys.executable, "-m", "benchmarks.peer_weights", checkpoint, str(weights)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    return weights


def measure_all(chosen: list[Server], options: Options, weights: Path, fp32: Path) -> None:
    """Run all rounds, the servers in turn; print and record the medians."""
    sentences = validation_texts(options.corpus)
    models = {"int8": options.model.absolute(), "fp32": fp32}

    checked = sentences[:AGREEMENT_SENTENCES]
    # The peers run at fp32; int8 must give these labels too.
    labels = [item.label for item in ColaONNXPredictor(fp32).predict_many(checked)]

    rounds: dict[str, list[ServerResult]] = {server.name: [] for server in chosen}
    limits: dict[str, list[float]] = {name: [] for name in models}
    # In turn, because a machine's speed changes within minutes.
    for number in range(options.rounds):
        for server in chosen:
            print(f"round {number + 1}/{options.rounds}: {server.name}", file=sys.stderr)
            rounds[server.name].append(measure(server, options, weights, sentences, labels))
        for name, path in models.items():
            limits[name].append(in_process(path, sentences, options.seconds))

    result: Serving = {
        "cores": usable_cores(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "sentences": len(sentences),
        "in_process_sentences_per_second": {
            name: round(statistics.median(rates), 1) for name, rates in limits.items()
        },
        "servers": {name: median(measured) for name, measured in rounds.items()},
    }
    print(table(result))
    results.record("serving", result, by_processor=True)


def measure(
    server: Server, options: Options, weights: Path, sentences: list[str], labels: list[str]
) -> ServerResult:
    """Measure one server once.

    Args:
        server: What to start.
        options: How long, and where the working folder is.
        weights: The model for the peers.
        sentences: One per request.
        labels: What the model in process gives to the first sentences.
    """
    requests = options.work / f"{server.name}.requests"
    lines = ("\t".join(server.request(sentence)) + "\n" for sentence in sentences)
    requests.write_text("".join(lines), encoding="utf-8")

    with running(server, options.work, weights, sentences[0]) as started:
        same = agreement(started, sentences, labels)

        # The first requests fill caches and start workers, which is not what is compared.
        load(started, WARM_UP_CLIENTS, WARM_UP_SECONDS, requests)
        return {
            "start_s": round(started.start_seconds, 2),
            "agreement": same,
            "1": load(started, 1, options.seconds, requests),
            "8": load(started, 8, options.seconds, requests),
            "32": load(started, 32, options.seconds, requests),
            "memory_mb": round(started.memory_mb(), 1),
        }


def in_process(path: Path, sentences: list[str], seconds: float) -> float:
    """Return the sentences/s of the predictor itself: the limit of any server.

    It has all cores, and packs its rows full.
    """
    predictor = ColaONNXPredictor(path)
    # To warm up.
    predictor.predict_many(sentences[:200])

    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        done += len(predictor.predict_many(sentences))
    return done / passed


def median(rounds: list[ServerResult]) -> ServerResult:
    """Return the median of each figure."""
    return {
        "start_s": statistics.median(item["start_s"] for item in rounds),
        "agreement": statistics.median(item["agreement"] for item in rounds),
        "1": median_load([item["1"] for item in rounds]),
        "8": median_load([item["8"] for item in rounds]),
        "32": median_load([item["32"] for item in rounds]),
        "memory_mb": statistics.median(item["memory_mb"] for item in rounds),
    }


def median_load(rounds: list[Load]) -> Load:
    """Return the median of each figure."""
    return {
        "requests_per_second": statistics.median(item["requests_per_second"] for item in rounds),
        "p50_ms": statistics.median(item["p50_ms"] for item in rounds),
        "p99_ms": statistics.median(item["p99_ms"] for item in rounds),
        "errors": statistics.median(item["errors"] for item in rounds),
    }


def table(result: Serving) -> str:
    """Return the medians as text: requests/s and p99 per number of clients."""
    head = f"{'server':20}" + "".join(f"{f'{n} clients':>20}" for n in (1, 8, 32))
    lines = [f"{head}   errors   MB  start s"]

    for name, server in result["servers"].items():
        loads = (server["1"], server["8"], server["32"])
        cells = "".join(
            f"{item['requests_per_second']:>10.0f}/s{item['p99_ms']:>6.0f}ms" for item in loads
        )
        errors = sum(item["errors"] for item in loads)
        memory, start = server["memory_mb"], server["start_s"]
        lines.append(f"{name:20}{cells}{errors:>9.0f}{memory:>5.0f}{start:>9.1f}")

    for precision, rate in result["in_process_sentences_per_second"].items():
        lines.append(f"in process, {precision}: {rate:.0f} sentences/s")
    return "\n".join([*lines, "(requests per second and p99)"])


if __name__ == "__main__":
    main()
