"""Values that have the right type and that no run can be made with."""

from collections.abc import Callable

import pytest

from configs.limits import LIMITS, require_limits
from configs.schema import Config
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


def test_each_limit_is_of_a_setting(compose: Compose) -> None:
    for key in LIMITS:
        compose(f"{key}={'max' if key.endswith('mode') else 1}")
