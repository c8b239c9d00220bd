"""The values that a setting may have, where its type allows more.

Hydra checks types only; without this, ``training.max_epochs=0`` would fail at the end of a run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from configs.schema import Config
from errors import ConfigError


@dataclass(frozen=True)
class Limit:
    """What a value has to be."""

    holds: Callable[[Any], bool]
    words: str
    """The same in words, after "it has to be"."""


POSITIVE = Limit(lambda value: value > 0, "more than 0")
NOT_NEGATIVE = Limit(lambda value: value >= 0, "0 or more")
AT_LEAST_1 = Limit(lambda value: value >= 1, "1 or more")
SHARE = Limit(lambda value: 0 <= value <= 1, "from 0 to 1")
POSITIVE_SHARE = Limit(lambda value: 0 < value <= 1, "more than 0 and at most 1")

LIMITS = {
    # What torch and NumPy both take as a seed.
    "seed": Limit(lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
    "data.hub_timeout": POSITIVE,
    "model.dropout": SHARE,
    "model.attention_dropout": SHARE,
    "processing.batch_size": AT_LEAST_1,
    # The two special tokens alone would say nothing of the sentence.
    "processing.max_length": Limit(lambda value: value >= 3, "3 or more"),
    "training.pretext_epochs": NOT_NEGATIVE,
    # The grammar has a few thousand different ones of the poorest phenomenon.
    "training.grammar_sentences": Limit(lambda value: 0 <= value <= 2000, "0 to 2,000"),
    "training.max_epochs": AT_LEAST_1,
    "training.average_epochs": NOT_NEGATIVE,
    "training.lr": NOT_NEGATIVE,
    "training.pretext_lr": NOT_NEGATIVE,
    "training.weight_decay": NOT_NEGATIVE,
    "training.warmup_share": SHARE,
    "training.layer_decay": POSITIVE,
    "training.label_smoothing": SHARE,
    "training.adversarial": NOT_NEGATIVE,
    "training.gradient_clip": POSITIVE,
    "training.monitor_mode": Limit(lambda value: value in ("max", "min"), "max or min"),
    "training.patience": NOT_NEGATIVE,
    "training.log_every_n_steps": AT_LEAST_1,
    "training.limit_train_batches": POSITIVE_SHARE,
    "training.limit_val_batches": POSITIVE_SHARE,
    "training.num_nodes": AT_LEAST_1,
}
"""Limits by key. null, where the schema allows it, is within every limit."""


def require_limits(config: Config) -> None:
    """Refuse a value that no run can be made with.

    Raises:
        ConfigError: The message names the key, its value and what it has to be.
    """
    for key, limit in LIMITS.items():
        value = attrgetter(key)(config)
        if value is not None and not limit.holds(value):
            raise ConfigError(f"{key}={value}: it has to be {limit.words}")
