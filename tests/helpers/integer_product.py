"""Multiplies integers with ONNX Runtime on the CPU that it finds, real or emulated.

python tests/helpers/integer_product.py FOLDER    # FOLDER/inputs.npz -> FOLDER/outputs.npz
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper


def main(folder: Path) -> None:
    """Multiply ``values`` by each other matrix of the inputs."""
    with np.load(folder / "inputs.npz") as inputs:
        matrices = dict(inputs)
    values = matrices.pop("values")

    products = {name: multiply(values, matrix) for name, matrix in matrices.items()}
    np.savez(folder / "outputs.npz", allow_pickle=False, **products)


def multiply(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return uint8 [n, k] times int8 [k, m] as int32, by MatMulInteger with a constant matrix."""
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["values", "matrix"], ["product"])],
        "product",
        [helper.make_tensor_value_info("values", TensorProto.UINT8, values.shape)],
        [helper.make_tensor_value_info("product", TensorProto.INT32, None)],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    opset = helper.make_opsetid("", 21)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    product: np.ndarray = session.run(None, {"values": values})[0]
    return product


if __name__ == "__main__":
    main(Path(sys.argv[1]))
