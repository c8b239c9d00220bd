"""Which sentences share a row of the model's input."""

from collections.abc import Iterator, Sequence

from prediction.types import Encoded

# Longer rows gain nothing from the matrix kernels and pay for attention, whose cost grows with the
# square of the length.
ROW_TOKENS = 96


def plan(encoded: Sequence[Encoded], packing: bool) -> Iterator[list[int]]:
    """Divide sentences into rows of at most ``ROW_TOKENS`` tokens; a longer one has its own row.

    Args:
        encoded: The sentences.
        packing: Whether the model reads sentences of different length from one row. If not, those
            of a row have the same length, so that they can be stacked without padding.

    Yields:
        The positions in ``encoded`` of one row's sentences.
    """
    lengths = [len(item.ids) for item in encoded]
    order: Sequence[int] = range(len(encoded))
    if not packing:
        order = sorted(order, key=lengths.__getitem__)

    row: list[int] = []
    tokens = 0
    for position in order:
        length = lengths[position]

        is_full = tokens + length > ROW_TOKENS
        is_other_length = not packing and bool(row) and length != lengths[row[-1]]
        if row and (is_full or is_other_length):
            yield row
            row, tokens = [], 0

        row.append(position)
        tokens += length

    if row:
        yield row
