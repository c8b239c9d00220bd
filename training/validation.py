"""The predictions for the validation set, one row per sentence however many processes there are."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


@dataclass(frozen=True)
class Validation:
    """Predictions for the validation set in its own order: index, label int [n]; logits float [n, 2]."""

    index: Tensor
    label: Tensor
    logits: Tensor

    @classmethod
    def from_rows(cls, rows: Tensor) -> "Validation":
        """From ``ValidationRows.compute()``."""
        return cls(rows[:, 0].long(), rows[:, 1].long(), rows[:, 2:].float())

    @property
    def probability(self) -> Tensor:
        """Probability of ``acceptable``, float [n]."""
        return self.logits.softmax(dim=1)[:, 1]


class ValidationRows(Metric):
    """Collects predictions over batches and processes; each sentence counts once.

    Computes float64 [n, 4]: index, label and two logits, in the order of the index.
    """

    full_state_update = False
    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, index: Tensor, label: Tensor, logits: Tensor) -> None:
        self.rows.append(
            torch.cat([torch.stack([index, label], dim=1).double(), logits.double()], dim=1)
        )

    def compute(self) -> Tensor:
        rows = dim_zero_cat(self.rows).cpu()
        places = {
            index: place for place, index in enumerate(rows[:, 0].tolist())
        }  # a process may repeat a batch
        return rows[[places[index] for index in sorted(places)]]
