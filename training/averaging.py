"""The mean of the weights of several epochs."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from training.examples import Batch


class MeanOfEpochs(pl.Callback):
    """Ends training with the mean of the weights after each of the last epochs.

    Which epoch does best on a few hundred validation sentences is mostly chance. The mean of
    several depends on no such choice, and generalizes at least as well as the last of them
    (Izmailov et al. 2018, arXiv 1803.05407). The last epoch's validation evaluates the mean.

    Args:
        first_epoch: The first epoch that counts.
    """

    def __init__(self, first_epoch: int) -> None:
        self.first_epoch = first_epoch
        self.count = 0
        self.mean: dict[str, Tensor] = {}

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """After an epoch's last step, count its weights in; after the last one's, take the mean."""
        if not trainer.is_last_batch or trainer.current_epoch < self.first_epoch:
            return

        learned = {
            name: weight.detach()
            for name, weight in pl_module.named_parameters()
            if weight.requires_grad
        }
        self.count += 1
        for name, weight in learned.items():
            mean = self.mean.setdefault(name, torch.zeros_like(weight, device="cpu"))
            mean.lerp_(weight.cpu(), 1 / self.count)

        if trainer.current_epoch + 1 == trainer.max_epochs:
            for name, weight in learned.items():
                weight.copy_(self.mean[name])

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"count": self.count, "mean": self.mean}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the mean of the interrupted run."""
        self.count, self.mean = state_dict["count"], state_dict["mean"]
