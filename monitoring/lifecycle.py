"""When indices are deleted: Elasticsearch's lifecycle, or Amazon's index state management."""

import json
import os
from pathlib import Path

from errors import ColaError, ElasticError
from monitoring.elastic import Elastic, JsonObject
from monitoring.steps import Report, current

POLICY = "cola-retention"

NO_SUCH_API = {400, 404, 405, 501}
"""What servers without a feature answer to its URLs."""


def provision_lifecycle(server: Elastic, report: Report) -> bool:
    """Let the server delete indices after RETENTION_DAYS (default 30).

    Returns:
        Whether an index has to name the policy: Elasticsearch's applies to those that do, Amazon's
        to all whose names match.

    Raises:
        ColaError: RETENTION_DAYS is not a whole number of days.
        ElasticError: The server refused the policy.
    """
    # A server that lacks one of the two says so when it is asked for it.
    age = f"{_retention_days()}d"
    if _put_lifecycle(server, report, age):
        return True

    if not _put_state_management(server, report, age):
        report.add("lifecycle: this server has none, delete old indices yourself", "skipped")
    return False


def _retention_days() -> int:
    value = os.environ.get("RETENTION_DAYS") or "30"
    if not value.isdecimal() or int(value) < 1:
        raise ColaError(
            f"RETENTION_DAYS={value} is not a whole number of days: set it to 1 or more"
        )
    return int(value)


def _put_lifecycle(server: Elastic, report: Report, age: str) -> bool:
    """Write Elasticsearch's policy; return whether the server has lifecycles."""
    file = Path(__file__).parent / "elasticsearch/lifecycle.json"
    policy = json.loads(file.read_text(encoding="utf-8"))
    policy["policy"]["phases"]["delete"]["min_age"] = age

    path = f"/_ilm/policy/{POLICY}"
    try:
        existing = current(server, path, POLICY)
        report.put(f"lifecycle: delete after {age}", server, path, policy, existing)
    except ElasticError as error:
        if error.status not in NO_SUCH_API:
            raise
        return False
    return True


def _put_state_management(server: Elastic, report: Report, age: str) -> bool:
    """Write Amazon's policy; return whether the server has index state management."""
    path = f"/_opendistro/_ism/policies/{POLICY}"
    try:
        existing = current(server, path)

        # A policy can be replaced only by who knows which revision it replaces.
        revision = ""
        if existing:
            number, term = existing["_seq_no"], existing["_primary_term"]
            revision = f"?if_seq_no={number}&if_primary_term={term}"

        report.put(
            f"lifecycle: delete after {age}", server, path + revision, _state_policy(age), existing
        )
    except ElasticError as error:
        if error.status not in NO_SUCH_API:
            raise
        return False
    return True


def _state_policy(age: str) -> JsonObject:
    """Return the lifecycle in Amazon's form; its ``ism_template`` says which indices it is for."""
    delete = {"state_name": "delete", "conditions": {"min_index_age": age}}
    return {
        "policy": {
            "description": "Predictions may hold personal text: "
            "delete their daily index after a while",
            "default_state": "keep",
            "states": [
                {"name": "keep", "actions": [], "transitions": [delete]},
                {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
            ],
            "ism_template": [{"index_patterns": ["cwl-*", "drift-*"], "priority": 300}],
        }
    }
