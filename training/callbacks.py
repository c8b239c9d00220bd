"""What happens in a run: seeding, stopping, checkpoints, timing, learning curves."""

import signal
import time
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from errors import CheckpointError, Interrupted
from training.examples import Batch

Curves = dict[str, list[tuple[int, float]]]
"""Pairs of a step and a value, by metric."""


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
    ``RunCheckpoint`` of ``trainer.make_trainer``), for ends that no signal announces.
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
        """Stop before this step if it was requested."""
        self._stop_if_requested(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if it was requested in the last step, or in the validation after it."""
        # A run that stops early is over: resumed, it would not know.
        if not trainer.should_stop:
            self._stop_if_requested(trainer)

        # What follows is stopped at once.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _stop_if_requested(self, trainer: pl.Trainer) -> None:
        """Save and stop, here where Lightning's counters say exactly what has been done.

        Lightning then gives the signals back to those who had them before.

        Raises:
            Interrupted: The run was stopped; the message says how to resume it.
        """
        # One process may have got the signal and another not: they must stop at the same step.
        if trainer.strategy.reduce_boolean_decision(self.requested, all=False):
            trainer.save_checkpoint(self.path)
            raise Interrupted(
                f"stopped at step {trainer.global_step}; continue with the same command and "
                f"training.resume={self.path}"
            )


class StopWithoutProgress(EarlyStopping):
    """Stops a run early; the epochs before ``first_epoch`` do not count.

    Args:
        first_epoch: Number of the first epoch that counts, from 0.
        options: Those of ``EarlyStopping``.
    """

    def __init__(self, *, first_epoch: int, **options: Any) -> None:
        super().__init__(**options)
        self.first_epoch = first_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the metric, if this epoch counts."""
        if trainer.current_epoch >= self.first_epoch:
            super().on_train_epoch_end(trainer, pl_module)


class RunCheckpoint(ModelCheckpoint):
    """Saves a checkpoint after each epoch from ``first_epoch`` on, in a folder that may be moved.

    Args:
        first_epoch: Number of the first epoch that counts, from 0.
        options: Those of ``ModelCheckpoint``.
    """

    def __init__(self, *, first_epoch: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.first_epoch = first_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, if this epoch counts."""
        if trainer.current_epoch >= self.first_epoch:
            super().on_train_epoch_end(trainer, pl_module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the files of the interrupted run, where its folder is now.

        Raises:
            CheckpointError: The best epoch of that run is not in the folder.
        """
        folder = Path(str(self.dirpath))

        def moved(path: str) -> str:
            return str(folder / Path(path).name) if path else ""

        # Lightning forgets the best score if the folder is another one.
        best, scores = moved(state_dict["best_model_path"]), state_dict["best_k_models"]
        here = {
            "dirpath": self.dirpath,
            "best_model_path": best,
            "kth_best_model_path": moved(state_dict["kth_best_model_path"]),
            "best_k_models": {moved(path): score for path, score in scores.items()},
        }
        if scores and not Path(best).is_file():
            raise CheckpointError(
                f"there is no {best}, the best epoch of the run to resume; "
                "it belongs beside that run's resume.ckpt"
            )
        super().load_state_dict({**state_dict, **here})


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
