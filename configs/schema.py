"""The typed schema of the configuration: what each key is and means.

Hydra refuses an unknown key or a wrong type when it composes. The values are in the YAML files
beside this one. ``as_config`` turns a composed configuration into these dataclasses, which every
consumer then reads.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf


class Source(Enum):
    """Where a corpus may come from; the name that a run records of its corpus begins with it."""

    folder = "folder"
    """A local folder with CoLA's three TSV files."""

    hub = "hub"
    """The Hugging Face Hub."""

    own = "own"
    """This repository's own corpus, in ``corpus/``."""

    # An alias of `own`, by which it was called in commands and checkpoints made before.
    corpus = "own"  # noqa: PIE796


class Padding(Enum):
    """How far the sentences of a batch are padded."""

    longest = "longest"
    """To the longest sentence of the batch."""

    max_length = "max_length"
    """To ``processing.max_length`` tokens, as the MLOps-Basics tutorial does."""


class Optimizer(Enum):
    """How the weights are updated."""

    adamw = "adamw"
    """A learning rate by ``training/schedule.py``; weight decay on all but biases and norms."""

    adam = "adam"
    """As in the MLOps-Basics tutorial: a constant learning rate and no weight decay."""


class LoggerKind(Enum):
    """Where metrics are recorded."""

    wandb = "wandb"
    """Weights & Biases, offline if there is no account."""

    csv = "csv"
    """``csv/metrics.csv`` in the run's folder."""

    none = "none"
    """Nowhere but in the report."""


class Precision(Enum):
    """Precision of the exported weights."""

    int8 = "int8"
    fp32 = "fp32"


@dataclass
class DataConfig:
    """Where sentences come from."""

    sources: list[Source] = MISSING
    """Tried in this order; the first that has a corpus wins."""

    path: str | None = MISSING
    """Folder with CoLA's three TSVs, for the source ``folder``. null: that source is skipped."""

    hub_name: str = MISSING
    """Data set on the Hugging Face Hub, for the source ``hub``."""

    hub_config: str = MISSING
    """Configuration of that data set."""

    hub_revision: str = MISSING
    """Commit of that data set, so that the data cannot change under us."""

    hub_timeout: float = MISSING
    """Seconds after which an unreachable hub is given up."""


@dataclass
class ModelConfig:
    """Which pretrained encoder to start from."""

    name: str = MISSING
    """A local folder, or the model's name on the Hub."""

    revision: str | None = MISSING
    """Commit of the model on the Hub, so that the weights cannot change under us. null: no Hub."""

    package: str | None = MISSING
    """Installed package with weights and tokenizer in its folder ``model``. null: none."""

    sha256: str | None = MISSING
    """Expected SHA-256 of the package's file with the weights. null: it is not checked."""

    from_scratch: dict[str, Any] | None = MISSING
    """Architecture to build with random weights (arguments of transformers'
    ``AutoConfig.for_model``). null: pretrained weights.
    """

    dropout: float | None = MISSING
    """Dropout of the hidden layers, the attention and the head. null: the model's own."""

    attention_dropout: float | None = MISSING
    """Dropout of the attention alone, which costs most time. null: as ``dropout`` says."""

    quantized: str | None = MISSING
    """The package's weights are an int8 ONNX file of this name (``training/dequantization.py``).
    null: they are ``model.safetensors``.
    """


@dataclass
class ProcessingConfig:
    """How sentences become batches."""

    batch_size: int = MISSING
    """Sentences per step and process."""

    max_length: int = MISSING
    """Tokens; longer sentences are truncated."""

    padding: Padding = MISSING
    """How far the sentences of a batch are padded."""

    bucket: bool = MISSING
    """Whether sentences of similar length share a batch, so that little is padded."""

    exchange_names: bool = MISSING
    """Whether each epoch exchanges the names of persons for others (``training/names.py``)."""


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


@dataclass
class LoggerConfig:
    """Where a run is recorded."""

    kind: LoggerKind = MISSING
    project: str | None = MISSING
    """Project on Weights & Biases."""

    entity: str | None = MISSING
    """User or team on Weights & Biases. null: the account's default."""


@dataclass
class ExportConfig:
    """The ONNX file and the gates before it."""

    checkpoint: str = MISSING
    """Checkpoint of ``train.py`` to export."""

    output: str = MISSING
    """The model file to write."""

    precision: Precision = MISSING
    """Precision of the weights in that file."""

    calibrate: bool = MISSING
    """Whether to calibrate the scores, so that they are probabilities."""

    min_mcc: float = MISSING
    """Smallest Matthews correlation on the validation set with which a model is exported."""


@dataclass
class Config:
    """The whole configuration, one field per group."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    processing: ProcessingConfig = field(default_factory=ProcessingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    export: ExportConfig = field(default_factory=ExportConfig)

    experiment_name: str = MISSING
    """Name of the experiment, recorded in the report."""

    seed: int = MISSING
    """All random numbers of a run follow from it."""

    models_dir: str = MISSING
    """Folder of the checkpoint, the model file and the reports."""


ConfigStore.instance().store(name="schema", node=Config)


def as_config(cfg: DictConfig) -> Config:
    """Return a composed configuration as typed objects, with all interpolations resolved."""
    config = OmegaConf.to_object(cfg)
    assert isinstance(config, Config)
    return config
