"""A predictor that needs no model: quick, deterministic, and it waits or fails on request.

``python -m tests.helpers.fake_predictor`` serves it, with settings from the environment.
"""

import hashlib
import threading
import time
from collections import deque
from collections.abc import MutableSequence, Sequence

from errors import InvalidText
from prediction.model_file import Lineage, LineageCorpus, Reference, TrainedBy
from prediction.types import Encoded, ModelInfo, Prediction

INFO = ModelInfo(
    version="0123456789ab",
    name="fake",
    labels=["unacceptable", "acceptable"],
    max_length=16,
    packing=True,
    precision="fp32",
    lineage=Lineage(
        base_model="fake",
        base_revision=None,
        base_sha256=None,
        corpus=LineageCorpus("fake", "0" * 64, {}),
        trained=TrainedBy("2026-01-01T00:00:00+00:00", None, {}),
        config={"path": "/secret"},
        vocabulary=100,
        git_commit=None,
        created="2026-01-01T00:00:00+00:00",
        packages={},
        precision="fp32",
        metrics={"overall": {"mcc": 0.5}},
    ),
    reference=Reference.empty(),
)


class FakePredictor:
    """Predicts from the text alone; fails on the text ``explode``.

    Attributes:
        rows: What was run together, in the order of the calls.
        exclusive: Those of them that ran with the machine to themselves.
        gate: Holds rows back while it is cleared.
        running: How many calls are running.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.info = INFO
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()
        self.rows: MutableSequence[list[str]] = []
        self.exclusive: MutableSequence[list[str]] = []
        self.running = 0

    def encode(self, text: str) -> Encoded:
        if not text.strip():
            raise InvalidText("text is empty: give a sentence")
        if any(0xD800 <= ord(character) < 0xE000 for character in text):
            raise InvalidText("text has half of a surrogate pair")
        words = text.split()
        return Encoded(
            text, [len(word) for word in words[:16]], words.count("zzz"), len(words) > 16
        )

    def predict_many(self, texts: Sequence[str]) -> list[Prediction]:
        return self.predict_encoded([self.encode(text) for text in texts])

    def predict_encoded(
        self, encoded: Sequence[Encoded], exclusive: bool = False
    ) -> list[Prediction]:
        for record in (self.rows, self.exclusive) if exclusive else (self.rows,):
            record.append([item.text for item in encoded])

        self.running += 1
        self.gate.wait(10)
        time.sleep(self.seconds)
        self.running -= 1

        if any(item.text == "explode" for item in encoded):
            raise RuntimeError("a secret detail")
        return [expected(item.text) for item in encoded]


def expected(text: str) -> Prediction:
    """Return the fake's answer, which depends on the text alone: a mixed-up answer is seen."""
    probability = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    words = text.split()
    return Prediction(
        text=text,
        label="acceptable" if probability > 0.5 else "unacceptable",
        score=max(probability, 1 - probability),
        probability_acceptable=probability,
        characters=len(text),
        tokens=min(len(words), 16),
        unknown_tokens=words.count("zzz"),
        truncated=len(words) > 16,
    )


if __name__ == "__main__":
    from app import serve, serve_with_workers
    from serving.settings import Settings

    def load() -> FakePredictor:
        served = FakePredictor(seconds=0.002)
        # A test looks at this process's memory, so records must not pile up.
        served.rows, served.exclusive = deque(maxlen=10), deque(maxlen=10)
        return served

    settings = Settings.from_environment()
    if settings.workers > 1:
        serve_with_workers(load, settings)
    else:
        serve(load(), settings)
