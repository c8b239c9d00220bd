"""The drift check: quiet on what the model was validated on, loud on what it was not."""

import json
import random
import re
from collections import Counter
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from drift import label
from drift.checks import LIMITS, Check, Limits, assess, ks_statistic, psi
from drift.log_files import LogRecord, read_log
from drift.times import duration, moment
from drift.verdict import judge
from drift.windows import Window, from_records
from errors import ColaError
from prediction.types import Prediction
from tests.helpers.drift_data import (
    END,
    HOUR,
    REFERENCE,
    VALIDATION,
    population,
    prediction,
    record,
    verdict,
    window,
)
from tests.helpers.paths import ROOT


def scaled(small: Window, factor: int) -> Window:
    """The same window with more traffic."""
    plain = (
        "count",
        "tokens",
        "unknown_tokens",
        "low_confidence",
        "truncated",
        "texts",
        "distinct_texts",
    )
    return replace(
        small,
        **{name: factor * getattr(small, name) for name in plain},
        labels=Counter({name: factor * count for name, count in small.labels.items()}),
        models=Counter({name: factor * count for name, count in small.models.items()}),
        score_histogram=[factor * count for count in small.score_histogram],
        length_histogram=[factor * count for count in small.length_histogram],
        score_sum=factor * small.score_sum,
    )


@pytest.mark.parametrize("size", [200, 500, 1043])
def test_no_alarm_on_resamples_of_the_validation_set(size: int) -> None:
    rng = random.Random(size)
    for _ in range(20):
        both = [rng.choices(VALIDATION, k=size) for _ in range(2)]
        assert verdict(both[0], both[1]).state in ("ok", "warning")


@pytest.mark.parametrize("size", [200, 1000])
def test_no_alarm_on_fresh_samples_of_the_same_population(size: int) -> None:
    for seed in range(1, 11):
        both = [list(islice(population(1000 * seed + part), size)) for part in range(2)]
        assert verdict(both[0], both[1]).state in ("ok", "warning")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shift": 0.3}, "label_difference"),
        ({"shift": 0.3}, "score_psi"),
        ({"length": 25.0}, "length_psi"),
        ({"unknown": 0.1}, "unknown_token_rate"),
        ({"length": 110.0}, "truncated_share"),
    ],
)
def test_alarm_on_a_shift(change: dict[str, float], reason: str) -> None:
    both = [list(islice(population(seed, **change), 400)) for seed in (1, 2)]
    found = verdict(both[0], both[1])
    assert found.state == "alarm"
    assert reason in found.reasons
    assert found.retrain


def test_alarm_on_scores_that_have_become_unsure() -> None:
    unsure = [
        prediction(number, 0.5 + (number % 20 - 10) / 150, item.tokens)
        for number, item in enumerate(VALIDATION)
    ]
    found = verdict(unsure)
    assert found.state == "alarm"
    assert {"low_confidence_share", "expected_accuracy_drop", "score_psi"} <= set(found.reasons)


def test_one_window_of_drift_is_no_alarm_yet() -> None:
    drifted = list(islice(population(1, length=25.0), 400))
    assert verdict(drifted, before=VALIDATION).state == "drift"
    assert verdict(drifted, before=drifted).state == "alarm"
    assert verdict(drifted, before=VALIDATION[:50]).state == "drift"  # too few to confirm it
    assert verdict(VALIDATION, before=drifted).state == "ok"


def test_an_alarm_needs_the_same_drift_twice() -> None:
    long, unknown = population(1, length=25.0), population(1, unknown=0.1)
    found = verdict(list(islice(unknown, 400)), before=list(islice(long, 400)))
    assert found.reasons == ["unknown_token_rate"]
    assert found.state == "drift"
    assert not found.retrain


def test_a_wrong_model_is_an_alarm_that_retraining_cannot_mend() -> None:
    found = verdict(VALIDATION, version="ffffffffffff")
    assert found.state == "alarm"
    assert found.reasons == ["unexpected_model_share"]
    assert not found.retrain


def test_repeated_inputs_are_a_warning() -> None:
    repeated = [replace(item, text="the same") for item in VALIDATION]
    found = verdict(repeated)
    assert found.state == "warning"
    assert {check.name for check in found.checks if check.state == "warning"} == {"duplicate_share"}


def test_an_estimate_of_more_texts_than_there_are_is_no_negative_share() -> None:
    estimated = replace(window(VALIDATION), distinct_texts=len(VALIDATION) + 9)
    checks = {check.name: check for check in judge(estimated, estimated, REFERENCE).checks}
    assert checks["duplicate_share"].value == 0


@pytest.mark.parametrize("usual", [len(VALIDATION) // 20, len(VALIDATION) * 20])
def test_much_more_or_less_traffic_than_usual_is_a_warning(usual: int) -> None:
    unusual = replace(window(VALIDATION), previous_mean=float(usual))
    checks = judge(unusual, unusual, REFERENCE).checks
    assert [check.name for check in checks if check.state == "warning"] == ["volume_factor"]


def volume_factor(records: list[LogRecord]) -> float | None:
    """Return the check's figure for the hour before END."""
    counted = from_records(records, END - HOUR, END, REFERENCE)
    (check,) = [c for c in assess(counted, REFERENCE, 1) if c.name == "volume_factor"]
    return check.value


@pytest.mark.parametrize(
    ("windows", "factor"), [(0.5, None), (1.5, None), (2, 1.0), (2.5, 1.0), (12, 1.0)]
)
def test_steady_traffic_is_usual_from_the_first_whole_window_on(
    windows: float, factor: float | None
) -> None:
    minutes = range(int(60 * windows), 0, -1)
    records = [record(VALIDATION[minute], END - HOUR * minute / 60) for minute in minutes]
    assert volume_factor(records) == factor


def test_windows_without_traffic_count_where_the_log_reaches_back_beyond_them() -> None:
    hours = (20, 1.5, 0.5)
    records = [record(VALIDATION[0], END - HOUR * before) for before in hours]
    assert volume_factor(records) == pytest.approx(7)


def test_too_small_a_window_cannot_tell() -> None:
    assert verdict(VALIDATION[:199]).state == "unknown"
    assert judge(window([]), window([]), REFERENCE).document()["verdict"] == "unknown"


def test_hashed_texts_count_as_duplicates_and_missing_ones_are_left_out() -> None:
    records = [record(item, END - HOUR / 2) for item in VALIDATION[:300]]
    for item in records:
        item["text"] = None
    counted = from_records(records, END - HOUR, END, REFERENCE)
    assert (counted.texts, counted.distinct_texts) == (0, 0)
    counted = replace(counted, is_covered=True)
    checks = {check.name: check for check in judge(counted, counted, REFERENCE).checks}
    assert checks["duplicate_share"].state == "-"


def test_a_p_value_can_only_hold_an_alarm_back() -> None:
    assert Check("score_psi", 0.3, p_value=0.5).state == "ok"
    assert Check("score_psi", 0.05, p_value=1e-9).state == "ok"
    assert Check("score_psi", 0.15, p_value=1e-9).state == "warning"
    assert Check("score_psi", 0.3, p_value=1e-9).state == "drift"


def test_the_chapter_shows_the_limits() -> None:
    chapter = (ROOT / "docs" / "11_drift.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\d.]*) ?\| ([\d.]*) ?\|$", chapter, re.MULTILINE)
    shown = {
        name: Limits(float(warn) if warn else None, float(alarm) if alarm else None)
        for name, warn, alarm in rows
    }
    assert shown == {name: limits for name, limits in LIMITS.items() if limits.warn is not None}


# The log files


def log_lines(items: list[Prediction], at: datetime) -> str:
    return "".join(json.dumps(record(item, at)) + "\n" for item in items)


def test_a_rotated_log_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    parts = [("", 0.2), (".1", 0.6), (".2", 1.5), (".3", 2.5)]
    for suffix, hours in parts:
        Path(f"{path}{suffix}").write_text(log_lines(VALIDATION[:100], END - hours * HOUR))
    counted = from_records(read_log(path), END - HOUR, END, REFERENCE)
    assert counted.count == 200
    assert counted.is_covered
    assert [line["@timestamp"] for line in read_log(path)] == sorted(
        line["@timestamp"] for line in read_log(path)
    )


def test_a_log_that_is_rotated_while_it_is_read_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    before, now = Path(f"{path}.1"), path
    before.write_text(log_lines(VALIDATION[:2], END - HOUR))
    now.write_text(log_lines(VALIDATION[2:4], END))

    records = read_log(path)
    read = [next(records)]
    before.rename(f"{path}.2")
    now.rename(before)
    path.write_text(log_lines(VALIDATION[4:5], END + HOUR))

    read += records
    assert [line["text"] for line in read] == [item.text for item in VALIDATION[:4]]


def test_a_log_that_is_rotated_while_it_is_opened_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "predictions.jsonl"
    before = Path(f"{path}.1")
    before.write_text(log_lines(VALIDATION[:2], END - HOUR))
    path.write_text(log_lines(VALIDATION[2:4], END))

    def open_and_rotate(file: Path, **options: Any) -> IO[str]:
        monkeypatch.undo()
        opened: IO[str] = file.open(**options)
        before.rename(f"{path}.2")
        path.rename(before)
        path.write_text(log_lines(VALIDATION[4:5], END + HOUR))
        return opened

    monkeypatch.setattr(Path, "open", open_and_rotate)
    assert [line["text"] for line in read_log(path)] == [item.text for item in VALIDATION[:4]]


def test_a_window_that_the_log_does_not_cover_cannot_tell(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(log_lines(VALIDATION, END - HOUR / 2))
    counted = from_records(read_log(path), END - HOUR, END, REFERENCE)
    assert counted.count == len(VALIDATION)
    assert not counted.is_covered
    assert judge(counted, counted, REFERENCE).state == "unknown"


def test_drift_before_in_a_window_that_the_log_does_not_cover_confirms_nothing() -> None:
    drifted = window(list(islice(population(1, length=25.0), 400)))
    assert judge(drifted, drifted, REFERENCE).state == "alarm"
    assert judge(drifted, replace(drifted, is_covered=False), REFERENCE).state == "drift"


def test_a_line_nested_too_deeply_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text("[" * 100_000 + "\n" + log_lines(VALIDATION[:3], END))
    assert len(list(read_log(path))) == 3


def test_psi_of_samples_of_one_distribution_is_about_zero_whatever_their_size() -> None:
    rng = np.random.default_rng(0)
    shares = np.full(15, 1 / 15)
    for size in (100, 1000, 100_000):
        values = [
            psi(
                rng.multinomial(size, shares).astype(float),
                rng.multinomial(1043, shares).astype(float),
            )
            for _ in range(100)
        ]
        assert np.mean(values) < 0.03
    assert psi(np.array([50.0, 50.0]), np.array([50.0, 50.0])) == 0.0


def test_ks_agrees_with_scipy_on_binned_values() -> None:
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(1)
    one, two = rng.integers(0, 10, 400), rng.integers(2, 10, 300)
    mine, p_value = ks_statistic(
        np.bincount(one, minlength=10).astype(float), np.bincount(two, minlength=10).astype(float)
    )
    theirs = ks_2samp(one, two, method="asymp")
    assert mine == pytest.approx(theirs.statistic)
    assert p_value == pytest.approx(theirs.pvalue, rel=0.5)


def test_a_million_predictions_are_judged_like_a_thousand() -> None:
    """They arrive as counts, so that many cost no more than few."""
    large = scaled(window(VALIDATION), 1000)
    assert large.count == 1_043_000
    assert judge(large, large, REFERENCE).state == "ok"
    drifted = scaled(window(list(islice(population(1, length=25.0), 400))), 1000)
    assert judge(drifted, drifted, REFERENCE).state == "alarm"


def test_a_record_of_another_program_is_one_line() -> None:
    strange: Any = {
        "@timestamp": (END - HOUR / 2).isoformat(),
        "event": "prediction",
        "prediction": {"label": "x"},
    }
    with pytest.raises(ColaError, match="lacks 'input'"):
        from_records([strange], END - HOUR, END, REFERENCE)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"event": "prediction"}', "lacks 'prediction'"),
        ('{"event": "prediction", "prediction": null}', "has a field of another type"),
    ],
)
def test_a_record_of_another_program_cannot_be_labelled(
    tmp_path: Path, line: str, fault: str
) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ColaError, match=f"^a prediction record {fault}.*another program"):
        list(label.from_log(path, END))


def test_texts_from_before_the_time_asked_for_are_not_labelled(tmp_path: Path) -> None:
    before, after = (prediction(number, 0.55, tokens=11) for number in range(2))
    path = tmp_path / "predictions.jsonl"
    path.write_text(log_lines([before], END - HOUR) + log_lines([after], END + HOUR))
    assert list(label.from_log(path, END)) == [after.text]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("15m", 900), ("24h", 86400), ("7d", 604800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "h", "0h", "-1h", "1.5h", "1w", "١h h"])
def test_bad_durations_say_what_is_wanted(text: str) -> None:
    with pytest.raises(ColaError, match="give a number and s, m, h or d"):
        duration(text)


def test_times_without_an_offset_are_utc() -> None:
    assert (
        moment("2026-11-21T12:00:00")
        == moment("2026-11-21T12:00:00Z")
        == moment("2026-11-21T13:00:00+01:00")
    )
    with pytest.raises(ColaError, match="not an ISO 8601 time"):
        moment("yesterday")
