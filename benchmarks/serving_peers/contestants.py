"""The servers that benchmarks/serving.py measures: how each is installed, started and asked."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).parent.parent.parent
TORCH = ["torch==2.13.0", "transformers==5.23.0", "fastapi==0.165.0", "uvicorn==0.54.0"]
# The last that infinity-emb 0.0.77 runs with.
OPTIMUM = [
    "optimum[onnxruntime]==1.24.0",
    "transformers==4.48.3",
    "click==8.1.8",
    "datasets==3.6.0",
    "pyarrow==19.0.1",
]
ONNX = ["onnxruntime==1.31.1", "tokenizers==0.23.3", "numpy==2.4.6"]


@dataclass(frozen=True)
class Server:
    """One contestant: how to install it, start it and ask it, and where the label is in its answer."""

    name: str
    packages: list[str]
    command: list[str]
    request: Callable[[str], tuple[str, str, str]]  # sentence -> method, path, body
    label: Callable[[Any], str]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> str:
        return self.name.partition("_")[0]


def post(path: str, body: Callable[[str], Any]) -> Callable[[str], tuple[str, str, str]]:
    return lambda sentence: ("POST", path, json.dumps(body(sentence)))


def servers(model: Path, fp32: Path, weights: Path) -> list[Server]:
    """All contestants. ``{python}`` and ``{port}`` in a command are filled in when it is started."""
    one = post("/predict", lambda text: {"sentence": text})
    ours = ["{python}", str(ROOT / "app.py")]
    first = lambda answer: answer[0]["label"]
    bento = [
        "{bin}/bentoml",
        "serve",
        "bentoml_onnx:Service",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
    ]
    infinity = [
        "{bin}/infinity_emb",
        "v2",
        "--engine",
        "optimum",
        "--model-id",
        str(weights),
        "--port",
        "{port}",
    ]
    infinity += ["--host", "127.0.0.1", "--served-model-name", "cola", "--no-model-warmup"]
    contestants = [
        Server(
            "ours_int8",
            [],
            ours,
            one,
            lambda a: a["prediction"]["label"],
            {"MODEL_PATH": str(model)},
        ),
        Server(
            "ours_fp32",
            [],
            ours,
            one,
            lambda a: a["prediction"]["label"],
            {"MODEL_PATH": str(fp32)},
        ),
        Server(
            "tutorial",
            [*TORCH, *ONNX, "pytorch-lightning==2.6.6", "scipy==1.17.1"],
            ["{python}", "tutorial.py"],
            lambda text: ("GET", f"/predict?text={quote(text)}", ""),
            lambda answer: max(answer, key=lambda item: item["score"])["label"],
        ),
        Server("pipeline", TORCH, ["{python}", "pipeline.py"], one, first),
        Server(
            "infinity",
            ["torch==2.13.0", "infinity-emb[server,optimum,torch]==0.0.77", *OPTIMUM],
            infinity,
            post("/classify", lambda text: {"model": "cola", "input": [text]}),
            lambda answer: max(answer["data"][0], key=lambda item: item["score"])["label"],
        ),
    ]
    for setting in ("workers", "batches"):
        settings = {"SETTING": setting}
        lit, many = (
            ["{python}", "litserve_onnx.py"],
            post("/predict", lambda text: {"sentences": [text]}),
        )
        packages = ["litserve==0.2.19", *ONNX]
        contestants.append(
            Server(f"litserve_{setting}", packages, lit, one, lambda a: a["label"], settings)
        )
        packages = ["bentoml==1.4.39", *ONNX]
        contestants.append(Server(f"bentoml_{setting}", packages, bento, many, first, settings))
    return contestants
