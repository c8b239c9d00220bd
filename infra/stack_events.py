"""What CloudFormation tells of a change of the stack that failed."""

from typing import Any

from infra.aws import aws_errors, client


def first_failure(stack_id: str, operation: str) -> str:
    """Return which resource failed first, and why; later failures are only its consequences.

    Args:
        stack_id: The stack's id.
        operation: What failed: CREATE, UPDATE or DELETE.
    """
    events = _events_since(stack_id, f"{operation}_IN_PROGRESS")

    # When one resource fails, CloudFormation cancels those that are under way.
    failed = [e for e in events if e["ResourceStatus"].endswith("_FAILED")]
    failed = [e for e in failed if "cancelled" not in e.get("ResourceStatusReason", "")] or failed
    if not failed:
        status = f"; it is {events[0]['ResourceStatus']}" if events else ""
        return f"did not finish{status}"

    first = min(failed, key=lambda event: event["Timestamp"])
    return f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason', 'failed')}"


def _events_since(stack_id: str, start: str) -> list[dict[str, Any]]:
    """Return the events since the stack was last in the status ``start``, newest first.

    Those before it belong to an earlier operation.
    """
    events: list[dict[str, Any]] = []
    with aws_errors():
        # A page has a hundred, and what is undone after a failure may fill more than one.
        pages = client("cloudformation").get_paginator("describe_stack_events")
        for page in pages.paginate(StackName=stack_id):
            for event in page["StackEvents"]:
                events.append(event)
                is_stack = event.get("PhysicalResourceId") == event.get("StackId", stack_id)
                if is_stack and event["ResourceStatus"] == start:
                    return events
    return events
