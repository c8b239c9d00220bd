"""Which sentences share a row."""

from collections.abc import Iterator, Sequence

from prediction.types import Encoded

# Tokens a row: more gain nothing from the matrix kernels and pay for attention, which grows with the square.
ROW_TOKENS = 96


def plan(encoded: Sequence[Encoded], packing: bool) -> Iterator[list[int]]:
    """Positions of the sentences of each row. Without packing, a row's sentences are of one length."""
    lengths = [len(item.ids) for item in encoded]
    order = range(len(encoded)) if packing else sorted(range(len(encoded)), key=lengths.__getitem__)
    row: list[int] = []
    tokens = 0
    for position in order:
        length = lengths[position]
        if row and (tokens + length > ROW_TOKENS or (not packing and length != lengths[row[-1]])):
            yield row
            row, tokens = [], 0
        row.append(position)
        tokens += length
    if row:
        yield row
