"""A graph whose matrices and word embedding are replaced by integers (see ``quantization``)."""

import copy
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.matrix_inputs import Array, Levels

LARGEST_INT8 = 127

# Largest sum of two neighbouring weights of one sign. 255 * 127 fits into 16 bits with room for
# their rounding: nothing can saturate (see ``quantization``).
LARGEST_PAIR = 127

# Number of rows beyond which a table is the word embedding.
MIN_EMBEDDING_ROWS = 5_000

# The domain of ONNX Runtime's own operators.
ONNX_RUNTIME = "com.microsoft"


def _table_to_int8(table: Array) -> tuple[NDArray[np.int8], Array]:
    """Return a table as int8 [rows, columns], and the scale of each row, float32 [rows, 1]."""
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / LARGEST_INT8
    return np.rint(table / scale).astype(np.int8), scale.astype(np.float32)


def matrix_to_int8(matrix: Array) -> tuple[NDArray[np.int8], Array]:
    """Return a matrix as int8 [inputs, outputs], and the scale of each output, float32 [outputs].

    A CPU without VNNI adds the products of rows 0 and 1, of 2 and 3 and so on in 16 bits. Weights
    of opposite sign cancel there, so each sign is bounded by itself.
    """
    rows = np.pad(matrix, ((0, len(matrix) % 2), (0, 0)))
    pairs = rows.reshape(-1, 2, matrix.shape[1])
    sums = np.maximum(pairs.clip(min=0).sum(axis=1), -pairs.clip(max=0).sum(axis=1))

    scale = np.maximum(sums.max(axis=0), 1e-12) / LARGEST_PAIR
    return np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32)


class Rewriter:
    """A graph whose nodes are being replaced.

    Args:
        graph: The graph; it is changed by ``finish`` only.
        divisors: What each matrix's input is divided by.

    Attributes:
        nodes: The new ones.
        merged: Sums whose node has become a part of another one.
    """

    def __init__(self, graph: onnx.GraphProto, divisors: Mapping[str, Array]) -> None:
        self.graph = graph
        self.divisors = divisors
        self.levels: Mapping[str, Levels] | None = None
        self.nodes: list[NodeProto] = []
        self.merged: set[str] = set()
        self.initializers = {item.name: item for item in graph.initializer}
        self.quantized_inputs: set[str] = set()

    def fix_levels(self, levels: Mapping[str, Levels]) -> None:
        """Use constant levels for each divided input, instead of those that suit each batch."""
        self.levels = levels
        for values, constant in levels.items():
            self._add(f"{values}_scale", np.asarray(constant.scale))
            self._add(f"{values}_zero", np.asarray(constant.zero))

    def word_embedding(self, node: NodeProto) -> Array | None:
        """Return the table that a node looks words up in; None if it does anything else."""
        if node.op_type != "Gather" or node.input[0] not in self.initializers:
            return None

        table = numpy_helper.to_array(self.initializers[node.input[0]])
        return table if table.ndim == 2 and len(table) > MIN_EMBEDDING_ROWS else None

    def replace_matmul(self, node: NodeProto, matrix: Array) -> None:
        """Add what multiplies by a matrix of integers, in place of a node of the graph."""
        (values, weights), output = node.input, node.output[0]

        smoothed = matrix * self.divisors[values][:, None]
        integers, scale = matrix_to_int8(smoothed)
        self._add(f"{weights}_int8", integers)
        self._add(f"{weights}_scale", scale)
        self._add("int8_zero", np.zeros((), np.int8))

        # The input, once for all matrices that read it.
        if values not in self.quantized_inputs:
            self.quantized_inputs.add(values)
            self._quantize_input(values)

        if self.levels is None:
            self._multiply_dynamic(values, weights, output)
        else:
            self._multiply_static(values, weights, output)

    def _quantize_input(self, values: str) -> None:
        smooth = values
        if (self.divisors[values] != 1).any():
            smooth = f"{values}_smooth"
            self._add(f"{values}_factors", 1 / self.divisors[values])
            self._node("Mul", [values, f"{values}_factors"], smooth)

        integers, scale, zero = (f"{values}_{part}" for part in ("uint8", "scale", "zero"))
        if self.levels is None:
            self._node("DynamicQuantizeLinear", [smooth], integers, scale, zero)
        else:
            self._node("QuantizeLinear", [smooth, scale, zero], integers)

    def _multiply_dynamic(self, values: str, weights: str, output: str) -> None:
        inputs = [f"{values}_uint8", f"{weights}_int8", f"{values}_zero", "int8_zero"]
        self._node("MatMulInteger", inputs, f"{output}_int32")
        self._cast(f"{output}_int32", f"{output}_float")
        self._node("Mul", [f"{values}_scale", f"{weights}_scale"], f"{output}_scale")
        self._node("Mul", [f"{output}_float", f"{output}_scale"], output)

    def _multiply_static(self, values: str, weights: str, output: str) -> None:
        integers = [f"{values}_uint8", f"{weights}_int8"]
        scales = [f"{values}_scale", f"{weights}_scale"]
        zeros = [f"{values}_zero", "int8_zero"]

        # The bias comes with it, if there is one.
        bias, output = self._merge_bias(output) or ("", output)
        self._node("MatMulIntegerToFloat", [*integers, *scales, *zeros, bias], output)
        self.nodes[-1].domain = ONNX_RUNTIME

    def _merge_bias(self, product: str) -> tuple[str, str] | None:
        """Return the constant that is added to a product, and the sum, whose own node is merged.

        None if there is none, or if the product is read by anything else.
        """
        readers = [node for node in self.graph.node if product in node.input]
        if len(readers) != 1 or readers[0].op_type != "Add":
            return None

        (bias,) = (name for name in readers[0].input if name != product)
        if bias not in self.initializers or len(self.initializers[bias].dims) != 1:
            return None

        self.merged.add(readers[0].output[0])
        return bias, readers[0].output[0]

    def replace_gather(self, node: NodeProto, table: Array) -> None:
        """Add what looks words up in a table of integers, in place of a node of the graph."""
        (rows, indices), output = node.input, node.output[0]

        integers, scale = _table_to_int8(table)
        self._add(f"{rows}_int8", integers)
        self._add(f"{rows}_scale", scale)

        self._node("Gather", [f"{rows}_int8", indices], f"{output}_int8")
        self._node("Gather", [f"{rows}_scale", indices], f"{output}_scale")
        self._cast(f"{output}_int8", f"{output}_float")
        self._node("Mul", [f"{output}_float", f"{output}_scale"], output)

    def finish(self) -> None:
        """Give the graph its new nodes, and the initializers that these use."""
        # Copies, because clearing the graph empties the nodes and initializers that it owns.
        nodes = copy.deepcopy(self.nodes)
        used = {name for node in nodes for name in node.input}
        initializers = [
            copy.deepcopy(item) for name, item in self.initializers.items() if name in used
        ]

        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(initializers)

    def _add(self, name: str, value: NDArray[np.generic]) -> None:
        self.initializers[name] = numpy_helper.from_array(value, name)

    def _node(self, operator: str, inputs: list[str], *outputs: str) -> None:
        node = helper.make_node(operator, inputs, list(outputs), name=f"node_{outputs[0]}")
        self.nodes.append(node)

    def _cast(self, values: str, output: str) -> None:
        """Add a conversion of integers to float."""
        node = helper.make_node(
            "Cast", [values], [output], name=f"node_{output}", to=TensorProto.FLOAT
        )
        self.nodes.append(node)
