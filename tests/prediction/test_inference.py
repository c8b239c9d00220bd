"""The PyTorch predictor: the contract, and the same refusals as its ONNX sibling."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from commands.files import sha256_of
from errors import CheckpointError, InvalidText
from export.calibration import NO_CALIBRATION, Calibration
from inference import ColaPredictor, fitted_calibration
from tests.helpers.tiny_model import make_checkpoint

TEXTS = ["The cat sleeps.", "A dog that sees the very old cat sleeps.", "😀", "no " * 500]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "best-checkpoint.ckpt")


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> ColaPredictor:
    return ColaPredictor(checkpoint)


def test_a_batch_answers_in_order_what_one_by_one_answers(predictor: ColaPredictor) -> None:
    batch = predictor.predict_batch(TEXTS)
    assert [answer["text"] for answer in batch] == TEXTS
    for answer in batch:
        alone = predictor.predict(answer["text"])
        assert alone["prediction"]["label"] == answer["prediction"]["label"]
        assert alone["prediction"]["score"] == pytest.approx(
            answer["prediction"]["score"], abs=1e-5
        )
    assert predictor.predict_batch([]) == []


def test_the_input_is_described_truthfully(predictor: ColaPredictor) -> None:
    short, _, emoji, long = predictor.predict_many(TEXTS)
    assert (short.characters, short.truncated) == (15, False)
    assert (emoji.tokens, emoji.unknown_tokens) == (3, 1)
    assert (long.tokens, long.truncated) == (32, True)


@pytest.mark.parametrize("text", ["", "a\0b", "\ud800", None])
def test_impossible_texts_are_refused(predictor: ColaPredictor, text: str) -> None:
    with pytest.raises(InvalidText):
        predictor.predict(text)


def test_a_text_that_cannot_be_predicted_keeps_its_place(predictor: ColaPredictor) -> None:
    first, refused, last = predictor.predict_each([TEXTS[0], "", TEXTS[1]])
    assert [first, last] == predictor.predict_many(TEXTS[:2])
    assert isinstance(refused, InvalidText)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint .*nowhere.ckpt"):
        ColaPredictor(tmp_path / "nowhere.ckpt")


def test_only_its_own_calibration_is_taken(checkpoint: Path) -> None:
    sha256 = sha256_of(checkpoint)
    assert fitted_calibration(checkpoint, sha256) == NO_CALIBRATION

    report = checkpoint.with_name("export_report.json")
    lineage = {"temperature": 2.5, "largest_margin": 3.0, "checkpoint_sha256": "of another"}
    report.write_text(json.dumps({"lineage": lineage}))
    assert fitted_calibration(checkpoint, sha256) == NO_CALIBRATION

    lineage["checkpoint_sha256"] = sha256
    report.write_text(json.dumps({"lineage": lineage}))
    assert fitted_calibration(checkpoint, sha256) == Calibration(2.5, 3.0)

    # An older export bounds nothing.
    del lineage["largest_margin"]
    report.write_text(json.dumps({"lineage": lineage}))
    assert fitted_calibration(checkpoint, sha256) == Calibration(2.5)
    report.unlink()


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": 10**400},
        {"temperature": True},
        {"temperature": 500},
        {"temperature": None},
        {"largest_margin": 0},
        {"largest_margin": "3"},
        {"largest_margin": [2.0]},
        {"largest_margin": float("nan")},
    ],
)
def test_a_calibration_that_no_export_writes_is_refused(
    checkpoint: Path, values: dict[str, Any]
) -> None:
    lineage = {"temperature": 1.0, "checkpoint_sha256": sha256_of(checkpoint), **values}
    refusal = pytest.raises(CheckpointError, match=r"export_report.json .* is not between ")
    with report_of(checkpoint, json.dumps({"lineage": lineage})), refusal:
        ColaPredictor(checkpoint)


@pytest.mark.parametrize("content", ["{", "", "[]", "{}", '{"lineage": null}', '{"lineage": {}}'])
def test_a_damaged_report_is_named(checkpoint: Path, content: str) -> None:
    refusal = pytest.raises(CheckpointError, match=r"export_report.json .*delete it, or export")
    with report_of(checkpoint, content), refusal as caught:
        ColaPredictor(checkpoint)

    # The cause, which the message has already, would be printed again.
    assert caught.value.__cause__ is None


@contextmanager
def report_of(checkpoint: Path, content: str) -> Iterator[None]:
    report = checkpoint.with_name("export_report.json")
    report.write_text(content)
    try:
        yield
    finally:
        report.unlink()


def test_the_command_line_is_the_same(checkpoint: Path, run: Callable[..., Any]) -> None:
    result = run("inference.py", "--model", str(checkpoint), "--json", TEXTS[0])
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["text"] == TEXTS[0]
    assert set(answer["prediction"]) == {"label", "score"}
