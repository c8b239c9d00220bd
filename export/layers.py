"""The layers of the network as it is exported.

Attention is written out, so that a sentence gets the same result wherever in its row it stands. A
sum of floats depends on its order, and a softmax adds in an order that follows from the position.
That would matter little, but for int8: now and then a rounding falls the other way, an input is one
step larger, and the next layers multiply the difference. So the softmax's denominator is one more
row of the product that follows it anyway, in which a stranger's key adds an exact 0: each head has
one more value, which is always 1. As the weights are divided by their sum only then, their largest
need not be subtracted first.

ONNX Runtime adds up to 128 tokens in order. Predictors' rows have 96; in longer ones, the position
matters again, a little.

Features come before tokens, because heads then lie in one piece.
"""

from typing import Any

import torch
from torch import Tensor, nn

# The largest score of a key of the query's own sentence, so that no sum of exponentials overflows;
# BERT's are far smaller.
LARGEST_SCORE = 60.0

# The score of any other key: its exponential is exactly 0.
MASKED = -1e9


class Layer(nn.Module):
    """A transformer layer with its three projections as one matrix.

    Args:
        layer: A layer of transformers' BERT or ELECTRA.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention, output = layer.attention.self, layer.attention.output
        self.heads, self.width = attention.num_attention_heads, attention.attention_head_size

        self.query = _scale(attention.query, attention.scaling)
        self.project = Projection(
            self.query, attention.key, _append_ones(attention.value, self.heads)
        )
        self.output, self.output_norm = output.dense, output.LayerNorm

        self.up, self.activation = layer.intermediate.dense, layer.intermediate.intermediate_act_fn
        self.down, self.down_norm = layer.output.dense, layer.output.LayerNorm

    def forward(self, hidden: Tensor, limit: Tensor) -> Tensor:
        """Return the layer's output, of the shape of ``hidden``.

        Args:
            hidden: float [rows, tokens, width].
            limit: Of the score of each key and query, float [rows, 1, tokens, tokens].
        """
        query, key, value = self.project(hidden)
        return self.finish(hidden, query, key, value, limit)

    def finish(
        self, hidden: Tensor, query: Tensor, key: Tensor, value: Tensor, limit: Tensor
    ) -> Tensor:
        """Return the output of attention and feed-forward network, of the shape of ``hidden``.

        Args:
            hidden: The layer's input at the queries, float [rows, queries, width].
            query: float [rows, width, queries].
            key: float [rows, width, keys].
            value: float [rows, width + heads, keys].
            limit: float [rows, 1, keys, queries].
        """
        query, key, value = (self._split(item) for item in (query, key, value))

        # Weights before they are divided by their sum: [rows, heads, keys, queries].
        weights = torch.exp(torch.minimum(key.transpose(2, 3) @ query, limit))

        # [rows, heads, width / heads, queries], and their sums.
        context, total = torch.split(value @ weights, [self.width, 1], dim=2)
        context = (context / total).flatten(1, 2).transpose(1, 2)

        hidden = self.output_norm(hidden + self.output(context))

        result: Tensor = self.down_norm(hidden + self.down(self.activation(self.up(hidden))))
        return result

    def _split(self, values: Tensor) -> Tensor:
        """Return [rows, width, tokens] as [rows, heads, width / heads, tokens]."""
        return torch.unflatten(values, 1, (self.heads, -1))


class LastLayer(Layer):
    """The layer under the head, which computes its output for first tokens only.

    Args:
        layer: A layer of transformers' BERT or ELECTRA.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        value = _append_ones(layer.attention.self.value, self.heads)
        self.project = Projection(layer.attention.self.key, value)

    def forward(self, first: Tensor, hidden: Tensor, limit: Tensor) -> Tensor:  # type: ignore[override]
        """Return the layer's output for first tokens, float [1, sentences, width].

        Args:
            first: The first token of every sentence, float [1, sentences, width].
            hidden: All tokens of all rows, float [1, rows * tokens, width].
            limit: float [1, 1, rows * tokens, sentences].
        """
        query = self.query(first).transpose(1, 2)
        key, value = self.project(hidden)
        return self.finish(first, query, key, value, limit)


class Projection(nn.Module):
    """Several linear layers of one input, as one matrix.

    Args:
        layers: They have the same inputs.
    """

    def __init__(self, *layers: nn.Linear) -> None:
        super().__init__()
        self.sizes = [layer.out_features for layer in layers]
        self.stacked = _linear(
            torch.cat([layer.weight for layer in layers]),
            torch.cat([layer.bias for layer in layers]),
        )

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Return what each layer gives for float [rows, tokens, inputs].

        Returns:
            float [rows, outputs, tokens] each.
        """
        outputs: Tensor = self.stacked(hidden)
        return torch.split(outputs.transpose(1, 2), self.sizes, dim=1)


def _scale(layer: nn.Linear, factor: float) -> nn.Linear:
    """Return a linear layer with its outputs multiplied by a number."""
    return _linear(layer.weight * factor, layer.bias * factor)


def _append_ones(layer: nn.Linear, heads: int) -> nn.Linear:
    """Return a linear layer with one more output for each head, which is always 1."""
    weight = torch.unflatten(layer.weight, 0, (heads, -1))
    bias = torch.unflatten(layer.bias, 0, (heads, -1))

    weight = torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1)
    bias = torch.cat([bias, torch.ones_like(bias[:, :1])], dim=1)
    return _linear(weight.flatten(0, 1), bias.flatten())


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a linear layer of a weight, float [outputs, inputs], and a bias, float [outputs]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return layer
