"""Fill the tables and sample outputs of the README and docs/ from the benchmarks' files.

python -m benchmarks.fill_readme            # or `make readme`
python -m benchmarks.fill_readme --check    # exit code 1 if a document says something else

The README has the headline results, ``benchmarks/README.md`` has all of them;
``benchmarks/EXPERIMENTS.md``, ``corpus/README.md`` and chapters 3, 5, 7 and 9 have tables of
their own.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.chapter_tables import (
    lambda_cost,
    scaling,
    serving_peers,
    surface_cues,
)
from benchmarks.result_rows import all_results, headlines
from benchmarks.results import ROOT
from benchmarks.training_tables import (
    experiments,
    int8,
    mistakes,
    phenomena,
    seeds,
    sources,
)
from benchmarks.walk_commands import EXPORTED, PREDICTED, TRAINED
from benchmarks.walk_samples import json_output, output, times, transcript

START = "<!-- results: written by `make readme` from benchmarks/results/ -->\n"
END = "<!-- end of results -->"


# In the order of EXPERIMENTS.md.
EXPERIMENTS = (
    "written",
    "exchanged_names",
    "candidate",
    "names",
    "published",
    "averaged",
    "corpus_epochs",
    "pretext",
    "tuning",
    "earlier_tuning",
    "earlier_runs",
)

DOCUMENTS: dict[Path, list[Callable[[], str | None]]] = {
    ROOT / "README.md": [
        transcript("train", "predict bad", pattern=f"{TRAINED}|{PREDICTED}"),
        headlines,
    ],
    ROOT / "benchmarks" / "README.md": [all_results],
    ROOT / "benchmarks" / "EXPERIMENTS.md": [partial(experiments, name) for name in EXPERIMENTS],
    ROOT / "corpus" / "README.md": [surface_cues],
    ROOT / "docs" / "00_quickstart.md": [times()],
    ROOT / "docs" / "03_training.md": [seeds, phenomena, mistakes, sources],
    ROOT / "docs" / "05_export.md": [output("train", pattern=EXPORTED), int8],
    ROOT / "docs" / "06_predict.md": [output("predict two"), output("predict file")],
    ROOT / "docs" / "07_serve.md": [
        json_output("post one", "post two", "get"),
        scaling,
        serving_peers,
    ],
    ROOT / "docs" / "08_version_models.md": [output("push", "pull", "log")],
    ROOT / "docs" / "09_deploy.md": [lambda_cost],
    ROOT / "docs" / "11_drift.md": [output("normal", "shuffled", "drift")],
}
"""What fills each document, in its order; None leaves what is there."""


def fill(text: str, makers: Sequence[Callable[[], str | None]]) -> str:
    """Return a document with what its makers make between its markers."""
    filled, *parts = text.split(START)
    for make, part in zip(makers, parts, strict=True):
        old, after = part.split(END)
        new = make()
        filled += START + (old if new is None else new) + END + after
    return filled


def main() -> int:
    """Fill the documents, or compare them with the results; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    is_check = parser.parse_args().check

    is_stale = False
    for path, makers in DOCUMENTS.items():
        text = path.read_text(encoding="utf-8")
        filled = fill(text, makers)
        is_stale |= filled != text
        if not is_check:
            path.write_text(filled, encoding="utf-8")

    return int(is_check and is_stale)


if __name__ == "__main__":
    sys.exit(main())
