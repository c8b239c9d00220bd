"""``models/export_report.json``: every variant that was measured, and the gates that it passed."""

from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from export.calibration import Calibration
from export.comparison import BatchInvariance
from export.variants import Variant
from prediction.model_file import Lineage


@dataclass(frozen=True)
class ParityFigures:
    """The exported graph against PyTorch, before quantization."""

    largest_difference: float
    """Largest difference of a logit; see ``comparison.compare_with_pytorch``."""

    limit: float
    """Largest difference with which a model is exported."""


@dataclass(frozen=True)
class CalibrationFigures:
    """How far PyTorch's scores are from probabilities, without and with a calibration."""

    fitted: Calibration

    evaluated_on: str
    """The split of the errors."""

    error_before: float
    """Expected calibration error without the calibration."""

    error_after: float
    """The same if each score is calibrated by a fit without its sentence."""

    error_by_chance: float
    """What exact probabilities would show on so few sentences."""


@dataclass(frozen=True)
class BatchInvarianceFigures:
    """The exported model on each sentence alone, and beside other sentences in a row."""

    measured: BatchInvariance

    limit: float
    """Largest difference with which a static scheme is chosen."""

    def to_json(self) -> dict[str, object]:
        """Return the figures and the limit."""
        return {**asdict(self.measured), "limit": self.limit}


@dataclass(frozen=True)
class ExportReport:
    """What an export measured."""

    model: str
    """Path of the model file."""

    sha256: str
    """SHA-256 of the model file."""

    packing: bool
    """Whether several sentences can share a row."""

    variants: dict[str, Variant]
    """``pytorch``, ``fp32``, and ``int8`` if that was made."""

    parity: ParityFigures
    calibration: CalibrationFigures
    lineage: Lineage
    batch_invariance: BatchInvarianceFigures

    def to_json(self) -> dict[str, object]:
        """Return the report's document.

        Its keys are those of the first version, which others read: ``contestants``, ``flips``,
        ``judged_on`` and ``company`` are the variants, their label changes, the split
        ``evaluated_on`` and the batch invariance.
        """
        errors = self.calibration
        calibration = {
            **asdict(errors.fitted),
            "judged_on": errors.evaluated_on,
            "error_before": errors.error_before,
            "error_after": errors.error_after,
            "error_by_chance": errors.error_by_chance,
        }

        return {
            "model": self.model,
            "sha256": self.sha256,
            "packing": self.packing,
            "contestants": {name: _figures(variant) for name, variant in self.variants.items()},
            "parity": asdict(self.parity),
            "calibration": calibration,
            "lineage": self.lineage.to_json(),
            "company": self.batch_invariance.to_json(),
        }


def _figures(variant: Variant) -> dict[str, object]:
    """Return all of a variant but its predictions."""
    return {
        "megabytes": variant.megabytes,
        "metrics": variant.metrics,
        "latency": asdict(variant.latency),
        "flips": variant.label_changes,
        "largest_difference": variant.largest_difference,
        "scheme": variant.scheme,
    }


def print_report(report: ExportReport) -> None:
    """Print the variants side by side, and the figures of the gates."""
    table = Table(title=f"exported as {report.lineage.precision}")
    for column in ("", "MB", "MCC", "other labels", "largest difference", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right" if column else "left")

    for name, variant in report.variants.items():
        difference = "-" if name == "pytorch" else f"{variant.largest_difference:.1e}"
        table.add_row(
            name,
            f"{variant.megabytes:.1f}",
            f"{variant.mcc:.3f}",
            f"{variant.label_changes:.2%}",
            difference,
            f"{variant.latency.p50_ms:.2f}",
            f"{variant.latency.p99_ms:.2f}",
        )

    Console().print(table)

    # The console would wrap what is to be read as one line, or copied.
    calibration, invariance = report.calibration, report.batch_invariance.measured
    print(f"parity {report.parity.largest_difference:.1e}; latency: one sentence, one thread")
    print(
        f"calibration error {calibration.error_before:.3f} -> {calibration.error_after:.3f}; "
        f"exact scores would have {calibration.error_by_chance:.3f}"
    )
    print(
        f"batch invariance: scores move by at most {invariance.largest_difference:.1e}, "
        f"{invariance.label_changes} labels change"
    )
    print(f"model file  {report.model}")
