"""What a run records of its configuration, and how that is read again."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf

from configs.schema import Config, as_config


def plain(config: Config) -> dict[str, Any]:
    """Return the configuration as a JSON document."""
    return asdict(config, dict_factory=lambda items: {key: _plain_value(v) for key, v in items})


def _plain_value(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, list):
        return [_plain_value(item) for item in value]
    return value


def from_plain(recorded: Mapping[str, Any]) -> Config:
    """Return the configuration that ``plain`` recorded, or an older version of it.

    Raises:
        omegaconf.errors.OmegaConfBaseException: A key is unknown or its value has another type.
    """
    training = dict(recorded["training"])

    # The key's name until the pretext task was called by the literature's word.
    if "pretask_epochs" in training:
        training["pretext_epochs"] = training.pop("pretask_epochs")

    # What a checkpoint was trained with before these could be set.
    before = {
        "adversarial": 0.0,
        "average_epochs": 0,
        "freeze_words": False,
        "grammar_sentences": 200,
        "match_rate": False,
        "pretext_lr": None,
    }
    complete = dict(recorded) | {
        "training": before | training,
        "processing": {"exchange_names": False} | recorded["processing"],
        "model": {"attention_dropout": None, "quantized": None} | recorded["model"],
    }
    merged = OmegaConf.merge(OmegaConf.structured(Config), complete)
    assert isinstance(merged, DictConfig)
    return as_config(merged)
