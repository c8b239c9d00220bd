"""What the tests of benchmarks replace."""

import pytest

from benchmarks import results


@pytest.fixture(autouse=True)
def _no_yardstick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no matrix product, which takes a second, each time that a result is recorded."""
    monkeypatch.setattr(results, "matrix_product_gflops", lambda: 100.0)
