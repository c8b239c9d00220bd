"""How good a set of predictions is: every metric, overall and per split."""

from collections.abc import Sequence

import torch
from sklearn.metrics import matthews_corrcoef
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from prediction.model_file import Metrics
from prediction.types import LABELS


def classification_metrics(probability: Tensor, label: Tensor) -> dict[str, float | None]:
    """Compute the metrics of n predictions.

    Args:
        probability: Probability of the label 1, float [n].
        label: 0 or 1, int [n].

    Returns:
        Metrics by name; None where one is not defined for these labels: where a label does not
        occur, its precision and recall, and what both labels make up. ``mcc`` is Matthews
        correlation (Matthews 1975), 0 for any constant guess.
    """
    # Precision and recall of both labels, float [2].
    predicted = (probability > 0.5).long()
    precision = multiclass_precision(predicted, label, num_classes=2, average=None)
    recall = multiclass_recall(predicted, label, num_classes=2, average=None)
    f1 = multiclass_f1_score(predicted, label, num_classes=2, average="macro")

    occurs = [bool((label == number).any()) for number in range(2)]
    metrics: dict[str, float | None] = {
        # Not torchmetrics' (1.9): it gives a constant guess up to 0.58 where the correlation is 0.
        "mcc": float(matthews_corrcoef(label.cpu(), predicted.cpu())) if all(occurs) else None,
        "accuracy": float(binary_accuracy(predicted, label)),
        "f1_macro": float(f1) if all(occurs) else None,
        "roc_auc": float(binary_auroc(probability, label)) if all(occurs) else None,
    }

    for number, name in enumerate(LABELS):
        metrics[f"precision_{name}"] = float(precision[number]) if occurs[number] else None
        metrics[f"recall_{name}"] = float(recall[number]) if occurs[number] else None
    return metrics


def evaluate(probability: Tensor, label: Tensor, groups: Sequence[str]) -> Metrics:
    """Compute metrics and number of sentences, ``overall`` and per group.

    Args:
        probability: Probability of the label 1, float [n].
        label: 0 or 1, int [n].
        groups: The group of each sentence: its split, or its source.
    """
    everything = torch.ones(len(groups), dtype=torch.bool)
    members = {"overall": everything}
    for name in dict.fromkeys(groups):
        members[name] = torch.tensor([group == name for group in groups])

    return {
        name: {
            "sentences": int(chosen.sum()),
            **classification_metrics(probability[chosen], label[chosen]),
        }
        for name, chosen in members.items()
    }


def logged(metrics: Metrics) -> dict[str, float]:
    """Return what validation logs: ``val/mcc`` overall, ``val/mcc_in_domain`` of a split, ...

    A metric that is not defined for the labels of its group is not logged.
    """
    values = {}
    for group, of_group in metrics.items():
        suffix = "" if group == "overall" else f"_{group}"
        for name, value in of_group.items():
            if value is not None and name != "sentences":
                values[f"val/{name}{suffix}"] = value
    return values
