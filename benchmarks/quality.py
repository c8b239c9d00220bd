"""What the classifier has learned: the metrics of finished runs on CoLA, kept as a result.

    python train.py data.path=path/to/cola models_dir=/tmp/default
    python train.py data.path=path/to/cola experiment=quality models_dir=/tmp/quality
    python benchmarks/quality.py /tmp/default /tmp/quality

Reads the training_report.json of each folder; adds to benchmarks/results/quality.json, by experiment and
corpus. The last line of output is that document.
"""

import json
import sys
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "quality.json"


def main(folders: list[str]) -> None:
    runs: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for folder in folders:
        report = json.loads((Path(folder) / "training_report.json").read_text())
        name = f"{report['config']['experiment_name']} on {report['corpus']['name'].removeprefix('folder:')}"
        runs[name] = {
            "mcc": {split: values["mcc"] for split, values in report["metrics"].items()},
            "sentences": {
                split: values["sentences"] for split, values in report["metrics"].items()
            },
            "minutes": report["seconds"] / 60,
            "model": report["base_model"]["name"],
            "git_commit": report["git_commit"],
            "seed": report["config"]["seed"],
        }
    RESULT.write_text(json.dumps(runs, indent=2) + "\n")
    print(json.dumps(runs))


if __name__ == "__main__":
    main(sys.argv[1:])
