"""What ``quality`` records: seeds with the same settings, by experiment, corpus and precision."""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import results
from benchmarks.machine import machine
from benchmarks.quality_documents import (
    Int8Run,
    Quality,
    QualityRun,
    SeedSpread,
    Settings,
    configuration_digest,
)
from training.report import TrainingReport

SPLITS = ("overall", "in_domain", "out_of_domain")

Measured = tuple[TrainingReport, QualityRun]


def summary(training: TrainingReport, export_report: Path) -> QualityRun:
    """Return what is kept of one seed."""
    export = json.loads(export_report.read_text(encoding="utf-8"))
    return {
        "seed": training.config.seed,
        "mcc": {split: float(training.metrics[split]["mcc"] or 0) for split in SPLITS},
        "int8": int8_of(export),
        "calibration_error": export["calibration"]["error_after"],
        "calibration_error_by_chance": export["calibration"]["error_by_chance"],
        "minutes": training.seconds / 60,
        "cpu_minutes": training.cpu_seconds / 60,
        "git_commit": training.git_commit,
        "export_git_commit": export["lineage"]["git_commit"],
    }


def int8_of(export_report: dict[str, Any]) -> Int8Run:
    """Return what chapter 5 shows of the exported model."""
    variant, company = export_report["contestants"]["int8"], export_report["company"]
    return {
        "scheme": variant["scheme"],
        "megabytes": variant["megabytes"],
        "mcc": variant["metrics"]["overall"]["mcc"],
        "label_changes": variant["flips"],
        "company_difference": company["largest_difference"],
        "company_label_changes": company["label_changes"],
    }


def record(measured: Sequence[Measured], name: str) -> None:
    """Print a table of a group's seeds, and record them with their mean and range."""
    report = measured[0][0]
    settings = settings_of(report)

    seeds = {run["seed"]: run for run in earlier_runs(name, settings)}
    seeds |= {run["seed"]: run for _, run in measured}
    runs = [seeds[seed] for seed in sorted(seeds)]

    result: Quality = {
        "model": report.base_model.name,
        "sentences": {split: int(report.metrics[split]["sentences"] or 0) for split in SPLITS},
        "mcc": {split: mean_and_range([run["mcc"][split] for run in runs]) for split in SPLITS},
        "int8_mcc": mean_and_range([run["int8"]["mcc"] for run in runs]),
        "calibration_error": mean_and_range([run["calibration_error"] for run in runs]),
        "runs": runs,
        "settings": settings,
    }
    print_runs(name, runs)
    results.record("quality", result, by_processor=True, group=name)


def settings_of(report: TrainingReport) -> Settings:
    """Return what all seeds of a group share."""
    return {
        "configuration_sha256": configuration_digest(report.config),
        "corpus_sha256": report.corpus.sha256,
        "pretext_sha256": report.corpus.pretext_sha256,
    }


def earlier_runs(name: str, settings: Settings) -> list[QualityRun]:
    """Return a group's runs that new ones may stand beside; say so if that is none."""
    groups: dict[str, Quality] = results.read(results.name_here("quality")) or {}
    if name not in groups:
        return []

    group = groups[name]
    if group.get("settings") == settings and group["machine"] == machine():
        return group["runs"]

    # Their minutes and scores would be of something else.
    print(
        f"{name}: earlier seeds had other settings, sentences or another machine: they go",
        file=sys.stderr,
    )
    return []


def print_runs(name: str, runs: Sequence[QualityRun]) -> None:
    """Print a table of a group's seeds."""
    table = Table(title=f"MCC, {name}")
    for column in ("seed", *SPLITS, "int8", "ECE", "min", "CPU min"):
        table.add_column(column, justify="right")
    for run in runs:
        table.add_row(
            str(run["seed"]),
            *(f"{run['mcc'][split]:.3f}" for split in SPLITS),
            f"{run['int8']['mcc']:.3f}",
            f"{run['calibration_error']:.3f}",
            f"{run['minutes']:.0f}",
            f"{run['cpu_minutes']:.0f}",
        )
    Console().print(table)


def mean_and_range(values: Sequence[float]) -> SeedSpread:
    """Return the mean and the extremes."""
    return {"mean": statistics.mean(values), "min": min(values), "max": max(values)}
