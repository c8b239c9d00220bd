"""Which failure explains that of a stack."""

from typing import Any

import pytest

from infra.stack_events import first_failure

STACK = "cola"


def test_a_failure_of_last_week_does_not_explain_that_of_today(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def event(resource: str, status: str, minute: int, reason: str = "") -> dict[str, Any]:
        return {
            "StackId": "id",
            "PhysicalResourceId": "id" if resource == STACK else resource,
            "LogicalResourceId": resource,
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
            "Timestamp": minute,
        }

    newest_first = [
        event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS", 12),
        event("Search", "UPDATE_FAILED", 11, "today's"),
        event(STACK, "UPDATE_IN_PROGRESS", 10),
        event("Function", "UPDATE_FAILED", 1, "last week's"),
        event(STACK, "UPDATE_IN_PROGRESS", 0),
    ]

    class CloudFormation:
        def describe_stack_events(self, **_: str) -> dict[str, Any]:
            return {"StackEvents": newest_first}

    monkeypatch.setattr("infra.stack_events.client", lambda service: CloudFormation())
    assert first_failure("id") == "Search: today's"
