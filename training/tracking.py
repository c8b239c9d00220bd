"""Where a run is recorded: Weights & Biases (offline without an account), CSV files, nowhere."""

import netrc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytorch_lightning as pl
import wandb
from pydantic import ValidationError
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from configs.recorded import plain
from configs.schema import Config, LoggerKind
from corpus.format import Sentence
from errors import ConfigError
from prediction.types import LABELS
from training.validation import Validation

INIT_TIMEOUT = 30
"""Seconds after which an unreachable W&B server is given up."""

UPLOAD_TIMEOUT = 600
"""Seconds at the end of a run after which the upload of the rest of it is given up."""


def make_logger(config: Config, run_dir: Path) -> Logger | None:
    """Return the logger that ``config.logger`` names; W&B's has recorded the whole configuration.

    Raises:
        ConfigError: W&B's server does not answer, or W&B refuses a setting.
    """
    if config.logger.kind is LoggerKind.none:
        return None
    if config.logger.kind is LoggerKind.csv:
        return CSVLogger(str(run_dir), name="", version="csv")

    # WANDB_MODE set by the user wins.
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if has_account() else "offline")

    # The first record starts the run, and with it the connection.
    try:
        settings = wandb.Settings(
            mode=mode,
            init_timeout=INIT_TIMEOUT,
            finish_timeout=UPLOAD_TIMEOUT,
            finish_timeout_raises=True,
            silent=True,
            console="off",
        )
        logger = WandbLogger(
            save_dir=str(run_dir),
            project=config.logger.project,
            entity=config.logger.entity,
            settings=settings,
        )
        logger.log_hyperparams(plain(config))
    except wandb.errors.CommError as error:
        raise ConfigError(
            f"W&B does not answer ({error}); set WANDB_MODE=offline or logger=csv"
        ) from None
    except (wandb.errors.UsageError, ValidationError) as error:
        raise ConfigError(
            "W&B refuses logger.project, logger.entity or WANDB_MODE; set another, or logger=csv"
        ) from error
    return logger


@contextmanager
def record(config: Config, run_dir: Path) -> Iterator[Logger | None]:
    """Record a run; close the record at the end, as failed if an error is raised.

    Yields:
        The logger that ``config.logger`` names.

    Raises:
        ConfigError: See ``make_logger``.
    """
    logger = make_logger(config, run_dir)
    failed = True
    try:
        yield logger
        failed = False
    finally:
        finish(failed=failed)


def has_account() -> bool:
    """Return whether the environment or ~/.netrc has a key for W&B; nobody is asked for one."""
    if os.environ.get("WANDB_API_KEY"):
        return True

    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False


def finish(*, failed: bool) -> None:
    """Close the W&B run, if there is one, and print how to upload what W&B does not have yet."""
    if wandb.run is None:
        return

    folder, offline = Path(wandb.run.dir).parent, wandb.run.settings.mode == "offline"
    try:
        wandb.finish(exit_code=1 if failed else 0)
    except TimeoutError:
        print(f"W&B was too slow for the whole run; upload the rest with: wandb sync {folder}")
        return
    if offline:
        print(f"W&B recorded offline; upload with: wandb sync {folder}")


class TrackValidation(pl.Callback):
    """Records confusion matrix, ROC curve and wrong predictions in W&B, after each validation.

    Args:
        sentences: The validation set.
    """

    def __init__(self, sentences: Sequence[Sentence]) -> None:
        self.sentences = sentences

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record ``pl_module.validation``."""
        result: Validation | None = getattr(pl_module, "validation", None)
        if result is None or not trainer.is_global_zero:
            return
        if not isinstance(trainer.logger, WandbLogger):
            return

        label, probability = result.label.tolist(), result.probability.tolist()
        predicted = (result.probability > 0.5).long().tolist()
        both_probabilities = [[1 - p, p] for p in probability]

        trainer.logger.experiment.log(
            {
                "confusion_matrix": wandb.plot.confusion_matrix(
                    y_true=label, preds=predicted, class_names=LABELS
                ),
                "roc": wandb.plot.roc_curve(label, both_probabilities, labels=LABELS),
                "wrong_predictions": self._wrong_predictions(result),
                "trainer/global_step": trainer.global_step,
            }
        )

    def _wrong_predictions(self, result: Validation) -> wandb.Table:
        table = wandb.Table(
            columns=["sentence", "source", "label", "predicted", "probability_acceptable"]
        )
        for index, label, probability in zip(
            result.index.tolist(), result.label.tolist(), result.probability.tolist(), strict=True
        ):
            predicted = int(probability > 0.5)
            if predicted != label:
                sentence = self.sentences[index]
                table.add_data(
                    sentence.text, sentence.source, LABELS[label], LABELS[predicted], probability
                )
        return table


def log_checkpoint(logger: Logger | None, checkpoint: Path) -> None:
    """Record the best checkpoint as an artifact, if the run is recorded in W&B.

    W&B keeps a copy: the next run replaces the file, perhaps before `wandb sync` uploads it.
    """
    if isinstance(logger, WandbLogger):
        artifact = wandb.Artifact("best-checkpoint", type="model")
        artifact.add_file(str(checkpoint))
        logger.experiment.log_artifact(artifact)
