"""8-bit weights: what they are, that they cannot saturate, and that the answers stay."""

import copy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.matrix_inputs import collect_ranges
from export.quantization import DYNAMIC_SCHEMES, STATIC_SCHEMES, Scheme, quantize
from export.rewriter import matrix_to_int8

INTEGER_PRODUCT = Path(__file__).parents[1] / "helpers" / "integer_product.py"

INPUTS, OUTPUTS, ROWS = 256, 128, 6000


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """Return an embedding, an activation and a matrix.

    As in a transformer, a few inputs of the matrix are much larger than the rest.
    """
    generator = np.random.default_rng(0)
    table = generator.normal(size=(ROWS, INPUTS)).astype(np.float32)
    spread = np.ones(INPUTS, np.float32)
    spread[:4] = 50
    matrix = generator.normal(size=(INPUTS, OUTPUTS)).astype(np.float32)
    matrix[:4] /= 50
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),
            helper.make_node("Mul", ["embedded", "spread"], ["uneven"]),
            helper.make_node("Gelu", ["uneven"], ["active"]),
            helper.make_node("MatMul", ["active", "matrix"], ["logits"]),
        ],
        "test",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
        [
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, ["batch", "sequence", OUTPUTS]
            )
        ],
        [
            numpy_helper.from_array(value, name)
            for name, value in {"table": table, "spread": spread, "matrix": matrix}.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


@pytest.fixture(scope="module")
def feed() -> dict[str, Any]:
    return {"input_ids": np.random.default_rng(1).integers(ROWS, size=(4, 9))}


def run(model: onnx.ModelProto, feed: dict[str, Any]) -> Any:
    onnx.checker.check_model(model, full_check=True)
    return ort.InferenceSession(model.SerializeToString()).run(["logits"], feed)[0]


def relative_error(logits: Any, expected: Any) -> float:
    return float(np.sqrt(((logits - expected) ** 2).mean() / (expected**2).mean()))


def initializers(model: onnx.ModelProto) -> dict[str, Any]:
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def test_the_file_is_a_quarter_and_the_answers_stay(
    model: onnx.ModelProto, feed: dict[str, Any]
) -> None:
    quantized = quantize(model, STATIC_SCHEMES[0], collect_ranges(model, [feed]))
    assert quantized.ByteSize() < 0.27 * model.ByteSize()
    assert relative_error(run(quantized, feed), run(model, feed)) < 0.02


def test_smoothing_is_what_keeps_them(model: onnx.ModelProto, feed: dict[str, Any]) -> None:
    flat = {
        name: replace(item, largest=np.ones_like(item.largest))
        for name, item in collect_ranges(model, [feed]).items()
    }
    expected = run(model, feed)
    smoothed = relative_error(
        run(quantize(model, STATIC_SCHEMES[0], collect_ranges(model, [feed])), feed), expected
    )
    assert smoothed < 0.5 * relative_error(
        run(quantize(model, STATIC_SCHEMES[0], flat), feed), expected
    )


def test_no_cpu_can_saturate(model: onnx.ModelProto, feed: dict[str, Any]) -> None:
    quantized = quantize(model, STATIC_SCHEMES[0], collect_ranges(model, [feed]))
    weights = initializers(quantized)["matrix_int8"].astype(int)

    # What vpmaddubsw adds up at most and at least: 255 times two neighbours of one sign.
    pairs = weights[: len(weights) // 2 * 2].reshape(-1, 2, weights.shape[1])
    highest = 255 * pairs.clip(min=0).sum(axis=1).max()
    lowest = 255 * pairs.clip(max=0).sum(axis=1).min()
    assert highest <= np.iinfo(np.int16).max
    assert lowest >= np.iinfo(np.int16).min

    # The whole range is used.
    assert max(highest, -lowest) >= 255 * 126


@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs Debian's qemu-user")
def test_a_cpu_without_vnni_multiplies_exactly(tmp_path: Path) -> None:
    """An emulated one, with the worst input; with larger weights it must be wrong there."""
    rng = np.random.default_rng(0)
    rows, columns = 387, 40
    bounded, _ = matrix_to_int8(rng.normal(size=(rows, columns)).astype(np.float32))
    unbounded = np.full((rows, columns), 127, np.int8)
    values = np.full((5, rows), 255, np.uint8)
    np.savez(tmp_path / "inputs.npz", values=values, bounded=bounded, unbounded=unbounded)

    emulator = ["qemu-x86_64", "-cpu", "Haswell"]
    command = [*emulator, sys.executable, str(INTEGER_PRODUCT), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)

    with np.load(tmp_path / "outputs.npz") as products:
        assert (products["bounded"] == values.astype(int) @ bounded.astype(int)).all()
        assert (products["unbounded"] != values.astype(int) @ unbounded.astype(int)).all()


def test_a_scheme_says_what_stays_fp32(model: onnx.ModelProto, feed: dict[str, Any]) -> None:
    kept = initializers(
        quantize(model, Scheme("", keep_after=("Gelu",)), collect_ranges(model, [feed]))
    )
    assert kept["matrix"].dtype == np.float32
    assert "table_int8" in kept
    kept = initializers(quantize(model, Scheme("", embedding=False), collect_ranges(model, [feed])))
    assert kept["table"].dtype == np.float32
    assert "matrix_int8" in kept
    assert "matrix" not in kept


def test_the_model_given_is_not_changed(model: onnx.ModelProto, feed: dict[str, Any]) -> None:
    before = model.SerializeToString()
    quantize(model, STATIC_SCHEMES[0], collect_ranges(model, [feed]))
    assert model.SerializeToString() == before


def test_static_levels_leave_a_sentence_as_it_is_beside_a_louder_one(
    model: onnx.ModelProto, feed: dict[str, Any]
) -> None:
    # The last word's embedding is far larger than the others'.
    shouting = copy.deepcopy(model)
    (table,) = (item for item in shouting.graph.initializer if item.name == "table")
    values = numpy_helper.to_array(table).copy()
    values[ROWS - 1] *= 20
    table.CopyFrom(numpy_helper.from_array(values, "table"))

    quiet = {"input_ids": feed["input_ids"] % (ROWS - 1)}
    loud = np.full((1, quiet["input_ids"].shape[1]), ROWS - 1)
    beside = {"input_ids": np.concatenate([quiet["input_ids"], loud])}

    def change(scheme: Scheme) -> float:
        quantized = quantize(shouting, scheme, collect_ranges(shouting, [quiet]))
        return relative_error(run(quantized, beside)[:-1], run(quantized, quiet))

    assert change(Scheme("", static=True)) == 0

    # Or the neighbour would not be one that matters.
    assert change(Scheme("")) > 0.01


def test_a_static_product_takes_its_bias_in_unless_others_read_it(
    model: onnx.ModelProto, feed: dict[str, Any]
) -> None:
    # The logits plus a constant, and another graph that also reads them without it.
    biased = copy.deepcopy(model)
    bias = np.random.default_rng(2).normal(size=OUTPUTS).astype(np.float32)
    biased.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
    biased.graph.node[-1].output[0] = "product"
    biased.graph.node.append(helper.make_node("Add", ["product", "bias"], ["logits"]))
    shared = copy.deepcopy(biased)
    shared.graph.node[-1].output[0] = "sum"
    shared.graph.node.append(helper.make_node("Max", ["product", "sum"], ["logits"]))

    for graph, sums in ((biased, 0), (shared, 1)):
        quantized = quantize(graph, STATIC_SCHEMES[0], collect_ranges(graph, [feed]))
        assert [node.op_type for node in quantized.graph.node].count("Add") == sums
        assert relative_error(run(quantized, feed), run(graph, feed)) < 0.02


@pytest.mark.parametrize("schemes", [STATIC_SCHEMES, DYNAMIC_SCHEMES])
def test_schemes_go_from_the_smallest_to_the_safest(
    schemes: tuple[Scheme, ...], model: onnx.ModelProto, feed: dict[str, Any]
) -> None:
    assert len({scheme.static for scheme in schemes}) == 1

    ranges = collect_ranges(model, [feed])
    quantized = [quantize(model, scheme, ranges) for scheme in schemes]
    sizes = [item.ByteSize() for item in quantized]
    errors = [relative_error(run(item, feed), run(model, feed)) for item in quantized]
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_even_inputs_are_not_smoothed(model: onnx.ModelProto, feed: dict[str, Any]) -> None:
    even = copy.deepcopy(model)
    (spread,) = (item for item in even.graph.initializer if item.name == "spread")
    spread.CopyFrom(numpy_helper.from_array(np.ones(INPUTS, np.float32), "spread"))

    names = {}
    for name, graph in (("uneven", model), ("even", even)):
        quantized = quantize(graph, STATIC_SCHEMES[0], collect_ranges(graph, [feed]))
        names[name] = initializers(quantized).keys()
        assert relative_error(run(quantized, feed), run(graph, feed)) < 0.03

    assert "active_factors" in names["uneven"]
    assert "active_factors" not in names["even"]
