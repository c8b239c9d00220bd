"""The words in which the folders speak of a prediction. Imports nothing but the standard library."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prediction.model_file import Lineage, Reference

LABELS = ["unacceptable", "acceptable"]
"""The names of CoLA's labels 0 and 1."""

LOW_CONFIDENCE = 0.6
"""A prediction whose score is below this counts as uncertain, on dashboards and in drift checks."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sentence as the model reads it: at most ``max_length`` token ids, special tokens included."""

    text: str
    ids: list[int]
    unknown_tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """One sentence's answer, with what a log line says of the input; ``score`` is the label's probability."""

    text: str
    label: str
    score: float
    probability_acceptable: float
    characters: int
    tokens: int
    unknown_tokens: int
    truncated: bool

    def as_dict(self) -> dict[str, Any]:
        """The answer as the API gives it."""
        return {
            "text": self.text,
            "prediction": {"label": self.label, "score": self.score},
        }


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """All that a model file says about itself, apart from its tokenizer."""

    version: str
    """The first 12 digits of the file's SHA-256."""

    name: str
    """The base model's."""

    labels: list[str]
    """Names by number, in the order of the logits."""

    max_length: int
    """Tokens that are read of a sentence; more are cut off."""

    packing: bool
    """Whether several sentences can share a row (see ``export/packing.py``)."""

    precision: str
    """``fp32`` or ``int8``."""

    lineage: Lineage
    reference: Reference


class Predictor(Protocol):
    """What servers need of ``onnx_predictor.ColaONNXPredictor``; tests have a quick one."""

    info: ModelInfo

    def encode(self, text: str) -> Encoded:
        """Check and tokenize one text. Raises InvalidText."""

    def predict_many(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict texts, in order. Raises InvalidText."""

    def predict_encoded(
        self, encoded: Sequence[Encoded], exclusive: bool = False
    ) -> list[Prediction]:
        """Predict encoded texts, in order; ``exclusive``: nothing else runs."""
