"""The learning rate from step to step."""

from collections.abc import Callable

import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from configs.schema import Config
from training.schedule import Steps, rate_at

Compose = Callable[..., Config]

STEPS = Steps(pretext=100, corpus=50)


def test_each_phase_has_its_warm_up_and_its_peak(compose: Compose) -> None:
    rates = ("training.pretext_lr=4.0", "training.lr=1.0", "training.warmup_share=0.2")
    config = compose(*rates).training

    rate = [rate_at(step, STEPS, config) for step in range(sum(STEPS) + 1)]
    assert (rate[0], rate[10], rate[20]) == (0.0, 2.0, 4.0)
    assert rate[60] == pytest.approx(2.5), "half of the way from 4 to 1"
    assert rate[99] == pytest.approx(1.0, abs=0.05)

    assert (rate[100], rate[105], rate[110]) == (0.0, 0.5, 1.0)
    assert rate[130] == pytest.approx(0.5)
    assert rate[150] == 0.0


def test_both_can_be_one_phase(compose: Compose) -> None:
    config = compose("training.pretext_lr=null", "training.lr=2.0").training

    # transformers' schedule is the reference.
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=2.0)
    warmup = int(config.warmup_share * sum(STEPS))
    expected = get_linear_schedule_with_warmup(optimizer, warmup, sum(STEPS)).lr_lambdas[0]
    for step in range(sum(STEPS) + 1):
        assert rate_at(step, STEPS, config) == pytest.approx(2.0 * expected(step))


def test_a_phase_may_have_no_steps(compose: Compose) -> None:
    config = compose("training.pretext_lr=4.0", "training.lr=1.0").training

    rate = [rate_at(step, Steps(0, 50), config) for step in range(51)]
    assert max(rate) == pytest.approx(1.0)
    assert rate[-1] == 0.0
