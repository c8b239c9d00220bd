"""How the weights are updated: the optimizer, and its learning rate by layer and step."""

from functools import partial
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from configs.training_schema import Optimizer, TrainingConfig
from training.schedule import Steps, rate_at


def make_optimizer(
    model: nn.Module, layers: int, config: TrainingConfig, steps: Steps
) -> OptimizerLRScheduler:
    """Return the optimizer of ``training.optimizer``, for AdamW with its schedule.

    Args:
        model: The model whose parameters are optimized.
        layers: Number of its encoder layers.
        config: The ``training`` group of the configuration.
        steps: Steps of the whole run.
    """
    if config.optimizer is Optimizer.adam:
        return torch.optim.Adam(model.parameters(), lr=config.lr)

    groups = parameter_groups(model, layers, config.weight_decay, config.layer_decay)
    optimizer = torch.optim.AdamW(groups, fused=True)

    schedule = LambdaLR(optimizer, partial(rate_at, steps=steps, config=config))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def parameter_groups(
    model: nn.Module, layers: int, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return AdamW's groups of parameters, each with its share of the learning rate.

    Frozen ones are in none; biases and norms are not decayed. The learning rate of a layer is
    ``layer_decay`` times that of the layer above: the head has depth 0 and the full rate, the top
    encoder layer depth 1, the embeddings the greatest depth (layer-wise learning-rate decay: Howard
    and Ruder 2018).

    Args:
        model: The model whose parameters are grouped.
        layers: Number of its encoder layers.
        weight_decay: Weight decay of the parameters that are decayed.
        layer_decay: 1 for one rate for all layers.
    """
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = _depth(name, layers)

        # Biases and the parameters of norms are vectors, everything else is a matrix.
        is_decayed = parameter.ndim > 1
        group = groups.setdefault(
            (depth, is_decayed),
            {
                "params": [],
                "lr": layer_decay**depth,
                "weight_decay": weight_decay if is_decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def _depth(parameter_name: str, layers: int) -> int:
    """Return how far below the head a parameter is, by transformers' names."""
    parts = parameter_name.split(".")
    # ELECTRA's are projected to the width of its layers by `embeddings_project`.
    if "embeddings" in parts or "embeddings_project" in parts:
        return layers + 1
    if "layer" in parts:
        return layers - int(parts[parts.index("layer") + 1])
    return 0
