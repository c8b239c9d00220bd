"""The drift check: quiet on what the model was validated on, loud on what it was not."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drift.__main__ import edges_of, judge
from drift.checks import Check, ks_statistic, psi
from drift.verdict import Verdict
from drift.windows import Window, duration, from_elasticsearch, from_records, moment, read_log
from errors import ColaError
from export.reference import describe
from monitoring.elastic import Elastic
from monitoring.reference import Reference
from prediction.types import Prediction

END = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
VERSION = "0123456789ab"


def prediction(number: int, probability: float, tokens: int, unknown: int = 0) -> Prediction:
    acceptable = probability >= 0.5
    return Prediction(
        text=f"sentence {number}",
        label="acceptable" if acceptable else "unacceptable",
        score=probability if acceptable else 1 - probability,
        probability_acceptable=probability,
        characters=5 * tokens,
        tokens=tokens,
        unknown_tokens=unknown,
        truncated=tokens > 100,
    )


def population(
    seed: int = 0, shift: float = 0.0, length: float = 11.0, unknown: float = 0.002
) -> Iterator[Prediction]:
    """Endless predictions of a plausible model: two humps of scores, lengths around a mean."""
    random_ = random.Random(seed)
    for number in iter(int, 1):
        sure = random_.betavariate(7, 1.5)
        probability = sure if random_.random() < 0.7 - shift else 1 - sure
        tokens = max(3, round(random_.gammavariate(6, length / 6)))
        yield prediction(
            random_.getrandbits(48) + number,
            probability,
            tokens,
            sum(random_.random() < unknown for _ in range(tokens)),
        )


VALIDATION = list(islice(population(), 1043))
REFERENCE = Reference(VERSION, describe(VALIDATION, [item.label for item in VALIDATION]))
EDGES = edges_of(REFERENCE)


def record(item: Prediction, at: datetime, version: str = VERSION) -> dict[str, Any]:
    return {
        "@timestamp": at.isoformat(),
        "event": "prediction",
        "text": item.text,
        "prediction": {
            "label": item.label,
            "score": item.score,
            "probability_acceptable": item.probability_acceptable,
        },
        "model": {"version": version, "name": "m"},
        "input": {
            "tokens": item.tokens,
            "unknown_tokens": item.unknown_tokens,
            "truncated": item.truncated,
        },
    }


def window(items: list[Prediction], version: str = VERSION) -> Window:
    at = END - HOUR / 2
    return from_records([record(item, at, version) for item in items], END - HOUR, END, EDGES)


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


def verdict(
    items: list[Prediction], before: list[Prediction] | None = None, version: str = VERSION
) -> Verdict:
    return judge(window(items, version), window(before or items, version), REFERENCE)


def verdict_document() -> dict[str, Any]:
    return verdict(VALIDATION[:300]).document()


@pytest.mark.parametrize("size", [200, 500, 1043])
def test_no_alarm_on_resamples_of_the_validation_set(size: int) -> None:
    random_ = random.Random(size)
    for _ in range(20):
        both = [random_.choices(VALIDATION, k=size) for _ in range(2)]
        assert verdict(*both).state in ("ok", "warning")


@pytest.mark.parametrize("size", [200, 1000])
def test_no_alarm_on_fresh_samples_of_the_same_population(size: int) -> None:
    for seed in range(1, 11):
        both = [list(islice(population(1000 * seed + part), size)) for part in range(2)]
        assert verdict(*both).state in ("ok", "warning")


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
    found = verdict(*both)
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


def test_a_wrong_model_is_an_alarm_that_retraining_cannot_mend() -> None:
    found = verdict(VALIDATION, version="ffffffffffff")
    assert found.state == "alarm"
    assert found.reasons == ["unexpected_model_share"]
    assert not found.retrain


def test_repeated_inputs_and_a_change_of_volume_are_warnings() -> None:
    repeated = [replace(item, text="the same") for item in VALIDATION]
    found = verdict(repeated)
    assert found.state == "warning"
    assert {check.name for check in found.checks if check.state == "warning"} == {"duplicate_share"}
    busy = window(VALIDATION)
    busy.previous_count = 7 * 50
    assert [c.name for c in judge(busy, busy, REFERENCE).checks if c.state == "warning"] == [
        "volume_factor"
    ]


def test_too_small_a_window_cannot_tell() -> None:
    assert verdict(VALIDATION[:199]).state == "unknown"
    assert judge(window([]), window([]), REFERENCE).document()["verdict"] == "unknown"


def test_hashed_texts_count_as_duplicates_and_missing_ones_are_left_out() -> None:
    records = [record(item, END - HOUR / 2) for item in VALIDATION[:300]]
    for item in records:
        item["text"] = None
    counted = from_records(records, END - HOUR, END, EDGES)
    assert (counted.texts, counted.distinct_texts) == (0, 0)
    checks = {check.name: check for check in judge(counted, counted, REFERENCE).checks}
    assert checks["duplicate_share"].state == "-"


def test_a_p_value_can_only_hold_an_alarm_back() -> None:
    assert Check("x", 0.3, 0.1, 0.25, p_value=0.5).state == "ok"
    assert Check("x", 0.05, 0.1, 0.25, p_value=1e-9).state == "ok"
    assert Check("x", 0.15, 0.1, 0.25, p_value=1e-9).state == "warning"
    assert Check("x", 0.3, 0.1, 0.25, p_value=1e-9).state == "drift"


def test_psi_of_samples_of_one_distribution_is_about_zero_whatever_their_size() -> None:
    random_ = np.random.default_rng(0)
    shares = np.full(15, 1 / 15)
    for size in (100, 1000, 100_000):
        values = [
            psi(random_.multinomial(size, shares), random_.multinomial(1043, shares))
            for _ in range(100)
        ]
        assert np.mean(values) < 0.03
    assert psi(np.array([50.0, 50.0]), np.array([50.0, 50.0])) == 0.0


def test_ks_agrees_with_scipy_on_binned_values() -> None:
    from scipy.stats import ks_2samp

    random_ = np.random.default_rng(1)
    one, two = random_.integers(0, 10, 400), random_.integers(2, 10, 300)
    mine, p_value = ks_statistic(np.bincount(one, minlength=10), np.bincount(two, minlength=10))
    theirs = ks_2samp(one, two, method="asymp")
    assert mine == pytest.approx(theirs.statistic)
    assert p_value == pytest.approx(theirs.pvalue, rel=0.5)


def test_a_million_predictions_are_judged_like_a_thousand() -> None:
    """They arrive as counts; how long it takes is measured by benchmarks/drift.py."""
    large = scaled(window(VALIDATION), 1000)
    assert large.count == 1_043_000
    assert judge(large, large, REFERENCE).state == "ok"
    drifted = scaled(window(list(islice(population(1, length=25.0), 400))), 1000)
    assert judge(drifted, drifted, REFERENCE).state == "alarm"


def test_elasticsearch_and_the_log_file_give_the_same_window(
    server: Elastic, tmp_path: Path
) -> None:
    random_ = random.Random(0)
    items = list(islice(population(3, unknown=0.05), 300))
    lines = [record(item, END - random_.uniform(0, 10) * HOUR) for item in [*items, *items[:40]]]
    lines += [
        record(VALIDATION[0], END - HOUR / 3, version="ffffffffffff"),
        record(VALIDATION[1], END + HOUR),
    ]
    error = {"@timestamp": (END - HOUR / 2).isoformat(), "event": "error", "error": {"code": "x"}}
    path = tmp_path / "predictions.jsonl"
    path.write_text(
        "".join(json.dumps(line) + "\n" for line in [*lines, error]) + '{"event": "predic', "utf-8"
    )
    body = "".join(
        json.dumps({"create": {"_index": "cwl-2026.11.21"}}) + "\n" + json.dumps(line) + "\n"
        for line in [*lines, error]
    )
    answer = server.request(
        "POST", "/_bulk?refresh=true", body.encode(), content_type="application/x-ndjson"
    )
    assert not answer["errors"]
    start = END - 4 * HOUR
    expected = from_records(read_log(path), start, END, EDGES)
    assert expected.count > 100
    assert expected.previous_count > 100
    found = from_elasticsearch(server, start, END, EDGES)
    assert found.score_sum == pytest.approx(expected.score_sum, rel=1e-6)
    assert replace(found, score_sum=0.0) == replace(expected, score_sum=0.0)


def test_a_record_of_another_program_is_one_line() -> None:
    strange = {
        "@timestamp": (END - HOUR / 2).isoformat(),
        "event": "prediction",
        "prediction": {"label": "x"},
    }
    with pytest.raises(ColaError, match="lacks 'input'"):
        from_records([strange], END - HOUR, END, EDGES)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("15m", 900), ("24h", 86400), ("7d", 604800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "h", "0h", "-1h", "1.5h", "1w", "١h h"])
def test_bad_durations_say_what_is_wanted(text: str) -> None:
    with pytest.raises(Exception, match="give a number and s, m, h or d"):
        duration(text)


def test_times_without_an_offset_are_utc() -> None:
    assert (
        moment("2026-11-21T12:00:00")
        == moment("2026-11-21T12:00:00Z")
        == moment("2026-11-21T13:00:00+01:00")
    )
    with pytest.raises(Exception, match="not an ISO 8601 time"):
        moment("yesterday")
