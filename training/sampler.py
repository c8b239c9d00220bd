"""Which sentences share a batch: those of similar length, so that little is padded."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice

from torch.utils.data import Sampler


class BucketBatchSampler(Sampler[list[int]]):
    """Batches of sentences of similar length, in a random order that depends on the seed alone.

    Sentences are shuffled, sorted by length within chunks of 50 batches, cut into batches, and the batches
    shuffled. Each of ``world_size`` processes gets every ``world_size``-th batch; the list is filled up from its
    start so that all get equally many. A pass skips the first ``start_batch()`` batches, to resume in mid-epoch.
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
        batches = -(-len(self.lengths) // self.batch_size)
        return -(-batches // self.world_size)

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: the start is asked for at the first batch, when Lightning has restored its progress.
        filled = islice(cycle(self._batches()), len(self) * self.world_size)
        mine = islice(filled, self.rank, None, self.world_size)
        yield from islice(mine, self.start_batch(), None)

    def _batches(self) -> list[list[int]]:
        generator = random.Random(self.seed)
        order = list(range(len(self.lengths)))
        chunk = self.CHUNK * self.batch_size if self.shuffle else len(order)
        if self.shuffle:
            generator.shuffle(order)
        if self.bucket:
            chunks = (order[start : start + chunk] for start in range(0, len(order), chunk))
            order = [i for part in chunks for i in sorted(part, key=self.lengths.__getitem__)]
        batches = [
            order[start : start + self.batch_size]
            for start in range(0, len(order), self.batch_size)
        ]
        if self.shuffle:
            generator.shuffle(batches)
        return batches
