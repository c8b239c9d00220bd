"""Where the benchmarks keep their results, and which the documents show."""

from pathlib import Path

import pytest

from benchmarks import chapter_tables, results
from benchmarks.machine import Machine

MACHINE: Machine = {
    "cpu": "A CPU",
    "cores": 2,
    "has_vnni": True,
    "has_bf16": False,
}


def measure(monkeypatch: pytest.MonkeyPatch, *, has_vnni: bool, requests_per_second: float) -> None:
    """Record a result of benchmarks.serving, on a machine with or without VNNI."""
    monkeypatch.setattr(results, "machine", lambda: {**MACHINE, "has_vnni": has_vnni})
    load = {"requests_per_second": requests_per_second, "p99_ms": 1.0}
    server = {"1": load, "8": load, "32": load, "memory_mb": 1.0, "start_s": 1.0}
    results.record(
        "serving",
        {"servers": {"ours_int8": server}, "in_process_sentences_per_second": {}},
        by_processor=True,
    )


def test_results_with_and_without_vnni_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A measurement on one kind of CPU must not replace that of the other kind."""
    monkeypatch.setenv("BENCHMARK_RESULTS", str(tmp_path))
    measure(monkeypatch, has_vnni=False, requests_per_second=300)
    measure(monkeypatch, has_vnni=True, requests_per_second=600)
    measure(monkeypatch, has_vnni=True, requests_per_second=700)

    _, _, with_vnni, without = chapter_tables.serving_peers().splitlines()

    assert "| 700, 1 |" in with_vnni
    assert with_vnni.endswith("| A CPU, 2 cores, VNNI |")
    assert "| 300, 1 |" in without
    assert without.endswith("| A CPU, 2 cores, no VNNI |")
