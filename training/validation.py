"""The predictions for the validation set, one row per sentence however many processes there are."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


@dataclass(frozen=True)
class Validation:
    """Predictions for the validation set, in its own order."""

    index: Tensor
    """Position of each sentence in the validation set, int64 [n]."""

    label: Tensor
    """0 or 1, int64 [n]."""

    logits: Tensor
    """float32 [n, 2]."""

    @classmethod
    def from_rows(cls, rows: Tensor) -> "Validation":
        """Return the predictions that ``ValidationRows.compute`` collected, float32 [n, 4]."""
        return cls(rows[:, 0].long(), rows[:, 1].long(), rows[:, 2:].float())

    @property
    def probability(self) -> Tensor:
        """Probability of ``acceptable``, float32 [n]."""
        return self.logits.softmax(dim=1)[:, 1]


class ValidationRows(Metric):
    """Collects predictions over batches and processes; each sentence counts once."""

    full_state_update = False
    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, index: Tensor, label: Tensor, logits: Tensor) -> None:
        """Add a batch.

        Args:
            index: Positions in the validation set, int [sentences].
            label: 0 or 1, int [sentences].
            logits: float [sentences, 2].
        """
        # float32 holds positions up to 16 million exactly, and Apple's MPS has no float64.
        facts = torch.stack([index, label], dim=1)
        self.rows.append(torch.cat([facts.float(), logits.float()], dim=1))

    def compute(self) -> Tensor:
        """Return index, label and two logits per sentence, float32 [n, 4], ordered by index."""
        rows = dim_zero_cat(self.rows).cpu()

        # The sampler repeats batches so that all processes get equally many: keep one row per
        # sentence.
        row_of = {index: row for row, index in enumerate(rows[:, 0].tolist())}
        return rows[[row_of[index] for index in sorted(row_of)]]


def offset_to_rate(logits: Tensor, rate: float) -> Tensor:
    """Return what to add to logits so that a share ``rate`` of them speaks for label 1, float [2].

    Args:
        logits: float [n, 2].
        rate: Share from 0 to 1.
    """
    # The threshold lies half-way between two sentences, so fewer than two give none.
    if len(logits) < 2:
        return torch.zeros(2)

    margin = (logits[:, 1] - logits[:, 0]).sort(descending=True).values
    above = min(max(round(rate * len(margin)), 1), len(margin) - 1)
    threshold = (margin[above - 1] + margin[above]) / 2
    return torch.stack([threshold / 2, -threshold / 2])
