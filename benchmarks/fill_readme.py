"""Fill the tables of measured results, in the README and in docs/, from the benchmarks' files.

python -m benchmarks.fill_readme            # or `make readme`
python -m benchmarks.fill_readme --check    # exit code 1 if a document says something else
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks import results
from benchmarks.results import ROOT

START = "<!-- results: written by `make readme` from benchmarks/results/ -->\n"
END = "<!-- end of results -->"

Row = tuple[str, str, str]
"""What was measured, the figures, and the benchmark that measured them."""


def quality(runs: dict[str, results.QualityRun]) -> Iterator[Row]:
    """Yield a row per training run."""
    for name, run in runs.items():
        mcc = run["mcc"]
        yield (
            f"MCC, `{name}`",
            f"**{mcc['overall']:.3f}** (in-domain {mcc['in_domain']:.3f}, "
            f"out-of-domain {mcc['out_of_domain']:.3f}; "
            f"{run['sentences']['overall']:,} sentences, {run['minutes']:.0f} min on 2 cores)",
            "`benchmarks/quality.py`",
        )


def corpus_baseline(result: results.CorpusBaseline) -> Iterator[Row]:
    """Yield the row of the better features."""
    # Word n-grams go further than n-grams of characters.
    best = result["features"]["words"]
    yield (
        "MCC of TF-IDF + logistic regression on `corpus/`",
        f"{best['in_domain']['mcc']:.3f} in-domain, "
        f"{best['out_of_domain']['mcc']:.3f} out-of-domain",
        "`benchmarks/corpus_baseline.py`",
    )


def training(result: results.Training) -> Iterator[Row]:
    """Yield the row of an epoch's speed."""
    speed = result["sentences_per_second"]
    yield (
        "training, against padding to 128",
        f"**{result['ratio']['median']:.1f} times** faster "
        f"({speed['ours']:.0f} against {speed['padded to 128']:.0f} sentences/s)",
        "`benchmarks/training.py`",
    )


def inference(result: results.Inference) -> Iterator[Row]:
    """Yield a row for a single sentence, and one for packed batches."""
    ratios = result["ratios"]
    speed = {
        row["contestant"]: row["sentences_per_second"]
        for row in result["rows"]
        if (row["batch"], row["threads"]) == (1, 1)
    }

    yield (
        "int8, one sentence at a time, one thread",
        f"**{speed['ONNX int8']:,.0f} sentences/s**: "
        f"{ratios['int8_over_eager_batch_1']:.1f} times eager PyTorch, "
        f"{ratios['int8_over_padded_to_128_batch_1']:.0f} times the tutorial's padding to 128",
        "`benchmarks/inference.py`",
    )
    yield (
        "packed against padded, batches of 8 in random order, one thread",
        f"{ratios['packed_over_padded_8_int8_1_threads']:.2f} times faster (int8), "
        f"{ratios['packed_over_padded_8_fp32_1_threads']:.2f} times (fp32)",
        "`benchmarks/inference.py`",
    )


def cold_start(result: results.ColdStart) -> Iterator[Row]:
    """Yield the row of a new process."""
    onnx, pytorch = result["onnx"], result["pytorch"]
    yield (
        "process start to first prediction",
        f"**{onnx['seconds']:.2f} s**, {onnx['peak_memory_mb']:.0f} MB "
        f"(PyTorch and Lightning: {pytorch['seconds']:.1f} s, {pytorch['peak_memory_mb']:.0f} MB)",
        "`benchmarks/cold_start.py`",
    )


def command_line(result: results.CommandLine) -> Iterator[Row]:
    """Yield the row of a long file."""
    yield (
        f"a file of {result['lines']:,} lines",
        f"{result['command_line_sentences_per_second']:,.0f} sentences/s, "
        f"{max(result['memory_mb_by_tenths']):.0f} MB from the first line to the last",
        "`benchmarks/command_line.py`",
    )


def serving(result: results.Serving) -> Iterator[Row]:
    """Yield a row for one client and one for 32, each beside the best of the other servers."""
    servers = result["servers"]
    # The peers run at fp32, so it is fp32 that compares servers; int8 is what is deployed.
    peers = {name: server for name, server in servers.items() if not name.startswith("ours")}

    def row(clients: str, load: Callable[[results.ServerResult], results.Load]) -> Row:
        int8, fp32 = load(servers["ours_int8"]), load(servers["ours_fp32"])
        best = max(map(load, peers.values()), key=lambda peer: peer["requests_per_second"])
        return (
            f"served, {clients}",
            f"**{int8['requests_per_second']:,.0f} requests/s**, p99 {int8['p99_ms']:.0f} ms "
            f"(fp32, as the others: {fp32['requests_per_second']:,.0f}; "
            f"best of {len(peers)} other set-ups: {best['requests_per_second']:,.0f}, "
            f"p99 {best['p99_ms']:.0f} ms)",
            "`benchmarks/serving.py`",
        )

    yield row("1 client", lambda server: server["1"])
    yield row("32 clients", lambda server: server["32"])


def forwarder(result: results.Forwarder) -> Iterator[Row]:
    """Yield the row of the log forwarder."""
    yield (
        "log events forwarded",
        f"{result['events_per_second']['ours']:,}/s on one core",
        "`benchmarks/forwarder.py`",
    )


SECTIONS: dict[str, Callable[[Any], Iterator[Row]]] = {
    "quality": quality,
    "corpus_baseline": corpus_baseline,
    "training": training,
    "inference": inference,
    "cold_start": cold_start,
    "command_line": command_line,
    "serving": serving,
    "forwarder": forwarder,
}


def summary() -> str:
    """Return the README's table: a row or two of each benchmark."""
    rows: list[Row] = []
    for name, section in SECTIONS.items():
        result = results.read(name)
        # A benchmark that has not been run has no row.
        if result is not None:
            rows += section(result)

    return table([("what", "measured", "by"), ("---",) * 3, *rows])


def serving_peers() -> str:
    """Return the table of chapter 7: each server that was measured, and the limit of any."""
    result: results.Serving = results.read("serving")
    head = ["server", "1 client", "8 clients", "32 clients", "memory MB", "start s"]

    rows = [
        [
            name.replace("_", ", "),
            *(
                f"{load['requests_per_second']:,.0f}, {load['p99_ms']:.0f}"
                for load in (server["1"], server["8"], server["32"])
            ),
            f"{server['memory_mb']:.0f}",
            f"{server['start_s']:.1f}",
        ]
        for name, server in result["servers"].items()
    ]
    limits = [
        [f"{precision}, in process", "", "", f"{rate:,.0f}", "", ""]
        for precision, rate in result["in_process_sentences_per_second"].items()
    ]
    return table([head, ["---"] * len(head), *rows, *limits])


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


DOCUMENTS = {ROOT / "README.md": summary, ROOT / "docs" / "07_serve.md": serving_peers}


def main() -> int:
    """Fill the tables, or compare them with the results; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    is_check = parser.parse_args().check

    is_stale = False
    for path, make_table in DOCUMENTS.items():
        text = path.read_text(encoding="utf-8")
        before, rest = text.split(START)
        filled = before + START + make_table() + END + rest.split(END)[1]

        is_stale |= filled != text
        if not is_check:
            path.write_text(filled, encoding="utf-8")

    return int(is_check and is_stale)


if __name__ == "__main__":
    sys.exit(main())
