"""How the weights are updated: learning rates by layer, adversarial directions."""

from typing import Any

import torch
from torch import Tensor, nn


def worst_direction(loss: Tensor, embeddings: Tensor) -> Tensor:
    """Return the direction in which each sentence's embeddings raise the loss most.

    Adversarial training for text: Miyato et al. 2017, section 3.

    Args:
        loss: Computed from ``embeddings``, float [].
        embeddings: float [sentences, tokens, width].

    Returns:
        Shaped as ``embeddings``; its norm over tokens and width is 1 for each sentence.
    """
    gradient: Tensor = torch.autograd.grad(loss, embeddings, retain_graph=True)[0]

    # A sentence without any gradient keeps the direction 0.
    norm = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
    direction: Tensor = gradient / norm[:, None, None]
    return direction


def parameter_groups(
    model: nn.Module, layers: int, lr: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return the optimizer's groups of parameters.

    Biases and norms are not decayed. The learning rate of a layer is ``layer_decay`` times that of
    the layer above: the head has depth 0 and the full rate, the top encoder layer depth 1, the
    embeddings the greatest depth (layer-wise learning-rate decay: Howard and Ruder 2018).

    Args:
        model: The model whose parameters are grouped.
        layers: Number of its encoder layers.
        lr: Learning rate of the head.
        weight_decay: Of the parameters that are decayed.
        layer_decay: 1 for one rate for all layers.
    """
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        depth = _depth(name, layers)

        # Biases and the parameters of norms are vectors, everything else is a matrix.
        is_decayed = parameter.ndim > 1
        group = groups.setdefault(
            (depth, is_decayed),
            {
                "params": [],
                "lr": lr * layer_decay**depth,
                "weight_decay": weight_decay if is_decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def _depth(parameter_name: str, layers: int) -> int:
    """Return how far below the head a parameter is, by transformers' names."""
    parts = parameter_name.split(".")
    if "embeddings" in parts:
        return layers + 1
    if "layer" in parts:
        return layers - int(parts[parts.index("layer") + 1])
    return 0
