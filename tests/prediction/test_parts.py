"""The parts of a predictor that need no model: rows, cores, predictions."""

from pathlib import Path

import pytest

from prediction import cores
from prediction.rows import ROW_TOKENS, plan
from prediction.types import Encoded, Prediction


def encoded(*lengths: int) -> list[Encoded]:
    return [Encoded("text", [1] * length, 0, False) for length in lengths]


def test_packed_rows_are_filled_in_order() -> None:
    half = ROW_TOKENS // 2
    assert list(plan(encoded(half, half, 1, 2), packing=True)) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("packing", [True, False])
def test_a_sentence_longer_than_a_row_has_its_own(packing: bool) -> None:
    rows = list(plan(encoded(5, ROW_TOKENS + 1, 5), packing))
    assert [1] in rows
    assert sorted(position for row in rows for position in row) == [0, 1, 2]


def test_without_packing_a_row_has_sentences_of_one_length() -> None:
    assert list(plan(encoded(3, 5, 3, 5, 4), packing=False)) == [[0, 2], [4], [1, 3]]


def test_no_sentences_need_no_row() -> None:
    assert list(plan([], packing=True)) == []


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("100000 100000", 1), ("50000 100000", 1), ("150000 100000", 2), ("max 100000", 64)],
)
def test_a_container_s_quota_is_rounded_up_to_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, expected: int
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cores, "CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)))
    monkeypatch.delenv("COLA_THREADS", raising=False)

    assert cores.available_cores() == expected


@pytest.mark.parametrize(("megabytes", "expected"), [("512", 1), ("1769", 1), ("3538", 2)])
def test_a_lambda_function_uses_the_cores_that_its_memory_pays_for(
    monkeypatch: pytest.MonkeyPatch, megabytes: str, expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2})
    monkeypatch.delenv("COLA_THREADS", raising=False)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", megabytes)

    assert cores.available_cores() == expected


@pytest.mark.parametrize(
    ("probabilities", "label", "score"),
    [([0.9, 0.1], "unacceptable", 0.9), ([0.3, 0.7], "acceptable", 0.7)],
)
def test_a_prediction_is_the_likelier_label(
    probabilities: list[float], label: str, score: float
) -> None:
    prediction = Prediction.from_probabilities(
        Encoded("a b", [2, 7, 1, 3], unknown_tokens=1, truncated=False),
        probabilities,
        ["unacceptable", "acceptable"],
    )

    assert (prediction.label, prediction.score) == (label, score)
    assert prediction.probability_acceptable == probabilities[1]
    assert (prediction.characters, prediction.tokens, prediction.unknown_tokens) == (3, 4, 1)
