"""Packed rows against transformers, sentence by sentence: first in PyTorch, then as exported."""

from collections.abc import Sequence
from typing import Any

import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification

from export.calibration import Calibration
from export.feeds import onnx_logits, packed_rows, padded_batches, torch_logits
from export.packing import PackedNetwork, can_pack, to_onnx

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "num_labels": 2,
}
LIMIT = 1e-4
CALIBRATION = Calibration(temperature=1.5, largest_margin=2.0)


def network(model_type: str, **more: Any) -> Any:
    torch.manual_seed(1)
    config = AutoConfig.for_model(model_type, **{**SMALL, **more})
    return AutoModelForSequenceClassification.from_config(config).eval()


def sentences(lengths: Sequence[int]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(5, 100, (length,), generator=generator).tolist() for length in lengths]


def alone(model: Any, rows: list[list[int]]) -> Tensor:
    return CALIBRATION.apply(torch_logits(model, padded_batches(rows, 1)))


@pytest.fixture(scope="module")
def bert() -> Any:
    return network("bert")


@pytest.fixture(scope="module")
def session(bert: Any) -> ort.InferenceSession:
    return ort.InferenceSession(to_onnx(bert, CALIBRATION).SerializeToString())


@pytest.mark.parametrize(
    ("model_type", "more"),
    [
        ("bert", {}),
        ("distilbert", {"hidden_dim": 64}),
        ("electra", {"embedding_size": 16}),
        ("electra", {"embedding_size": 32}),
    ],
)
def test_a_packed_row_gives_what_each_sentence_gives_alone(
    model_type: str, more: dict[str, int]
) -> None:
    model = network(model_type, **more)
    rows = sentences([3, 1, 9, 2, 30])
    expected = alone(model, rows)

    # Or nothing would be compared.
    assert expected.std() > 0.01

    packed = PackedNetwork(model, CALIBRATION).eval()
    with torch.inference_mode():
        logits = torch.cat(
            [
                packed(torch.tensor(feed["input_ids"]), torch.tensor(feed["attention_mask"]))
                for feed in packed_rows(rows, 2)
            ]
        )
    assert (logits - expected).abs().max() < LIMIT


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_the_exported_graph_packs_any_number_of_sentences(
    bert: Any, session: ort.InferenceSession, count: int
) -> None:
    lengths = torch.randint(
        1, 100, (count,), generator=torch.Generator().manual_seed(count)
    ).tolist()
    rows = sentences(lengths)
    assert (onnx_logits(session, packed_rows(rows, count)) - alone(bert, rows)).abs().max() < LIMIT


@pytest.mark.parametrize(("low", "high"), [(60.0, 95.0), (-50.0, -20.0)])
def test_scores_of_attention_may_be_far_from_zero(low: float, high: float) -> None:
    model = network("bert", num_hidden_layers=1, num_attention_heads=1)
    attention = model.bert.encoder.layer[0].attention.self
    rows = sentences([3, 9, 30])

    # The same key feature for all tokens, and one of the query that says how far.
    with torch.no_grad():
        for layer in (attention.query, attention.key):
            layer.weight[0] = 0.0
        attention.key.bias[0] = 1.0
        attention.query.bias[0] = 0.0
        scores = _largest_scores(model, rows)
        attention.query.bias[0] = ((low + high) / 2 - scores.mean()) / attention.scaling
        scores = _largest_scores(model, rows)
    assert low < scores.min()
    assert scores.max() < high

    packed = PackedNetwork(model, CALIBRATION).eval()
    with torch.inference_mode():
        logits = torch.cat(
            [
                packed(torch.tensor(feed["input_ids"]), torch.tensor(feed["attention_mask"]))
                for feed in packed_rows(rows, 2)
            ]
        )
    assert (logits - alone(model, rows)).abs().max() < LIMIT


def _largest_scores(model: Any, rows: list[list[int]]) -> Tensor:
    """Return the largest score of each token's query in the first layer, float [tokens]."""
    attention = model.bert.encoder.layer[0].attention.self
    largest = []
    for ids in rows:
        hidden = model.bert.embeddings(torch.tensor([ids]))[0]
        scores = attention.query(hidden) @ attention.key(hidden).T * attention.scaling
        largest.append(scores.amax(dim=1))
    return torch.cat(largest)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_zeros_and_ones_mean_what_they_always_mean(
    bert: Any, session: ort.InferenceSession, size: int
) -> None:
    rows = sentences([1, 128, 5, 17, 2, 64, 3, 9])
    assert (
        onnx_logits(session, padded_batches(rows, size)) - alone(bert, rows)
    ).abs().max() < LIMIT


def test_rows_with_several_sentences_and_padding_answer_in_reading_order(
    bert: Any, session: ort.InferenceSession
) -> None:
    first, second, third, fourth = rows = sentences([4, 6, 8, 1])
    feed = {
        "input_ids": [first + second + [7, 7], third + fourth + [9, 9, 9]],
        "attention_mask": [[1] * 4 + [2] * 6 + [0] * 2, [1] * 8 + [2] + [0] * 3],
    }
    (logits,) = session.run(["logits"], feed)
    assert (torch.tensor(logits) - alone(bert, rows)).abs().max() < LIMIT


def test_the_graph_is_standard_dynamic_and_tidy(bert: Any) -> None:
    model = to_onnx(bert)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain for entry in model.opset_import} == {""}
    shapes = {
        value.name: [
            dimension.dim_param or dimension.dim_value
            for dimension in value.type.tensor_type.shape.dim
        ]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "input_ids": ["batch", "sequence"],
        "attention_mask": ["batch", "sequence"],
        "logits": ["sentences", 2],
    }

    # No stack traces of the machine that exported it.
    assert b".py" not in model.SerializeToString()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "more"),
    [
        ("mpnet", {}),
        (
            "deberta-v2",
            {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]},
        ),
    ],
)
def test_other_architectures_are_exported_as_they_are(
    model_type: str, more: dict[str, Any]
) -> None:
    model = network(model_type, **more)
    assert not can_pack(model)
    session = ort.InferenceSession(to_onnx(model, CALIBRATION).SerializeToString())
    rows = sentences([1, 40, 5, 17, 2])
    for size in (1, 2, 5):
        assert (
            onnx_logits(session, padded_batches(rows, size)) - alone(model, rows)
        ).abs().max() < LIMIT
