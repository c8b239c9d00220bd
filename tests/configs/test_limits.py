"""Values that have the right type and that no run can be made with."""

import dataclasses
from collections.abc import Callable

import pytest

from configs.limits import LIMITS, require_limits
from configs.schema import Config, ModelConfig, ProcessingConfig
from configs.training_schema import TrainingConfig
from errors import ConfigError

Compose = Callable[..., Config]


@pytest.mark.parametrize(
    "override",
    [
        "seed=-1",
        "processing.batch_size=0",
        "processing.max_length=2",
        "model.dropout=1.5",
        "training.max_epochs=0",
        "training.label_smoothing=2",
        "training.lr=nan",
        "training.limit_val_batches=0",
        "training.monitor_mode=up",
    ],
)
def test_an_impossible_value_is_refused_by_its_key(compose: Compose, override: str) -> None:
    with pytest.raises(ConfigError, match=f"{override.partition('=')[0]}=.*: it has to be"):
        require_limits(compose(override))


@pytest.mark.parametrize("experiment", ["tutorial", "quality", "electra"])
def test_the_experiments_are_within_the_limits(compose: Compose, experiment: str) -> None:
    require_limits(compose(f"experiment={experiment}", "training.patience=null"))


@pytest.mark.parametrize("key", LIMITS)
def test_each_limit_refuses_what_is_beyond_it(compose: Compose, key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}=.*: it has to be"):
        require_limits(compose(f"{key}={'up' if key.endswith('mode') else -1}"))


def test_every_number_of_a_run_has_a_limit() -> None:
    groups = {"model": ModelConfig, "processing": ProcessingConfig, "training": TrainingConfig}
    numbers = {
        f"{group}.{field.name}"
        for group, schema in groups.items()
        for field in dataclasses.fields(schema)
        if field.type in (int, float, int | None, float | None)
    }
    assert numbers <= LIMITS.keys()
