"""What happens around a training step: seeding, stopping on request, timing, learning curves."""

import signal
import time
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch

from errors import Interrupted
from training.examples import Batch


class SeedEachStep(pl.Callback):
    """Makes the random numbers of a step depend on seed, step and process alone.

    A run that was interrupted and resumed then draws the same dropout masks as one that was not.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        place = f"{self.seed}-{trainer.current_epoch}-{batch_idx}-{trainer.global_rank}"
        torch.manual_seed(Random(place).getrandbits(63))


class StopOnSignal(pl.Callback):
    """On Ctrl-C or SIGTERM: finish the step, save everything to ``path``, raise Interrupted.

    A second Ctrl-C stops at once. The same file is written after each epoch, for what cannot be caught.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requested = False

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("\nstopping after this step; press Ctrl-C again to stop at once", flush=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        # Before the step, where Lightning's progress counters say exactly what has been done.
        if trainer.strategy.reduce_boolean_decision(self.requested, all=False):
            trainer.save_checkpoint(self.path)
            raise Interrupted(
                f"stopped at step {trainer.global_step}; continue with the same command and "
                f"training.resume={self.path}"
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Throughput(pl.Callback):
    """Sentences a second of the training steps alone, validation left out."""

    def __init__(self) -> None:
        self.sentences, self.seconds, self._started = 0, 0.0, 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self.seconds += time.perf_counter() - self._started
        self.sentences += len(batch["label"]) * trainer.world_size

    @property
    def sentences_per_second(self) -> float:
        return self.sentences / self.seconds if self.seconds else 0.0


class LearningCurves(pl.Callback):
    """The (step, value) pairs of the metrics that the pictures show; kept over a resume."""

    METRICS = ("train/loss", "val/loss", "val/mcc")

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = {name: [] for name in self.METRICS}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for name in self.METRICS:
            if name in trainer.callback_metrics:
                self.points[name].append(
                    (trainer.global_step, float(trainer.callback_metrics[name]))
                )

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.points = state_dict["points"]
