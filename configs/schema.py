"""The typed schema of the configuration: what each key is and means.

Hydra refuses an unknown key or a wrong type when it composes. The values are in the YAML files
beside this one. ``as_config`` turns a composed configuration into these dataclasses, which every
consumer then reads. The largest group has a module of its own, ``training_schema.py``.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from configs.training_schema import TrainingConfig


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
