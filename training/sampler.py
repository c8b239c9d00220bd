"""Which sentences share a batch: those of similar length, so that little is padded."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice

from torch.utils.data import Sampler


class BucketBatchSampler(Sampler[list[int]]):
    """Batches of sentences of similar length, in a random order that depends on the seed alone.

    Sentences are shuffled, sorted by length within chunks of 50 batches, cut into batches, and the
    batches shuffled. Each process gets every ``world_size``-th batch; the list is filled up from
    its start so that all processes get equally many.

    Args:
        lengths: Number of tokens of each sentence.
        batch_size: Sentences per batch.
        shuffle: Whether the order is random; otherwise it is that of the sentences.
        bucket: Whether sentences of similar length share a batch.
        seed: The random order follows from it.
        rank: Number of this process, from 0.
        world_size: Number of processes.
        start_batch: Returns how many of this process's batches to skip, to resume in the middle of
            an epoch.
    """

    CHUNK = 50

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        *,
        shuffle: bool,
        bucket: bool = True,
        seed: str = "",
        rank: int = 0,
        world_size: int = 1,
        start_batch: Callable[[], int] = lambda: 0,
    ) -> None:
        self.lengths, self.batch_size = lengths, batch_size
        self.shuffle, self.bucket, self.seed = shuffle, bucket, seed
        self.rank, self.world_size, self.start_batch = rank, world_size, start_batch

    def __len__(self) -> int:
        """Return the number of batches of each process."""
        batches = math.ceil(len(self.lengths) / self.batch_size)
        return math.ceil(batches / self.world_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of this process, each as the positions of its sentences."""
        filled = islice(cycle(self._batches()), len(self) * self.world_size)
        own = islice(filled, self.rank, None, self.world_size)

        # Runs at the first batch, since this is a generator: by then Lightning has restored its
        # progress.
        yield from islice(own, self.start_batch(), None)

    def _batches(self) -> list[list[int]]:
        rng = random.Random(self.seed)
        order = list(range(len(self.lengths)))
        if self.shuffle:
            rng.shuffle(order)

        # Sorted by chunks only: otherwise a sentence would have the same neighbours in every epoch.
        if self.bucket:
            chunk = self.CHUNK * self.batch_size if self.shuffle else len(order)
            chunks = _cut(order, chunk)
            order = [i for part in chunks for i in sorted(part, key=self.lengths.__getitem__)]

        batches = _cut(order, self.batch_size)
        if self.shuffle:
            rng.shuffle(batches)
        return batches


def _cut(items: list[int], size: int) -> list[list[int]]:
    """Cut a list into pieces of ``size`` items; the last may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]
