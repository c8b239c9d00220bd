"""What a run reports: ``training_report.json``, a table, the ranking of a grid of runs."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from commands.run import FAILED
from commands.tables import print_table
from configs.schema import Config, from_plain, plain
from errors import Interrupted
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
    """From the start to the validated checkpoint."""

    cpu_seconds: float
    """Of all threads of the main process in that time, which other programs do not lengthen."""

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

    Console().print(table)

    print(
        f"{report.seconds:.0f} s, {report.sentences_per_second:.0f} sentences/s, "
        f"{report.peak_memory_mb:.0f} MB"
    )
    print(f"checkpoint  {_short_path(report.checkpoint)}")
    print(f"pictures    {_short_path(report.pictures)}")

    # Not defined counts as nothing: all sentences have the same label then.
    if not (report.mcc or 0) > 0:
        text = "The model does not beat the guess of the majority label, which has an MCC of 0."
        Console(stderr=True).print(
            Panel(text, title="WARNING: nothing was learned", style="bold yellow", expand=False)
        )


def _short_path(path: str) -> str:
    """Return a path from the current folder, if it is in there."""
    absolute, here = Path(path).absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else path


def _three_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


class RankRuns(Callback):
    """Ends ``train.py -m ...`` with a table that ranks the runs by MCC.

    Its first column is the run's number, with which its folder's name begins. A run that failed
    comes as its error (``commands.run.exit_on_error``): the others go on, and the exit code is 2.
    """

    HEADINGS = ("run", "what differs", "MCC", "in-domain", "out-of-domain", "seconds")

    def __init__(self) -> None:
        self.runs: list[tuple[list[str], TrainingReport | None]] = []
        self.has_failed = False

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Remember a run's report, or that it failed.

        Raises:
            KeyboardInterrupt: It was stopped, and with it the grid.
        """
        finished = job_return.status.name == "COMPLETED"
        result = job_return.return_value if finished else None
        failed = not finished or isinstance(result, Exception)

        self.has_failed |= failed
        self.runs.append((list(job_return.overrides or []), None if failed else result))

        # Hydra goes on after errors, but not after this one.
        if isinstance(result, Interrupted):
            self.print_ranking()
            raise KeyboardInterrupt

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table; end with exit code 2 if a run failed."""
        self.print_ranking()
        if self.has_failed:
            sys.exit(FAILED)

    def print_ranking(self) -> None:
        """Print the table, and where the best checkpoint is."""
        different = what_differs([overrides for overrides, _ in self.runs])
        ranked = sorted(enumerate(self.runs), key=lambda item: -_rank_value(item[1][1]))
        rows = [
            (str(number), different[number], *_ranking_cells(report))
            for number, (_, report) in ranked
        ]
        print("\nRuns by MCC, the best first:")
        print_table(rows, self.HEADINGS)

        _, (_, best) = ranked[0]
        if best is not None:
            print(f"best: {_short_path(best.checkpoint)}")


def what_differs(runs: Sequence[Sequence[str]]) -> list[str]:
    """Return, for each run of a grid, the overrides that not all runs have.

    A key is named by its last word where that is enough: ``lr=5e-5`` for ``training.lr=5e-5``.
    """
    common = set.intersection(*map(set, runs))
    different = [[override for override in run if override not in common] for run in runs]

    keys = {override.partition("=")[0] for run in different for override in run}
    last_words = Counter(key.rpartition(".")[2] for key in keys)

    def shorten(override: str) -> str:
        key, _, value = override.partition("=")
        last = key.rpartition(".")[2]
        return f"{last if last_words[last] == 1 else key}={value}"

    return [" ".join(map(shorten, run)) for run in different]


def _ranking_cells(report: TrainingReport | None) -> list[str]:
    if report is None:
        return ["failed", "", "", ""]

    mcc = [report.metrics[group]["mcc"] for group in ("overall", "in_domain", "out_of_domain")]
    return [*map(_three_digits, mcc), f"{report.seconds:.0f}"]


def _rank_value(report: TrainingReport | None) -> float:
    """Return the MCC; less than any MCC for a failed run."""
    return -2.0 if report is None else report.mcc or 0.0
