"""The drift check with a real model: each drifted kind is an alarm, normal traffic is none."""

import random
from dataclasses import replace
from itertools import islice

import pytest

from corpus.format import IN_DOMAIN, OUT_OF_DOMAIN, read_folder
from drift.sentences import KINDS, read_sentences, sentences
from drift.verdict import judge
from drift.windows import Window, from_records
from export.reference import describe
from monitoring.reference import ReferenceModel
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Prediction
from tests.helpers.drift_data import END, HOUR, record
from tests.helpers.paths import ROOT

MODEL = ROOT / "models" / "model.onnx"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MODEL.exists(), reason="no models/model.onnx: run `make train` first"),
]


@pytest.fixture(scope="module")
def predictor() -> ColaONNXPredictor:
    return ColaONNXPredictor(MODEL)


@pytest.fixture(scope="module")
def validation(predictor: ColaONNXPredictor) -> list[Prediction]:
    return predictor.predict_many(read_sentences(ROOT / "corpus"))


@pytest.fixture(scope="module")
def reference(predictor: ColaONNXPredictor, validation: list[Prediction]) -> ReferenceModel:
    """What the model says of corpus/, whatever corpus it was trained on."""
    splits = read_folder(ROOT / "corpus")
    rows = [*splits[IN_DOMAIN], *splits[OUT_OF_DOMAIN]]
    labels = ["acceptable" if row.label else "unacceptable" for row in rows]
    return ReferenceModel(predictor.info.version, describe(validation, labels))


def window(items: list[Prediction], reference: ReferenceModel) -> Window:
    lines = [record(item, END - HOUR / 2, reference.version) for item in items]
    counted = from_records(lines, END - HOUR, END, reference)
    return replace(counted, is_covered=True)


@pytest.mark.parametrize("size", [200, 1000])
def test_no_alarm_on_resamples_of_the_validation_set(
    validation: list[Prediction], reference: ReferenceModel, size: int
) -> None:
    rng = random.Random(size)
    for _ in range(20):
        both = [window(rng.choices(validation, k=size), reference) for _ in range(2)]
        assert judge(both[0], both[1], reference).state in ("ok", "warning")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "normal"])
def test_alarm_on_each_drifted_kind(
    predictor: ColaONNXPredictor, reference: ReferenceModel, kind: str
) -> None:
    normal = read_sentences(ROOT / "corpus")
    both = [
        window(predictor.predict_many(list(islice(sentences(kind, normal, seed), 300))), reference)
        for seed in (1, 2)
    ]
    found = judge(both[0], both[1], reference)
    assert found.state == "alarm"
    assert found.retrain
