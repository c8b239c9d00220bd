"""What a run reports: ``training_report.json``, and a table on the terminal."""

import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from configs.schema import Config
from prediction.model_file import Metrics
from training.provenance import BaseModel, CorpusFacts, as_document, from_document

COLUMNS = ("mcc", "accuracy", "f1_macro", "roc_auc")


def peak_megabytes(usage: resource.struct_rusage) -> float:
    """Return the most memory that a process, or its children, had, in MiB."""
    # macOS counts bytes, all others KiB.
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 2**20


@dataclass(frozen=True)
class TrainingReport:
    """The content of ``training_report.json``."""

    metrics: Metrics
    """Metrics of the published checkpoint on the validation set, overall and per split."""

    epochs: int
    """Epochs that were trained, pretext task included."""

    steps: int
    """Optimizer steps."""

    processes: int

    sentences_per_second: float
    """Speed of the training steps alone, over all processes."""

    peak_memory_mb: float
    """Largest resident memory of the main process so far, in MiB; in a grid, of its earlier runs
    too.
    """

    base_model: BaseModel
    corpus: CorpusFacts

    git_commit: str | None
    """See ``training.provenance.git_commit``."""

    created: str
    """Start of the run, ISO 8601 in UTC."""

    packages: dict[str, str]
    """Versions of the packages that trained."""

    config: Config

    seconds: float
    """Time from the start to the validated checkpoint."""

    cpu_seconds: float
    """CPU time of all threads of the main process; other programs do not lengthen it."""

    pictures: str
    """Folder of the pictures."""

    checkpoint: str
    """The published checkpoint."""

    @property
    def mcc(self) -> float | None:
        """Matthews correlation over the whole validation set."""
        return self.metrics["overall"]["mcc"]

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        return as_document(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "TrainingReport":
        """Return the report that ``to_json`` wrote.

        Raises:
            KeyError, TypeError, omegaconf.errors.OmegaConfBaseException: It is not such a document.
        """
        return cls(**from_document(document))


def print_summary(report: TrainingReport) -> None:
    """Print the table at the end of a run, and a warning if the model learned nothing."""
    table = Table(title=f"{report.base_model.name} on {report.corpus.name}")
    for column in ("split", "sentences", *COLUMNS):
        table.add_column(column, justify="left" if column == "split" else "right")

    for split, values in report.metrics.items():
        cells = (three_digits(values[column]) for column in COLUMNS)
        table.add_row(split, str(values["sentences"]), *cells)

    Console().print(table)

    print(
        f"{report.seconds:.0f} s, {report.sentences_per_second:.0f} sentences/s, "
        f"{report.peak_memory_mb:.0f} MB"
    )
    print(f"checkpoint  {short_path(report.checkpoint)}")
    print(f"pictures    {short_path(report.pictures)}")

    # An MCC that is not defined counts as nothing: all sentences have the same label then.
    if not (report.mcc or 0) > 0:
        text = "The model does not beat the guess of the majority label, which has an MCC of 0."
        Console(stderr=True).print(
            Panel(text, title="WARNING: nothing was learned", style="bold yellow", expand=False)
        )


def short_path(path: str) -> str:
    """Return a path from the current folder, if it is in there."""
    absolute, here = Path(path).absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else path


def three_digits(value: float | None) -> str:
    """Return a metric as it is printed; ``-`` where it is not defined."""
    return "-" if value is None else f"{value:.3f}"
