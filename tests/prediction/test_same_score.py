"""A sentence gets one score, whichever way it is predicted and whoever else is."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow
import pytest
from pyarrow import parquet

from configs.schema import ExportConfig, Precision
from convert_model_to_onnx import export
from corpus.format import FILES, IN_DOMAIN, read_file
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Answer
from tests.helpers.paths import ROOT
from tests.helpers.processes import api
from tests.helpers.ray_cluster import start_job
from tests.helpers.tiny_model import has_that, make_checkpoint

LIMITS = {"fp32": 1e-5, "int8": 0.005}
CLIENTS = 32


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "best-checkpoint.ckpt"
    return make_checkpoint(path, steps=60, label=has_that)


@pytest.fixture(scope="module", params=list(LIMITS))
def model(checkpoint: Path, request: pytest.FixtureRequest) -> Path:
    """Return a model file whose name is its precision."""
    path = checkpoint.with_name(f"{request.param}.onnx")
    config = ExportConfig(
        checkpoint=str(checkpoint),
        output=str(path),
        precision=Precision(request.param),
        calibrate=False,
        min_mcc=-1.0,
    )
    export(config, {})
    return path


@pytest.fixture(scope="module")
def texts() -> list[str]:
    sentences = read_file(ROOT / "corpus" / FILES[IN_DOMAIN])[:120]
    return random.Random(0).sample([sentence.text for sentence in sentences], 120)


@pytest.fixture(scope="module")
def alone(model: Path, texts: list[str]) -> list[Answer]:
    """Return what ``predict`` answers to each text, which every other way must answer, too."""
    predictor = ColaONNXPredictor(model, threads=1)
    return [predictor.predict(text) for text in texts]


def probability(answer: Any) -> float:
    """Return the probability of ``acceptable``."""
    prediction = answer["prediction"]
    score = float(prediction["score"])
    return score if prediction["label"] == "acceptable" else 1 - score


def require_same(answers: Sequence[Any], alone: list[Answer], model: Path) -> None:
    assert [answer["text"] for answer in answers] == [answer["text"] for answer in alone]

    limit = LIMITS[model.stem]
    for answer, expected in zip(answers, alone, strict=True):
        assert probability(answer) == pytest.approx(probability(expected), abs=limit)


@contextmanager
def service(model: Path, folder: Path) -> Iterator[httpx.Client]:
    """Run app.py, as a person does."""
    # As many connections as clients stay open: a pool closes those over its limit, which may be in
    # use by another thread by then.
    limits = httpx.Limits(max_keepalive_connections=None)
    with (
        api({"MODEL_PATH": str(model)}, folder) as url,
        httpx.Client(base_url=url, timeout=60, limits=limits) as client,
    ):
        yield client


def test_the_scores_differ_from_sentence_to_sentence(alone: list[Answer]) -> None:
    # Or the other tests would compare nothing.
    scores = [probability(answer) for answer in alone]
    assert max(scores) - min(scores) > 0.5


@pytest.mark.parametrize("threads", [1, 3])
def test_predict_batch(model: Path, texts: list[str], alone: list[Answer], threads: int) -> None:
    predictor = ColaONNXPredictor(model, threads=threads, single_threads=threads)
    require_same(predictor.predict_batch(texts), alone, model)

    encoded = [predictor.encode(text) for text in texts]
    exclusive = [predictor.predict_encoded([item], exclusive=True)[0] for item in encoded]
    require_same([prediction.as_dict() for prediction in exclusive], alone, model)


def test_http_api(model: Path, texts: list[str], alone: list[Answer], tmp_path: Path) -> None:
    with service(model, tmp_path) as client, ThreadPoolExecutor(CLIENTS) as pool:

        def ask(text: str) -> Any:
            return client.post("/predict", json={"sentence": text}).raise_for_status().json()

        # One sentence among others, again and again: the rows are never the same.
        busy = [text for other in texts for text in (other, texts[0])]
        answers = list(pool.map(ask, busy))
        require_same(answers[::2], alone, model)
        require_same(answers[1::2], [alone[0]] * len(texts), model)

        batch = client.post("/predict", json={"sentences": texts}).raise_for_status().json()
        require_same(batch["predictions"], alone, model)


def test_lambda_handler(model: Path, texts: list[str], alone: list[Answer]) -> None:
    # In a process of its own, because importing the handler loads the model.
    program = (
        "import json, sys; from lambda_handler import lambda_handler as handle;"
        "texts = json.load(sys.stdin);"
        "single = [handle({'sentence': text}, None) for text in texts];"
        "batch = handle({'sentences': texts}, None)['predictions'];"
        "json.dump([single, batch], sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "MODEL_PATH": str(model)},
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    single, batch = json.loads(result.stderr)
    require_same(single, alone, model)
    require_same(batch, alone, model)


def test_command_line(model: Path, texts: list[str], alone: list[Answer]) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "inference_onnx.py", "--model", model, "--input", "-", "--json"],
        input="\n".join(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    require_same([json.loads(line) for line in result.stdout.splitlines()], alone, model)


@pytest.mark.slow
def test_ray(model: Path, texts: list[str], alone: list[Answer], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    parquet.write_table(pyarrow.table({"sentence": texts}), tmp_path / "in" / "0.parquet")

    job = start_job(tmp_path / "in", tmp_path / "out", "--model", model)
    _, stderr = job.communicate(timeout=200)
    assert job.returncode == 0, stderr

    rows = parquet.read_table(tmp_path / "out").to_pylist()
    answers = [{"text": row["sentence"], "prediction": row} for row in rows]
    require_same(answers, alone, model)
