"""The mean of the weights: what is in it, when it stands in for the weights, and after a stop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from configs.schema import Config
from training.averaging import STEPS_BETWEEN, AverageWeights
from training.trainer import make_trainer

Compose = Callable[..., Config]

# Two sets of weights an epoch go into the mean.
BATCHES: Any = DataLoader([torch.zeros(1)] * 2 * STEPS_BETWEEN)  # type: ignore[arg-type]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Counter(pl.LightningModule):
    """Its weight is the number of its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.frozen = nn.Parameter(torch.full((1,), 7.0), requires_grad=False)
        self.validated: list[float] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return -self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        if batch_idx == 0:
            self.validated.append(self.weight.item())
        self.log("val/mcc_in_domain", self.weight.item())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.weight], lr=1.0)


def fit(folder: Path, resume: Path | None = None) -> Counter:
    """Train with the mean of all epochs but the first."""
    every_epoch = ModelCheckpoint(
        folder,
        "{epoch}",
        save_top_k=-1,
        save_on_train_epoch_end=True,
        auto_insert_metric_name=False,
    )
    trainer = pl.Trainer(
        max_epochs=3,
        callbacks=[AverageWeights(first_epoch=1), every_epoch],
        logger=False,
        accelerator="cpu",
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Counter()
    trainer.fit(module, BATCHES, BATCHES, ckpt_path=resume, weights_only=True)

    # The published checkpoint is validated as it is.
    trainer.validate(module, BATCHES, ckpt_path=folder / "0.ckpt", verbose=False, weights_only=True)
    return module


def test_the_mean_stands_in_for_the_weights_once_there_is_one(tmp_path: Path) -> None:
    module = fit(tmp_path)

    # Ten steps an epoch, of which the first and the sixth count: 11, 16, 21 and 26.
    assert module.validated == [10.0, 13.5, 18.5, 10.0]
    assert module.frozen.item() == 7.0

    saved = torch.load(tmp_path / "2.ckpt", weights_only=True)
    assert saved["state_dict"]["weight"].item() == 18.5


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_run_that_was_killed_after_an_epoch_goes_on_from_its_weights(
    tmp_path: Path, epoch: int
) -> None:
    fit(tmp_path)
    resumed = fit(tmp_path, resume=tmp_path / f"{epoch}.ckpt")
    assert resumed.validated[-2] == 18.5


@pytest.mark.parametrize(("epochs", "expected"), [(0, []), (1, [4]), (2, [3]), (4, [2])])
def test_the_last_epochs_of_the_corpus_count(
    compose: Compose, tmp_path: Path, epochs: int, expected: list[int]
) -> None:
    config = compose(
        "training.pretext_epochs=2", "training.max_epochs=3", f"training.average_epochs={epochs}"
    )
    callbacks: Any = vars(make_trainer(config, tmp_path, None, []))["callbacks"]
    averaging = [item for item in callbacks if isinstance(item, AverageWeights)]
    assert [callback.first_epoch for callback in averaging] == expected
