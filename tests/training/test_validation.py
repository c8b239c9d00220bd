"""Predictions for the validation set: collected, evaluated, and refused if they are no numbers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from configs.schema import Config
from configs.training_schema import Optimizer
from errors import ConfigError
from model import ColaModel
from tests.helpers.untrained_model import batch_of_three, build_model
from training.validation import Validation, ValidationRows, offset_to_rate

Compose = Callable[..., Config]


def validated(model: ColaModel) -> dict[str, Any]:
    """Validate with three sentences; return what was logged."""
    logged: dict[str, Any] = {}
    model.log = lambda name, value, **options: logged.update({name: value})  # type: ignore[method-assign]
    model.validation_splits = ["in_domain", "in_domain", "out_of_domain"]
    with torch.no_grad():
        model.eval().validation_step(batch_of_three(), 0)

    model.on_validation_epoch_end()
    return logged


def test_a_repeated_sentence_counts_once() -> None:
    rows = ValidationRows()
    rows.update(torch.tensor([2, 0]), torch.tensor([1, 0]), torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
    rows.update(torch.tensor([1, 2]), torch.tensor([1, 1]), torch.tensor([[0.0, 3.0], [0.0, 1.0]]))
    result = Validation.from_rows(rows.compute())
    assert result.index.tolist() == [0, 1, 2]
    assert result.label.tolist() == [0, 1, 1]
    assert result.logits[1].tolist() == [0.0, 3.0]
    assert result.probability.shape == (3,)


def test_no_prediction_is_collected_as_float64_which_apple_s_gpus_do_not_have() -> None:
    rows = ValidationRows()
    rows.update(torch.tensor([2, 0]), torch.tensor([1, 0]), torch.zeros(2, 2))
    assert rows.compute().dtype == torch.float32


def test_processes_exchange_numbers_since_nccl_refuses_tensors_of_the_cpu(
    compose: Compose,
) -> None:
    logged = validated(build_model(compose("training.match_rate=false")))
    assert {"val/loss", "val/mcc", "val/accuracy_in_domain"} <= logged.keys()
    assert {type(value) for value in logged.values()} == {float}


@pytest.mark.parametrize("rate", ["lr", "pretext_lr"])
def test_a_run_that_diverged_ends_and_names_its_learning_rate(compose: Compose, rate: str) -> None:
    model = build_model(compose("training.lr=3.0", "training.pretext_lr=3.0"))
    if rate == "pretext_lr":
        model.steps = model.steps._replace(pretext=1)
    else:
        model.config.pretext_lr = None

    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)

    with pytest.raises(ConfigError, match=rf"diverged, .* lower training\.{rate}=3\.0"):
        validated(model)

    # Adam has one rate throughout.
    model.config.optimizer = Optimizer.adam
    with pytest.raises(ConfigError, match=r"lower training\.lr=3\.0"):
        validated(model)


def test_the_offset_calls_the_given_share_acceptable() -> None:
    logits = torch.randn(101, 2, generator=torch.Generator().manual_seed(0))
    moved = logits + offset_to_rate(logits, 0.7)
    assert moved.argmax(dim=1).double().mean() == pytest.approx(0.7, abs=0.01)
    assert (offset_to_rate(logits[:1], 0.7) == 0).all(), "one sentence has no share"
