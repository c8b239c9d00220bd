"""What a finished run shows: a table, ``training_report.json``, pictures, and the ranking of a grid of runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # pictures are files: no display is needed

import matplotlib.pyplot as plt
import torch
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from matplotlib.axes import Axes
from omegaconf import DictConfig
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    RocCurveDisplay,
)
from torch import Tensor

from prediction.types import LABELS

COLUMNS = ("mcc", "accuracy", "f1_macro", "roc_auc")


def print_summary(report: Mapping[str, Any]) -> None:
    """The table at the end of a run, and a warning if the model learned nothing."""
    console = Console()
    table = Table(title=f"{report['base_model']['name']} on {report['corpus']['name']}")
    for column in ("split", "sentences", *COLUMNS):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, values in report["metrics"].items():
        table.add_row(
            split, str(values["sentences"]), *(_number(values[column]) for column in COLUMNS)
        )
    console.print(table)
    console.print(
        f"{report['seconds']:.0f} s, {report['sentences_per_second']:.0f} sentences/s, "
        f"{report['peak_memory_mb']:.0f} MB; checkpoint {report['checkpoint']}, pictures in {report['pictures']}"
    )
    if not (report["metrics"]["overall"]["mcc"] or 0) > 0:
        text = "The model does not beat the guess of the majority label, which has an MCC of 0."
        Console(stderr=True).print(
            Panel(text, title="WARNING: nothing was learned", style="bold yellow", expand=False)
        )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


class RankRuns(Callback):
    """Ends ``train.py -m ...`` with a table that ranks the runs by MCC."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, dict[str, Any] | None]] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        finished = job_return.status.name == "COMPLETED"
        overrides = " ".join(job_return.overrides or []) or "(defaults)"
        self.runs.append((overrides, job_return.return_value if finished else None))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        table = Table(title="runs by MCC")
        for column in (
            "rank",
            "overrides",
            "mcc",
            "in-domain",
            "out-of-domain",
            "seconds",
            "checkpoint",
        ):
            table.add_column(column, overflow="fold")
        ranked = sorted(self.runs, key=lambda run: -_mcc(run[1]))
        for rank, (overrides, report) in enumerate(ranked, start=1):
            if report is None:
                table.add_row(str(rank), overrides, "failed")
                continue
            groups = [
                report["metrics"][group]["mcc"]
                for group in ("overall", "in_domain", "out_of_domain")
            ]
            cells = [*map(_number, groups), f"{report['seconds']:.0f}", report["checkpoint"]]
            table.add_row(str(rank), overrides, *cells)
        Console().print(table)


def _mcc(report: Mapping[str, Any] | None) -> float:
    return -2.0 if report is None else report["metrics"]["overall"]["mcc"] or 0.0


def draw_pictures(
    folder: Path,
    probability: Tensor,
    label: Tensor,
    mcc_by_source: Mapping[str, float | None],
    curves: Mapping[str, Sequence[tuple[int, float]]],
) -> None:
    """Confusion matrix, ROC, precision-recall, calibration, learning curves and MCC by source, as PNG files.

    Args:
        probability: of the label 1, float [n]; label: 0 or 1, int [n].
        curves: for each metric the (step, value) pairs that were recorded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth, scores = label.numpy(), probability.numpy()
    pictures: dict[str, Callable[[Axes], object]] = {
        "confusion_matrix": lambda axes: ConfusionMatrixDisplay.from_predictions(
            truth, scores > 0.5, display_labels=LABELS, cmap="Blues", ax=axes
        ),
        "roc": lambda axes: RocCurveDisplay.from_predictions(
            truth, scores, plot_chance_level=True, ax=axes
        ),
        "precision_recall": lambda axes: PrecisionRecallDisplay.from_predictions(
            truth, scores, plot_chance_level=True, ax=axes
        ),
        "calibration": lambda axes: _draw_calibration(axes, probability, label),
        "mcc_by_source": lambda axes: _draw_sources(axes, mcc_by_source),
        "learning_curves": lambda axes: _draw_curves(axes, curves),
    }
    for name, draw in pictures.items():
        figure, axes = plt.subplots(figsize=(6.5, 5), layout="constrained")
        draw(axes)
        axes.set_title(name.replace("_", " "))
        figure.savefig(folder / f"{name}.png", dpi=120)
        plt.close(figure)


def _draw_calibration(axes: Axes, probability: Tensor, label: Tensor) -> None:
    bins = (probability * 10).long().clamp(max=9)
    filled = [bin for bin in range(10) if (bins == bin).any()]
    share = torch.stack([label[bins == bin].double().mean() for bin in filled])
    score = torch.stack([probability[bins == bin].double().mean() for bin in filled])
    axes.plot([0, 1], [0, 1], "--", color="grey", label="perfectly calibrated")
    axes.plot(score, share, "o-", label="model")
    axes.set(xlabel="mean probability of acceptable", ylabel="share that is acceptable")
    axes.legend()


def _draw_sources(axes: Axes, mcc_by_source: Mapping[str, float | None]) -> None:
    known = sorted((mcc, source) for source, mcc in mcc_by_source.items() if mcc is not None)
    axes.barh([source for _, source in known], [mcc for mcc, _ in known])
    axes.axvline(0, color="grey")
    axes.set(xlabel="MCC")
    axes.tick_params(axis="y", labelsize=7)


def _draw_curves(axes: Axes, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    for name, points in curves.items():
        axes.plot(
            [step for step, _ in points],
            [value for _, value in points],
            "o-",
            markersize=3,
            label=name,
        )
    axes.set(xlabel="step")
    axes.legend()
