"""What the dashboard, the rules and the drift check take from a model file."""

from dataclasses import dataclass
from pathlib import Path

from prediction import model_file
from prediction.onnx_predictor import ColaONNXPredictor


@dataclass(frozen=True)
class Reference:
    """What the dashboard and the rules take from a model: its version and its validation distributions."""

    version: str
    distributions: model_file.Reference

    @classmethod
    def of(cls, path: Path) -> "Reference":
        """Read it from a model file. Raises ModelFileError."""
        info = ColaONNXPredictor(path, threads=1).info
        return cls(info.version, info.reference)

    @property
    def low_confidence_limit(self) -> float:
        """The low-confidence share above which a rule fires: clearly more than in validation."""
        return round(min(0.95, max(0.2, 1.5 * self.distributions.low_confidence_share)), 2)
