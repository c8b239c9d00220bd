"""What enters the matrices: how large it gets, what smooths it, and the levels of its integers.

Smoothing. A few columns of a matrix's input are ten times larger than the rest. With one scale for
all columns, the others would share a handful of the 256 levels. So each column is divided by a
constant, and the matrix's row multiplied by it: the same product (SmoothQuant, Xiao et al. 2023,
arXiv 2211.10438). It halves the error of the logits, which finer weights leave as it is. Inputs
with even columns gain nothing from it and are left alone.

Levels. With constant ones, what enters a matrix at a token depends on its sentence alone. They lie
where a sample of training sentences is rounded with the least squared error: cutting the largest
values off makes all others finer (Sung et al. 2015, arXiv 1511.06488).
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[np.float32]

# Smallest matrix that is worth the quantization of its input.
MIN_MATRIX_SIZE = 10_000

# Ratio of an input's largest column to its median one from which it is smoothed.
UNEVEN = 8.0

# Exponent of SmoothQuant: 0 leaves all of the range with the input, 1 moves it to the weights.
SMOOTHING = 0.8

# Tokens of a sentence that are kept as a sample, or up to twice as many; all of a shorter one.
SAMPLED_TOKENS = 4

# Shares of the whole range that are tried as the range of the levels.
CLIPPING = np.linspace(0.3, 1, 36)


@dataclass(frozen=True)
class InputRange:
    """How large the input of a matrix gets."""

    largest: Array
    """The largest magnitude in each column, float [columns]."""

    sample: Array
    """Some tokens' values, float [tokens, columns]."""


Ranges = Mapping[str, InputRange]
"""Input ranges by the input's name."""


@dataclass(frozen=True)
class Levels:
    """Where the 256 levels of a uint8 lie."""

    scale: np.float32
    """The distance between two."""

    zero: np.uint8
    """The one that stands for 0."""


def find_matrices(graph: onnx.GraphProto) -> Iterator[tuple[NodeProto, Array]]:
    """Yield the products with a constant matrix that is large enough, and the matrix."""
    constants = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            matrix = numpy_helper.to_array(constants[node.input[1]])
            if matrix.ndim == 2 and matrix.size >= MIN_MATRIX_SIZE:
                yield node, matrix


def collect_ranges(
    model: onnx.ModelProto, feeds: Iterable[Mapping[str, NDArray[np.int64]]]
) -> dict[str, InputRange]:
    """Run some sentences and see how large the inputs of the matrices get.

    Args:
        model: The graph at fp32.
        feeds: The sentences.
    """
    names = list(dict.fromkeys(node.input[0] for node, _ in find_matrices(model.graph)))
    if not names:
        # Nothing to quantize; and a session that is asked for no output gives all of them.
        return {}

    # Expose the inputs as outputs of the graph.
    exposed = copy.deepcopy(model)
    exposed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = ort.InferenceSession(exposed.SerializeToString(), providers=["CPUExecutionProvider"])

    largest: dict[str, Array] = {}
    samples: dict[str, list[Array]] = {name: [] for name in names}
    for feed in feeds:
        for name, values in zip(names, session.run(names, dict(feed)), strict=True):
            tokens = values.reshape(-1, values.shape[-1])
            largest[name] = np.maximum(largest.get(name, 0), np.abs(tokens).max(axis=0))
            samples[name].append(tokens[:: max(1, len(tokens) // SAMPLED_TOKENS)])

    return {name: InputRange(largest[name], np.concatenate(samples[name])) for name in largest}


def choose_divisors(largest: Array, matrices: list[Array]) -> Array:
    """Return what each input column is divided by (SmoothQuant, equation 4), on average 1.

    All ones if the columns are even enough: their multiplication is left out then.

    Args:
        largest: The largest magnitude in each column of the input, float [inputs].
        matrices: What the input is multiplied with, float [inputs, outputs] each.
    """
    if largest.max() <= UNEVEN * np.median(largest):
        return np.ones_like(largest)

    rows = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    divisors = np.maximum(largest, 1e-5) ** SMOOTHING / np.maximum(rows, 1e-5) ** (1 - SMOOTHING)

    geometric_mean = np.exp(np.log(divisors).mean())
    return np.asarray(divisors / geometric_mean, np.float32)


def choose_levels(values: Array) -> Levels:
    """Return the levels with the least squared error.

    Args:
        values: A sample of a matrix's smoothed input, float [tokens, columns].
    """
    # Zero must be one of the levels.
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-6)

    candidates = []
    for share in CLIPPING:
        scale = np.float32(share * (high - low) / 255)
        zero = np.uint8(np.clip(np.rint(-share * low / scale), 0, 255))
        rounded = (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale
        candidates.append((float(np.square(rounded - values).mean()), Levels(scale, zero)))

    _, levels = min(candidates, key=lambda candidate: candidate[0])
    return levels
