"""Predictions of a plausible model, its reference, and windows of them."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from drift.log_files import LogRecord
from drift.verdict import Verdict, judge
from drift.windows import Window, from_records
from export.reference import describe
from monitoring.reference import ReferenceModel
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
    rng = random.Random(seed)
    for number in iter(int, 1):
        sure = rng.betavariate(7, 1.5)
        probability = sure if rng.random() < 0.7 - shift else 1 - sure
        tokens = max(3, round(rng.gammavariate(6, length / 6)))
        yield prediction(
            rng.getrandbits(48) + number,
            probability,
            tokens,
            sum(rng.random() < unknown for _ in range(tokens)),
        )


VALIDATION = list(islice(population(), 1043))
REFERENCE = ReferenceModel(VERSION, describe(VALIDATION, [item.label for item in VALIDATION]))


def record(item: Prediction, at: datetime, version: str = VERSION) -> LogRecord:
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
    records = [record(item, at, version) for item in items]
    counted = from_records(records, END - HOUR, END, REFERENCE)
    return replace(counted, is_covered=True)


def verdict(
    items: list[Prediction], before: list[Prediction] | None = None, version: str = VERSION
) -> Verdict:
    return judge(window(items, version), window(before or items, version), REFERENCE)


def verdict_document() -> dict[str, Any]:
    return verdict(VALIDATION[:300]).document()
