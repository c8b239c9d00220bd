"""The network as it is exported: several sentences in one row, told apart by their number in the mask.

``attention_mask`` numbers the sentences of a row (0 padding, 1, 2, 3 ...). A token attends to the tokens with
its own number, its position is the count of earlier ones, and each sentence's first token gives one row of
logits, sentences in reading order. A mask of zeros and ones therefore means what it always does. The
result is that of each sentence alone, without a single padded token (Krell et al. 2021, arXiv 2107.02027).
"""

import copy
import logging
import warnings
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import PreTrainedModel

OPSET = 23  # the first that has Attention as one operator
PACKABLE = ("bert", "electra")
MASKED = (
    -1e9
)  # added to a score before the softmax; -inf would give NaN where a row has padding only


def can_pack(network: PreTrainedModel) -> bool:
    """Whether the architecture is BERT's: absolute positions, and a head on the first token."""
    return network.config.model_type in PACKABLE


class PlainNetwork(nn.Module):
    """Any network as it is: one sentence a row. Logits, float [rows, 2], divided by ``temperature``."""

    def __init__(self, network: PreTrainedModel, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.network(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits / self.temperature


class PackedNetwork(nn.Module):
    """BERT or ELECTRA for numbered rows. Logits, float [sentences, 2], divided by ``temperature``."""

    def __init__(self, network: PreTrainedModel, temperature: float = 1.0) -> None:
        super().__init__()
        encoder: Any = copy.deepcopy(network).base_model
        embeddings = encoder.embeddings
        self.words = embeddings.word_embeddings
        # Every token has type 0, so that its embedding is a constant part of the position's.
        positions = (
            embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
        )
        self.positions = nn.Parameter(positions.detach())
        self.norm = embeddings.LayerNorm
        self.project = getattr(encoder, "embeddings_project", nn.Identity())
        self.layers = nn.ModuleList(Layer(layer) for layer in encoder.encoder.layer[:-1])
        self.last_layer = LastLayer(encoder.encoder.layer[-1])
        self.head = _head(network)
        self.temperature = temperature

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        same = attention_mask[:, :, None] == attention_mask[:, None, :]
        column = torch.arange(input_ids.shape[1])
        position = (same & (column[None, :] < column[:, None])).sum(-1)
        hidden = self.project(self.norm(self.words(input_ids) + self.positions[position]))
        bias = torch.where(same, 0.0, MASKED)[:, None]
        for layer in self.layers:
            hidden = layer(hidden, bias)

        rows, columns = torch.nonzero((position == 0) & (attention_mask > 0), as_tuple=True)
        torch._check(rows.shape[0] > 0)  # type: ignore[no-untyped-call]  # torch.export must know
        first = hidden[rows, columns]
        row = torch.arange(input_ids.shape[0])[:, None].expand_as(attention_mask)
        own = (row.flatten() == rows[:, None]) & (
            attention_mask.flatten() == attention_mask[rows, columns][:, None]
        )
        first = self.last_layer(
            first[None], hidden.flatten(0, 1)[None], torch.where(own, 0.0, MASKED)[None, None]
        )
        logits: Tensor = self.head(first[0])
        return logits / self.temperature


class Layer(nn.Module):
    """A transformer layer whose three projections are one matrix product and its attention one operator."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention, output = layer.attention.self, layer.attention.output
        self.heads, self.scale = attention.num_attention_heads, attention.scaling
        self.project = _stack(attention.query, attention.key, attention.value)
        self.output, self.output_norm = output.dense, output.LayerNorm
        self.up, self.activation = layer.intermediate.dense, layer.intermediate.intermediate_act_fn
        self.down, self.down_norm = layer.output.dense, layer.output.LayerNorm

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        query, key, value = self.project(hidden).chunk(3, dim=-1)
        return self.finish(hidden, query, key, value, bias)

    def finish(
        self, hidden: Tensor, query: Tensor, key: Tensor, value: Tensor, bias: Tensor
    ) -> Tensor:
        """Attention and feed-forward network; ``bias`` float [rows, 1, queries, keys]."""
        heads = {"q_num_heads": self.heads, "kv_num_heads": self.heads}
        context = torch.onnx.ops.attention(query, key, value, bias, scale=self.scale, **heads)[0]
        hidden = self.output_norm(hidden + self.output(context))
        result: Tensor = self.down_norm(hidden + self.down(self.activation(self.up(hidden))))
        return result


class LastLayer(Layer):
    """Only first tokens go on to the head, so that only they need a query and a feed-forward network."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        attention = layer.attention.self
        self.query, self.project = attention.query, _stack(attention.key, attention.value)

    def forward(self, first: Tensor, hidden: Tensor, bias: Tensor) -> Tensor:  # type: ignore[override]
        key, value = self.project(hidden).chunk(2, dim=-1)
        return self.finish(first, self.query(first), key, value, bias)


def _stack(*layers: nn.Linear) -> nn.Linear:
    stacked = nn.Linear(layers[0].in_features, sum(layer.out_features for layer in layers))
    stacked.weight = nn.Parameter(torch.cat([layer.weight for layer in layers]).detach())
    stacked.bias = nn.Parameter(torch.cat([layer.bias for layer in layers]).detach())
    return stacked


def _head(network: Any) -> nn.Module:
    if network.config.model_type == "bert":
        return nn.Sequential(network.bert.pooler.dense, nn.Tanh(), network.classifier)
    head = network.classifier
    return nn.Sequential(head.dense, head.activation, head.out_proj)


def to_onnx(network: PreTrainedModel, temperature: float = 1.0) -> onnx.ModelProto:
    """The network as a graph of standard operators, both axes dynamic, packed if it can be."""
    wrapper = PackedNetwork if can_pack(network) else PlainNetwork
    ids = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    shape = {0: Dim("batch"), 1: Dim("sequence")}
    for library in ("torch.onnx", "onnxscript", "onnx_ir"):  # they narrate
        logging.getLogger(library).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch
        program = torch.onnx.export(
            wrapper(network, temperature).eval(),
            (ids, mask),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=(shape, shape),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return _tidy(program.model_proto)


def _tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the exporter noted for its own debugging (stack traces with this machine's paths)."""
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    for value in (
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
    ):
        del value.metadata_props[:]
        value.doc_string = ""
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "sentences"
    return model
