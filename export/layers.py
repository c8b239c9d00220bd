"""The layers of the network as it is exported.

Attention is written out so that a sentence's result does not depend on where in its row it stands.
A sum of floats depends on the order of its terms, and ONNX Runtime's softmax adds in an order that
depends on the position. In fp32 that hardly matters. In int8, now and then an activation rounds to
the neighbouring level, and the next layers amplify it.

So there is no softmax. Each head's values get one more feature that is always 1; then the last
feature of ``exp(score) @ value`` is the sum of the weights, by which the others are divided. Keys
of other sentences have weight exactly 0. Instead of the largest score, the constant ``SHIFT`` is
subtracted, by one more feature of query (1) and key (-``SHIFT``).

ONNX Runtime adds up to 128 tokens in order. Predictors' rows have 96; in longer ones, the position
matters again, a little.

Features come before tokens, because heads then lie in one piece.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Constant that is subtracted from each score. Exponentials stay in the range of a float if the
# largest of a query's scores is between about -60 and 100; trained models had -4 to 70.
SHIFT = 20.0

# Limit of the shifted score of a key of the query's own sentence: no sum of exponentials overflows.
LARGEST_SCORE = 80.0

# Limit of the score of any other key: its exponential is exactly 0.
MASKED = -1e9


class Layer(nn.Module):
    """A transformer layer with its three projections as one matrix.

    Args:
        layer: A layer of transformers' BERT or ELECTRA.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention, output = layer.attention.self, layer.attention.output
        self.heads = attention.num_attention_heads

        # One more feature for each head: in queries and keys, it shifts the scores; in values, it
        # sums the weights.
        scale = attention.scaling
        query = _linear(attention.query.weight * scale, attention.query.bias * scale)
        self.query = _append_to_heads(query, self.heads, 1.0)
        self.key = _append_to_heads(attention.key, self.heads, -SHIFT)
        self.value = _append_to_heads(attention.value, self.heads, 1.0)
        self.project = _stack(self.query, self.key, self.value)

        self.output, self.output_norm = _skip_in_heads(output.dense, self.heads), output.LayerNorm
        self.up, self.activation = layer.intermediate.dense, layer.intermediate.intermediate_act_fn
        self.down, self.down_norm = layer.output.dense, layer.output.LayerNorm

    def forward(self, hidden: Tensor, limit: Tensor) -> Tensor:
        """Return the layer's output, of the shape of ``hidden``.

        Args:
            hidden: float [rows, tokens, width].
            limit: Largest score of each key and query, float [rows, 1, tokens, tokens].
        """
        query, key, value = self.split(self.project(hidden), 3)
        return self.finish(hidden, query, key, value, limit)

    def finish(
        self, hidden: Tensor, query: Tensor, key: Tensor, value: Tensor, limit: Tensor
    ) -> Tensor:
        """Return the output of attention and feed-forward network, of the shape of ``hidden``.

        Args:
            hidden: The layer's input at the queries, float [rows, queries, width].
            query: float [rows, heads, features, queries].
            key: float [rows, heads, features, keys].
            value: float [rows, heads, features, keys]; the last feature is 1.
            limit: float [rows, 1, keys, queries].
        """
        # Weights before they are divided by their sum: [rows, heads, keys, queries].
        weights = torch.exp(torch.minimum(key.transpose(2, 3) @ query, limit))

        # Their sum is the last feature: [rows, heads, features, queries].
        context = value @ weights
        context = context / context[:, :, -1:]
        context = context.flatten(1, 2).transpose(1, 2)

        hidden = self.output_norm(hidden + self.output(context))

        result: Tensor = self.down_norm(hidden + self.down(self.activation(self.up(hidden))))
        return result

    def split(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Return the parts of a projection, float [rows, heads, features, tokens] each.

        Args:
            projected: float [rows, tokens, parts * heads * features].
            parts: How many there are.
        """
        heads = torch.unflatten(projected.transpose(1, 2), 1, (parts * self.heads, -1))
        return torch.split(heads, self.heads, dim=1)


class LastLayer(Layer):
    """The layer under the head, which computes its output for first tokens only.

    Args:
        layer: A layer of transformers' BERT or ELECTRA.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.project = _stack(self.key, self.value)

    def forward(self, first: Tensor, hidden: Tensor, limit: Tensor) -> Tensor:  # type: ignore[override]
        """Return the layer's output for first tokens, float [1, sentences, width].

        Args:
            first: The first token of every sentence, float [1, sentences, width].
            hidden: All tokens of all rows, float [1, rows * tokens, width].
            limit: float [1, 1, rows * tokens, sentences].
        """
        (query,) = self.split(self.query(first), 1)
        key, value = self.split(self.project(hidden), 2)
        return self.finish(first, query, key, value, limit)


def _stack(*layers: nn.Linear) -> nn.Linear:
    """Return one linear layer that gives the outputs of several, side by side."""
    return _linear(
        torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    )


def _append_to_heads(layer: nn.Linear, heads: int, constant: float) -> nn.Linear:
    """Return a linear layer with one more output for each head, which is always ``constant``."""
    weight = functional.pad(torch.unflatten(layer.weight, 0, (heads, -1)), (0, 0, 0, 1))
    bias = functional.pad(torch.unflatten(layer.bias, 0, (heads, -1)), (0, 1), value=constant)
    return _linear(weight.flatten(0, 1), bias.flatten())


def _skip_in_heads(layer: nn.Linear, heads: int) -> nn.Linear:
    """Return a linear layer with one more input for each head, which it does not read."""
    weight = functional.pad(torch.unflatten(layer.weight, 1, (heads, -1)), (0, 1))
    return _linear(weight.flatten(1, 2), layer.bias)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a linear layer of a weight, float [outputs, inputs], and a bias, float [outputs]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return layer
