"""What a run reports: ``training_report.json``, a table, the ranking of a grid of runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from configs.schema import Config, from_plain, plain
from prediction.model_file import Metrics
from training.provenance import BaseModel, CorpusFacts

COLUMNS = ("mcc", "accuracy", "f1_macro", "roc_auc")


@dataclass(frozen=True)
class TrainingReport:
    """The content of ``training_report.json``."""

    metrics: Metrics
    """Of the published checkpoint on the validation set, overall and per split."""

    epochs: int
    """Epochs that were trained, pretext task included."""

    steps: int
    """Optimizer steps."""

    processes: int

    sentences_per_second: float
    """Of the training steps alone, over all processes."""

    peak_memory_mb: float
    """Largest resident memory of the main process, in MiB."""

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
    """From the start to the validated checkpoint."""

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
        return {
            **vars(self),
            "base_model": asdict(self.base_model),
            "corpus": asdict(self.corpus),
            "config": plain(self.config),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "TrainingReport":
        """Return the report that ``to_json`` wrote.

        Raises:
            KeyError, TypeError, omegaconf.errors.OmegaConfBaseException: It is not such a document.
        """
        return cls(
            **{
                **document,
                "base_model": BaseModel(**document["base_model"]),
                "corpus": CorpusFacts(**document["corpus"]),
                "config": from_plain(document["config"]),
            }
        )


def print_summary(report: TrainingReport) -> None:
    """Print the table at the end of a run, and a warning if the model learned nothing."""
    table = Table(title=f"{report.base_model.name} on {report.corpus.name}")
    for column in ("split", "sentences", *COLUMNS):
        table.add_column(column, justify="left" if column == "split" else "right")

    for split, values in report.metrics.items():
        cells = (_three_digits(values[column]) for column in COLUMNS)
        table.add_row(split, str(values["sentences"]), *cells)

    console = Console()
    console.print(table)
    console.print(
        f"{report.seconds:.0f} s, {report.sentences_per_second:.0f} sentences/s, "
        f"{report.peak_memory_mb:.0f} MB; checkpoint {report.checkpoint}, "
        f"pictures in {report.pictures}"
    )

    # Not defined counts as nothing: all sentences have the same label then.
    if not (report.mcc or 0) > 0:
        text = "The model does not beat the guess of the majority label, which has an MCC of 0."
        Console(stderr=True).print(
            Panel(text, title="WARNING: nothing was learned", style="bold yellow", expand=False)
        )


def _three_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


class RankRuns(Callback):
    """Ends ``train.py -m ...`` with a table that ranks the runs by MCC."""

    COLUMNS = ("rank", "overrides", "mcc", "in-domain", "out-of-domain", "seconds", "checkpoint")

    def __init__(self) -> None:
        self.runs: list[tuple[str, TrainingReport | None]] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Remember a run's report, or that it failed."""
        finished = job_return.status.name == "COMPLETED"
        overrides = " ".join(job_return.overrides or []) or "(defaults)"
        self.runs.append((overrides, job_return.return_value if finished else None))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table."""
        table = Table(title="runs by MCC")
        for column in self.COLUMNS:
            table.add_column(column, overflow="fold")

        ranked = sorted(self.runs, key=lambda run: -_rank_value(run[1]))
        for rank, (overrides, report) in enumerate(ranked, start=1):
            table.add_row(str(rank), overrides, *_ranking_cells(report))
        Console().print(table)


def _ranking_cells(report: TrainingReport | None) -> list[str]:
    if report is None:
        return ["failed"]

    mcc = [report.metrics[group]["mcc"] for group in ("overall", "in_domain", "out_of_domain")]
    return [*map(_three_digits, mcc), f"{report.seconds:.0f}", report.checkpoint]


def _rank_value(report: TrainingReport | None) -> float:
    """Return the MCC; less than any MCC for a failed run."""
    return -2.0 if report is None else report.mcc or 0.0
