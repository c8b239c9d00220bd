"""The group ``training`` of the schema: epochs, optimizer, devices."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from omegaconf import MISSING


class Optimizer(Enum):
    """How the weights are updated."""

    adamw = "adamw"
    """A learning rate by ``training/schedule.py``; weight decay on all but biases and norms."""

    adam = "adam"
    """As in the MLOps-Basics tutorial: a constant learning rate and no weight decay."""


@dataclass
class TrainingConfig:
    """Epochs, optimizer, devices."""

    pretext_epochs: int = MISSING
    """Epochs of the pretext task, before the corpus: distinguish whole sentences from sentences
    that were broken on purpose (``training/corruption.py``). 0: none.
    """

    grammar_sentences: int = MISSING
    """Sentences of each phenomenon that the grammar in ``corpus/`` draws for each epoch of it."""

    max_epochs: int = MISSING
    """Epochs of the corpus, after the pretext task."""

    average_epochs: int = MISSING
    """The last epochs of the corpus whose weights are averaged (``training/averaging.py``), all of
    them if there are fewer; the learning rate then stays at ``lr``. 0: none, and it falls to 0.
    """

    optimizer: Optimizer = MISSING
    """With ``adam``, ``weight_decay``, ``warmup_share`` and ``layer_decay`` are not used, and the
    rate is ``lr`` throughout.
    """

    lr: float = MISSING
    """Learning rate of the head at its peak in the corpus's epochs."""

    pretext_lr: float | None = MISSING
    """The peak in the pretext task, from which it goes to ``lr``; the corpus then begins with a new
    optimizer. null: both are one phase.
    """

    weight_decay: float = MISSING
    """Weight decay of AdamW, which biases and norms do not have."""

    warmup_share: float = MISSING
    """Share of a phase's steps in which the rate rises linearly from 0 to its peak."""

    layer_decay: float = MISSING
    """Learning rate of a layer = that of the layer above times this. 1: one rate for all layers."""

    label_smoothing: float = MISSING
    """Share of each label's weight that is spread evenly over both labels. 0: none."""

    adversarial: float = MISSING
    """Length of the step by which each sentence's embeddings are moved before it is learned, in the
    direction that raised its loss most in the epoch before (``training/adversarial.py``). 0: off.
    """

    freeze_words: bool = MISSING
    """Whether the word embeddings stay as they are: half of the default model's parameters."""

    match_rate: bool = MISSING
    """Whether the decision threshold is chosen so that the predicted share of acceptable in-domain
    validation sentences equals the training set's. Their labels are not used.
    """

    gradient_clip: float | None = MISSING
    """Largest norm of the gradient. null: no limit."""

    monitor: str = MISSING
    """Logged name of the metric that chooses the best checkpoint and stops early."""

    monitor_mode: str = MISSING
    """``max`` or ``min``: which values of ``monitor`` are better."""

    patience: int | None = MISSING
    """Validations without improvement before training stops; those of the pretext task do not
    count. null: it never stops early.
    """

    deterministic: bool = MISSING
    """Whether to use deterministic algorithms only."""

    log_every_n_steps: int = MISSING
    """Steps between two records of the training loss."""

    limit_train_batches: float = MISSING
    """Share of an epoch's training batches that is used."""

    limit_val_batches: float = MISSING
    """Share of the validation batches that is used."""

    accelerator: str = MISSING
    """Lightning's ``accelerator``: ``cpu``, ``gpu``, ``auto``, ..."""

    devices: Any = MISSING
    """Lightning's ``devices``: a number, a list of indices, or ``auto``."""

    num_nodes: int = MISSING
    """Machines that train together."""

    strategy: str = MISSING
    """Lightning's ``strategy``; ``ddp`` for several processes."""

    precision: str = MISSING
    """Lightning's ``precision``; ``auto`` is ``bf16-mixed`` where the hardware has it, else
    ``32-true``. fp16 is refused.
    """

    resume: str | None = MISSING
    """``resume.ckpt`` of an interrupted run, which is continued. null: start anew."""
