"""Weights as 8-bit integers: a quarter of the file, and integer products, several times faster.

A matrix is int8 with one scale per column; its input is rounded to uint8 as it arrives, and the
integer sums are scaled back. The word embedding is int8 with one scale per row.

Static or dynamic. Where the input's 256 levels lie is a constant with a static scheme. A dynamic
one spreads them over the largest and smallest value that happen to arrive, so that a sentence's
score depends on the other sentences in its row. So static is tried first.

Three things keep int8 predictions close to fp32 predictions: smoothing (see ``matrix_inputs``),
attention that adds in the same order everywhere (see ``layers``), and that no sum saturates.

No saturation. Without VNNI, x86 CPUs multiply uint8 by int8 with an instruction (vpmaddubsw) that
adds two neighbouring products in 16 bits and saturates. If two neighbouring weights of one sign add
up to 128 at most it cannot, since 255 * 128 fits. So the file gives the same answers on a CPU that
it was not exported on. To bound each weight by 64 would do as well, with coarser weights.

Operators. Dynamic schemes use standard ones (DynamicQuantizeLinear, MatMulInteger, Cast, Mul, Add),
which ONNX Runtime fuses. It does not fuse those of a static scheme, whose conversion, scaling and
bias would each go through memory; so that uses its own MatMulIntegerToFloat, which does all in one.

Why not ``onnxruntime.quantization.quantize_dynamic(per_channel=True, reduce_range=True)``, whose
``reduce_range`` bounds the weights by 64? Restricted to MatMul, Gather and Gemm it is as small and
as fast, and keeps the labels about as well; without smoothing, the logits are off by 1.7 times as
much, and with them the scores. Measured beside this module's dynamic scheme, when attention still
was one operator and each weight was bounded by 64 (MiniLM trained on corpus/, its 1,092 validation
sentences, MCC of PyTorch 0.543; one thread of an AMD EPYC of the Zen 4 generation, which has
AVX-512 VNNI):

                                 this module    quantize_dynamic
    MCC                                0.536               0.541
    other labels than PyTorch          1.4 %               1.6 %
    RMS error of the logits            0.093               0.155
    file                             24.7 MB             24.1 MB
    packed rows, sentences/s             943                 921
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import helper

from export.matrix_inputs import Array, Ranges, choose_divisors, choose_levels, find_matrices
from export.rewriter import ONNX_RUNTIME, Rewriter


@dataclass(frozen=True)
class Scheme:
    """What is quantized, and what stays fp32."""

    name: str

    static: bool = False
    """Whether the levels of inputs are constants."""

    keep_after: tuple[str, ...] = ()
    """Matrices that read the output of one of these operators stay fp32."""

    embedding: bool = True
    """Whether the word embedding is quantized."""


# Schemes from the smallest file to the safest. An activation function's output has the most uneven
# columns.
STATIC_SCHEMES = (
    Scheme("static int8", static=True),
    Scheme("static int8, but fp32 after Gelu", static=True, keep_after=("Gelu",)),
)
DYNAMIC_SCHEMES = (
    Scheme("int8"),
    Scheme("int8, but fp32 after Gelu", keep_after=("Gelu",)),
    Scheme("int8, but fp32 after Gelu and in the embedding", keep_after=("Gelu",), embedding=False),
)


def quantize(model: onnx.ModelProto, scheme: Scheme, ranges: Ranges) -> onnx.ModelProto:
    """Return a copy of a graph with its matrices and its word embedding as int8.

    Args:
        model: The graph at fp32.
        scheme: What is quantized.
        ranges: What ``collect_ranges`` found for this graph.
    """
    quantized = copy.deepcopy(model)
    graph = quantized.graph

    # The matrices that the scheme quantizes, by the name of their product.
    operator_of = {output: node.op_type for node in graph.node for output in node.output}
    matrices = {
        node.output[0]: matrix
        for node, matrix in find_matrices(graph)
        if operator_of.get(node.input[0]) not in scheme.keep_after
    }

    divisors = _divisors(graph, matrices, ranges)
    rewriter = Rewriter(graph, divisors)
    if scheme.static:
        rewriter.fix_levels(
            {name: choose_levels(ranges[name].sample / divisors[name]) for name in divisors}
        )
        quantized.opset_import.append(helper.make_opsetid(ONNX_RUNTIME, 1))

    for node in graph.node:
        if node.output[0] in matrices:
            rewriter.replace_matmul(node, matrices[node.output[0]])
            continue
        if node.output[0] in rewriter.merged:
            continue

        table = rewriter.word_embedding(node) if scheme.embedding else None
        if table is not None:
            rewriter.replace_gather(node, table)
        else:
            rewriter.nodes.append(node)

    rewriter.finish()
    return quantized


def _divisors(
    graph: onnx.GraphProto, matrices: Mapping[str, Array], ranges: Ranges
) -> dict[str, Array]:
    """Return what each matrix's input is divided by, by the input's name.

    Several matrices may read one input; they share its divisors.
    """
    divisors = {}
    for name, input_range in ranges.items():
        readers = [
            matrices[node.output[0]]
            for node in graph.node
            if node.output[0] in matrices and node.input[0] == name
        ]
        if readers:
            divisors[name] = choose_divisors(input_range.largest, readers)
    return divisors
