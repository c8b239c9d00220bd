"""The network's matrix products, and how fast this machine multiplies matrices at best."""

import statistics
import time
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from transformers import PretrainedConfig

ROUNDS = 10

SIZE = 1024
"""Rows and columns of the matrices that are multiplied."""


def network_flops(config: PretrainedConfig, sentences: Sequence[Sequence[int]]) -> float:
    """Return the floating point operations of the network's matrix products, per sentence.

    Args:
        config: The network's sizes.
        sentences: Token ids; their mean length counts.
    """
    hidden, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    tokens = statistics.mean(len(ids) for ids in sentences)

    # The last layer computes keys and values for all tokens; the rest of it, and the head, read
    # first tokens only.
    per_token = (layers - 1) * (4 * hidden**2 + 2 * hidden * inner) + 2 * hidden**2
    per_sentence = 3 * hidden**2 + 2 * hidden * inner

    # A multiplication and an addition for each.
    return float(2 * (per_token * tokens + per_sentence))


def peak_flops() -> float:
    """Return the floating point operations/s of one product of two matrices on one thread.

    The better of two libraries counts: ONNX Runtime and PyTorch.
    """
    left, right = np.random.default_rng(0).random((2, SIZE, SIZE), np.float32)
    session = _matmul_session(right)
    torch.set_num_threads(1)
    torch_left, torch_right = torch.from_numpy(left), torch.from_numpy(right)

    def multiply_onnx() -> object:
        return session.run(None, {"left": left})

    def multiply_torch() -> object:
        return torch_left @ torch_right

    # In turn, and the fastest counts: that is the peak.
    seconds = []
    for multiply in (multiply_onnx, multiply_torch) * (2 * ROUNDS):
        start = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - start)

    return float(2 * SIZE**3 / min(seconds))


def _matmul_session(right: NDArray[np.float32]) -> ort.InferenceSession:
    """Return a session that multiplies its input with ``right``."""
    shape = list(right.shape)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "gemm",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(right, "right")],
    )
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options)
