"""Adversarial training for text, at the price of plain training.

A sentence is learned with its embeddings moved a short step in the direction that raises its loss
most (Miyato et al. 2017). That direction is the gradient of the loss, for which the paper takes a
pass of its own. Here it is the gradient of the epoch before, which was computed anyway.
"""

import torch
from torch import Tensor, distributed

from training.examples import Batch


class WorstDirections:
    """The direction that raised each sentence's loss most when it was last learned.

    Each process remembers the sentences that it has learned itself. Under DDP a sentence that comes
    to a process for the first time therefore is not moved.

    Attributes:
        by_index: float16 [tokens, width] of norm 1, by the sentence's position in the training set.
    """

    def __init__(self) -> None:
        self.by_index: dict[int, Tensor] = {}

    def of_all_processes(self) -> list[dict[int, Tensor]]:
        """Return ``by_index`` of each process, on the first; all processes must ask together."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return [self.by_index]

        everyone: list[dict[int, Tensor]] = [{}] * distributed.get_world_size()
        is_first = distributed.get_rank() == 0
        distributed.gather_object(self.by_index, everyone if is_first else None)
        return everyone

    def directions_of(self, batch: Batch, embeddings: Tensor) -> Tensor:
        """Return a direction per sentence, zeros for a new one, shaped as ``embeddings``.

        A sentence of another length than before counts as new.

        Args:
            batch: The sentences.
            embeddings: float [sentences, tokens, width].
        """
        directions = torch.zeros_like(embeddings)
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        for row, index in enumerate(batch["index"].tolist()):
            known = self.by_index.get(index)

            # A name of more tokens than the one before it moves those that follow. Two that make up
            # for each other go unnoticed, which does little harm.
            if known is not None and len(known) == lengths[row]:
                directions[row, : len(known)] = known.to(directions)
        return directions

    def update(self, batch: Batch, gradient: Tensor) -> None:
        """Keep the directions of a batch for the next epoch.

        Args:
            batch: The sentences.
            gradient: Gradient of the loss by their embeddings, float [sentences, tokens, width].
        """
        # A sentence without any gradient keeps the direction 0.
        norm = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
        directions = (gradient / norm[:, None, None]).half().cpu()

        # The padding is cut off; the next batch may have more or less.
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        for row, index in enumerate(batch["index"].tolist()):
            self.by_index[index] = directions[row, : lengths[row]].clone()
