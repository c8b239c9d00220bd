"""What the classifier has learned: the metrics of finished runs on CoLA, kept as a result.

    python train.py data.path=path/to/cola models_dir=/tmp/default
    python train.py data.path=path/to/cola experiment=quality models_dir=/tmp/quality
    python -m benchmarks.quality /tmp/default /tmp/quality

Reads the training_report.json of each folder and adds it to benchmarks/results/quality.json, by
experiment and corpus. The last line of output is that document.
"""

import argparse
import json
from pathlib import Path

from benchmarks import results
from benchmarks.results import QualityRun
from training.report import TrainingReport


def main() -> None:
    """Add the reports that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="the models_dir of finished runs")
    folders: list[Path] = parser.parse_args().folders

    runs: dict[str, QualityRun] = results.read("quality") or {}
    for folder in folders:
        name, run = read_report(folder / "training_report.json")
        runs[name] = run

    results.write("quality", runs)
    print(json.dumps(runs))


def read_report(path: Path) -> tuple[str, QualityRun]:
    """Return the name of a training run, and what is kept of its report."""
    report = TrainingReport.from_json(json.loads(path.read_text(encoding="utf-8")))
    config, metrics = report.config, report.metrics

    corpus = report.corpus.name.removeprefix("folder:")
    return f"{config.experiment_name} on {corpus}", {
        "mcc": {split: float(values["mcc"] or 0) for split, values in metrics.items()},
        "sentences": {split: int(values["sentences"] or 0) for split, values in metrics.items()},
        "minutes": report.seconds / 60,
        "model": report.base_model.name,
        "git_commit": report.git_commit,
        "seed": config.seed,
    }


if __name__ == "__main__":
    main()
