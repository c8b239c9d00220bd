"""The words in which all folders speak of a prediction. Needs the standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypedDict, final

from errors import InvalidText
from prediction.model_file import Lineage, Reference

LABELS = ["unacceptable", "acceptable"]
"""The names of CoLA's labels 0 and 1."""

LOW_CONFIDENCE = 0.6
"""A prediction whose score is below this counts as uncertain, on dashboards and in drift checks."""


@final
class LabelAndScore(TypedDict):
    """A label, and the probability that the model gives it."""

    label: str
    score: float


@final
class Answer(TypedDict):
    """A prediction as the API and the command line print it."""

    text: str
    prediction: LabelAndScore


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sentence as the model reads it."""

    text: str

    ids: list[int]
    """At most ``max_length`` token ids, special tokens included."""

    unknown_tokens: int
    """How many of ``ids`` stand for a word that the tokenizer does not know."""

    truncated: bool
    """Whether tokens were cut off."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one sentence, and what a log line says of the sentence."""

    text: str
    label: str

    score: float
    """The probability of ``label``."""

    probability_acceptable: float
    """The probability of ``acceptable``, whichever the label is."""

    characters: int
    """Length of the text, in code points."""

    tokens: int
    """Length of what the model read, special tokens included."""

    unknown_tokens: int
    truncated: bool

    @classmethod
    def from_probabilities(
        cls, encoded: Encoded, probabilities: list[float], labels: list[str]
    ) -> Self:
        """Build the prediction that a model's output stands for.

        Args:
            encoded: The sentence that the model read.
            probabilities: One per label, in the order of ``labels``.
            labels: The model's labels; one of them is ``acceptable``.
        """
        score = max(probabilities)
        return cls(
            text=encoded.text,
            label=labels[probabilities.index(score)],
            score=score,
            probability_acceptable=probabilities[labels.index("acceptable")],
            characters=len(encoded.text),
            tokens=len(encoded.ids),
            unknown_tokens=encoded.unknown_tokens,
            truncated=encoded.truncated,
        )

    def as_dict(self) -> Answer:
        """Return the answer as the API gives it."""
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


class TextPredictor(Protocol):
    """What the command line needs: the PyTorch predictor and the ONNX one both have it."""

    def predict_many(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict texts, in order.

        Raises:
            InvalidText: One of them cannot be predicted; then none is.
        """

    def predict_each(self, texts: Sequence[str]) -> list[Prediction | InvalidText]:
        """Predict texts, in order; one that cannot be predicted gives its error instead."""


class Predictor(Protocol):
    """What servers need; ``onnx_predictor.ColaONNXPredictor``, or a quick one in tests."""

    info: ModelInfo

    def predict_many(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict texts, in order.

        Raises:
            InvalidText: One of them cannot be predicted.
        """

    def encode(self, text: str) -> Encoded:
        """Check and tokenize one text.

        Raises:
            InvalidText: It cannot be predicted; the message says what to change.
        """

    def predict_encoded(
        self, encoded: Sequence[Encoded], exclusive: bool = False
    ) -> list[Prediction]:
        """Predict encoded texts, in order, on the caller's thread.

        Args:
            encoded: What ``encode`` returned.
            exclusive: Nothing else runs at the moment, so that all cores may be used.
        """
