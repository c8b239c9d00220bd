"""Fill the tables of measured results, in the README and in docs/, from the files that the benchmarks wrote.

python benchmarks/fill_readme.py            # or `make readme`
python benchmarks/fill_readme.py --check    # exit code 1 if a document says something else
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
START = "<!-- results: written by `make readme` from benchmarks/results/ -->\n"
END = "<!-- end of results -->"

Row = tuple[str, str, str]


def quality(runs: dict[str, Any]) -> Iterator[Row]:
    for name, run in runs.items():
        mcc = run["mcc"]
        yield (
            f"MCC, `{name}`",
            f"**{mcc['overall']:.3f}** (in-domain {mcc['in_domain']:.3f}, out-of-domain {mcc['out_of_domain']:.3f}; "
            f"{run['sentences']['overall']:,} sentences, {run['minutes']:.0f} min on 2 cores)",
            "`benchmarks/quality.py`",
        )


def corpus_baseline(result: dict[str, Any]) -> Iterator[Row]:
    best = result["features"]["words"]
    yield (
        "MCC of TF-IDF + logistic regression on `corpus/`",
        f"{best['in_domain']['mcc']:.3f} in-domain, {best['out_of_domain']['mcc']:.3f} out-of-domain",
        "`benchmarks/corpus_baseline.py`",
    )


def training(result: dict[str, Any]) -> Iterator[Row]:
    speed = result["sentences_per_second"]
    yield (
        "training, against padding to 128",
        f"**{result['ratio']['median']:.1f} times** faster "
        f"({speed['ours']:.0f} against {speed['padded to 128']:.0f} sentences/s)",
        "`benchmarks/training.py`",
    )


def forwarder(result: dict[str, Any]) -> Iterator[Row]:
    yield (
        "log events forwarded",
        f"{result['events_per_second']['ours']:,}/s on one core",
        "`benchmarks/forwarder.py`",
    )


def inference(result: dict[str, Any]) -> Iterator[Row]:
    ratios = result["ratios"]
    speed = {
        row["contestant"]: row["sentences_per_second"]
        for row in result["rows"]
        if (row["batch"], row["threads"]) == (1, 1)
    }
    yield (
        "int8, one sentence at a time, one thread",
        f"**{speed['ONNX int8']:,.0f} sentences/s**: {ratios['int8_over_eager_batch_1']:.1f} times eager PyTorch, "
        f"{ratios['int8_over_padded_to_128_batch_1']:.0f} times the tutorial's padding to 128",
        "`benchmarks/inference.py`",
    )
    yield (
        "packed against padded, batches of 8 in random order, one thread",
        f"{ratios['packed_over_padded_8_int8_1_threads']:.2f} times faster (int8), "
        f"{ratios['packed_over_padded_8_fp32_1_threads']:.2f} times (fp32)",
        "`benchmarks/inference.py`",
    )


def cold_start(result: dict[str, Any]) -> Iterator[Row]:
    ours, theirs = result["onnx"], result["pytorch"]
    yield (
        "process start to first prediction",
        f"**{ours['seconds']:.2f} s**, {ours['peak_memory_mb']:.0f} MB "
        f"(PyTorch and Lightning: {theirs['seconds']:.1f} s, {theirs['peak_memory_mb']:.0f} MB)",
        "`benchmarks/cold_start.py`",
    )


def command_line(result: dict[str, Any]) -> Iterator[Row]:
    yield (
        f"a file of {result['lines']:,} lines",
        f"{result['command_line_sentences_per_second']:,.0f} sentences/s, "
        f"{max(result['memory_mb_by_tenths']):.0f} MB from the first line to the last",
        "`benchmarks/command_line.py`",
    )


def serving(result: dict[str, Any]) -> Iterator[Row]:
    servers = result["servers"]
    ours, peers = (
        servers["ours_int8"],
        {k: v for k, v in servers.items() if not k.startswith("ours")},
    )
    for clients in ("1", "32"):
        best = max(
            (peer[clients] for peer in peers.values() if clients in peer),
            key=lambda row: row["requests_per_second"],
        )
        mine = ours[clients]
        yield (
            f"served, {clients} client{'s' * (clients != '1')}",
            f"**{mine['requests_per_second']:,.0f} requests/s**, p99 {mine['p99_ms']:.0f} ms "
            f"(fp32, as the others: {servers['ours_fp32'][clients]['requests_per_second']:,.0f}; "
            f"best of {len(peers)} other set-ups: {best['requests_per_second']:,.0f}, p99 {best['p99_ms']:.0f} ms)",
            "`benchmarks/serving.py`",
        )


SECTIONS = {
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
    """The README's table: a row or two of each benchmark."""
    rows = [
        row
        for name, section in SECTIONS.items()
        if (path := RESULTS / f"{name}.json").is_file()
        for row in section(json.loads(path.read_text()))
    ]
    return table([("what", "measured", "by"), ("---",) * 3, *rows])


def serving_peers() -> str:
    """The table of chapter 7: each server that benchmarks/serving.py measured, and the limit of any."""
    result = json.loads((RESULTS / "serving.json").read_text())
    clients = ("1", "8", "32")
    head = ["server", *(f"{n} client{'s' * (n != '1')}" for n in clients), "memory MB", "start s"]
    rows = [
        [
            name.replace("_", ", "),
            *(f"{row[n]['requests_per_second']:,.0f}, {row[n]['p99_ms']:.0f}" for n in clients),
            f"{row['memory_mb']:.0f}",
            f"{row['start_s']:.1f}",
        ]
        for name, row in result["servers"].items()
    ]
    limits = [
        [f"{name}, in process", "", "", f"{rate:,.0f}", "", ""]
        for name, rate in result["in_process_sentences_per_second"].items()
    ]
    return table([head, ["---"] * len(head), *rows, *limits])


def table(rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


DOCUMENTS = {ROOT / "README.md": summary, ROOT / "docs" / "07_serve.md": serving_peers}


def main() -> int:
    changed = False
    for path, results in DOCUMENTS.items():
        text = path.read_text()
        before, rest = text.split(START)
        filled = before + START + results() + END + rest.split(END)[1]
        changed |= filled != text
        if "--check" not in sys.argv:
            path.write_text(filled)
    return int(changed and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
