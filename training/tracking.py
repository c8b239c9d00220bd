"""Where a run is recorded: Weights & Biases (offline where there is no account), CSV files, or nowhere."""

import netrc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytorch_lightning as pl
import wandb
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from errors import ConfigError
from prediction.types import LABELS
from training.validation import Validation

INIT_TIMEOUT = 30  # seconds until an unreachable W&B server is given up


def make_logger(config: Mapping[str, Any], run_dir: Path) -> Logger | None:
    """The logger that ``config['logger']`` asks for, with the resolved configuration recorded in it.

    Raises:
        ConfigError: there is a W&B account, but its server does not answer.
    """
    settings = config["logger"]
    if settings["kind"] == "none":
        return None
    if settings["kind"] == "csv":
        return CSVLogger(str(run_dir), name="", version="csv")
    offline = os.environ.get("WANDB_MODE") == "offline" or not has_account()
    logger = WandbLogger(
        save_dir=str(run_dir),
        project=settings["project"],
        entity=settings["entity"],
        settings=wandb.Settings(
            mode="offline" if offline else "online",
            init_timeout=INIT_TIMEOUT,
            silent=True,
            console="off",
        ),
    )
    try:
        logger.experiment.config.update(dict(config))
    except wandb.errors.CommError as error:
        raise ConfigError(
            f"W&B does not answer ({error}); set WANDB_MODE=offline or logger=csv"
        ) from error
    return logger


def has_account() -> bool:
    """Whether there is a key for W&B, in the environment or in ~/.netrc, without asking anybody for one."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False


def finish(*, failed: bool) -> None:
    """Close the W&B run, also of a training that failed, and say how to upload an offline one."""
    if wandb.run is None:
        return
    folder, offline = Path(wandb.run.dir).parent, wandb.run.settings.mode == "offline"
    wandb.finish(exit_code=1 if failed else 0)
    if offline:
        print(f"W&B recorded offline; upload with: wandb sync {folder}")


class TrackValidation(pl.Callback):
    """After each validation: confusion matrix, ROC curve and the table of wrong predictions."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        result: Validation | None = getattr(pl_module, "validation", None)
        if (
            not trainer.is_global_zero
            or result is None
            or not isinstance(trainer.logger, WandbLogger)
        ):
            return
        probability, label = result.probability, result.label
        sentences = trainer.datamodule.corpus.validation  # type: ignore[attr-defined]
        rows: Sequence[list[Any]] = [
            [sentences[i].text, sentences[i].source, LABELS[truth], LABELS[int(p > 0.5)], p]
            for i, truth, p in zip(
                result.index.tolist(), label.tolist(), probability.tolist(), strict=True
            )
            if (p > 0.5) != bool(truth)
        ]
        columns: list[str | int] = [
            "sentence",
            "source",
            "label",
            "predicted",
            "probability_acceptable",
        ]
        both = [[1 - p, p] for p in probability.tolist()]
        predicted = (probability > 0.5).long().tolist()
        trainer.logger.experiment.log(
            {
                "confusion_matrix": wandb.plot.confusion_matrix(
                    y_true=label.tolist(), preds=predicted, class_names=LABELS
                ),
                "roc": wandb.plot.roc_curve(label.tolist(), both, labels=LABELS),
                "wrong_predictions": wandb.Table(columns=columns, data=list(rows)),
                "trainer/global_step": trainer.global_step,
            }
        )


def log_checkpoint(logger: Logger | None, checkpoint: Path) -> None:
    """Record the best checkpoint as a W&B artifact."""
    if isinstance(logger, WandbLogger):
        artifact = wandb.Artifact("best-checkpoint", type="model")
        artifact.add_file(str(checkpoint), policy="immutable")
        logger.experiment.log_artifact(artifact)
