"""The network as it is exported: several sentences in one row, numbered by the mask.

``attention_mask`` numbers the sentences of a row (0 padding, 1, 2, 3 ...). A token attends to the
tokens with its own number, its position is the count of earlier ones, and each sentence's first
token gives one row of logits, sentences in reading order. A mask of zeros and ones therefore means
what it always does. The result is that of each sentence alone, without a single padded token (Krell
et al. 2021, arXiv 2107.02027).
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

from export.calibration import NO_CALIBRATION, Calibration
from export.distilbert import as_bert
from export.layers import LARGEST_SCORE, MASKED, LastLayer, Layer

# The first opset that has Attention as one operator, which networks that are not packed use.
OPSET = 23

PACKABLE = ("bert", "distilbert", "electra")

# Upper bound of the number of sentences in a row.
LARGEST_NUMBER = 2**32


def can_pack(network: PreTrainedModel) -> bool:
    """Return whether the architecture is BERT's: absolute positions, a head on the first token."""
    return network.config.model_type in PACKABLE


class PlainNetwork(nn.Module):
    """Any network as it is: one sentence per row.

    Args:
        network: A transformers model for sequence classification.
        calibration: What the logits go through.
    """

    def __init__(self, network: PreTrainedModel, calibration: Calibration = NO_CALIBRATION) -> None:
        super().__init__()
        self.network, self.calibration = network, calibration

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the logits of every row, float [rows, 2].

        Args:
            input_ids: int64 [rows, tokens].
            attention_mask: int64 [rows, tokens]; 0 is padding, 1 a token.
        """
        logits: Tensor = self.network(input_ids=input_ids, attention_mask=attention_mask).logits
        return self.calibration.apply(logits)


class PackedNetwork(nn.Module):
    """BERT, DistilBERT or ELECTRA for rows of several sentences.

    Args:
        network: A transformers model for sequence classification; it is not changed.
        calibration: What the logits go through.
    """

    def __init__(self, network: PreTrainedModel, calibration: Calibration = NO_CALIBRATION) -> None:
        super().__init__()
        encoder: Any = copy.deepcopy(network).base_model
        if network.config.model_type == "distilbert":
            encoder = as_bert(encoder)
        embeddings = encoder.embeddings

        # Every token has type 0, so its type's embedding can be added to each position's at once.
        type_zero = embeddings.token_type_embeddings.weight[0]
        positions = embeddings.position_embeddings.weight + type_zero

        self.words = embeddings.word_embeddings
        self.positions = nn.Parameter(positions.detach())
        self.norm = embeddings.LayerNorm

        # ELECTRA's embeddings may be narrower than its layers.
        self.project = getattr(encoder, "embeddings_project", nn.Identity())

        *layers, last_layer = encoder.encoder.layer
        self.layers = nn.ModuleList(Layer(layer) for layer in layers)
        self.last_layer = LastLayer(last_layer)
        self.head = _head(network)
        self.calibration = calibration

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the logits of every sentence, rows in reading order: float [sentences, 2].

        Args:
            input_ids: int64 [rows, tokens].
            attention_mask: int64 [rows, tokens]; 0 is padding, n > 0 the n-th sentence of the row.
        """
        # A token attends to its own sentence only: [rows, tokens, tokens].
        same_sentence = attention_mask[:, :, None] == attention_mask[:, None, :]
        limit = torch.where(same_sentence, LARGEST_SCORE, MASKED)[:, None]

        # Its position is the number of earlier tokens of that sentence: [rows, tokens]. Floats are
        # counted faster than integers.
        column = torch.arange(input_ids.shape[1])
        is_earlier = column[None, :] < column[:, None]
        position = (same_sentence & is_earlier).float().sum(-1).long()

        hidden = self.project(self.norm(self.words(input_ids) + self.positions[position]))
        for layer in self.layers:
            hidden = layer(hidden, limit)

        # From here on, all rows are one long row, and its sentences have a number each:
        # [rows * tokens].
        row = torch.arange(input_ids.shape[0])[:, None]
        number = (attention_mask + row * LARGEST_NUMBER).flatten()

        # Where each sentence starts: [sentences]. torch.export must know that there is one.
        is_first = (position == 0) & (attention_mask > 0)
        first = torch.nonzero(is_first.flatten())[:, 0]
        torch._check(first.shape[0] > 0)  # type: ignore[no-untyped-call]

        # The head reads first tokens only, so the last layer computes queries for them alone, which
        # attend to the tokens of their own sentence: [rows * tokens, sentences].
        is_own = number[:, None] == number.index_select(0, first)
        first_limit = torch.where(is_own, LARGEST_SCORE, MASKED)[None, None]

        tokens = hidden.flatten(0, 1)
        outputs = self.last_layer(tokens.index_select(0, first)[None], tokens[None], first_limit)

        logits: Tensor = self.head(outputs[0])
        return self.calibration.apply(logits)


def _head(network: Any) -> nn.Module:
    """Return the classification head, float [sentences, width] -> [sentences, 2]."""
    if network.config.model_type == "bert":
        return nn.Sequential(network.bert.pooler.dense, nn.Tanh(), network.classifier)
    if network.config.model_type == "distilbert":
        return nn.Sequential(network.pre_classifier, nn.ReLU(), network.classifier)

    head = network.classifier
    return nn.Sequential(head.dense, head.activation, head.out_proj)


def to_onnx(network: PreTrainedModel, calibration: Calibration = NO_CALIBRATION) -> onnx.ModelProto:
    """Return the network as a graph of standard operators, packed if it can be.

    Args:
        network: A transformers model for sequence classification.
        calibration: What the logits go through.
    """
    wrapper = PackedNetwork if can_pack(network) else PlainNetwork

    # Both axes are dynamic: these are only what the exporter traces with.
    ids = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    shape = {0: Dim("batch"), 1: Dim("sequence")}

    # These libraries narrate what they do.
    for library in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(library).setLevel(logging.ERROR)

    with warnings.catch_warnings():
        # Deprecations inside torch.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            wrapper(network, calibration).eval(),
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
    """Drop the exporter's notes for debugging: stack traces with the paths of this machine."""
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    for value in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""

    graph.output[0].type.tensor_type.shape.dim[0].dim_param = "sentences"
    return model
