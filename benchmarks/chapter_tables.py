"""The tables of chapters 7 and 9 and of corpus/README.md, from the benchmarks' files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks import documents, results
from benchmarks.machine import describe


def serving_peers() -> str:
    """Return the table of chapter 7: each server that was measured, and the limit of any."""
    head = ["server", "1 client", "8 clients", "32 clients", "memory MB", "start s", "CPU"]
    return table(head, map_rows("serving", _servers))


def _servers(result: documents.Serving) -> Iterator[list[str]]:
    for name, server in result["servers"].items():
        loads = server["1"], server["8"], server["32"]
        yield [
            name.replace("_", ", "),
            *(f"{load['requests_per_second']:,.0f}, {load['p99_ms']:.0f}" for load in loads),
            f"{server['memory_mb']:.0f}",
            f"{server['start_s']:.1f}",
        ]
    for precision, rate in result["in_process_sentences_per_second"].items():
        yield [f"{precision}, in process", "", "", f"{rate:,.0f}", "", ""]


def scaling() -> str:
    """Return the other table of chapter 7: what a request costs, with one and two processes."""
    head = ["processes", "clients", "requests/s", "p99 ms", "event loop ms", "model ms", "log ms"]
    head += ["CPU"]
    return table(head, map_rows("scaling", _loads))


def _loads(result: documents.Scaling) -> Iterator[list[str]]:
    for name, loads in result["loads"].items():
        for clients, load in loads.items():
            parts = load["event_loop_ms"], load["model_ms"], load["log_ms"]
            yield [
                name,
                clients,
                f"{load['requests_per_second']:,.0f}",
                f"{load['p99_ms']:.0f}",
                *(f"{milliseconds:.2f}" for milliseconds in parts),
            ]
    for cores, rates in result["projection"].items():
        name = f"{rates['workers']:.0f} on {cores} cores, projected"
        yield [name, "", f"{rates['all workers']:,.0f}", "", "", "", ""]


def map_rows(name: str, rows: Callable[[Any], Iterator[list[str]]]) -> Iterator[list[str]]:
    """Yield the rows of a benchmark's results, one processor after the other, and the processor."""
    for result in results.read_by_processor(name):
        for row in rows(result):
            yield [*row, describe(result["machine"])]


def surface_cues() -> str:
    """Return the table of ``corpus/README.md``: what n-grams reach, without grammar."""
    result: documents.CorpusBaseline = results.read("corpus_baseline")
    names = {"words": "words, 1 to 3", "characters": "characters, 2 to 5"}
    rows = [
        [names[kind], f"{scores['in_domain']['mcc']:.3f}", f"{scores['out_of_domain']['mcc']:.3f}"]
        for kind, scores in result["features"].items()
    ]
    return table(["features", "MCC in-domain", "MCC out-of-domain"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as a Markdown table, below their head."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def lambda_cost() -> str:
    """Return the table of chapter 9: what sizes of the Lambda function need and cost."""
    result: documents.LambdaCost = results.read("lambda_cost")

    head = [
        "sentences per invocation",
        "memory MB",
        "ms per invocation",
        "concurrency at 1,000 predictions/s",
        "$ per million predictions",
    ]

    rows = [
        [
            f"{row['sentences']}",
            f"{row['memory_mb']:,}",
            f"{row['milliseconds']:.1f}",
            f"{row['concurrency']:.1f}",
            f"{row['dollars_per_million_predictions']:.2f}",
        ]
        for row in result["rows"]
    ]

    return table(head, rows)
