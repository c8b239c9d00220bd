"""Tables on the terminal: what is printed is whole, so that it can be searched and cut."""

import io

import pytest

from commands.tables import print_table

URL = f"https://{'long.' * 60}example/predict"


@pytest.mark.parametrize("columns", ["20", "80"])
def test_a_long_cell_is_not_cut(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    output = io.StringIO()
    print_table([["LiveImage", "none"], ["PredictUrl", URL]], file=output)
    assert output.getvalue().splitlines()[1] == f"PredictUrl  {URL}"


def test_columns_are_aligned_below_their_headings() -> None:
    output = io.StringIO()
    print_table([["1", "0.4"], ["22", "0.55"]], headings=["version", "MCC"], file=output)
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    assert lines == ["version  MCC", "1        0.4", "22       0.55"]


def test_cells_are_printed_as_they_are() -> None:
    output = io.StringIO()
    print_table([["[bold]role[/bold]", "arn:aws:iam::1:key:x"]], file=output)
    assert output.getvalue().split() == ["[bold]role[/bold]", "arn:aws:iam::1:key:x"]
