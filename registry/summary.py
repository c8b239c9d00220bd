"""Chapter 8: the pipeline's last stage, what ``dvc metrics`` and ``dvc plots`` show.

    python -m registry.summary models/candidate

Reads the folder's training_report.json and export_report.json; writes metrics.json (a few numbers
of the two) and pictures/ (a copy of those that training drew).
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from commands.files import write_json
from commands.run import run_command
from errors import ColaError

CHECKPOINT_METRICS = ("mcc", "accuracy", "f1_macro", "roc_auc")


def summarize(folder: Path) -> None:
    """Write metrics.json and pictures/ into ``folder``.

    Raises:
        ColaError: One of the reports cannot be read.
    """
    training = _read(folder / "training_report.json")
    export = _read(folder / "export_report.json")

    # The report holds all variants that were measured; this is the one in model.onnx.
    exported = export["contestants"][export["lineage"]["precision"]]
    checkpoint = {
        split: {name: values[name] for name in CHECKPOINT_METRICS}
        for split, values in training["metrics"].items()
    }
    metrics = {
        "mcc": exported["metrics"]["overall"]["mcc"],
        "megabytes": exported["megabytes"],
        "p50_ms": exported["latency"]["p50_ms"],
        "checkpoint": checkpoint,
    }

    # A picture that training no longer draws must not stay.
    pictures = folder / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    for picture in sorted(Path(training["pictures"]).glob("*.png")):
        shutil.copy(picture, pictures)

    write_json(folder / "metrics.json", metrics)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ColaError(f"{path} cannot be read ({error}): run `dvc repro` in dvcfiles/") from None


def main() -> None:
    """Summarize the folder that the argument names."""
    summarize(Path(sys.argv[1]))


if __name__ == "__main__":
    run_command(main)
