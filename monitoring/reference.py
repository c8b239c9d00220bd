"""What the dashboard, the rules and the drift check take from a model file."""

from dataclasses import dataclass
from pathlib import Path

from prediction import model_file
from prediction.onnx_predictor import ColaONNXPredictor


@dataclass(frozen=True)
class ReferenceModel:
    """A model's version, and what its validation set looked like to it."""

    version: str
    """The first 12 digits of the file's SHA-256."""

    distributions: model_file.Reference
    """What the model file recorded when it was validated."""

    @classmethod
    def of(cls, path: Path) -> "ReferenceModel":
        """Read the reference from a model file.

        Raises:
            ModelFileError: The file is missing, damaged or incomplete.
        """
        info = ColaONNXPredictor(path, threads=1).info
        return cls(info.version, info.reference)

    @property
    def low_confidence_limit(self) -> float:
        """The share of uncertain predictions above which a rule fires.

        It is clearly more than in validation: 1.5 times that share, between 0.2 and 0.95.
        """
        limit = 1.5 * self.distributions.low_confidence_share
        return round(min(0.95, max(0.2, limit)), 2)
