"""The model registry: dvcfiles/trained_model.dvc names the current model, its history the earlier ones.

    python -m registry push      # models/model.onnx -> the store; writes the pointer (commit it)
    python -m registry pull      # the pointer's model -> models/model.onnx
    python -m registry log       # every version: md5, MCC, corpus, commit
    python -m registry promote   # the pipeline's candidate -> models/model.onnx, unless worse; push
    python -m registry compare   # is models/model.onnx as good as the pointer's? exit 2 if not

The same as `make model-push` and so on. To have an earlier model back: `git checkout COMMIT --
dvcfiles/trained_model.dvc`, then pull. Reads the lineage inside model.onnx and copies what `log` and
`compare` need into the pointer, so neither downloads anything.
"""

import argparse
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from commands.run import run_command
from prediction.onnx_predictor import ColaONNXPredictor
from registry.store import StoreError, dvc, name_remote

ROOT = Path(__file__).parents[1]
POINTER = "dvcfiles/trained_model.dvc"
MODEL = "models/model.onnx"
CANDIDATE = "models/candidate/model.onnx"  # where dvc.yaml puts one
FACTS = ("mcc", "corpus", "corpus_sha256", "base_model", "commit", "created")
TOLERANCE = 0.005  # of MCC: two runs of one recipe on other machines differ by about as much


def push(root: Path, remote: str) -> str:
    """Put the model in the store and write its pointer; return a line that says so.

    The pointer changes only when the whole model is in the store. Raises ModelFileError for a file that is no
    model of ours, StoreError for all else.
    """
    facts = lineage_facts(root / MODEL)
    name_remote(root, remote)
    pointer = root / POINTER
    before = pointer.read_bytes() if pointer.exists() else None
    done = False
    try:
        out = {"path": MODEL, "hash": "md5"}
        pointer.write_text(
            yaml.safe_dump({"wdir": "..", "meta": facts, "outs": [out]}, sort_keys=False)
        )
        dvc(root, remote, "commit", "--force", POINTER)
        uploaded = (
            "everything is up to date"
            not in dvc(root, remote, "push", "-r", remote, POINTER).lower()
        )
        done = True
    finally:  # also after Ctrl-C: a pointer to what is not in the store must not be left
        if not done:
            pointer.unlink() if before is None else pointer.write_bytes(before)
    md5 = read_pointer(pointer.read_text())["md5"]
    if pointer.read_bytes() == before:
        return f"model {md5[:8]} is the pointer's already; {'uploaded' if uploaded else 'nothing to upload'}"
    state = f"is in {remote}" if uploaded else f"was in {remote} already"
    return f"model {md5[:8]} {state}; now: git add {POINTER} && git commit"


def pull(root: Path, remote: str) -> str:
    """Fetch the pointer's model; return a line that says so. What is there stays if it cannot be fetched."""
    if not (root / POINTER).exists():
        raise StoreError(
            f"there is no {POINTER}: no model was pushed yet (make train, make model-push)"
        )
    facts = read_pointer((root / POINTER).read_text())
    name_remote(root, remote)
    dvc(root, remote, "pull", "-r", remote, POINTER)
    return f"{MODEL} is model {facts['md5'][:8]}, MCC {_number(facts['mcc'])} on {facts['corpus']}"


def promote(root: Path, remote: str) -> str:
    """Make the pipeline's candidate the current model unless it is worse; return what both commands print."""
    table = compare(root, CANDIDATE)
    temporary = root / f"{MODEL}.new"
    shutil.copyfile(root / CANDIDATE, temporary)
    os.replace(temporary, root / MODEL)
    return f"{table}\n{push(root, remote)}"


def compare(root: Path, model: str = MODEL) -> str:
    """Return a Markdown table of the new and the current model; raise StoreError if the new one is worse."""
    new = lineage_facts(root / model)
    pointer = root / POINTER
    old = read_pointer(pointer.read_text()) if pointer.exists() else None
    rows = [f"| | {'current | ' if old else ''}new |", f"|---|---|{'---|' if old else ''}"]
    rows += [f"| {f} | {f'{_number(old[f])} | ' if old else ''}{_number(new[f])} |" for f in FACTS]
    if old is None:
        return "\n".join(rows)
    if old["corpus_sha256"] != new["corpus_sha256"]:
        raise StoreError(
            f"the models cannot be compared: the current one was validated on {_corpus(old)}, "
            f"the new one on {_corpus(new)}; train on the same corpus, or push without comparing"
        )
    if new["mcc"] < old["mcc"] - TOLERANCE:
        raise StoreError(
            f"the new model is worse: MCC {_number(new['mcc'])}, the current one has {_number(old['mcc'])}"
        )
    return "\n".join(rows)


def log(root: Path) -> str:
    """Return a table of all versions, newest first, from the pointer's git history."""
    command = ["git", "log", "--format=%h %cs", "--", POINTER]
    history = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False
    ).stdout.split("\n")
    versions = [line.split(" ") for line in history if line]
    rows = [["version", "date", "md5", "MCC", "corpus", "trained at"]]
    for commit, date in versions:
        show = ["git", "show", f"{commit}:{POINTER}"]
        shown = subprocess.run(show, cwd=root, capture_output=True, text=True, check=False)
        if shown.returncode == 0:  # else: the commit that removed it
            rows.append([commit, date, *_columns(read_pointer(shown.stdout))])
    pointer = root / POINTER
    if pointer.exists() and (facts := read_pointer(pointer.read_text())):
        current = _columns(facts)
        if len(rows) == 1 or rows[1][2:] != current:
            rows.insert(1, ["(uncommitted)", "", *current])
    if len(rows) == 1:
        raise StoreError(
            f"{POINTER} has no history yet: make train, make model-push, then commit it"
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def lineage_facts(model: Path) -> dict[str, Any]:
    """Return FACTS of a model file, from its own lineage. Raises ModelFileError."""
    lineage = ColaONNXPredictor(model, threads=1).info.lineage
    try:
        return {
            "mcc": float(lineage["metrics"]["overall"]["mcc"]),
            "corpus": lineage["corpus"]["name"],
            "corpus_sha256": lineage["corpus"]["sha256"],
            "base_model": lineage["base_model"],
            "commit": lineage["git_commit"],
            "created": lineage["created"],
        }
    except (KeyError, TypeError) as error:
        raise StoreError(
            f"{model}: its lineage lacks {error}; export it again with `make export`"
        ) from None


def read_pointer(text: str) -> Mapping[str, Any]:
    """Return md5, size and FACTS from the text of a pointer. Raises StoreError."""
    try:
        document = yaml.safe_load(text)
        out = document["outs"][0]
        return {
            "md5": str(out["md5"]),
            "size": int(out["size"]),
            **dict.fromkeys(FACTS),
            **document.get("meta", {}),
        }
    except (yaml.YAMLError, KeyError, TypeError, IndexError, ValueError):
        raise StoreError(
            f"{POINTER} is not a pointer that DVC wrote: git checkout -- {POINTER}"
        ) from None


def _columns(facts: Mapping[str, Any]) -> list[str]:
    commit = str(facts["commit"] or "")
    return [
        facts["md5"][:8],
        _number(facts["mcc"]),
        str(facts["corpus"]),
        commit[:12] + commit[40:],
    ]


def _corpus(facts: Mapping[str, Any]) -> str:
    return f"{facts['corpus']} ({str(facts['corpus_sha256'])[:8]})"


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def main() -> None:
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
            print(push(ROOT, arguments.remote))
        case "pull":
            print(pull(ROOT, arguments.remote))
        case "log":
            print(log(ROOT))
        case "promote":
            print(promote(ROOT, arguments.remote))
        case "compare":
            print(compare(ROOT))


if __name__ == "__main__":
    run_command(main)
