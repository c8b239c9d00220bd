"""How provisioning stays idempotent: read what exists, change what differs, say what was done."""

from collections.abc import Callable
from typing import Any

from errors import ElasticError
from monitoring.elastic import Elastic


class Report:
    """What provisioning did: one line per step, printed at once and kept.

    A second run over the same servers says only ``unchanged`` (and ``skipped``), and once more what
    is ``wrong`` and has to be mended by hand.

    Attributes:
        steps: What each step was about, and the state it is in now.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []

    def add(self, what: str, state: str) -> str:
        """Record that ``what`` is now in ``state``: created, updated, removed, unchanged, ...

        Returns:
            The state.
        """
        self.steps.append((what, state))
        print(f"{state:<10} {what}", flush=True)
        return state


def ensure(
    report: Report,
    what: str,
    server: Elastic,
    path: str,
    wanted: Any,
    existing: Any,
    method: str = "PUT",
    read_again: Callable[[], Any] | None = None,
) -> str:
    """Write an object unless the existing one covers it already, and record what was done.

    Args:
        report: Takes what was done.
        what: The object, for the report.
        server: The server that keeps it.
        path: Where to write it.
        wanted: The object as it should be (JSON).
        existing: The object as the server has it, None if it has none.
        method: The HTTP method to write it with.
        read_again: Returns the object as the server has it then. Kibana may keep an object in
            a form of its own, which never covers what was written; whether writing changed
            anything is then seen by comparing before and after.

    Returns:
        What was recorded: created, updated or unchanged.

    Raises:
        ElasticError: The server refused the object.
    """
    if existing is not None and covers(existing, wanted):
        return report.add(what, "unchanged")

    server.request(method, path, wanted)
    if existing is None:
        return report.add(what, "created")

    # Kibana has rewritten the object, perhaps into just what it was before.
    after = read_again() if read_again else None
    is_same = after is not None and all(after.get(name) == existing.get(name) for name in wanted)
    return report.add(what, "unchanged" if is_same else "updated")


def current(server: Elastic, path: str, *keys: str | int) -> Any:
    """Return what the server answers to GET, None if there is no such thing yet.

    Args:
        server: The server to ask.
        path: The path to GET.
        keys: Where in the answer the wanted part is, from the outside in.

    Raises:
        ElasticError: The server refused with another status than 404.
    """
    try:
        answer = server.request("GET", path)
    except ElasticError as error:
        if error.status == 404:
            return None
        raise

    for key in keys:
        try:
            answer = answer[key]
        except (KeyError, IndexError, TypeError):
            return None
    return answer


def covers(existing: Any, wanted: Any) -> bool:
    """Return whether everything that is wanted exists already.

    Servers add defaults and turn values into strings: neither makes a difference.
    """
    if isinstance(wanted, dict):
        return isinstance(existing, dict) and all(
            name in existing and covers(existing[name], value) for name, value in wanted.items()
        )

    if isinstance(wanted, list):
        return (
            isinstance(existing, list)
            and len(existing) == len(wanted)
            and all(covers(one, other) for one, other in zip(existing, wanted, strict=True))
        )

    # Servers give back "1" for 1 and "true" for True.
    return _as_text(existing) == _as_text(wanted)


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
