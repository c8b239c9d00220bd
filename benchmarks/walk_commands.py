"""The commands of a newcomer's walk, as the documents have them, and what walk.json holds."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from benchmarks.machine import Machine

ADDRESS = "127.0.0.1:8000"
"""Where the documents' commands find the API; a walk's API has a port of its own."""

SERVE = "LOG_FILE=logs/predictions.jsonl make serve"


@dataclass(frozen=True)
class Command:
    """A command, as a document has it."""

    name: str
    text: str
    kept: str = ""
    """A pattern of the output's lines that are recorded; all are, if it is empty."""
    exit_codes: tuple[int, ...] = (0,)
    """What it may end with."""


class WalkStep(TypedDict):
    """One command of a newcomer's walk."""

    command: str
    seconds: float
    """Time until it ended; of a server, until it listened."""
    exit_code: int | None
    """None for a server, which is ended when the walk needs it no more."""
    output: list[str]
    """The lines that documents show, "..." for those that they leave out."""
    parts: NotRequired[dict[str, float]]
    """Seconds of each script that a target ran, and of the set-up before them."""


class Walk(TypedDict):
    """What walk.json holds."""

    cloned_commit: NotRequired[str]
    """Commit that was walked through; in walks of earlier versions, it is ``git_commit``."""
    corpus: NotRequired[str]
    """What it trained on; walks of earlier versions do not tell."""
    environment_mb: float
    """Size of .venv, once installed."""
    steps: dict[str, WalkStep]
    """Steps by the name of the command."""
    machine: NotRequired[Machine]
    """Added when the walk is recorded, as is ``git_commit``, of the code that walked."""
    git_commit: NotRequired[str]


CURL = f"curl -s {ADDRESS}/predict --json "
SIMULATE = "python -m drift.simulate --kind {} --url http://" + ADDRESS
PREDICT_FILE = "python inference_onnx.py --input sentences.txt --output predictions.jsonl"

# The ends of train.py, convert_model_to_onnx.py and inference_onnx.py: tables, and what is below.
TRAINED = r"^ +\S+ on \S+$|^[┃│] (split|overall|in_domain|out_of_domain) "
EXPORTED = r"^ +exported as |^┃ +┃|^│ (pytorch|fp32|int8) +│|^(parity|calibration|batch|model) "
PREDICTED = r"^(un)?acceptable +\d"

BEFORE_SERVING = [
    Command("train", "make train", kept=f"{TRAINED}|{EXPORTED}|{PREDICTED}"),
    Command("predict good", 'make predict TEXT="The boy is sitting on a bench"'),
    Command("predict bad", 'make predict TEXT="The boy are sitting on a bench"'),
    Command(
        "predict two",
        'python inference_onnx.py "The boy is sitting on a bench" "The boy are sitting on a bench"',
    ),
    Command("write file", r"printf 'The cat sleeps.\n\nThe dog bark.\n' > sentences.txt"),
    Command("predict file", PREDICT_FILE),
]

WHILE_SERVING = [
    Command("post one", CURL + """'{"sentence": "The boy is sitting on a bench."}'"""),
    Command("post two", CURL + """'{"sentences": ["One boy sits.", "A sits boy."]}'"""),
    Command(
        "get",
        f"curl -sG {ADDRESS}/predict --data-urlencode 'text=The boy is sitting on a bench.'",
    ),
    Command("normal", SIMULATE.format("normal --seconds 20")),
    Command("shuffled", SIMULATE.format("shuffled --seconds 40")),
    Command(
        "drift",
        "python -m drift --log logs/predictions.jsonl --window 15s --html runs/drift.html",
        # 3: alarm. A model that has learned next to nothing may give none.
        exit_codes=(0, 3),
    ),
]

AFTER_SERVING = [
    Command("push", "make model-push REMOTE=local", kept=r"^model "),
    Command("commit", 'git add dvcfiles/trained_model.dvc && git commit -m "A model"'),
    Command("pull", "make model-pull REMOTE=local", kept=r"^models/"),
    Command("log", "make model-log"),
    Command("compare", "make model-compare"),
    Command("test", "make test", kept=r" passed| failed"),
]


# A table's rule of box-drawing characters; what make prints before it runs a module.
_UNTOLD = re.compile(r"^([\u2500-\u257f]+|(\w+=\S+ )?\.venv/bin/python -m .*)$")


def trim(lines: Iterable[str], pattern: str) -> list[str]:
    """Return the lines that match, with "..." for each run of others."""
    kept: list[str] = []
    for line in lines:
        if re.search(pattern, line):
            kept.append(line)
        elif not _UNTOLD.match(line) and kept[-1:] != ["..."]:
            kept.append("...")
    return kept
