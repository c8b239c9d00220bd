"""Weights as 8-bit integers: a quarter of the file, and integer products, several times faster on a CPU.

Dynamic quantization in standard ONNX operators. A matrix is int8 with one scale a column; its input is
quantized as it arrives (DynamicQuantizeLinear, uint8), and MatMulInteger's sums are scaled back; ONNX Runtime
fuses these operators into one kernel. The word embedding is int8 with one scale a row.

Two measures keep the labels what they were:

Smoothing. A few columns of an input are ten times larger than the rest and would leave these few of the 256
steps. Each column is divided by a constant, and the matrix's row multiplied by it: the same product
(SmoothQuant, Xiao et al. 2023, arXiv 2211.10438). It halves the error of the logits, which finer weights
leave as it is.

No saturation. Without VNNI, x86 CPUs multiply uint8 by int8 with an instruction (vpmaddubsw) that adds two
neighbouring products in 16 bits and saturates. With weights of at most 64 in magnitude it cannot, since
2 * 255 * 64 fits. So the file gives the same answers on a CPU that it was not exported on.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[np.float32]

LARGEST_WEIGHT = 64
SMOOTHING = 0.8  # 0: all of the range stays with the input; 1: all of it goes to the weights
MATRIX_SIZE = 10_000  # a smaller matrix is not worth the quantization of its input
EMBEDDING_ROWS = 5_000  # a table with more rows is the word embedding


@dataclass(frozen=True)
class Scheme:
    """What stays fp32: matrices that read one of these operators' outputs, or the word embedding."""

    name: str
    keep_after: tuple[str, ...] = ()
    embedding: bool = True


# From the smallest file to the safest. What an activation function gives has the most uneven columns.
SCHEMES = (
    Scheme("int8"),
    Scheme("int8, but fp32 after Gelu", keep_after=("Gelu",)),
    Scheme("int8, but fp32 after Gelu and in the embedding", keep_after=("Gelu",), embedding=False),
)


def observe(
    model: onnx.ModelProto, feeds: Iterable[Mapping[str, NDArray[np.int64]]]
) -> dict[str, Array]:
    """The largest magnitude in each column of each matrix's input (by name) over some sentences."""
    exposed = copy.deepcopy(model)
    names = list(dict.fromkeys(node.input[0] for node, _ in _matrices(model.graph)))
    if not names:
        return {}  # nothing to quantize; and asked for no output, a session gives all
    exposed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = ort.InferenceSession(exposed.SerializeToString(), providers=["CPUExecutionProvider"])
    largest: dict[str, Array] = {}
    for feed in feeds:
        for name, values in zip(names, session.run(names, dict(feed)), strict=True):
            columns = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)
            largest[name] = np.maximum(largest.get(name, 0), columns)
    return largest


def quantize(
    model: onnx.ModelProto, scheme: Scheme, largest_inputs: Mapping[str, Array]
) -> onnx.ModelProto:
    """A copy of ``model`` with int8 matrices and word embedding; ``largest_inputs`` is from ``observe``."""
    quantized = copy.deepcopy(model)
    graph = quantized.graph
    producers = {output: node.op_type for node in graph.node for output in node.output}
    matrices = {
        node.output[0]: matrix
        for node, matrix in _matrices(graph)
        if producers.get(node.input[0]) not in scheme.keep_after
    }
    rewriter = _Rewriter(graph)
    for name, columns in largest_inputs.items():
        readers = [
            node for node in graph.node if node.output[0] in matrices and node.input[0] == name
        ]
        if readers:
            rewriter.divisors[name] = _divisors(
                columns, [matrices[node.output[0]] for node in readers]
            )
    for node in graph.node:
        table = rewriter.constant(node.input[0]) if node.op_type == "Gather" else None
        if node.output[0] in matrices:
            rewriter.replace_matmul(node, matrices[node.output[0]])
        elif (
            scheme.embedding
            and table is not None
            and table.ndim == 2
            and len(table) > EMBEDDING_ROWS
        ):
            rewriter.replace_gather(node, table)
        else:
            rewriter.nodes.append(node)
    rewriter.finish()
    return quantized


def _matrices(graph: onnx.GraphProto) -> Iterable[tuple[NodeProto, Array]]:
    """The products with a constant matrix that is worth it."""
    constants = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            matrix = numpy_helper.to_array(constants[node.input[1]])
            if matrix.ndim == 2 and matrix.size >= MATRIX_SIZE:
                yield node, matrix


def _divisors(columns: Array, matrices: list[Array]) -> Array:
    """What each input column is divided by, float [inputs], around 1."""
    rows = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    divisors = np.maximum(columns, 1e-5) ** SMOOTHING / np.maximum(rows, 1e-5) ** (1 - SMOOTHING)
    return np.asarray(divisors / np.exp(np.log(divisors).mean()), np.float32)


def _quantize(values: Array, axis: int, most: int) -> tuple[NDArray[np.int8], Array]:
    """int8 values of at most ``most`` in magnitude, and the scales, each shared along ``axis``."""
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True), 1e-12) / most
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)


class _Rewriter:
    """A graph whose nodes are being replaced. ``divisors``: what each matrix input is divided by."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.nodes: list[NodeProto] = []
        self.divisors: dict[str, Array] = {}
        self.initializers = {item.name: item for item in graph.initializer}
        self.quantized_inputs: set[str] = set()

    def constant(self, name: str) -> NDArray[Any] | None:
        return numpy_helper.to_array(self.initializers[name]) if name in self.initializers else None

    def replace_matmul(self, node: NodeProto, matrix: Array) -> None:
        (values, weights), output = node.input, node.output[0]
        integers, scale = _quantize(matrix * self.divisors[values][:, None], 0, LARGEST_WEIGHT)
        self._add(f"{weights}_int8", integers)
        self._add(f"{weights}_scale", scale[0])
        self._add("int8_zero", np.zeros((), np.int8))
        if values not in self.quantized_inputs:
            self.quantized_inputs.add(values)
            self._add(f"{values}_factors", 1 / self.divisors[values])
            self._node("Mul", [values, f"{values}_factors"], f"{values}_smooth")
            parts = (f"{values}_{part}" for part in ("uint8", "scale", "zero"))
            self._node("DynamicQuantizeLinear", [f"{values}_smooth"], *parts)
        inputs = [f"{values}_uint8", f"{weights}_int8", f"{values}_zero", "int8_zero"]
        self._node("MatMulInteger", inputs, f"{output}_int32")
        self._node("Cast", [f"{output}_int32"], f"{output}_float", to=TensorProto.FLOAT)
        self._node("Mul", [f"{values}_scale", f"{weights}_scale"], f"{output}_scale")
        self._node("Mul", [f"{output}_float", f"{output}_scale"], output)

    def replace_gather(self, node: NodeProto, table: Array) -> None:
        (rows, indices), output = node.input, node.output[0]
        integers, scale = _quantize(table, 1, 127)
        self._add(f"{rows}_int8", integers)
        self._add(f"{rows}_scale", scale)
        self._node("Gather", [f"{rows}_int8", indices], f"{output}_int8")
        self._node("Gather", [f"{rows}_scale", indices], f"{output}_scale")
        self._node("Cast", [f"{output}_int8"], f"{output}_float", to=TensorProto.FLOAT)
        self._node("Mul", [f"{output}_float", f"{output}_scale"], output)

    def finish(self) -> None:
        nodes = copy.deepcopy(self.nodes)  # clearing the graph would empty those that it owns
        used = {name for node in nodes for name in node.input}
        initializers = [
            copy.deepcopy(item) for name, item in self.initializers.items() if name in used
        ]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(initializers)

    def _add(self, name: str, value: NDArray[Any]) -> None:
        self.initializers[name] = numpy_helper.from_array(value, name)

    def _node(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        node = helper.make_node(
            operator, inputs, list(outputs), name=f"node_{outputs[0]}", **attributes
        )
        self.nodes.append(node)
