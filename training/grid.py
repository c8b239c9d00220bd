"""The ranking at the end of a grid of runs (``train.py -m ...``)."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from commands.run import FAILED
from commands.tables import print_table
from errors import Interrupted
from training.report import TrainingReport, short_path, three_digits


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
        """Print the table, and where the best checkpoint is; nothing if no run has a report."""
        # Of a grid of exports (``convert_model_to_onnx.py -m``), which ends here too, none has.
        if all(report is None for _, report in self.runs):
            return

        different = what_differs([overrides for overrides, _ in self.runs])
        ranked = sorted(enumerate(self.runs), key=lambda item: -_rank_value(item[1][1]))
        rows = [
            (str(number), different[number], *_ranking_cells(report))
            for number, (_, report) in ranked
        ]
        print("\nRuns by MCC, the best first:")
        print_table(rows, self.HEADINGS)

        _, (_, best) = ranked[0]
        assert best is not None
        print(f"best: {short_path(best.checkpoint)}")


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
    return [*map(three_digits, mcc), f"{report.seconds:.0f}"]


def _rank_value(report: TrainingReport | None) -> float:
    """Return the MCC; less than any MCC for a failed run."""
    return -2.0 if report is None else report.mcc or 0.0
