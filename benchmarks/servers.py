"""The servers that ``serving`` measures: how each is installed, started and asked."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.results import ROOT

# The versions that this project pins, where a peer works with them.
TORCH = ["torch==2.13.0", "transformers==5.23.0", "fastapi==0.165.0", "uvicorn==0.54.0"]
ONNX = ["onnxruntime==1.31.1", "tokenizers==0.23.3", "numpy==2.4.6"]

# The last that infinity-emb 0.0.77 runs with.
OPTIMUM = [
    "optimum[onnxruntime]==1.24.0",
    "transformers==4.48.3",
    "click==8.1.8",
    "datasets==3.6.0",
    "pyarrow==19.0.1",
]

Request = tuple[str, str, str]
"""Method, path and body of an HTTP request."""


@dataclass(frozen=True)
class Server:
    """One server: how to install it, start it and ask it."""

    name: str
    """Its environment's name, an underscore, and the setting it is measured with."""
    packages: list[str]
    """What is installed into its environment; empty for our own servers."""
    command: list[str]
    """``{python}``, ``{bin}`` and ``{port}`` are filled in when it is started."""
    request: Callable[[str], Request]
    """Makes the request for a sentence."""
    label: Callable[[Any], str]
    """Finds the label in its answer, which is JSON."""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def environment_name(self) -> str:
        """The virtual environment that it shares with its other settings."""
        return self.name.partition("_")[0]


def servers(model: Path, fp32: Path, weights: Path) -> list[Server]:
    """Return all servers.

    Args:
        model: Our int8 model file.
        fp32: The same model at fp32.
        weights: The same model for the transformers library.
    """
    return [
        own("int8", model),
        own("fp32", fp32),
        tutorial(),
        transformers_pipeline(),
        infinity(weights),
        litserve("workers"),
        bentoml("workers"),
        litserve("batches"),
        bentoml("batches"),
    ]


def own(precision: str, model: Path) -> Server:
    """Return this project's API."""
    return Server(
        name=f"ours_{precision}",
        packages=[],
        command=["{python}", str(ROOT / "app.py")],
        request=post("/predict", lambda text: {"sentence": text}),
        label=lambda answer: answer["prediction"]["label"],
        environment={"MODEL_PATH": str(model)},
    )


def tutorial() -> Server:
    """Return what a tutorial builds: FastAPI, each sentence padded to 128 tokens."""
    return Server(
        name="tutorial",
        packages=[*TORCH, *ONNX, "pytorch-lightning==2.6.6", "scipy==1.17.1"],
        command=["{python}", "tutorial.py"],
        request=lambda text: ("GET", f"/predict?text={quote(text)}", ""),
        label=best_label,
    )


def transformers_pipeline() -> Server:
    """Return FastAPI around a pipeline of the transformers library."""
    return Server(
        name="pipeline",
        packages=TORCH,
        command=["{python}", "pipeline.py"],
        request=post("/predict", lambda text: {"sentence": text}),
        label=first_label,
    )


def infinity(weights: Path) -> Server:
    """Return Infinity with its ONNX engine."""
    options = ["--engine", "optimum", "--model-id", str(weights), "--served-model-name", "cola"]
    options += ["--host", "127.0.0.1", "--port", "{port}", "--no-model-warmup"]
    return Server(
        name="infinity",
        packages=["torch==2.13.0", "infinity-emb[server,optimum,torch]==0.0.77", *OPTIMUM],
        command=["{bin}/infinity_emb", "v2", *options],
        request=post("/classify", lambda text: {"model": "cola", "input": [text]}),
        label=lambda answer: best_label(answer["data"][0]),
    )


def litserve(setting: str) -> Server:
    """Return LitServe: two ``workers``, or one that makes ``batches``."""
    return Server(
        name=f"litserve_{setting}",
        packages=["litserve==0.2.19", *ONNX],
        command=["{python}", "litserve_onnx.py"],
        request=post("/predict", lambda text: {"sentence": text}),
        label=lambda answer: answer["label"],
        environment={"SETTING": setting},
    )


def bentoml(setting: str) -> Server:
    """Return BentoML: two ``workers``, or one that makes ``batches``."""
    options = ["--host", "127.0.0.1", "--port", "{port}"]
    return Server(
        name=f"bentoml_{setting}",
        packages=["bentoml==1.4.39", *ONNX],
        command=["{bin}/bentoml", "serve", "bentoml_onnx:Service", *options],
        request=post("/predict", lambda text: {"sentences": [text]}),
        label=first_label,
        environment={"SETTING": setting},
    )


def post(path: str, body: Callable[[str], object]) -> Callable[[str], Request]:
    """Return a function that makes a POST request with a JSON body for a sentence."""
    return lambda sentence: ("POST", path, json.dumps(body(sentence)))


def first_label(answer: list[dict[str, str]]) -> str:
    """Return the label of the only prediction."""
    return answer[0]["label"]


def best_label(scores: list[dict[str, Any]]) -> str:
    """Return the label with the highest score."""
    return str(max(scores, key=lambda item: item["score"])["label"])
