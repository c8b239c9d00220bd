"""The table of all results in ``benchmarks/README.md``, and the headlines in the README."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import documents, results
from benchmarks.chapter_tables import table
from benchmarks.documents import Spread
from benchmarks.machine import describe
from benchmarks.quality_documents import Quality, title


@dataclass(frozen=True)
class Row:
    """One result, as people read it."""

    what: str
    figure: str
    benchmark: str
    """The module in ``benchmarks/`` that measured it."""
    spread: str = ""
    """The lowest and highest of the rounds; empty if the results file has the median alone."""
    is_headline: bool = False
    """Whether the README shows it."""
    processor: str = ""
    """What gave this row; empty if it is what gave the whole results file."""


def quality(groups: dict[str, Quality]) -> Iterator[Row]:
    """Yield a row per experiment, corpus and precision."""
    for name, group in groups.items():
        mcc, runs = group["mcc"], group["runs"]
        minutes = statistics.mean(run["cpu_minutes"] for run in runs)

        yield Row(
            f"MCC, {title(name, group)}, mean of {len(runs)} seeds",
            f"**{mcc['overall']['mean']:.3f}** ({mcc['in_domain']['mean']:.3f} in-domain, "
            f"{mcc['out_of_domain']['mean']:.3f} out-of-domain; int8 "
            f"{group['int8_mcc']['mean']:.3f}; calibration error "
            f"{group['calibration_error']['mean']:.3f}; {minutes:.0f} CPU min)",
            "quality",
            spread=f"{mcc['overall']['min']:.3f} to {mcc['overall']['max']:.3f}",
            is_headline=name.endswith(" on cola, fp32"),
            processor=processor(group),
        )


def corpus_baseline(result: documents.CorpusBaseline) -> Iterator[Row]:
    """Yield the row of the better features."""
    # Word n-grams go further than n-grams of characters.
    best = result["features"]["words"]
    yield Row(
        "MCC of TF-IDF + logistic regression on `corpus/`",
        f"{best['in_domain']['mcc']:.3f} in-domain, "
        f"{best['out_of_domain']['mcc']:.3f} out-of-domain",
        "corpus_baseline",
    )


def training(result: documents.Training) -> Iterator[Row]:
    """Yield a row per way to train that is slower."""
    speed = result["sentences_per_second"]
    for what, other in (
        ("padding to 128 tokens", "padded to 128"),
        ("MKL's matrix products", "multiplied by MKL"),
    ):
        ratio = result["ratios"][other]
        yield Row(
            f"training in fp32, against {what}",
            f"**{ratio['median']:.1f} times** as fast "
            f"({speed['ours']:.0f} against {speed[other]:.0f} sentences/s)",
            "training",
            spread=f"{low_to_high(ratio, '.1f')} times",
            is_headline=other == "padded to 128",
        )


def inference(result: documents.Inference) -> Iterator[Row]:
    """Yield a row for a single sentence, and one for packed batches."""
    ratios = result["ratios"]
    (single,) = (
        row
        for row in result["rows"]
        if (row["contestant"], row["batch"], row["threads"]) == ("ONNX int8", 1, 1)
    )

    yield Row(
        "int8, one sentence at a time, one thread",
        f"**{single['sentences_per_second']:,.0f} sentences/s**, "
        f"{ratios['int8_over_eager_batch_1']:.1f} times eager PyTorch, "
        f"{ratios['int8_over_padded_to_128_batch_1']:.0f} times padding to 128 tokens",
        "inference",
        spread=f"p50 {single['p50_ms']:.2f} ms, p99 {single['p99_ms']:.2f} ms",
        is_headline=True,
    )
    yield Row(
        "packed rows against padded batches of 8, random order, one thread",
        f"{ratios['packed_over_padded_8_int8_1_threads']:.2f} times as fast (int8), "
        f"{ratios['packed_over_padded_8_fp32_1_threads']:.2f} times (fp32)",
        "inference",
    )


def cold_start(result: documents.ColdStart) -> Iterator[Row]:
    """Yield the row of a new process."""
    onnx, pytorch = result["onnx"], result["pytorch"]
    yield Row(
        "process start to first prediction",
        f"**{onnx['seconds']:.2f} s**, {onnx['peak_memory_mb']:.0f} MB "
        f"(PyTorch: {pytorch['seconds']:.1f} s, {pytorch['peak_memory_mb']:.0f} MB)",
        "cold_start",
        spread=f"{low_to_high(onnx['spread'], '.2f')} s" if "spread" in onnx else "",
        is_headline=True,
    )


def command_line(result: documents.CommandLine) -> Iterator[Row]:
    """Yield the row of a long file."""
    yield Row(
        f"a file of {result['lines']:,} lines",
        f"{result['command_line_sentences_per_second']:,.0f} sentences/s, "
        f"{max(result['memory_mb_by_tenths']):.0f} MB from the first line to the last",
        "command_line",
    )


def batch_ray(result: documents.BatchRay) -> Iterator[Row]:
    """Yield the row of the Ray job."""
    yield Row(
        f"a Ray job of {result['rows']:,} rows on one machine, its start included",
        f"{result['job_sentences_per_second']:,.0f} sentences/s, "
        f"{result['share']:.0%} of the predictor alone",
        "batch_ray",
    )


def serving(result: documents.Serving) -> Iterator[Row]:
    """Yield a row for one client and one for 32, each beside the best of the other servers."""
    servers = result["servers"]
    # The peers run at fp32, so it is fp32 that compares servers; int8 is what is deployed.
    peers = {name: server for name, server in servers.items() if not name.startswith("ours")}

    def row(
        clients: str, load: Callable[[documents.ServerResult], documents.Load], is_headline: bool
    ) -> Row:
        int8, fp32 = load(servers["ours_int8"]), load(servers["ours_fp32"])
        best = max(map(load, peers.values()), key=lambda peer: peer["requests_per_second"])
        return Row(
            f"served to {clients}",
            f"**{int8['requests_per_second']:,.0f} requests/s** "
            f"(fp32: {fp32['requests_per_second']:,.0f}; "
            f"best of {len(peers)} other fp32 set-ups: {best['requests_per_second']:,.0f})",
            "serving",
            spread=f"p99 {int8['p99_ms']:.0f} ms (fp32: {fp32['p99_ms']:.0f}; "
            f"other: {best['p99_ms']:.0f})",
            is_headline=is_headline,
        )

    yield row("1 client", lambda server: server["1"], is_headline=False)
    yield row("32 clients", lambda server: server["32"], is_headline=True)


def forwarder(result: documents.Forwarder) -> Iterator[Row]:
    """Yield the row of the log forwarder."""
    yield Row(
        "log events forwarded, one core",
        f"{result['events_per_second']['ours']:,}/s",
        "forwarder",
    )


SECTIONS: dict[str, Callable[[Any], Iterator[Row]]] = {
    "quality": quality,
    "corpus_baseline": corpus_baseline,
    "training": training,
    "inference": inference,
    "cold_start": cold_start,
    "command_line": command_line,
    "batch_ray": batch_ray,
    "serving": serving,
    "forwarder": forwarder,
}


def all_results() -> str:
    """Return the table of ``benchmarks/README.md``: a row or two per benchmark."""
    return result_table(is_headline=False)


def headlines() -> str:
    """Return the README's table: the results that matter most."""
    return result_table(is_headline=True)


def result_table(is_headline: bool) -> str:
    """Return all results, or the headlines alone, with their spread and processor."""
    rows: list[tuple[str, ...]] = []
    for name, section in SECTIONS.items():
        # A benchmark that has not been run has no row.
        for result in filter(None, [results.read(name), *results.read_by_processor(name)]):
            for row in section(result):
                if row.is_headline or not is_headline:
                    what = f"[{row.what}]({link(row.benchmark, is_headline)})"
                    rows.append((what, row.figure, row.spread, row.processor or processor(result)))

    return table(["what", "median", "spread", "CPU"], rows)


def link(benchmark: str, is_from_root: bool) -> str:
    """Return the path of a benchmark, from the document that links to it."""
    return f"benchmarks/{benchmark}.py" if is_from_root else f"{benchmark}.py"


def processor(result: Mapping[str, Any]) -> str:
    """Return the processor that gave a result, as far as its file tells."""
    if "machine" in result:
        return describe(result["machine"])

    cores = result.get("cores")
    return f"{cores} cores" if cores is not None else ""


def low_to_high(spread: Spread, form: str) -> str:
    """Return the range of the rounds, each figure formatted with ``form``."""
    return f"{spread['min']:{form}} to {spread['max']:{form}}"
