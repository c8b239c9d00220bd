"""The commands of a newcomer's walk, as the README and the chapters have them."""

from dataclasses import dataclass

ADDRESS = "127.0.0.1:8000"
"""Where the documents' commands find the API; a walk's API has a port of its own."""

SERVE = "LOG_FILE=logs/predictions.jsonl make serve"


@dataclass(frozen=True)
class Command:
    """A command, as a document has it."""

    name: str
    text: str
    shown: str = ""
    """A pattern of the output's lines that are kept; all are, if it is empty."""
    exit_codes: tuple[int, ...] = (0,)
    """What it may end with."""


CURL = f"curl -s {ADDRESS}/predict --json "
SIMULATE = "python -m drift.simulate --kind {} --url http://" + ADDRESS
PREDICT_FILE = "python inference_onnx.py --input sentences.txt --output predictions.jsonl"

BEFORE_SERVING = [
    Command(
        "train", "make train", shown=r"^ +\S+ on \S+ *$|^[┃│] (split|overall|\w+_domain) |able  "
    ),
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
    Command("push", "make model-push REMOTE=local", shown=r"^model "),
    Command("commit", 'git add dvcfiles/trained_model.dvc && git commit -m "A model"'),
    Command("pull", "make model-pull REMOTE=local", shown=r"^models/"),
    Command("log", "make model-log"),
    Command("compare", "make model-compare"),
    Command("test", "make test", shown=r" passed| failed"),
]
