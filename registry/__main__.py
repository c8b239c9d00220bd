"""Chapter 8: the model registry, a pointer in git that names the current model.

    python -m registry push      # models/model.onnx -> the store; writes the pointer (commit it)
    python -m registry pull      # the pointer's model -> models/model.onnx
    python -m registry log       # every version: md5, MCC, corpus, commit
    python -m registry promote   # the pipeline's candidate -> models/model.onnx, unless worse; push
    python -m registry compare   # is models/model.onnx as good as the pointer's? exit 2 if not

The same as ``make model-push`` and so on. The pointer is dvcfiles/trained_model.dvc; an earlier
model comes back by ``git checkout COMMIT -- dvcfiles/trained_model.dvc``, then ``pull``. A push
copies what ``log`` and ``compare`` need from the lineage inside model.onnx into the pointer, so
neither downloads anything.
"""

import argparse
import os
from pathlib import Path

from commands.run import run_command
from commands.tables import print_table
from registry import versions
from registry.history import Version, history
from registry.pointer import as_text

ROOT = Path(__file__).parents[1]


def print_history(all_versions: list[Version]) -> None:
    """Print a table with one line per version, in the order given."""
    rows = []
    for version in all_versions:
        facts = version.pointer.facts
        rows.append(
            [
                version.commit or "(uncommitted)",
                version.date,
                version.pointer.md5[:8],
                as_text(facts.mcc),
                str(facts.corpus),
                as_text(facts.commit or ""),
            ]
        )
    print_table(rows, headings=("version", "date", "md5", "MCC", "corpus", "trained at"))


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m registry", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["push", "pull", "log", "promote", "compare"])
    parser.add_argument(
        "-r",
        "--remote",
        default=os.environ.get("REMOTE", "model-store"),
        help="a remote of .dvc/config",
    )
    arguments = parser.parse_args()

    match arguments.command:
        case "push":
            print(versions.push(ROOT, arguments.remote))
        case "pull":
            print(versions.pull(ROOT, arguments.remote))
        case "log":
            print_history(history(ROOT))
        case "promote":
            print(versions.promote(ROOT, arguments.remote))
        case "compare":
            print(versions.compare(ROOT).as_markdown())


if __name__ == "__main__":
    run_command(main)
