"""What CloudFormation tells of a change of the stack that failed."""

from infra.aws import aws_errors, client


def first_failure(stack_id: str) -> str:
    """Return which resource failed first, and why; later failures are only its consequences."""
    with aws_errors():
        events = client("cloudformation").describe_stack_events(StackName=stack_id)["StackEvents"]

    # Newest first. What lies behind the start of this operation belongs to an earlier one.
    for position, event in enumerate(events):
        is_stack = event.get("PhysicalResourceId") == event.get("StackId", stack_id)
        if is_stack and event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
            events = events[: position + 1]
            break

    # When one resource fails, CloudFormation cancels those that are under way.
    failed = [e for e in events if e["ResourceStatus"].endswith("_FAILED")]
    failed = [e for e in failed if "cancelled" not in e.get("ResourceStatusReason", "")] or failed
    if not failed:
        status = f"; it is {events[0]['ResourceStatus']}" if events else ""
        return f"did not finish{status}"

    first = min(failed, key=lambda event: event["Timestamp"])
    return f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason', 'failed')}"
