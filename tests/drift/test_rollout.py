"""Windows in which more than one model answered: only the reference's own is judged by it."""

from dataclasses import replace
from itertools import islice

import pytest

from drift.verdict import judge
from drift.windows import Window, from_records
from prediction.types import Prediction
from tests.helpers.drift_data import (
    END,
    HOUR,
    REFERENCE,
    VALIDATION,
    population,
    record,
    window,
)

OTHER = "ffffffffffff"
"""The version of another model than the reference's."""


def mixed(expected: list[Prediction], others: list[Prediction]) -> Window:
    """A window in which the reference's model and another one answered."""
    at = END - HOUR / 2
    lines = [record(item, at) for item in expected]
    lines += [record(item, at, OTHER) for item in others]
    return replace(from_records(lines, END - HOUR, END, REFERENCE), is_covered=True)


def some(count: int, **change: float) -> list[Prediction]:
    """So many predictions, of a population that has changed."""
    return list(islice(population(1, **change), count))


def test_the_scores_of_another_model_are_not_judged() -> None:
    both = mixed(VALIDATION, others=some(1000, shift=0.3, length=25.0, unknown=0.1))
    assert (both.count, both.total) == (1043, 2043)

    found = judge(both, both, REFERENCE)
    assert found.reasons == ["unexpected_model_share"]
    assert found.state == "alarm"
    assert not found.retrain


@pytest.mark.parametrize("answered", [60, 900])
def test_a_roll_out_is_no_alarm(answered: int) -> None:
    old = some(400, shift=0.3)
    before, during = mixed([], others=old), mixed(VALIDATION[:answered], others=old)

    found = judge(during, before, REFERENCE)
    assert found.reasons == ["unexpected_model_share"]
    assert found.state == "drift"

    after = judge(mixed(VALIDATION, others=[]), during, REFERENCE)
    assert after.state in ("ok", "warning")


def test_what_has_drifted_once_asks_for_no_retraining_in_the_alarm_of_another_check() -> None:
    before = mixed(VALIDATION, others=VALIDATION[:200])
    found = judge(mixed(some(400, length=25.0), others=VALIDATION[:200]), before, REFERENCE)
    assert found.state == "alarm"
    assert {"unexpected_model_share", "length_psi"} <= set(found.reasons)
    assert not found.retrain


def test_too_few_answers_of_the_expected_model_cannot_tell() -> None:
    found = judge(mixed(VALIDATION[:199], others=VALIDATION[:2]), window(VALIDATION), REFERENCE)
    assert found.state == "unknown"
