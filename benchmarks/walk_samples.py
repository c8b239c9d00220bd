"""The times and sample outputs of the documents, from a newcomer's walk (benchmarks/walk.py).

Each function returns None as long as no walk has been recorded: the document then stays as it is.
"""

import json
import re
import textwrap
from collections.abc import Callable

from benchmarks import results
from benchmarks.chapter_tables import table
from benchmarks.walk_commands import Walk, trim

WIDTH = 100

Sample = Callable[[], str | None]


def transcript(*names: str, pattern: str = "") -> Sample:
    """Return a function that shows commands with their output, as a terminal does.

    Args:
        names: The commands' names.
        pattern: Pattern of the lines to show; all that are recorded, if it is empty.
    """

    def sample(walk: Walk) -> str:
        steps = [walk["steps"][name] for name in names]
        texts = [[f"$ {step['command']}", *trim(step["output"], pattern)] for step in steps]
        return fenced("\n\n".join(map("\n".join, texts)))

    return with_walk(sample)


def output(*names: str, pattern: str = "") -> Sample:
    """Return a function that shows what commands print; they themselves stand above it.

    Args:
        names: The commands' names.
        pattern: Pattern of the lines to show; all that are recorded, if it is empty.
    """

    def sample(walk: Walk) -> str:
        lines = [line for name in names for line in walk["steps"][name]["output"]]
        return fenced("\n".join(trim(lines, pattern)))

    return with_walk(sample)


def json_output(*names: str) -> Sample:
    """Return a function that shows the JSON lines that commands print, wrapped."""

    def sample(walk: Walk) -> str:
        lines = [line for name in names for line in walk["steps"][name]["output"]]
        return fenced("\n".join(map(wrapped, lines)), "json")

    return with_walk(sample)


def times() -> Sample:
    """Return a function that makes chapter 0's table: how long each step takes."""
    return with_walk(table_of_times)


def table_of_times(walk: Walk) -> str:
    """Return chapter 0's table."""
    steps, parts = walk["steps"], walk["steps"]["train"]["parts"]
    machine = walk["machine"]
    predict = steps["predict bad"]["seconds"]
    report = sum(steps[name]["seconds"] for name in ("normal", "shuffled", "drift"))
    environment = f"`.venv/` ({walk['environment_mb'] / 1000:.1f} GB)"
    api = "the page on <http://127.0.0.1:8000>"

    tests = duration(steps["test"]["seconds"]) if "test" in steps else "not measured"

    # Samples are of the model that this code trained, which may not be today's.
    code = f"\nMeasured at commit `{commit_of(walk)[:12]}`"
    code += f", training on the corpus `{walk['corpus']}`.\n" if "corpus" in walk else ".\n"

    times_of_steps = table(
        ("step", f"takes ({machine['cpu']}, {machine['cores']} cores)", "leaves"),
        [
            ("install: `make train`, the first time", duration(parts["set-up"]), environment),
            ("train", duration(parts["train.py"]), "`models/best-checkpoint.ckpt`"),
            ("export", duration(parts["convert_model_to_onnx.py"]), "`models/model.onnx`"),
            ("predict one sentence", duration(predict), ""),
            ("serve", duration(steps["serve"]["seconds"]), api),
            (
                "dashboard, with Docker",
                "not measured; most of it is the pull of three images",
                "Kibana on <http://127.0.0.1:5601>",
            ),
            ("drift report, without Docker", duration(report), "one HTML page"),
            ("`make test`", tests, ""),
        ],
    )
    return times_of_steps + code


def commit_of(walk: Walk) -> str:
    """Return the commit of the code that was walked through."""
    return walk.get("cloned_commit") or walk["git_commit"]


def with_walk(sample: Callable[[Walk], str]) -> Sample:
    """Return a function that makes a sample of the recorded walk, and None without one."""

    def read_and_sample() -> str | None:
        walk: Walk | None = results.read("walk")
        return None if walk is None else sample(walk)

    return read_and_sample


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def wrapped(line: str) -> str:
    """Return a line of JSON on as many lines as it needs."""
    # Lines end where a value does: only a space after a comma is one to break at.
    text = re.sub("(?<!,) ", "\0", json.dumps(json.loads(line), ensure_ascii=False))
    lines = textwrap.wrap(
        text, WIDTH, subsequent_indent=" ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\0", " ")


def fenced(text: str, language: str = "") -> str:
    """Return text as a block of Markdown."""
    return f"```{language}\n{text}\n```\n"
