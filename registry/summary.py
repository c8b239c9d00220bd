"""The last stage of the pipeline: what `dvc metrics` and `dvc plots` show of a candidate.

    python -m registry.summary models/candidate

Reads the folder's training_report.json and export_report.json; writes metrics.json (a few numbers of the two)
and pictures/ (those that training drew).
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from commands.run import run_command
from errors import ColaError


def summarize(folder: Path) -> dict[str, Any]:
    """Write metrics.json and pictures/ into ``folder``; return the metrics. Raises ColaError."""
    training, export = _read(folder / "training_report.json"), _read(folder / "export_report.json")
    exported = export["contestants"][export["lineage"]["precision"]]
    metrics = {
        "mcc": exported["metrics"]["overall"]["mcc"],
        "megabytes": exported["megabytes"],
        "p50_ms": exported["latency"]["p50_ms"],
        "checkpoint": {
            split: {key: values[key] for key in ("mcc", "accuracy", "f1_macro", "roc_auc")}
            for split, values in training["metrics"].items()
        },
    }
    pictures = folder / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    for picture in sorted(Path(training["pictures"]).glob("*.png")):
        shutil.copy(picture, pictures)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ColaError(f"{path} cannot be read ({error}): run `dvc repro` in dvcfiles/") from None
    return document


if __name__ == "__main__":
    run_command(lambda: summarize(Path(sys.argv[1])))
