"""What may be configured, with types: Hydra refuses an unknown key or a wrong type when it composes.

The values stand in the YAML files beside this one; here stands only what each key is and means.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf


class Source(Enum):
    """Where a corpus may come from."""

    folder = "folder"
    hub = "hub"
    corpus = "corpus"


class Padding(Enum):
    """How far the sentences of a batch are padded."""

    longest = "longest"
    max_length = "max_length"


class Optimizer(Enum):
    """``adam`` is the tutorial's: constant learning rate, decay on nothing."""

    adamw = "adamw"
    adam = "adam"


class LoggerKind(Enum):
    """Where metrics are recorded."""

    wandb = "wandb"
    csv = "csv"
    none = "none"


class Precision(Enum):
    """Precision of the exported weights."""

    int8 = "int8"
    fp32 = "fp32"


@dataclass
class DataConfig:
    sources: list[Source] = MISSING  # tried in this order
    path: str | None = MISSING  # folder with CoLA's three TSVs
    hub_name: str = MISSING
    hub_config: str = MISSING
    hub_revision: str = MISSING  # a commit, so that the data cannot change under us
    hub_timeout: float = MISSING  # seconds until an unreachable hub is given up


@dataclass
class ModelConfig:
    name: str = MISSING  # a local folder, or the model's name on the Hub
    revision: str | None = MISSING  # commit on the Hub
    package: str | None = (
        MISSING  # installed package that ships weights and tokenizer in its folder `model`
    )
    sha256: str | None = MISSING  # of model.safetensors; checked before use
    from_scratch: dict[str, Any] | None = (
        MISSING  # an architecture with random weights instead of pretrained ones
    )
    dropout: float | None = MISSING  # of the hidden layers and the head; null keeps the model's own


@dataclass
class ProcessingConfig:
    batch_size: int = MISSING  # sentences a step, for each process
    max_length: int = MISSING  # tokens; longer sentences are truncated
    padding: Padding = MISSING
    bucket: bool = MISSING  # batches of similar length


@dataclass
class TrainingConfig:
    pretask_epochs: int = MISSING  # first, of telling whole sentences from broken ones
    max_epochs: int = MISSING  # then, of the corpus
    optimizer: Optimizer = MISSING
    lr: float = MISSING
    weight_decay: float = MISSING  # not applied to biases and norms
    warmup_share: float = MISSING  # of all steps; then the rate falls linearly to 0
    layer_decay: float = MISSING  # learning rate of a layer = that of the layer above times this
    label_smoothing: float = MISSING
    adversarial: float = MISSING  # length of the step away from a sentence's embeddings; 0 is off
    gradient_clip: float | None = MISSING  # largest norm
    monitor: str = MISSING  # the metric that picks the best checkpoint and stops early
    monitor_mode: str = MISSING  # max or min
    patience: int | None = MISSING  # validations without improvement before stopping; null: never
    deterministic: bool = MISSING
    log_every_n_steps: int = MISSING
    limit_train_batches: float = MISSING  # share of an epoch
    limit_val_batches: float = MISSING
    accelerator: str = MISSING
    devices: Any = MISSING
    num_nodes: int = MISSING
    strategy: str = MISSING
    precision: str = MISSING  # auto: bf16-mixed where the hardware has it, else 32-true
    resume: str | None = MISSING  # a resume.ckpt of an earlier run


@dataclass
class LoggerConfig:
    kind: LoggerKind = MISSING
    project: str | None = MISSING
    entity: str | None = MISSING


@dataclass
class ExportConfig:
    checkpoint: str = MISSING
    output: str = MISSING
    precision: Precision = MISSING
    calibrate: bool = MISSING
    min_mcc: float = MISSING


@dataclass
class Config:
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    processing: ProcessingConfig = field(default_factory=ProcessingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    experiment_name: str = MISSING
    seed: int = MISSING
    models_dir: str = MISSING  # where the checkpoint, the model and the reports go


ConfigStore.instance().store(name="schema", node=Config)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain dictionaries, lists, strings and numbers."""
    container = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
