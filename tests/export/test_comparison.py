"""Parity with PyTorch: on which sentences, and in which rows, an exported model is compared."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.calibration import NO_CALIBRATION
from export.comparison import compare_with_pytorch
from export.feeds import Feed

VALIDATION, RANDOM = 5, 6
"""The tokens of both kinds of sentences."""


class Network:
    """In the place of a transformers model: all its logits are 0."""

    config = SimpleNamespace(model_type="bert")

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        return SimpleNamespace(logits=torch.zeros(len(input_ids), 2))


class Session:
    """In the place of ONNX Runtime: all its logits are 0, or 1 for a feed that is wrong."""

    def __init__(self, is_wrong: Callable[[Feed], bool]) -> None:
        self._is_wrong = is_wrong

    def run(self, names: list[str], feed: Feed) -> list[NDArray[np.float32]]:
        # Sentences of a row are numbered from 1.
        sentences = int(feed["attention_mask"].max(axis=1).sum())
        return [np.full((sentences, 2), self._is_wrong(feed), np.float32)]


@pytest.mark.parametrize(
    ("is_wrong", "difference"),
    [
        (lambda feed: False, 0.0),
        (lambda feed: VALIDATION in feed["input_ids"], 1.0),
        (lambda feed: RANDOM in feed["input_ids"], 1.0),
        (lambda feed: len(feed["input_ids"]) > 1, 1.0),
        (lambda feed: feed["attention_mask"].max() > 1, 1.0),
    ],
    ids=["nothing", "the validation set", "random sentences", "batches", "packed rows"],
)
def test_parity_is_that_of_all_sentences_in_batches_and_in_packed_rows(
    is_wrong: Callable[[Feed], bool], difference: float
) -> None:
    evaluation: Any = SimpleNamespace(
        model=SimpleNamespace(network=Network()),
        sentences=[[VALIDATION] * 3, [VALIDATION] * 9],
        logits=torch.zeros(2, 2),
        calibration=NO_CALIBRATION,
        random_sentences=lambda: [[RANDOM], [RANDOM] * 2],
    )
    session: Any = Session(is_wrong)
    assert compare_with_pytorch(evaluation, session) == difference
