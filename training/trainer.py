"""Lightning's trainer, as the configuration describes it."""

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger

from configs.schema import Config
from training.callbacks import RunCheckpoint, SeedEachStep, StopOnSignal, StopWithoutProgress
from training.precision import choose_precision


def make_trainer(
    config: Config, folder: Path, logger: Logger | None, callbacks: Sequence[pl.Callback]
) -> pl.Trainer:
    """Return Lightning's trainer with this project's callbacks.

    Args:
        config: The configuration.
        folder: Where checkpoints go.
        logger: Where metrics are recorded.
        callbacks: Further callbacks.
    """
    training = config.training

    # The best epoch's weights, for use, but of none that knows the pretext task alone; everything
    # after each epoch, to resume.
    best = RunCheckpoint(
        first_epoch=training.pretext_epochs,
        dirpath=folder,
        filename="best-checkpoint",
        monitor=training.monitor,
        mode=training.monitor_mode,
        save_weights_only=True,
        enable_version_counter=False,
    )
    resume = RunCheckpoint(
        dirpath=folder,
        filename="resume",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )

    every_run = [SeedEachStep(config.seed), StopOnSignal(folder / "resume.ckpt")]
    early_stopping = []
    if training.patience is not None:
        early_stopping = [
            StopWithoutProgress(
                first_epoch=training.pretext_epochs,
                monitor=training.monitor,
                mode=training.monitor_mode,
                patience=training.patience,
            )
        ]

    return pl.Trainer(
        max_epochs=training.pretext_epochs + training.max_epochs,
        # Each epoch has sentences of its own.
        reload_dataloaders_every_n_epochs=1,
        accelerator=training.accelerator,
        devices=training.devices,
        num_nodes=training.num_nodes,
        strategy=training.strategy,
        precision=choose_precision(training.precision, training.accelerator),
        deterministic=training.deterministic,
        gradient_clip_val=training.gradient_clip,
        log_every_n_steps=training.log_every_n_steps,
        limit_train_batches=training.limit_train_batches,
        limit_val_batches=training.limit_val_batches,
        logger=logger or False,
        callbacks=[best, *every_run, *callbacks, *early_stopping, resume],
        # BucketBatchSampler distributes the batches.
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def best_checkpoint(trainer: pl.Trainer) -> Path:
    """Return the checkpoint with the best value of ``training.monitor``."""
    best = trainer.checkpoint_callback
    assert isinstance(best, ModelCheckpoint)
    return Path(best.best_model_path)
