"""The last layer computes the first token only, and the logits are those of all tokens."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from configs.schema import Config
from model import ColaModel
from tests.helpers.untrained_model import batch_of_three, build_model
from training.examples import Batch

Compose = Callable[..., Config]

SCRATCH = "model.from_scratch"
DISTILBERT = (f"{SCRATCH}.model_type=distilbert", f"+{SCRATCH}.n_layers=2", f"+{SCRATCH}.n_heads=2")


def tokens_computed(model: ColaModel, step: Callable[[], object]) -> list[int]:
    """Return for how many tokens a step runs each layer's feed-forward network."""
    found: list[int] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        found.append(output.shape[1])

    encoder: Any = model.network.base_model.encoder
    hooks = [layer.intermediate.register_forward_hook(note) for layer in encoder.layer]
    step()
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(
    "overrides",
    [(), (f"{SCRATCH}.model_type=electra",), DISTILBERT],
    ids=["bert", "electra", "distilbert"],
)
def test_the_logits_are_those_of_all_tokens(compose: Compose, overrides: tuple[str, ...]) -> None:
    model = build_model(compose(*overrides)).eval()
    batch = batch_of_three()
    with torch.inference_mode():
        short = model(batch["input_ids"], batch["attention_mask"])
        with model.first_token_hook.paused():
            full = model(batch["input_ids"], batch["attention_mask"])

    assert full.std() > 0
    torch.testing.assert_close(short, full, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "electra"])
def test_only_the_pretext_task_computes_all_tokens(compose: Compose, architecture: str) -> None:
    overrides = ("training.pretext_epochs=1", f"{SCRATCH}.model_type={architecture}")
    model = build_model(compose(*overrides)).train()
    model.log = lambda *arguments, **options: None  # type: ignore[method-assign]

    batch = batch_of_three()
    broken: Batch = {**batch, "token_label": torch.zeros(3, 7, dtype=torch.int64)}
    assert tokens_computed(model, lambda: model.training_step(batch, 0)) == [7, 1]
    assert tokens_computed(model, lambda: model.training_step(broken, 0)) == [7, 7]
    assert tokens_computed(model, lambda: model.training_step(batch, 0)) == [7, 1]
