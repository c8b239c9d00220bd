"""Metrics agree with scikit-learn's, over all sentences and within groups."""

import pytest
import torch
from sklearn import metrics as reference

from training.metrics import classification_metrics, evaluate


@pytest.fixture
def predictions() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    label = (torch.rand(200, generator=generator) < 0.7).long()
    return (0.5 * torch.rand(200, generator=generator) + 0.4 * label).clamp(0, 1), label


def test_metrics_agree_with_scikit_learn(predictions: tuple[torch.Tensor, torch.Tensor]) -> None:
    probability, label = predictions
    predicted = (probability > 0.5).long()
    expected = {
        "mcc": reference.matthews_corrcoef(label, predicted),
        "accuracy": reference.accuracy_score(label, predicted),
        "f1_macro": reference.f1_score(label, predicted, average="macro"),
        "roc_auc": reference.roc_auc_score(label, probability),
        "precision_acceptable": reference.precision_score(label, predicted),
        "recall_acceptable": reference.recall_score(label, predicted),
        "precision_unacceptable": reference.precision_score(label, predicted, pos_label=0),
        "recall_unacceptable": reference.recall_score(label, predicted, pos_label=0),
    }
    assert classification_metrics(probability, label) == pytest.approx(expected, abs=1e-6)


def test_a_constant_guess_has_an_mcc_of_zero() -> None:
    label = torch.tensor([1, 1, 0, 1])
    assert classification_metrics(torch.ones(4), label)["mcc"] == 0.0


def test_what_is_not_defined_for_one_label_is_none() -> None:
    metrics = classification_metrics(torch.tensor([0.9, 0.2]), torch.tensor([1, 1]))
    assert metrics["mcc"] is None
    assert metrics["roc_auc"] is None
    assert metrics["f1_macro"] is None
    assert metrics["recall_unacceptable"] is None
    assert metrics["precision_unacceptable"] is None
    assert metrics["recall_acceptable"] == metrics["accuracy"] == 0.5


def test_groups_are_evaluated_apart(predictions: tuple[torch.Tensor, torch.Tensor]) -> None:
    probability, label = predictions
    groups = ["in_domain"] * 120 + ["out_of_domain"] * 80
    results = evaluate(probability, label, groups)
    assert {name: values["sentences"] for name, values in results.items()} == {
        "overall": 200,
        "in_domain": 120,
        "out_of_domain": 80,
    }
    apart = classification_metrics(probability[120:], label[120:])
    assert {k: v for k, v in results["out_of_domain"].items() if k != "sentences"} == apart
