"""The learning rate of each step."""

from typing import NamedTuple

from configs.training_schema import Optimizer, TrainingConfig


class Steps(NamedTuple):
    """Optimizer steps of a run."""

    pretext: int = 0
    """Steps of the pretext task, which come first."""

    corpus: int = 0
    """Steps of the corpus."""


NO_STEPS = Steps()
"""Steps of a model that is not trained."""


def rate_at(step: int, steps: Steps, config: TrainingConfig) -> float:
    """Return the head's learning rate in a step.

    Each phase has a warm-up. In the pretext task the rate then goes from ``training.pretext_lr``
    to ``training.lr``; in the corpus's epochs it goes from there to 0, or stays there if weights
    are averaged. Without ``training.pretext_lr`` both are one phase.

    Args:
        step: Number of the step, from 0.
        steps: Steps of the run.
        config: The ``training`` group of the configuration.
    """
    warmup = config.warmup_share
    last = config.lr if config.average_epochs > 0 else 0.0
    if config.pretext_lr is None:
        return _rise_and_fall(step, sum(steps), warmup, peak=config.lr, end=last)
    if step < steps.pretext:
        return _rise_and_fall(step, steps.pretext, warmup, peak=config.pretext_lr, end=config.lr)
    return _rise_and_fall(step - steps.pretext, steps.corpus, warmup, peak=config.lr, end=last)


def peak_at(step: int, steps: Steps, config: TrainingConfig) -> str:
    """Return the setting that decides a step's learning rate: ``training.lr=0.0001``.

    Args:
        step: Number of the step, from 0.
        steps: Steps of the run.
        config: The ``training`` group of the configuration.
    """
    has_phases = config.optimizer is Optimizer.adamw and config.pretext_lr is not None
    if has_phases and step < steps.pretext:
        return f"training.pretext_lr={config.pretext_lr}"
    return f"training.lr={config.lr}"


def _rise_and_fall(step: int, steps: int, warmup_share: float, *, peak: float, end: float) -> float:
    """Return a value that rises linearly from 0 to its peak, then falls linearly to its end."""
    warmup = int(warmup_share * steps)
    if step < warmup:
        return peak * step / warmup

    # The scheduler also asks for the step after the last.
    left = max(0.0, (steps - step) / max(1, steps - warmup))
    return end + (peak - end) * left
