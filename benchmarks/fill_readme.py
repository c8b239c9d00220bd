"""Fill the tables and sample outputs of the README and docs/ from the benchmarks' files.

    python -m benchmarks.fill_readme            # or `make readme`
    python -m benchmarks.fill_readme --check    # exit code 1 if a document says something else

The README has the headline results, ``benchmarks/README.md`` has all of them;
``benchmarks/EXPERIMENTS.md``, ``corpus/README.md`` and chapters 3, 5, 7 and 9 have tables of
their own. Both commands warn if what decides the model was changed since the walk that gave the
samples.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import results
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
from benchmarks.walk_commands import EXPORTED, PREDICTED, TRAINED, Walk
from benchmarks.walk_samples import commit_of, json_output, output, times, transcript

START = "<!-- results: written by `make readme` from benchmarks/results/ -->\n"
END = "<!-- end of results -->"

# What decides the model that a walk trains and exports.
MODEL_CODE = (
    "data.py",
    "model.py",
    "train.py",
    "convert_model_to_onnx.py",
    "configs",
    "corpus",
    "training",
    "export",
    ":(exclude)*.md",
)

# Tables of EXPERIMENTS.md, in its order.
EXPERIMENTS = (
    "calibration",
    "int8_error",
    "gentle_pretext",
    "constant_rate",
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


def age_of_walk(root: Path = ROOT) -> str | None:
    """Return a line if the samples may be of another model than this code makes, else None.

    It is no error: not each edit is worth a walk of a quarter of an hour.
    """
    walk: Walk | None = results.read("walk")
    if walk is None:
        return None

    commit = commit_of(walk)
    command = ["git", "diff", "--name-only", commit, "--", *MODEL_CODE]
    try:
        git = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        git = None
    # No git, a source archive, or a clone that is too shallow to have the commit.
    if git is None or git.returncode != 0:
        return f"could not check whether the walk of {commit[:12]} is of this code"

    changed = git.stdout.split()
    if not changed:
        return None
    return (
        f"the samples are of commit {commit[:12]}, and {len(changed)} files that decide the model "
        f"are others now ({changed[0]}, ...): `python -m benchmarks.walk --folder runs/walk`"
    )


def main() -> int:
    """Fill the documents, or compare them with the results; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    is_check = parser.parse_args().check

    stale = []
    for path, makers in DOCUMENTS.items():
        text = path.read_text(encoding="utf-8")
        filled = fill(text, makers)
        if filled != text:
            stale.append(str(path.relative_to(ROOT)))
        if not is_check:
            path.write_text(filled, encoding="utf-8")

    if age := age_of_walk():
        print(f"warning: {age}", file=sys.stderr)
    if is_check and stale:
        print(
            f"error: not as the results say: {', '.join(stale)}: run `make readme`", file=sys.stderr
        )
    return int(is_check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
