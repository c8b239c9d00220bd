"""The progress of a job on Parquet files, on a terminal."""

import sys

import pytest

from errors import ColaError
from prediction.job_progress import Done, Progress


@pytest.mark.parametrize("total", [2_000_000, 2_000_000_000])
def test_a_line_fits_the_terminal_or_it_could_not_be_wiped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], total: int
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(Progress, "_rate", lambda *_: 100_000.0)

    progress = Progress(total)
    progress.add([])
    progress.add([Done(total, 0, "node")])
    progress.add([ColaError("lost")])

    lines = capsys.readouterr().err.split("\r\033[K")[1:]
    assert len(lines) == 3
    assert all(len(line) < 80 for line in lines)
