"""The formula of what Lambda costs, by hand."""

import pytest

from benchmarks.lambda_cost import cost_of


def test_a_million_single_sentences_on_half_a_core() -> None:
    # 10 ms on one core are 20 ms on half of one.
    row = cost_of(1, 10.0, 1769 // 2, 0.00001, 0.20)
    assert row["milliseconds"] == pytest.approx(20, rel=0.01)
    # 1,000 per second, each for 20 ms.
    assert row["concurrency"] == pytest.approx(20, rel=0.01)
    # Billed are 21 ms: 20.01 rounded up. 1,000,000 * 0.021 s * 884 / 1024 GB * 0.00001 + 0.20.
    assert row["dollars_per_million_predictions"] == pytest.approx(0.3813, abs=0.0001)


def test_more_memory_than_a_core_s_costs_more_and_is_no_faster() -> None:
    one, two = (cost_of(100, 100.0, memory, 0.00001, 0.0) for memory in (1769, 3538))
    assert one["milliseconds"] == two["milliseconds"] == 100
    assert two["dollars_per_million_predictions"] == pytest.approx(
        2 * one["dollars_per_million_predictions"]
    )
