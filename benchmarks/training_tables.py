"""The tables of chapters 3 and 5 and of EXPERIMENTS.md, about trained and exported models."""

from collections.abc import Iterator
from typing import TypedDict

from benchmarks import documents, results
from benchmarks.chapter_tables import table
from benchmarks.quality_documents import QualityRun, title


class Experiments(TypedDict):
    """What experiments.json holds: runs made once, while the default was chosen."""

    note: str
    machine: dict[str, str]
    tables: dict[str, list[dict[str, str | float]]]
    """Rows by what they were about; a row's keys are the columns of EXPERIMENTS.md."""


def seeds() -> str:
    """Return the table of chapter 3: each seed that was trained and exported."""
    head = ["experiment", "CPU", "seed", "MCC", "in-domain", "out-of-domain"]
    head += ["int8", "calibration error", "of exact scores", "minutes", "CPU minutes"]

    rows = [
        [
            name,
            cpu,
            str(run["seed"]),
            *(f"{run['mcc'][split]:.3f}" for split in ("overall", "in_domain", "out_of_domain")),
            f"{run['int8']['mcc']:.3f}",
            f"{run['calibration_error']:.3f}",
            f"{run['calibration_error_by_chance']:.3f}",
            f"{run['minutes']:.0f}",
            f"{run['cpu_minutes']:.0f}",
        ]
        for name, cpu, run in trained_and_exported()
    ]
    return table(head, rows)


def trained_and_exported() -> Iterator[tuple[str, str, QualityRun]]:
    """Yield the name of each seed's group, whether its CPU has VNNI, and the seed."""
    for groups in results.read_by_processor("quality"):
        for name, group in groups.items():
            cpu = "VNNI" if group["machine"]["has_vnni"] else "no VNNI"
            for run in group["runs"]:
                yield title(name, group), cpu, run


def phenomena() -> str:
    """Return the table of chapter 3 with the MCC by phenomenon of corpus/."""
    return groups("own", "phenomenon")


def sources() -> str:
    """Return the table of chapter 3 with the MCC by source of CoLA."""
    return groups("cola", "source")


def groups(corpus: str, kind: str) -> str:
    """Return the MCC by split and source, with its interval.

    Args:
        corpus: Whose validation sentences were predicted.
        kind: What a source is in it.
    """
    everything: dict[str, documents.Mistakes] = results.read("mistakes") or {}
    head = ["split", kind, "sentences", "MCC", "95 %"]
    rows = [
        [
            group["split"].replace("_", "-"),
            f"`{group['source']}`",
            str(group["sentences"]),
            f"{group['mcc']:.2f}",
            f"{group['low']:.2f} to {group['high']:.2f}",
        ]
        for group in (everything[corpus]["groups"] if corpus in everything else [])
    ]
    return table(head, rows)


def mistakes() -> str:
    """Return the table of chapter 3 with the surest mistakes on corpus/."""
    everything: dict[str, documents.Mistakes] = results.read("mistakes") or {}
    head = ["sentence", "right label", "phenomenon", "score of the wrong one"]
    rows = [
        [wrong["text"], wrong["label"], f"`{wrong['source']}`", f"{wrong['score']:.2f}"]
        for wrong in (everything["own"]["mistakes"] if "own" in everything else [])
    ]
    return table(head, rows)


def experiments(name: str) -> str:
    """Return a table of EXPERIMENTS.md, of runs made once; what a row does not tell stays empty."""
    everything: Experiments = results.read("experiments")
    rows = everything["tables"][name]

    head = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[cell(row.get(key, "")) for key in head] for row in rows]
    return table(head, cells)


def cell(value: str | float, digits: int = 3) -> str:
    """Return a measured figure with its decimals; what is a count, a word or exactly 0 as it is."""
    if value == 0:
        return "0"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def int8() -> str:
    """Return the table of chapter 5: what 8 bits change, seed by seed."""
    head = ["experiment", "CPU", "seed", "MCC of PyTorch", "MCC of int8", "other labels"]
    head += ["score moved by its row", "labels changed by its row", "MB", "scheme"]

    rows = [
        [
            name,
            cpu,
            str(run["seed"]),
            f"{run['mcc']['overall']:.3f}",
            f"{run['int8']['mcc']:.3f}",
            f"{100 * run['int8']['label_changes']:.1f} %",
            cell(run["int8"]["company_difference"], digits=5),
            str(run["int8"]["company_label_changes"]),
            f"{run['int8']['megabytes']:.1f}",
            run["int8"]["scheme"],
        ]
        for name, cpu, run in trained_and_exported()
    ]
    return table(head, rows)
