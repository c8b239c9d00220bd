"""Times and time spans as people write them on the command line, and as log lines carry them."""

from datetime import UTC, datetime, timedelta

from errors import ColaError


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
    if not (text[:-1].isdecimal() and text[-1:] in units and int(text[:-1]) > 0):
        raise ColaError(f"{text!r} is not a time span: give a number and s, m, h or d, e.g. 24h")
    return timedelta(**{units[text[-1]]: int(text[:-1])})
