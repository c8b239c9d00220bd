"""Tables on the terminal, whole wherever they go: to a screen, a pipe or a file."""

from collections.abc import Iterable, Sequence
from typing import IO

from rich.console import Console
from rich.table import Table

# Rich cuts cells to fit the terminal, or 80 columns where there is none, and then `grep` no longer
# finds what was cut. At this width nothing is cut: a terminal wraps the long lines by itself.
_WIDTH = 10_000


def print_table(
    rows: Iterable[Sequence[str]],
    headings: Sequence[str] = (),
    file: IO[str] | None = None,
) -> None:
    """Print rows of text as aligned columns, without borders.

    Args:
        rows: The cells of each row, all rows equally long.
        headings: A line above the rows; none prints the rows alone.
        file: Where to print; standard output if not given.
    """
    table = Table.grid(*headings, padding=(0, 2))
    table.show_header = bool(headings)
    for row in rows:
        table.add_row(*row)

    # Cells are data: "[x]" and ":key:" in them are neither markup nor emoji.
    console = Console(file=file, width=_WIDTH, markup=False, emoji=False, highlight=False)
    console.print(table)
