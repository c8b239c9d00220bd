"""Temperature scaling on logits whose right temperature is known."""

import pytest
import torch

from export.calibration import BOUNDS, expected_calibration_error, fit_temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 2, generator=generator)
    label = torch.multinomial((logits / temperature).softmax(dim=1), 1, generator=generator)[:, 0]

    fitted = fit_temperature(logits, label)
    assert fitted == pytest.approx(temperature, rel=0.05)
    assert expected_calibration_error(logits / fitted, label) < 0.015


def test_a_model_that_is_never_wrong_gets_a_finite_temperature() -> None:
    logits = torch.tensor([[2.0, -2.0], [-2.0, 2.0]])
    assert BOUNDS[0] <= fit_temperature(logits, torch.tensor([0, 1])) < 0.2


def test_the_error_is_the_distance_between_score_and_accuracy() -> None:
    # Nine times out of ten, says the model; six, in truth.
    logits = torch.log(torch.tensor([[0.9, 0.1]] * 10))
    label = torch.tensor([0] * 6 + [1] * 4)

    assert expected_calibration_error(logits, label) == pytest.approx(0.3, abs=1e-6)
