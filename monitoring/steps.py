"""How provisioning stays idempotent: look at what is there, change only what differs, say what was done."""

from collections.abc import Callable
from typing import Any

from errors import ElasticError
from monitoring.elastic import Elastic


class Report:
    """Prints one line a step and keeps them; a second run over the same servers says only `unchanged`."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []

    def add(self, what: str, state: str) -> None:
        """Record that `what` is now in `state`: created, updated, written, unchanged, ..."""
        self.steps.append((what, state))
        print(f"{state:<10} {what}", flush=True)

    def put(
        self,
        what: str,
        server: Elastic,
        path: str,
        wanted: Any,
        there: Any,
        method: str = "PUT",
        again: Callable[[], Any] | None = None,
    ) -> None:
        """Write `wanted` to `path` unless what is `there` covers it already.

        Kibana may keep an object in a form of its own, which never covers what it was given. Then `again`,
        which reads it once more, tells whether the writing changed anything.
        """
        if there is not None and covers(there, wanted):
            self.add(what, "unchanged")
            return
        server.request(method, path, wanted)
        if there is None:
            self.add(what, "created")
            return
        after = again() if again else None
        same = after is not None and all(after.get(name) == there.get(name) for name in wanted)
        self.add(what, "unchanged" if same else "updated")


def current(server: Elastic, path: str, *keys: str | int) -> Any:
    """What GET `path` answers, below `keys`; None if there is no such thing yet."""
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


def covers(there: Any, wanted: Any) -> bool:
    """Whether all that is `wanted` is `there`; servers add defaults and turn values into strings."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            name in there and covers(there[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(there) == len(wanted)
            and all(covers(one, other) for one, other in zip(there, wanted, strict=True))
        )
    return _plain(there) == _plain(wanted)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
