"""The policies that indices follow already: other people's stay, that of an earlier run can end.

Elasticsearch's indices name theirs in a setting, OpenSearch's state management explains it.
"""

import re
from dataclasses import dataclass

from errors import ElasticError
from monitoring.elastic import Elastic, JsonObject
from monitoring.steps import Report

STATE_MANAGEMENT = ("/_plugins/_ism", "/_opendistro/_ism")
"""Where OpenSearch has its index state management, and where Amazon's 7.10 has it."""

POLICY_SETTING = ".index_state_management.policy_id"
"""The end of the setting that names an index's policy; before it OpenSearch's or Amazon's name."""

NO_SUCH_API = re.compile("no handler found|Invalid index name|is not allowed")
"""What a server without an API says: OpenSearch; Elasticsearch 7, which takes the path for a
document's; the proxy before an Amazon domain, with a 401 that has nothing to do with a login."""


@dataclass(frozen=True)
class Retention:
    """How long some indices are kept."""

    policy: str
    """The policy's name on the server."""

    indices: str
    """A pattern of index names."""

    days: int | None
    """None: for ever."""

    @property
    def age(self) -> str:
        """Return the age at which an index is deleted, as both kinds of policy write it."""
        return f"{self.days}d"


def _policies(server: Elastic, indices: str) -> dict[str, str]:
    """Return the policy of each index that has one, by the index's name."""
    settings = _read(server, f"/{indices}/_settings?flat_settings=true")
    named = [
        (index, found["settings"].get("index.lifecycle.name")) for index, found in settings.items()
    ]

    for api in STATE_MANAGEMENT:
        for index, found in _read(server, f"{api}/explain/{indices}").items():
            # Beside the indices there is their number.
            if isinstance(found, dict):
                named += [(index, found[key]) for key in found if key.endswith(POLICY_SETTING)]

    return {index: policy for index, policy in named if policy}


def require_no_other_policy(server: Elastic, retention: Retention) -> None:
    """Check that no index follows another policy, which ours would replace.

    Raises:
        ElasticError: One does.
    """
    for index, policy in _policies(server, retention.indices).items():
        if policy != retention.policy:
            raise ElasticError(
                f"{index} follows the policy {policy}, which {retention.policy} would replace: set "
                "RETENTION_DAYS=none to keep it, or give the predictions a server of their own"
            )


def remove_policy(server: Elastic, report: Report, retention: Retention) -> None:
    """Take the policy of an earlier run off the indices that follow it, and delete it.

    Raises:
        ElasticError: An index still follows it.
    """
    apis = {"/_ilm/policy": "/{}/_ilm/remove"}
    apis |= {f"{api}/policies": api + "/remove/{}" for api in STATE_MANAGEMENT}

    for policies, remove in apis.items():
        if not _read(server, f"{policies}/{retention.policy}"):
            continue

        for index, policy in _policies(server, retention.indices).items():
            if policy == retention.policy:
                answer = server.request("POST", remove.format(index))
                if answer.get("failures") or answer.get("has_failures"):
                    raise ElasticError(
                        f"{index} still follows {policy} ({answer}): provision again"
                    )

        server.request("DELETE", f"{policies}/{retention.policy}")
        report.add(f"retention of {retention.indices}", "removed")


def is_missing_api(error: ElasticError) -> bool:
    """Return whether a server refused a request because it has nothing at that path."""
    return error.status in (404, 405, 501) or (
        error.status in (400, 401, 403) and NO_SUCH_API.search(str(error)) is not None
    )


def _read(server: Elastic, path: str) -> JsonObject:
    """Return what a server has at a path, ``{}`` if there is no such thing or no such API."""
    try:
        answer: JsonObject = server.request("GET", path)
    except ElasticError as error:
        if not is_missing_api(error):
            raise
        return {}
    return answer
