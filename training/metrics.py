"""What a set of predictions is worth: every metric, over all of the sentences at once, overall and per split."""

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

from prediction.types import LABELS


def classification_metrics(probability: Tensor, label: Tensor) -> dict[str, float | None]:
    """Metrics of n predictions; what is not defined for them is None.

    Args:
        probability: probability of the label 1, float [n].
        label: 0 or 1, int [n].

    Returns:
        ``mcc`` is Matthews correlation (Matthews 1975), 0 for any constant guess.
    """
    predicted = (probability > 0.5).long()
    precision = multiclass_precision(predicted, label, num_classes=2, average=None)
    recall = multiclass_recall(predicted, label, num_classes=2, average=None)
    both_labels = 0 < int(label.sum()) < len(label)
    metrics: dict[str, float | None] = {
        # Not torchmetrics' (1.9): it gives a constant guess up to 0.58 where the correlation is 0.
        "mcc": float(matthews_corrcoef(label.cpu(), predicted.cpu())) if both_labels else None,
        "accuracy": float(binary_accuracy(predicted, label)),
        "f1_macro": float(multiclass_f1_score(predicted, label, num_classes=2, average="macro")),
        "roc_auc": float(binary_auroc(probability, label)) if both_labels else None,
    }
    for number, name in enumerate(LABELS):
        metrics[f"precision_{name}"] = float(precision[number])
        metrics[f"recall_{name}"] = float(recall[number])
    return metrics


def evaluate(
    probability: Tensor, label: Tensor, groups: Sequence[str]
) -> dict[str, dict[str, float | int | None]]:
    """The metrics and the number of sentences, ``overall`` and for each group (split or source) of the n sentences."""
    names = list(dict.fromkeys(groups))
    rows = {name: torch.tensor([group == name for group in groups]) for name in names}
    rows = {"overall": torch.ones(len(groups), dtype=torch.bool), **rows}
    return {
        name: {
            "sentences": int(chosen.sum()),
            **classification_metrics(probability[chosen], label[chosen]),
        }
        for name, chosen in rows.items()
    }
