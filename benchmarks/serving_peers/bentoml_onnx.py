"""BentoML with ONNX Runtime.

``SETTING=workers``: two workers, one sentence at a time; ``batches``: one worker, in batches.
"""

import os

import bentoml
from onnx_model import Model

BATCHES = os.environ["SETTING"] == "batches"


@bentoml.service(
    workers=1 if BATCHES else 2,
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
)
class Service:
    """The model behind ``POST /predict``."""

    def __init__(self) -> None:
        self.model = Model(threads=2 if BATCHES else 1)

    if BATCHES:

        @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=60_000)
        def predict(self, sentences: list[str]) -> list[dict]:
            """Predict the sentences of several requests."""
            return self.model(sentences)

    else:

        @bentoml.api
        def predict(self, sentences: list[str]) -> list[dict]:
            """Predict the sentences of one request."""
            return self.model(sentences)
