"""Weights as 8-bit integers: a quarter of the file, and integer products, several times faster on a CPU.

Dynamic quantization in standard ONNX operators. A matrix is int8 with one scale a column; its input is
quantized as it arrives (DynamicQuantizeLinear, uint8), and MatMulInteger's sums are scaled back; ONNX Runtime
fuses these operators into one kernel. The word embedding is int8 with one scale a row.

Without VNNI, x86 CPUs multiply uint8 by int8 with an instruction (vpmaddubsw) that adds two neighbouring
products in 16 bits and saturates: with 8-bit weights 255 * 127 * 2 does not fit, and a model can lose all
that it knows on the next machine. Here two neighbouring weights of a column never add up to more than 128 in
magnitude, and 255 * 128 fits: no CPU can saturate. That costs half a bit, where the usual remedy, 7-bit
weights, costs a whole one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

PAIR_LIMIT = 128  # 255 * 128 <= 32767
MATRIX_SIZE = 10_000  # a smaller matrix is not worth the quantization of its input
EMBEDDING_ROWS = 5_000  # a table with more rows is the word embedding


@dataclass(frozen=True)
class Scheme:
    """What stays fp32: the word embedding, or matrices that read the output of an operator named here."""

    name: str
    embedding: bool = True
    keep_after: tuple[str, ...] = ()


# From the smallest file to the safest. What follows an activation function has the widest range of inputs.
SCHEMES = (
    Scheme("int8"),
    Scheme("int8, fp32 after Gelu", keep_after=("Gelu",)),
    Scheme("int8, fp32 after Gelu and in the embedding", embedding=False, keep_after=("Gelu",)),
)


def quantize(model: onnx.ModelProto, scheme: Scheme) -> onnx.ModelProto:
    """A copy of ``model`` with int8 matrices and word embedding."""
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    graph = _Graph(quantized.graph)
    for node in model.graph.node:
        table = graph.constant(node, 0) if node.op_type == "Gather" else None
        matrix = graph.constant(node, 1) if node.op_type == "MatMul" else None
        if scheme.embedding and table is not None and table.ndim == 2 and len(table) > EMBEDDING_ROWS:
            graph.replace_gather(node, table)
        elif (
            matrix is not None
            and matrix.ndim == 2
            and matrix.size >= MATRIX_SIZE
            and graph.producer.get(node.input[0]) not in scheme.keep_after
        ):
            graph.replace_matmul(node, matrix)
        else:
            graph.nodes.append(node)
    graph.finish()
    return quantized


def quantize_matrix(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 [inputs, outputs], no two neighbours of a column above 128 together; float scales [outputs]."""
    magnitude = np.abs(matrix)
    pairs = magnitude + np.roll(magnitude, -1, axis=0)
    # Rounding adds at most one half to each of the two.
    scale = np.maximum(pairs.max(axis=0), np.finfo(np.float32).tiny) / (PAIR_LIMIT - 1)
    return np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32)


class _Graph:
    """The graph being rewritten: its new nodes, and initializers that no node uses any longer."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.nodes: list[NodeProto] = []
        self.initializers = {item.name: item for item in graph.initializer}
        self.producer = {output: node.op_type for node in graph.node for output in node.output}
        self.quantized_inputs: set[str] = set()

    def constant(self, node: NodeProto, place: int) -> NDArray[Any] | None:
        initializer = self.initializers.get(node.input[place])
        return None if initializer is None else numpy_helper.to_array(initializer)

    def replace_matmul(self, node: NodeProto, matrix: NDArray[np.float32]) -> None:
        (values, weights), output = node.input, node.output[0]
        quantized, scale = quantize_matrix(matrix)
        self._add(f"{weights}_int8", quantized)
        self._add(f"{weights}_scale", scale)
        self._add(f"{weights}_zero", np.zeros((), np.int8))
        if values not in self.quantized_inputs:
            self.quantized_inputs.add(values)
            self._node(
                "DynamicQuantizeLinear", [values], f"{values}_uint8", f"{values}_scale", f"{values}_zero"
            )
        inputs = [f"{values}_uint8", f"{weights}_int8", f"{values}_zero", f"{weights}_zero"]
        self._node("MatMulInteger", inputs, f"{output}_int32")
        self._node("Cast", [f"{output}_int32"], f"{output}_float", to=TensorProto.FLOAT)
        self._node("Mul", [f"{values}_scale", f"{weights}_scale"], f"{output}_scale")
        self._node("Mul", [f"{output}_float", f"{output}_scale"], output)

    def replace_gather(self, node: NodeProto, table: NDArray[np.float32]) -> None:
        (rows, indices), output = node.input, node.output[0]
        largest = np.abs(table).max(axis=1, keepdims=True)
        scale = np.maximum(largest, np.finfo(np.float32).tiny) / 127
        self._add(f"{rows}_int8", np.rint(table / scale).astype(np.int8))
        self._add(f"{rows}_scale", scale.astype(np.float32))
        self._node("Gather", [f"{rows}_int8", indices], f"{output}_int8")
        self._node("Gather", [f"{rows}_scale", indices], f"{output}_scale")
        self._node("Cast", [f"{output}_int8"], f"{output}_float", to=TensorProto.FLOAT)
        self._node("Mul", [f"{output}_float", f"{output}_scale"], output)

    def finish(self) -> None:
        used = {name for node in self.nodes for name in node.input}
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(self.nodes)
        self.graph.initializer.extend(item for name, item in self.initializers.items() if name in used)

    def _add(self, name: str, value: NDArray[Any]) -> None:
        self.initializers[name] = numpy_helper.from_array(value, name)

    def _node(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        self.nodes.append(
            helper.make_node(operator, inputs, list(outputs), name=f"node_{outputs[0]}", **attributes)
        )
