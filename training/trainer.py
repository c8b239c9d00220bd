"""Lightning's trainer, as the configuration describes it."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger

from configs.schema import Config
from training.averaging import AverageWeights
from training.callbacks import RunCheckpoint, SeedEachStep, StopOnSignal, StopWithoutProgress
from training.precision import choose_precision

HARMLESS_WARNINGS = (
    # Tokens are in memory: a worker process would only cost time.
    ".*does not have many workers.*",
    # It is resumable: see BucketBatchSampler.start_batch.
    ".*your dataloader is not resumable.*",
    ".*number of training batches .* is smaller than the logging interval.*",
    # Hydra's own files are in it.
    ".*Checkpoint directory .* exists and is not empty.*",
    # Between Lightning and torch.
    ".*LeafSpec.*",
)


def quieten() -> None:
    """Silence the messages that a person who trains cannot act on."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in HARMLESS_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


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
        callbacks=_all_callbacks(config, folder, callbacks),
        # BucketBatchSampler distributes the batches.
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def _all_callbacks(
    config: Config, folder: Path, others: Sequence[pl.Callback]
) -> list[pl.Callback]:
    training = config.training

    # The weights of the best epoch, to use them; not of one that has seen the pretext task alone.
    best = RunCheckpoint(
        first_epoch=training.pretext_epochs,
        dirpath=folder,
        filename="best-checkpoint",
        monitor=training.monitor,
        mode=training.monitor_mode,
        save_weights_only=True,
        enable_version_counter=False,
    )

    # Everything, after each epoch, to resume.
    resume = RunCheckpoint(
        dirpath=folder,
        filename="resume",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )

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

    averaging = []
    if training.average_epochs > 0:
        # Never of the pretext task, also where a person asks for fewer epochs of the corpus.
        before = max(0, training.max_epochs - training.average_epochs)
        averaging = [AverageWeights(first_epoch=training.pretext_epochs + before)]

    every_run = [SeedEachStep(config.seed), StopOnSignal(folder / "resume.ckpt")]
    return [best, *averaging, *every_run, *others, *early_stopping, resume]


def best_checkpoint(trainer: pl.Trainer) -> Path:
    """Return the checkpoint with the best value of ``training.monitor``."""
    best = trainer.checkpoint_callback
    assert isinstance(best, ModelCheckpoint)
    return Path(best.best_model_path)
