"""Which failure explains that of a stack."""

from collections.abc import Iterator
from typing import Any

import pytest

from infra.stack_events import first_failure

STACK = "cola"

Event = dict[str, Any]


def event(resource: str, status: str, minute: int, reason: str = "") -> Event:
    return {
        "StackId": "id",
        "PhysicalResourceId": "id" if resource == STACK else resource,
        "LogicalResourceId": resource,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "Timestamp": minute,
    }


LAST_WEEKS = [
    event("Function", "UPDATE_FAILED", 1, "last week's"),
    event(STACK, "UPDATE_IN_PROGRESS", 0),
]


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Return the list of what CloudFormation tells, newest first, two events a page."""
    events: list[Event] = []

    class CloudFormation:
        def get_paginator(self, operation: str) -> "CloudFormation":
            assert operation == "describe_stack_events"
            return self

        def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
            for start in range(0, len(events), 2):
                yield {"StackEvents": events[start : start + 2]}

    monkeypatch.setattr("infra.stack_events.client", lambda service: CloudFormation())
    return events


def test_a_failure_of_last_week_does_not_explain_that_of_today(happened: list[Event]) -> None:
    happened += [
        event("Search", "UPDATE_FAILED", 11, "today's"),
        event(STACK, "UPDATE_IN_PROGRESS", 10),
        *LAST_WEEKS,
    ]
    assert first_failure("id", "UPDATE") == "Search: today's"


def test_a_failed_update_does_not_explain_a_failed_deletion(happened: list[Event]) -> None:
    happened += [
        event("Repository", "DELETE_FAILED", 11, "today's"),
        event(STACK, "DELETE_IN_PROGRESS", 10),
        *LAST_WEEKS,
    ]
    assert first_failure("id", "DELETE") == "Repository: today's"


def test_a_failure_is_found_behind_all_that_was_undone_after_it(happened: list[Event]) -> None:
    happened += [event(f"Resource{number}", "DELETE_COMPLETE", 30 - number) for number in range(9)]
    happened += [
        event(STACK, "DELETE_IN_PROGRESS", 12),
        event("Api", "CREATE_FAILED", 11, "the reason"),
        event(STACK, "CREATE_IN_PROGRESS", 10),
    ]
    assert first_failure("id", "CREATE") == "Api: the reason"
