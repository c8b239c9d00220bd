"""When indices are deleted: Elasticsearch's lifecycle, or OpenSearch's index state management.

Predictions may hold personal text, so a server that cannot delete them is an error, never a note
that nobody reads.
"""

import json
import os
from pathlib import Path

from errors import ConfigError, ElasticError
from monitoring.elastic import Elastic, JsonObject
from monitoring.policies import (
    STATE_MANAGEMENT,
    Retention,
    is_missing_api,
    remove_policy,
    require_no_other_policy,
)
from monitoring.steps import Report, current, ensure

DRIFT_DAYS = 400
"""Drift checks hold no text and are kept for a year. An index's age counts from its creation, and
theirs are monthly: a year, and the month in which documents still come."""

HAS_A_POLICY, HAS_NONE = "already has a policy", "not being managed"
"""Why OpenSearch leaves an index alone that is to get a policy, or another one."""


def provision_lifecycle(server: Elastic, report: Report) -> dict[str, str]:
    """Let the server delete predictions after RETENTION_DAYS (default 30), drift checks later.

    Indices that are there already follow the policies as new ones do, and follow none any more with
    RETENTION_DAYS=none.

    Returns:
        The policy that an index template has to name, by the template's pattern. It is empty
        where policies find their indices themselves.

    Raises:
        ConfigError: RETENTION_DAYS is neither a whole number of days nor ``none``.
        ElasticError: The server refused a policy, or knows no way to delete indices, or an index
            follows somebody else's policy; nothing is written then.
    """
    days = _retention_days()
    retentions = (
        Retention("cola-retention", "cwl-*", days),
        Retention("cola-drift-retention", "drift-*", DRIFT_DAYS if days else None),
    )

    if days is None:
        for retention in retentions:
            remove_policy(server, report, retention)
        report.add("retention: RETENTION_DAYS=none, delete old predictions yourself", "skipped")
        return {}

    # Of all patterns, before the first write.
    for retention in retentions:
        require_no_other_policy(server, retention)

    # A server that lacks one of the APIs says so at its first policy.
    if all(_put_lifecycle(server, report, retention) for retention in retentions):
        return {retention.indices: retention.policy for retention in retentions}

    for api in STATE_MANAGEMENT:
        if all(_put_state_policy(server, report, api, retention) for retention in retentions):
            return {}

    raise ElasticError(
        f"{server.url} cannot delete old predictions: it has neither _ilm nor _plugins/_ism; "
        "set RETENTION_DAYS=none to keep them until you delete them yourself"
    )


def _retention_days() -> int | None:
    value = os.environ.get("RETENTION_DAYS") or "30"
    if value == "none":
        return None

    if not value.isdecimal() or int(value) < 1:
        raise ConfigError(
            f"RETENTION_DAYS={value} is not a whole number of days: set it to 1 or more"
        )
    return int(value)


# --- Elasticsearch ---------------------------------------------------------------------------


def _put_lifecycle(server: Elastic, report: Report, retention: Retention) -> bool:
    """Write a policy and let the indices follow it; return whether the server has lifecycles."""
    file = Path(__file__).parent / "elasticsearch/lifecycle.json"
    policy = json.loads(file.read_text(encoding="utf-8"))
    policy["policy"]["phases"]["delete"]["min_age"] = retention.age

    what = f"lifecycle: delete {retention.indices} after {retention.days} days"
    path = f"/_ilm/policy/{retention.policy}"
    try:
        ensure(report, what, server, path, policy, current(server, path, retention.policy))
    except ElasticError as error:
        if not is_missing_api(error):
            raise
        return False

    # New indices get the policy's name from their template, those of before do not.
    settings = server.request("GET", f"/{retention.indices}/_settings?flat_settings=true")
    named = {index["settings"].get("index.lifecycle.name") for index in settings.values()}
    if named - {retention.policy}:
        name = {"index.lifecycle.name": retention.policy}
        server.request("PUT", f"/{retention.indices}/_settings", name)
        report.add(f"lifecycle of the existing {retention.indices}", "updated")
    return True


# --- OpenSearch ------------------------------------------------------------------------------


def _put_state_policy(server: Elastic, report: Report, api: str, retention: Retention) -> bool:
    """Write a policy and let the indices follow it; return whether the server has the API."""
    what = f"state management: delete {retention.indices} after {retention.days} days"
    path = f"{api}/policies/{retention.policy}"
    try:
        existing = current(server, path)

        # A policy can be replaced only by who knows which revision it replaces.
        revision = ""
        if existing:
            number, term = existing["_seq_no"], existing["_primary_term"]
            revision = f"?if_seq_no={number}&if_primary_term={term}"

            # Servers that know several templates per policy list the one that was sent.
            template = existing["policy"].get("ism_template")
            if isinstance(template, list) and len(template) == 1:
                existing["policy"]["ism_template"] = template[0]

        state = ensure(report, what, server, path + revision, _state_policy(retention), existing)
    except ElasticError as error:
        if not is_missing_api(error):
            raise
        return False

    # By itself a policy takes only indices that are made after it was written. An index keeps the
    # policy as it was when it got it.
    changed = 0
    if state != "unchanged":
        changed += _attach(server, f"{api}/change_policy", retention, HAS_NONE)
    changed += _attach(server, f"{api}/add", retention, HAS_A_POLICY)
    if changed:
        report.add(f"state management of the existing {retention.indices}", "updated")
    return True


def _attach(server: Elastic, path: str, retention: Retention, expected: str) -> int:
    """Give the existing indices their policy; return how many got it.

    Args:
        server: The server.
        path: What to do: add a policy, or change it.
        retention: The policy, and the pattern of the indices.
        expected: Part of the reason for which an index may be left as it is.

    Raises:
        ElasticError: An index was left as it is for another reason.
    """
    answer = server.request("POST", f"{path}/{retention.indices}", {"policy_id": retention.policy})

    for failed in answer.get("failed_indices", ()):
        if expected not in failed["reason"]:
            raise ElasticError(
                f"{failed['index_name']} did not get the policy {retention.policy} "
                f"({failed['reason']}): provision again"
            )
    return int(answer["updated_indices"])


def _state_policy(retention: Retention) -> JsonObject:
    """Return a policy in OpenSearch's form; ``ism_template`` says which new indices it is for.

    Newer servers also take a list of templates there, all take one.
    """
    delete = {"state_name": "delete", "conditions": {"min_index_age": retention.age}}
    return {
        "policy": {
            "description": "Predictions may hold personal text: delete their index after a while",
            "default_state": "keep",
            "states": [
                {"name": "keep", "actions": [], "transitions": [delete]},
                {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
            ],
            "ism_template": {"index_patterns": [retention.indices], "priority": 300},
        }
    }
