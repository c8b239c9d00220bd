"""The pictures of a run can be drawn whatever its validation set is."""

from pathlib import Path

import pytest
import torch

from corpus.format import Sentence
from training import pictures
from training.validation import Validation


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:No positive class found:UserWarning")
@pytest.mark.parametrize("label", [0, 1])
def test_all_sentences_may_have_one_label_and_be_given_it(tmp_path: Path, label: int) -> None:
    right = torch.full((3,), label)
    logits = 9.0 * torch.nn.functional.one_hot(right, 2)

    validation, curves = Validation(torch.arange(3), right, logits), {"val/loss": [(1, 0.5)]}
    pictures.draw(tmp_path, validation, [Sentence("a", label, "", "A boy sits.")] * 3, curves)
    assert (tmp_path / "confusion_matrix.png").is_file()
