"""What is refused before training, because it would only fail after an epoch or an hour of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from transformers import PreTrainedModel

from corpus.format import Sentence
from errors import CheckpointError, ConfigError, CorpusError
from training.metrics import evaluate, logged
from training.provenance import Provenance


def resume_folder(resume: str | None) -> Path | None:
    """Return the folder of the run that is resumed, which holds its best checkpoint so far.

    Raises:
        CheckpointError: There is no file ``resume``, or nothing to resume from in it.
    """
    if resume is None:
        return None
    if not Path(resume).is_file():
        raise CheckpointError(
            f"training.resume={resume}: there is no such file; give a run's resume.ckpt"
        )

    try:
        # Mapped, not read: the weights are not looked at.
        checkpoint = torch.load(resume, map_location="cpu", weights_only=True, mmap=True)
        Provenance.from_json(checkpoint["cola"])
    except Exception as error:
        # torch raises errors of many kinds for a damaged file.
        raise CheckpointError(
            f"training.resume={resume} is not a checkpoint of train.py ({type(error).__name__}); "
            "give a run's resume.ckpt"
        ) from None
    if "optimizer_states" not in checkpoint:
        raise CheckpointError(
            f"training.resume={resume} has the weights alone; give a run's resume.ckpt"
        )
    return Path(resume).parent


def require_monitor(monitor: str, sentences: Sequence[Sentence], splits: Sequence[str]) -> None:
    """Refuse a ``training.monitor`` that validation does not log.

    Args:
        monitor: The name.
        sentences: The validation set.
        splits: The split of each of its sentences.

    Raises:
        ConfigError: No metric has this name, or it is not defined for the labels of that split.
    """
    # Any predictions will do: whether a metric is defined depends on the labels alone.
    label = torch.tensor([sentence.label for sentence in sentences])
    metrics = evaluate(torch.zeros(len(label)), label, splits)

    names = {"train/loss", "train/gradient_norm", "val/loss", *logged(metrics)}
    if monitor not in names:
        raise ConfigError(
            f"training.monitor={monitor}: this validation set does not give it; choose val/loss or"
            " another name in docs/04_tracking.md (most need sentences of both labels)"
        )


def require_positions(network: PreTrainedModel, max_length: int) -> None:
    """Refuse a ``processing.max_length`` beyond the last position that the network knows.

    Raises:
        ConfigError: A sentence of so many tokens would end in an error, in training or at export.
    """
    embeddings = getattr(network.base_model, "embeddings", None)
    table = getattr(embeddings, "position_embeddings", None)

    # DeBERTa's positions are relative: there is no last one.
    if table is None:
        return

    # MPNet counts from the position after padding's own.
    before_first = 0 if table.padding_idx is None else table.padding_idx + 1
    positions = table.num_embeddings - before_first
    if max_length > positions:
        raise ConfigError(
            f"processing.max_length={max_length}: the model has {positions} positions; "
            "give at most as many"
        )


def require_same_corpus(trainer: pl.Trainer, name: str, digest: str) -> None:
    """Refuse to train if the hub has answered one process and not another.

    Args:
        trainer: Asks the other processes.
        name: Name of the corpus that this process has found.
        digest: SHA-256 of its sentences.

    Raises:
        CorpusError: The processes have different corpora. It is raised on all of them, since one
            that went on would wait for the others.
    """
    is_same = trainer.strategy.broadcast(digest) == digest
    if not trainer.strategy.reduce_boolean_decision(is_same):
        raise CorpusError(
            f"not all processes have found the same corpus (here: {name}); name one source, such as"
            " data.sources=[hub]"
        )


@contextmanager
def report_refused_settings(*others: type[Exception]) -> Iterator[None]:
    """Raise a ConfigError for what Lightning has to say about the group ``training``.

    Args:
        others: Errors that, in this block, also mean that a setting cannot be used.
    """
    refusals: tuple[type[Exception], ...] = (MisconfigurationException, *others)
    try:
        yield
    except refusals as error:
        raise ConfigError("Lightning refuses a setting of the group training") from error
