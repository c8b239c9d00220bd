"""A file predicted batch by batch: what is continued, what is left alone, and what is shown."""

import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from errors import ConfigError, InvalidText
from prediction import input_files, stream
from prediction.input_files import open_input, read_records
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.stream import BATCH, Stream
from prediction.types import Encoded, Prediction
from tests.helpers.fake_predictor import FakePredictor
from tests.helpers.tiny_model import TINY_MODEL

SENTENCES = [f"The cat sees dog number {number}." for number in range(2 * BATCH + 17)]


class MovedPredictor(FakePredictor):
    """Another model, or the same one in other company: its probabilities are a little higher."""

    def __init__(self, difference: float = 0.0) -> None:
        super().__init__()
        self.difference = difference

    def predict_each(self, texts: Sequence[str]) -> list[Prediction | InvalidText]:
        return [self.predict_or_refuse(text) for text in texts]

    def predict_or_refuse(self, text: str) -> Prediction | InvalidText:
        try:
            (item,) = self.predict_many([text])
        except InvalidText as error:
            return error
        score = item.probability_acceptable + self.difference
        return replace(item, label="acceptable", score=score)


class CountingPredictor(ColaONNXPredictor):
    """Remembers what it has predicted."""

    def __init__(self) -> None:
        super().__init__(TINY_MODEL, threads=2)
        self.predicted: list[str] = []

    def predict_encoded(
        self, encoded: Sequence[Encoded], exclusive: bool = False
    ) -> list[Prediction]:
        self.predicted += [item.text for item in encoded]
        return super().predict_encoded(encoded, exclusive)


class Terminal(io.StringIO):
    """A window that shows both outputs."""

    def isatty(self) -> bool:
        return True


def test_a_line_that_cannot_be_predicted_makes_no_other_one_be_predicted_again(
    tmp_path: Path,
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("\n".join(["", *SENTENCES[:9], "", *SENTENCES[9:20]]))
    predictor = CountingPredictor()
    Stream(predictor, str(source), str(tmp_path / "out.jsonl")).run()
    assert sorted(predictor.predicted) == sorted(SENTENCES[:20])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl", '"one"\n{"sentence": null}\n\n"two"\n'),
        ("in.csv", "id,sentence\n1,one\n2\n\n4,two\n"),
    ],
)
def test_a_record_without_a_sentence_keeps_its_place(
    tmp_path: Path, name: str, content: str
) -> None:
    source, output = tmp_path / name, tmp_path / "out.jsonl"
    source.write_text(content)
    Stream(MovedPredictor(), str(source), str(output)).run()
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["text"] for line in written] == ["one", "", "", "two"]
    assert ["error" in line for line in written] == [False, True, True, False]


@pytest.mark.parametrize("kept", [2, BATCH, BATCH + 1])
def test_an_output_is_continued_by_its_own_model_only(tmp_path: Path, kept: int) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\n".join(["", *SENTENCES]))
    Stream(MovedPredictor(), str(source), str(output)).run()
    lines = output.read_bytes().splitlines(keepends=True)
    interrupted = b"".join(lines[:kept])

    output.write_bytes(interrupted)
    with pytest.raises(ConfigError, match="was predicted by another model"):
        Stream(MovedPredictor(0.02), str(source), str(output), resume=True).run()
    assert output.read_bytes() == interrupted

    Stream(MovedPredictor(0.001), str(source), str(output), resume=True).run()
    written = [json.loads(line)["text"] for line in output.read_text().splitlines()]
    assert written == ["", *SENTENCES]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.txt", "1234567890\n12345678901\n"),
        ("in.jsonl", '"12345678"\n"123456789"\n'),
        ("in.csv", "sentence,b\n12345678,9\n1,2,3,4,5,6\n"),
    ],
)
def test_a_file_that_is_one_endless_line_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    monkeypatch.setattr(input_files, "MAX_CHARACTERS", 10)
    # That of a field would stay with the process.
    monkeypatch.setattr(csv, "field_size_limit", lambda characters: None)
    source = tmp_path / name
    source.write_text(content)
    with open_input(str(source)) as file:
        records = read_records(file, str(source))
        assert "12345678" in next(records)
        with pytest.raises(ConfigError, match=r"line \d: more than 10 characters"):
            next(records)


def test_an_output_that_another_run_still_writes_is_left_to_it(tmp_path: Path) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\n".join(SENTENCES))

    class Impatient(MovedPredictor):
        def predict_each(self, texts: Sequence[str]) -> list[Prediction | InvalidText]:
            with pytest.raises(ConfigError, match="another run is writing it"):
                Stream(MovedPredictor(), str(source), str(output), resume=True).run()
            return super().predict_each(texts)

    Stream(Impatient(), str(source), str(output)).run()
    written = [json.loads(line)["text"] for line in output.read_text().splitlines()]
    assert written == SENTENCES


def test_what_another_run_wrote_before_it_gave_up_the_lock_is_not_overlooked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("The cat sleeps.\n")

    def lock_at_last(file: object) -> bool:
        output.write_text("its answers\n")
        return True

    monkeypatch.setattr(stream, "lock", lock_at_last)
    with pytest.raises(ConfigError, match="exists: continue it with --resume"):
        Stream(MovedPredictor(), str(source), str(output)).run()
    assert output.read_text() == "its answers\n"


@pytest.mark.parametrize(
    "content",
    [
        '{"results": [1, 2]}',
        '{"text": "The cat sleeps."}',
        '{"text": "The cat sleeps.", "prediction": 1}\n',
        "The cat sleeps.\n",
    ],
)
def test_a_file_of_something_else_is_not_continued(tmp_path: Path, content: str) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "precious.json"
    source.write_text("The cat sleeps.\n")
    output.write_text(content)
    with pytest.raises(ConfigError, match=r"precious.json does not belong to .*in.txt"):
        Stream(MovedPredictor(), str(source), str(output), resume=True).run()
    assert output.read_text() == content


def test_a_mistake_in_the_input_leaves_nothing_to_continue(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("{broken\n")
    with pytest.raises(ConfigError, match="not JSON"):
        Stream(MovedPredictor(), str(source), str(output)).run()

    source.write_text('"mended"\n')
    Stream(MovedPredictor(), str(source), str(output)).run()
    assert json.loads(output.read_text())["text"] == "mended"


def test_neither_answers_nor_an_error_follow_the_progress_on_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, terminal = tmp_path / "in.jsonl", Terminal()
    source.write_text('"The cat sleeps."\n' * 2 * BATCH + "{broken\n")
    monkeypatch.setattr(stream, "PROGRESS_SECONDS", 0)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(ConfigError, match="not JSON"):
        Stream(MovedPredictor(), str(source), output=None).run()

    assert terminal.getvalue().count(" sentences, ") == 2
    assert len(re.findall(r" sentences, [\d,]+/s \r\033\[K", terminal.getvalue())) == 2
