"""A sentence has one score, whoever else is being served at the time."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx
import pytest

from corpus.format import FILES, IN_DOMAIN, read_file
from prediction.onnx_predictor import ColaONNXPredictor
from tests.helpers.paths import ROOT
from tests.helpers.processes import api

MODEL = ROOT / "models/model.onnx"
SENTENCE = "The boy is sitting on a bench."
CLIENTS, TIMES = 32, 1000
GATE = 0.005

pytestmark = pytest.mark.slow


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Serve the trained model; yield the URL of the API."""
    if not MODEL.exists():
        pytest.skip("no models/model.onnx: run `make train`")

    with api({"MODEL_PATH": str(MODEL)}, tmp_path) as address:
        yield address


def test_a_sentence_has_one_score_among_strangers(url: str) -> None:
    strangers = [row.text for row in read_file(ROOT / "corpus" / FILES[IN_DOMAIN])]
    asked = count()
    scores: list[float] = []

    def ask(client: int) -> None:
        dice = random.Random(client)
        with httpx.Client(base_url=url, timeout=60) as connection:
            while next(asked) < TIMES:
                for text in (SENTENCE, dice.choice(strangers)):
                    answer = connection.post("/predict", json={"sentence": text})
                    if text == SENTENCE:
                        prediction = answer.json()["prediction"]
                        assert prediction["label"] == "acceptable"
                        scores.append(prediction["score"])

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))

    alone = ColaONNXPredictor(MODEL).predict(SENTENCE)["prediction"]["score"]
    spread = max(scores) - min(scores)
    print(f"\n{len(scores)} scores within {spread:.5f}; alone: {alone:.5f}")
    assert len(scores) == TIMES
    assert spread <= GATE
    assert max(abs(score - alone) for score in scores) <= GATE
