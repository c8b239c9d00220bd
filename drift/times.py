"""Times and time spans as people write them on the command line, and as log lines carry them."""

import re
from datetime import UTC, datetime, timedelta

from errors import ColaError

# No predictions are older, and there are still dates several such spans further back.
MAX_SPAN = timedelta(days=3650)


def moment(text: str) -> datetime:
    """Parse a time in ISO 8601; without an offset it counts as UTC.

    Raises:
        ColaError: It is none.
    """
    try:
        parsed = datetime.fromisoformat(str(text))
    except ValueError:
        raise ColaError(f"{text!r} is not an ISO 8601 time, e.g. 2026-11-21T12:00:00Z") from None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def duration(text: str) -> timedelta:
    """Parse a time span such as 30s, 15m, 24h or 7d.

    Raises:
        ColaError: It is none.
    """
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    match = re.fullmatch("([0-9]{1,9})([smhd])", text)
    span = timedelta(**{units[match[2]]: int(match[1])}) if match else timedelta(0)

    if not timedelta(0) < span <= MAX_SPAN:
        raise ColaError(
            f"{text!r} is not a time span of up to ten years: "
            "give a number and s, m, h or d, e.g. 24h"
        )
    return span
