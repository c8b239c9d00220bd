"""How good the classifier gets: several seeds on CoLA or corpus/, each exported to int8.

    python -m benchmarks.quality data.path=path/to/cola
    python -m benchmarks.quality data.path=path/to/cola experiment=quality --seeds 1,2
    python -m benchmarks.quality data.sources=[own]

One seed is not a result: the same settings give MCCs that differ by several hundredths. Nor is one
precision: training in bf16 gives others than in fp32, so a CPU that computes in both measures both.

Each seed is trained and exported by the commands that people run, into --folder; one that has
finished there with the same configuration is not run again. After a change of the export,
--export-again exports finished seeds again. Writes benchmarks/results/quality.json,
by experiment, corpus and precision, and prints it as the last line.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

from benchmarks import documents, results
from benchmarks.documents import Int8Run, Quality, QualityRun
from benchmarks.machine import machine
from benchmarks.results import ROOT
from configs.schema import Config, as_config
from training.precision import choose_precision
from training.report import TrainingReport

NAMES = {"32-true": "fp32", "bf16-mixed": "bf16"}
SPLITS = ("overall", "in_domain", "out_of_domain")


def main() -> None:
    """Run what has not been run; print and record all seeds of each precision."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as data.path=...")
    parser.add_argument("--seeds", default="1,2,3", help="default: %(default)s")
    parser.add_argument("--precision", choices=NAMES, help="default: all that this CPU computes in")
    parser.add_argument("--folder", type=Path, default=Path("runs/quality"), help="of the runs")
    parser.add_argument("--export-again", action="store_true", help="finished seeds, too")
    arguments = parser.parse_intermixed_args()

    # What `auto` chooses is the faster one, if there are two.
    precisions = dict.fromkeys(["32-true", choose_precision("auto")])
    for precision in [arguments.precision] if arguments.precision else precisions:
        runs = [
            finished_run([*arguments.overrides, f"training.precision={precision}"], seed, arguments)
            for seed in map(int, arguments.seeds.split(","))
        ]
        record(runs, NAMES[precision])


def finished_run(
    overrides: Sequence[str], seed: int, arguments: argparse.Namespace
) -> tuple[TrainingReport, QualityRun]:
    """Return a seed's results; train and export first if it has none with this configuration."""
    overrides = [*overrides, f"seed={seed}", "logger=none"]
    config = composed(overrides)

    corpus = Path(config.data.path or "own").name
    group = f"{config.experiment_name}-on-{corpus}"
    folder = arguments.folder / group / config.training.precision / f"seed-{seed}"
    overrides.append(f"models_dir={folder}")

    report, export_report = folder / "training_report.json", folder / "export_report.json"
    is_finished = is_trained(report, composed(overrides))
    if not is_finished or arguments.export_again:
        export_report.unlink(missing_ok=True)

    if not is_finished:
        run("train.py", *overrides, f"hydra.run.dir={folder}/run")
    if not export_report.is_file():
        export = [override for override in overrides if override.startswith("export.")]
        export += [f"export.checkpoint={folder}/best-checkpoint.ckpt"]
        run("convert_model_to_onnx.py", *export, f"export.output={folder}/model.onnx")

    return read_report(report), summary(read_report(report), export_report)


def is_trained(report: Path, config: Config) -> bool:
    """Return whether the run of a report trained with this configuration."""
    # How it is exported is not training's concern.
    return report.is_file() and replace(read_report(report).config, export=config.export) == config


def composed(overrides: Sequence[str]) -> Config:
    """Return the configuration that train.py composes from the same arguments."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return as_config(compose("config", list(overrides)))


def run(script: str, *arguments: str) -> None:
    """Run one of the root scripts from here, with its output in sight.

    Raises:
        subprocess.CalledProcessError: It failed; the seeds that have finished are kept.
    """
    subprocess.run([sys.executable, str(ROOT / script), *arguments], check=True)


def read_report(path: Path) -> TrainingReport:
    """Return a finished run's report."""
    return TrainingReport.from_json(json.loads(path.read_text(encoding="utf-8")))


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


def record(runs: Sequence[tuple[TrainingReport, QualityRun]], precision: str) -> None:
    """Print a table of the seeds, and record them with their mean and range."""
    report, seeds = runs[0][0], [seed for _, seed in runs]
    corpus = report.corpus.name.removeprefix("folder:")
    name = f"{report.config.experiment_name} on {corpus}, {precision}"

    result: Quality = {
        "model": report.base_model.name,
        "sentences": {split: int(report.metrics[split]["sentences"] or 0) for split in SPLITS},
        "mcc": {split: spread([seed["mcc"][split] for seed in seeds]) for split in SPLITS},
        "int8_mcc": spread([seed["int8"]["mcc"] for seed in seeds]),
        "calibration_error": spread([seed["calibration_error"] for seed in seeds]),
        "runs": seeds,
        "machine": machine(),
    }

    table = Table(title=f"MCC, {name}")
    for column in ("seed", *SPLITS, "int8", "ECE", "min", "CPU min"):
        table.add_column(column, justify="right")
    for seed in seeds:
        table.add_row(
            str(seed["seed"]),
            *(f"{seed['mcc'][split]:.3f}" for split in SPLITS),
            f"{seed['int8']['mcc']:.3f}",
            f"{seed['calibration_error']:.3f}",
            f"{seed['minutes']:.0f}",
            f"{seed['cpu_minutes']:.0f}",
        )
    Console().print(table)

    everything: dict[str, Quality] = results.read("quality") or {}
    everything[name] = result
    results.write("quality", everything)
    print(json.dumps(everything))


def spread(values: Sequence[float]) -> documents.SeedSpread:
    """Return the mean and the extremes."""
    return {"mean": statistics.mean(values), "min": min(values), "max": max(values)}


if __name__ == "__main__":
    main()
