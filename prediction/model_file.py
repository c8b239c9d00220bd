"""What a model file says about itself: the classes behind the JSON in ``model.onnx``'s metadata.

Each class is written by ``to_json`` and read by ``from_json``. Keys that a class does not know are
ignored, so that a file of an earlier version can still be read.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

Metrics = dict[str, dict[str, float | int | None]]
"""Metrics by split (``overall``, ``in_domain``, ``out_of_domain``), then by name."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of a sample by bin; bin i is [edges[i], edges[i + 1]), the last one closed."""

    edges: list[float]
    """Ascending, one more than there are bins."""

    shares: list[float]
    """Sum to 1."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` of a ``Reference`` wrote.

        Raises:
            KeyError: a key is missing.
        """
        return cls(edges=document["edges"], shares=document["shares"])


@dataclass(frozen=True, slots=True)
class Reference:
    """What the validation set looked like to the model: what drift is measured against."""

    count: int
    """Sentences of the validation set."""

    labels: dict[str, float]
    """The share of each predicted label."""

    score_histogram: Histogram
    """Of the probability of ``acceptable``."""

    length_histogram: Histogram
    """Of the number of tokens."""

    unknown_token_rate: float
    """Unknown tokens per token."""

    low_confidence_share: float
    """The share of predictions with a score below ``LOW_CONFIDENCE``."""

    expected_accuracy: float
    """The mean score: the accuracy, if the scores are calibrated."""

    accuracy: float
    """The share of predictions that were right."""

    @classmethod
    def empty(cls) -> Self:
        """Return the reference of a file that nothing has been validated with yet."""
        nothing = Histogram(edges=[0.0, 1.0], shares=[0.0])
        return cls(0, {}, nothing, nothing, 0.0, 0.0, 0.0, 0.0)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a reference from a model file's metadata.

        Raises:
            KeyError: a key is missing.
        """
        return cls(
            count=document["count"],
            labels=document["labels"],
            score_histogram=Histogram.from_json(document["score_histogram"]),
            length_histogram=Histogram.from_json(document["length_histogram"]),
            unknown_token_rate=document["unknown_token_rate"],
            low_confidence_share=document["low_confidence_share"],
            expected_accuracy=document["expected_accuracy"],
            accuracy=document["accuracy"],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the document that a model file carries."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LineageCorpus:
    """A corpus that a model was trained or validated on."""

    name: str
    sha256: str

    sentences: dict[str, int]
    """The number of sentences of each split."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a corpus of a lineage.

        Raises:
            KeyError: a key is missing.
        """
        return cls(document["name"], document["sha256"], document["sentences"])


@dataclass(frozen=True, slots=True)
class TrainedBy:
    """When, by which commit and with which packages the checkpoint was trained."""

    created: str
    """UTC, ISO 8601."""

    git_commit: str | None
    """With ``-dirty`` if the code was changed since; None outside a git checkout."""

    packages: dict[str, str]
    """Version by name."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the ``trained`` of a lineage.

        Raises:
            KeyError: a key is missing.
        """
        return cls(document["created"], document["git_commit"], document["packages"])


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a model file comes from: its base model, corpus, training run and export."""

    base_model: str
    base_revision: str | None
    base_sha256: str | None
    corpus: LineageCorpus
    trained: TrainedBy

    config: dict[str, Any]
    """The training run's resolved configuration, as it was recorded."""

    vocabulary: int
    """Tokens that the tokenizer knows."""

    git_commit: str | None
    """Of the export; ``trained`` has the training run's."""

    created: str
    """When it was exported: UTC, ISO 8601."""

    packages: dict[str, str]
    """Version by name, at the export."""

    precision: str
    """``fp32`` or ``int8``."""

    scheme: str | None = None
    """How int8 was made, see ``export.quantization``; None for fp32."""

    temperature: float = 1.0
    """What the logits were divided by, to calibrate the scores."""

    largest_margin: float | None = None
    """What the difference of the two stays below after that; None if it is not bounded."""

    parity: float | None = None
    """Largest difference of a logit from PyTorch's before quantization, see
    ``comparison.compare_with_pytorch``; None if not compared.
    """

    metrics: Metrics = field(default_factory=dict)
    """Of this very file, on the validation set."""

    checkpoint_sha256: str | None = None

    validated_on: LineageCorpus | None = None
    """The corpus of the metrics, the calibration and the reference distributions, where the export
    was given another one than ``corpus``.
    """

    @property
    def mcc(self) -> float:
        """Matthews correlation over the whole validation set.

        Raises:
            KeyError: the file was written without metrics.
        """
        return float(self.metrics["overall"]["mcc"] or 0.0)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a lineage from a model file's metadata.

        Raises:
            KeyError: a key that each file has is missing.
        """
        validated_on = document.get("validated_on")

        # Those that are read with `get` were added later: older files lack them.
        return cls(
            base_model=document["base_model"],
            base_revision=document["base_revision"],
            base_sha256=document["base_sha256"],
            corpus=LineageCorpus.from_json(document["corpus"]),
            trained=TrainedBy.from_json(document["trained"]),
            config=document["config"],
            vocabulary=document["vocabulary"],
            git_commit=document["git_commit"],
            created=document["created"],
            packages=document["packages"],
            precision=document["precision"],
            scheme=document.get("scheme"),
            temperature=document.get("temperature", 1.0),
            largest_margin=document.get("largest_margin"),
            parity=document.get("parity"),
            metrics=document.get("metrics", {}),
            checkpoint_sha256=document.get("checkpoint_sha256"),
            validated_on=LineageCorpus.from_json(validated_on) if validated_on else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the document that a model file carries."""
        return asdict(self)
