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

Curves = dict[str, list[tuple[int, float]]]
"""By metric, pairs of a step and a value."""


class SeedEachStep(pl.Callback):
    """Makes the random numbers of a step depend on seed, step and process alone.

    A run that was interrupted and resumed then draws the same dropout masks as one that was not.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Seed torch for this step."""
        step = f"{self.seed}-{trainer.current_epoch}-{batch_idx}-{trainer.global_rank}"
        torch.manual_seed(Random(step).getrandbits(63))


class StopOnSignal(pl.Callback):
    """On Ctrl-C or SIGTERM: finish the step, save everything to ``path``, raise ``Interrupted``.

    A second Ctrl-C stops at once. The same file is also written after each epoch (by the
    ``ModelCheckpoint`` of ``trainer.make_trainer``), for ends that no signal announces.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requested = False

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("\nstopping after this step; press Ctrl-C again to stop at once", flush=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to the signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Stop here if it was requested.

        Raises:
            Interrupted: The run was stopped; the message says how to resume it.
        """
        # One process may have got the signal and another not: they must stop at the same step.
        stop = trainer.strategy.reduce_boolean_decision(self.requested, all=False)

        # Saved before a step, where Lightning's progress counters say exactly what has been done.
        if stop:
            trainer.save_checkpoint(self.path)
            raise Interrupted(
                f"stopped at step {trainer.global_step}; continue with the same command and "
                f"training.resume={self.path}"
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the signals to Python again."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Throughput(pl.Callback):
    """Sentences per second of the training steps alone, without validation."""

    def __init__(self) -> None:
        self.sentences, self.seconds, self._started = 0, 0.0, 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Stop the clock and count the sentences of all processes."""
        self.seconds += time.perf_counter() - self._started
        self.sentences += len(batch["label"]) * trainer.world_size

    @property
    def sentences_per_second(self) -> float:
        """Return the speed so far; 0 before the first step."""
        return self.sentences / self.seconds if self.seconds else 0.0


class LearningCurves(pl.Callback):
    """The (step, value) pairs of the metrics that the pictures show; kept when a run is resumed."""

    METRICS = ("train/loss", "val/loss", "val/mcc")

    def __init__(self) -> None:
        self.points: Curves = {name: [] for name in self.METRICS}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the values of this epoch."""
        for name in self.METRICS:
            if name in trainer.callback_metrics:
                value = float(trainer.callback_metrics[name])
                self.points[name].append((trainer.global_step, value))

    def state_dict(self) -> dict[str, Curves]:
        """Return what a resumed run needs."""
        return {"points": self.points}

    def load_state_dict(self, state_dict: dict[str, Curves]) -> None:
        """Go on from the points of the interrupted run."""
        self.points = state_dict["points"]
