"""Stochastic weight averaging: the mean of the weights over the last epochs (Izmailov et al. 2018).

At a constant learning rate the weights go round a good region without settling in it. Their mean is
nearer to its middle: it ranks sentences better than the weights of any one step.
"""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from training.examples import Batch

STEPS_BETWEEN = 5
"""Steps from one set of weights in the mean to the next, which differs little from it."""


class AverageWeights(pl.Callback):
    """Validates and publishes the mean of the weights since ``first_epoch``.

    After each of these epochs the mean takes the weights' place, for its validation and its
    checkpoint; at the start of the next epoch the weights come back. Every process computes the
    same mean, as all have the same weights. (Lightning's own ``WeightAveraging`` ends the exchange
    before the threshold is set, and validates its copy also before there is a mean.)

    Args:
        first_epoch: Number of the first epoch that counts, from 0.
    """

    def __init__(self, first_epoch: int) -> None:
        self.first_epoch = first_epoch
        self._sets = 0

        # The mean; or the weights, while the mean has taken their place.
        self._others: list[Tensor] = []
        self._are_exchanged = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring what a resumed run has read to the weights' device."""
        self._others = [other.to(pl_module.device) for other in self._others]

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Take this step's weights into the mean, if it is their turn."""
        if trainer.current_epoch < self.first_epoch or batch_idx % STEPS_BETWEEN > 0:
            return

        weights = _trained(pl_module)
        if not self._others:
            self._others = [torch.zeros_like(weight) for weight in weights]

        self._sets += 1
        for mean, weight in zip(self._others, weights, strict=True):
            mean.lerp_(weight, 1 / self._sets)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the mean in the weights' place, unless a published checkpoint is validated."""
        if trainer.state.fn is TrainerFn.FITTING and self._sets > 0:
            self._exchange(pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on from the weights."""
        if self._are_exchanged:
            self._exchange(pl_module)

    def _exchange(self, pl_module: pl.LightningModule) -> None:
        self._are_exchanged = not self._are_exchanged
        for weight, other in zip(_trained(pl_module), self._others, strict=True):
            kept = weight.clone()
            weight.copy_(other)
            other.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {
            "sets": self._sets,
            "others": self._others,
            "are_exchanged": self._are_exchanged,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the mean of the interrupted run."""
        self._sets, self._are_exchanged = state_dict["sets"], state_dict["are_exchanged"]
        self._others = state_dict["others"]


def _trained(module: nn.Module) -> list[Tensor]:
    """Return the weights that training changes; writing to them is not a step of a gradient."""
    return [parameter.data for parameter in module.parameters() if parameter.requires_grad]
