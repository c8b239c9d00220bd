"""Calibration on logits whose right one is known, and the error that is left."""

import pytest
import torch

from errors import ExportError
from export.calibration import (
    FOLDS,
    LARGEST_MARGINS,
    NO_CALIBRATION,
    TEMPERATURES,
    Calibration,
    calibrate_by_folds,
    calibration_error_by_chance,
    expected_calibration_error,
    fit_calibration,
)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 2, generator=generator)
    label = torch.multinomial((logits / temperature).softmax(dim=1), 1, generator=generator)[:, 0]

    fitted = fit_calibration(logits, label)
    assert fitted.temperature == pytest.approx(temperature, rel=0.05)
    assert expected_calibration_error(fitted.apply(logits).softmax(dim=1), label) < 0.015


def test_labels_that_people_do_not_agree_on_bound_the_margin() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(20_000, 2, generator=generator)
    label = logits.argmax(dim=1)
    is_other = torch.rand(len(label), generator=generator) < 0.1
    label = torch.where(is_other, 1 - label, label)

    # A sentence with a large margin has the other label one time in ten: log(9) is 2.2.
    fitted = fit_calibration(logits, label)
    assert fitted.largest_margin == pytest.approx(2.2, abs=0.1)
    assert expected_calibration_error(fitted.apply(logits).softmax(dim=1), label) < 0.015


@pytest.mark.parametrize("calibration", [Calibration(0.3, 1.5), Calibration(4.0), NO_CALIBRATION])
def test_no_calibration_changes_a_label_or_the_order(calibration: Calibration) -> None:
    margin = torch.linspace(-4, 4, 81)
    logits = torch.stack([1 - margin / 2, 1 + margin / 2], dim=1)
    calibrated = calibration.apply(logits).diff(dim=1)[:, 0]

    assert (calibrated.diff() > 0).all()
    assert torch.equal(calibrated.sign(), logits.diff(dim=1)[:, 0].sign())
    assert calibrated.abs().max() <= (calibration.largest_margin or 8)


def test_without_calibration_logits_stay_as_they_are() -> None:
    logits = torch.randn(5, 2)
    assert torch.equal(NO_CALIBRATION.apply(logits), logits)


def test_a_model_that_is_never_wrong_gets_a_finite_calibration() -> None:
    logits = torch.tensor([[2.0, -2.0], [-2.0, 2.0]])
    fitted = fit_calibration(logits, torch.tensor([0, 1]))

    # Much surer than it was, and no surer than the limits.
    assert TEMPERATURES[0] <= fitted.temperature < 0.5
    assert fitted.largest_margin is not None
    assert 10 < fitted.largest_margin <= LARGEST_MARGINS[1] * 1.0001


def test_no_sentence_is_calibrated_by_its_own_label() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, 2, generator=generator)
    label = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    calibrated = calibrate_by_folds(logits, label)

    # Another label of one sentence moves the scores of other folds, and not those of its own.
    label[0] = 1 - label[0]
    is_moved = (calibrate_by_folds(logits, label) - calibrated).abs().amax(dim=1) > 1e-4
    assert not is_moved[0]
    assert is_moved.sum() == 40 - 40 / FOLDS


@pytest.mark.parametrize("logits", [torch.empty(0, 2), torch.tensor([[1.0, float("nan")]])])
def test_nothing_is_fitted_on_no_sentence_or_on_no_numbers(logits: torch.Tensor) -> None:
    with pytest.raises(ExportError, match="calibration: the model's logits are not finite"):
        fit_calibration(logits, torch.zeros(len(logits), dtype=torch.long))


def test_the_error_is_the_distance_between_score_and_accuracy() -> None:
    # Nine times out of ten, says the model; six, in truth.
    scores = torch.tensor([[0.9, 0.1]] * 10)
    label = torch.tensor([0] * 6 + [1] * 4)

    assert expected_calibration_error(scores, label) == pytest.approx(0.3, abs=1e-6)


def test_exact_probabilities_show_an_error_by_chance_that_more_sentences_make_smaller() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(8_000, 2, generator=generator).softmax(dim=1)
    label = torch.multinomial(scores, 1, generator=generator)[:, 0]

    # As the error of labels drawn by the probabilities: of many such sets, their mean.
    few = [
        expected_calibration_error(scores[start : start + 400], label[start : start + 400])
        for start in range(0, 8_000, 400)
    ]
    by_chance = calibration_error_by_chance(scores[:400])
    assert by_chance == pytest.approx(sum(few) / len(few), abs=0.01)
    assert calibration_error_by_chance(scores) < by_chance / 3


def test_certain_probabilities_show_no_error_by_chance() -> None:
    assert calibration_error_by_chance(torch.tensor([[1.0, 0.0]] * 20)) == 0
