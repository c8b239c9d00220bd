"""The command line of both predictors, run as a person runs it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prediction.stream import BATCH
from tests.helpers.paths import ROOT
from tests.helpers.tiny_model import TINY_MODEL

SENTENCES = [f"The cat sees dog number {number}." for number in range(3 * BATCH + 17)]

# As a person's Python writes: what is left is written at the exit.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

Predict = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def predict(tmp_path: Path) -> Predict:
    def execute(*arguments: str, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            str(ROOT / "inference_onnx.py"),
            "--model",
            str(TINY_MODEL),
            *arguments,
        ]
        data = stdin.encode() if isinstance(stdin, str) else stdin
        result = subprocess.run(
            command, cwd=tmp_path, input=data, capture_output=True, timeout=60, check=False
        )
        assert b"Traceback" not in result.stderr, result.stderr.decode()
        return subprocess.CompletedProcess(
            command, result.returncode, result.stdout.decode(), result.stderr.decode()
        )

    return execute


def answers(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_sentences_give_a_table_or_json(predict: Predict) -> None:
    table = predict("The cat sleeps.", "Cat the sleep.").stdout.splitlines()
    assert len(table) == 2
    assert table[0].startswith(("acceptable", "unacceptable"))
    assert table[0].endswith("The cat sleeps.")
    first, _ = answers(predict("The cat sleeps.", "Cat the sleep.", "--json").stdout)
    assert first["text"] == "The cat sleeps."
    assert set(first["prediction"]) == {"label", "score"}  # type: ignore[call-overload]


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv"])
def test_every_format_gives_one_line_a_record_in_order(
    predict: Predict, tmp_path: Path, suffix: str
) -> None:
    texts = ["The cat, she sleeps.", 'He said "no".', "Zoë sleeps."]
    content = {
        ".txt": "\r\n".join(texts),
        ".jsonl": "".join(
            json.dumps(line) + "\n"
            for line in (texts[0], {"text": texts[1]}, {"sentence": texts[2]})
        ),
        ".csv": (
            '\ufeffid,sentence\r\n1,"The cat, she sleeps."\r\n'
            '2,"He said ""no""."\r\n3,Zoë sleeps.\r\n'
        ),
    }[suffix]
    (tmp_path / f"in{suffix}").write_text(content, encoding="utf-8", newline="")
    result = predict("--input", f"in{suffix}", "--output", "out.jsonl")
    assert result.returncode == 0, result.stderr
    written = answers((tmp_path / "out.jsonl").read_text())
    assert [line["text"] for line in written] == texts
    # The prompt begins on a line of its own.
    assert re.fullmatch(r"3 sentences in \d+\.\d s, [\d,]+/s\n", result.stderr)


def test_standard_input_is_read_like_a_text_file(predict: Predict) -> None:
    result = predict("--input", "-", "--json", stdin="The cat sleeps.\nThe dog barks.\n")
    assert [line["text"] for line in answers(result.stdout)] == [
        "The cat sleeps.",
        "The dog barks.",
    ]


def test_a_line_that_cannot_be_predicted_keeps_its_place(predict: Predict, tmp_path: Path) -> None:
    lines = [b"The cat sleeps.", b"", b"caf\xe9 in another encoding", b"a\0b", b"The dog barks."]
    (tmp_path / "in.txt").write_bytes(b"\n".join(lines))
    result = predict("--input", "in.txt", "--output", "out.jsonl")
    written = answers((tmp_path / "out.jsonl").read_text())
    assert ["error" in line for line in written] == [False, True, True, True, False]
    assert result.returncode == 0
    closing = result.stderr.splitlines()[-1]
    assert closing.startswith("5 sentences in ")
    assert closing.endswith("3 without a prediction (see `error`)")
    assert len(closing) <= 80


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_file_in_another_unicode_is_refused(
    predict: Predict, tmp_path: Path, encoding: str
) -> None:
    content = "\ufeffThe cat sleeps.\n".encode(encoding)
    (tmp_path / "in.txt").write_bytes(content)
    for result in (predict("--input", "in.txt"), predict("--input", "-", stdin=content)):
        assert result.returncode == 2
        assert "is UTF-16; save it as UTF-8" in result.stderr


@pytest.mark.parametrize("kept", [0, 1, 777, 50_000, 10**9])
def test_an_interrupted_output_is_continued_without_gap_or_repeat(
    predict: Predict, tmp_path: Path, kept: int
) -> None:
    (tmp_path / "in.txt").write_text("\n".join(SENTENCES))
    assert predict("--input", "in.txt", "--output", "whole.jsonl").returncode == 0
    whole = (tmp_path / "whole.jsonl").read_bytes()
    (tmp_path / "cut.jsonl").write_bytes(whole[:kept])  # in the middle of a line, for most
    assert predict("--input", "in.txt", "--output", "cut.jsonl", "--resume").returncode == 0
    assert (tmp_path / "cut.jsonl").read_bytes() == whole
    assert [line["text"] for line in answers(whole.decode())] == SENTENCES


def test_an_output_is_neither_overwritten_nor_mixed_up(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("The cat sleeps.\n")
    (tmp_path / "other.txt").write_text("The dog barks.\n")
    assert predict("--input", "in.txt", "--output", "out.jsonl").returncode == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    again = predict("--input", "in.txt", "--output", "out.jsonl")
    assert (again.returncode, "continue it with --resume" in again.stderr) == (2, True)
    mixed = predict("--input", "other.txt", "--output", "out.jsonl", "--resume")
    assert (mixed.returncode, "does not belong to other.txt" in mixed.stderr) == (2, True)
    assert (tmp_path / "out.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        (["--input", "nowhere.txt"], None, "--input nowhere.txt: No such file"),
        (["--input", "in.xlsx"], "x", "must end in .txt, .jsonl or .csv"),
        (["--input", "in.csv"], "a,b\n1,2\n", "no column is named sentence or text"),
        (["--input", "in.jsonl"], '"fine"\n{broken\n', "line 2: not JSON"),
        (["--input", "in.jsonl"], "[" * 100_000 + "\n", "line 1: JSON that is nested too deeply"),
        (
            ["--input", "in.csv"],
            'sentence\nfine\n"open\n' + "a sentence\n" * 200_000,
            "is a quote not closed",
        ),
        (
            ["--input", "in.csv"],
            'id,"sentence\n' + "a sentence\n" * 200_000,
            "is a quote not closed",
        ),
        (
            ["--input", "in.csv"],
            "sentence\nfine\n" + '"open\n' + "a sentence\n" * 1000,
            "line 3: unexpected end of data",
        ),
        (
            ["--input", "in.csv"],
            'sentence\n"one\nof two lines"\nThe cat, she sleeps.\n',
            "line 4: more fields than columns; put the sentence in quotes",
        ),
        (["--input", "in.jsonl"], '{"sentence": 1}\n', "line 1: neither a string nor an object"),
        (["--input", "in.jsonl"], '{"words": 1}\n', "line 1: neither a string nor an object"),
        (["--model", "nowhere.onnx", "A cat."], None, "nowhere.onnx: No such file"),
        ([""], None, "text is empty"),
        (
            ["--input", "in.txt", "--output", "nowhere/out.jsonl"],
            "A cat.",
            "--output nowhere/out.jsonl: No such file",
        ),
        (
            ["--input", "in.txt", "--output", "/", "--resume"],
            "A cat.",
            "--output /: is no regular file",
        ),
        (
            ["--input", "in.txt", "--output", "/dev/null", "--resume"],
            "A cat.",
            "--output /dev/null: is no regular file",
        ),
        (["--resume", "A cat."], None, "--resume needs --input and --output"),
        (["--input", "in.txt", "--output", "-"], "A cat.", "--output -: leave it out"),
        (["--output", "out.jsonl", "A cat."], None, "--output needs --input"),
        ([], None, "give sentences, or a file with --input"),
    ],
)
def test_mistakes_give_one_line_and_exit_code_2(
    predict: Predict, tmp_path: Path, arguments: list[str], content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / arguments[1]).write_text(content)
    result = predict(*arguments)
    assert result.returncode == 2
    assert message in result.stderr


def test_help_shows_how_to_use_it(predict: Predict) -> None:
    help_text = predict("--help").stdout
    assert "--resume" in help_text
    assert "python inference_onnx.py" in help_text


@pytest.mark.parametrize(
    ("arguments", "reader"),
    [("--input in.txt", "head -1"), ("--input in.txt", "true"), ("'The cat sleeps.'", "true")],
)
def test_a_reader_may_stop_early(tmp_path: Path, arguments: str, reader: str) -> None:
    (tmp_path / "in.txt").write_text("\n".join(SENTENCES))
    script = ROOT / "inference_onnx.py"
    command = f"{sys.executable} {script} --model {TINY_MODEL} {arguments} | {reader}"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        env=BUFFERED,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Error" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["The cat sleeps."], "standard output: File too large"),
        (["--input", "in.txt", "--json"], "standard output: File too large"),
        (["--input", "in.txt", "--output", "out.jsonl"], "--output out.jsonl: File too large"),
    ],
)
def test_a_disk_that_is_full_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "in.txt").write_text("\n".join(SENTENCES))
    script = str(ROOT / "inference_onnx.py")
    command = [sys.executable, script, "--model", str(TINY_MODEL), *arguments]

    # A limit on the size of files stands in for the end of the disk.
    with (tmp_path / "table").open("wb") as table:
        result = subprocess.run(
            ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", *command],
            cwd=tmp_path,
            env=BUFFERED,
            stdout=table,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (result.returncode, result.stderr) == (2, f"error: {message}\n")
