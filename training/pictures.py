"""The pictures of a finished run, as PNG files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib

# Pictures are files: no display is needed. It must be said before pyplot is imported.
matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay
from torch import Tensor

from corpus.format import Sentence
from prediction.types import LABELS
from training.metrics import evaluate
from training.validation import Validation


def draw(
    folder: Path,
    validation: Validation,
    sentences: Sequence[Sentence],
    curves: Mapping[str, Sequence[tuple[int, float]]],
) -> None:
    """Draw confusion matrix, ROC, precision-recall, calibration, learning curves and MCC by source.

    Args:
        folder: Where the PNG files go.
        validation: Predictions for the validation set.
        sentences: The validation set.
        curves: The recorded (step, value) pairs of each metric.
    """
    probability, label = validation.probability, validation.label
    by_source = evaluate(
        probability, label, [sentences[index].source for index in validation.index]
    )
    mcc_by_source = {source: metrics["mcc"] for source, metrics in by_source.items()}

    truth, scores = label.numpy(), probability.numpy()
    pictures: dict[str, Callable[[Axes], object]] = {
        "confusion_matrix": lambda axes: ConfusionMatrixDisplay.from_predictions(
            truth, scores > 0.5, labels=[0, 1], display_labels=LABELS, cmap="Blues", ax=axes
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

    folder.mkdir(parents=True, exist_ok=True)
    for name, draw_into in pictures.items():
        figure, axes = plt.subplots(figsize=(6.5, 5), layout="constrained")
        draw_into(axes)
        axes.set_title(name.replace("_", " "))
        figure.savefig(folder / f"{name}.png", dpi=120)
        plt.close(figure)


def _draw_calibration(axes: Axes, probability: Tensor, label: Tensor) -> None:
    # Ten bins of equal width; those without a prediction are left out.
    bin_of = (probability * 10).long().clamp(max=9)
    members = [bin_of == number for number in range(10) if (bin_of == number).any()]
    share = torch.stack([label[chosen].double().mean() for chosen in members])
    score = torch.stack([probability[chosen].double().mean() for chosen in members])

    axes.plot([0, 1], [0, 1], "--", color="grey", label="perfectly calibrated")
    axes.plot(score, share, "o-", label="model")
    axes.set(xlabel="mean probability of acceptable", ylabel="share that is acceptable")
    axes.legend()


def _draw_sources(axes: Axes, mcc_by_source: Mapping[str, float | None]) -> None:
    defined = sorted((mcc, source) for source, mcc in mcc_by_source.items() if mcc is not None)

    axes.barh([source for _, source in defined], [mcc for mcc, _ in defined])
    axes.axvline(0, color="grey")
    axes.set(xlabel="MCC")
    axes.tick_params(axis="y", labelsize=7)


def _draw_curves(axes: Axes, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    for name, points in curves.items():
        steps = [step for step, _ in points]
        values = [value for _, value in points]
        axes.plot(steps, values, "o-", markersize=3, label=name)

    axes.set(xlabel="step")
    axes.legend()
