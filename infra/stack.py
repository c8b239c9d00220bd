"""The CloudFormation stack of infra/template.yaml: create, update, delete, outputs."""

from pathlib import Path
from typing import Any

from botocore.exceptions import WaiterError

from infra.aws import DeployError, client, one_line_errors

TEMPLATE = Path(__file__).with_name("template.yaml")
_WAIT = {"Delay": 3, "MaxAttempts": 1200}  # an hour: a search domain takes half of one


def outputs(name: str) -> dict[str, str]:
    """Return the stack's outputs; raises DeployError if there is no such stack."""
    stack = _describe(name)
    if stack is None:
        raise DeployError(
            f"there is no stack {name!r} in this account and region: create it with `make deploy`"
        )
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def exists(name: str) -> bool:
    """Say whether there is a stack called ``name``."""
    return _describe(name) is not None


def apply(name: str, parameters: dict[str, str]) -> None:
    """Create the stack or update it: a parameter not given keeps its value (at first, the default).

    A creation that fails is taken back as a whole; an update that fails leaves the stack as it was.
    """
    cloudformation = client("cloudformation")
    body = TEMPLATE.read_text(encoding="utf-8")
    before = _describe(name)
    with one_line_errors():
        known = {
            p["ParameterKey"]
            for p in cloudformation.validate_template(TemplateBody=body)["Parameters"]
        }
    if unknown := sorted(set(parameters) - known):
        raise DeployError(
            f"the template has no parameter {unknown[0]!r}; it has {', '.join(sorted(known))}"
        )
    kept = {p["ParameterKey"] for p in (before or {}).get("Parameters", [])} & known - set(
        parameters
    )
    request = {
        "StackName": name,
        "TemplateBody": body,
        "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
        + [{"ParameterKey": k, "UsePreviousValue": True} for k in sorted(kept)],
    }
    try:
        with one_line_errors():
            if before is None:
                cloudformation.create_stack(**request, OnFailure="DELETE")
            else:
                cloudformation.update_stack(**request)
    except DeployError as error:
        if "No updates are to be performed" in str(error):
            return
        raise
    _wait(name, "stack_create_complete" if before is None else "stack_update_complete")


def delete(name: str) -> None:
    """Delete the stack. The model store stays: it holds every version of the model."""
    with one_line_errors():
        client("cloudformation").delete_stack(StackName=name)
    _wait(name, "stack_delete_complete")


def _describe(name: str) -> dict[str, Any] | None:
    try:
        with one_line_errors():
            stacks: list[dict[str, Any]] = client("cloudformation").describe_stacks(StackName=name)[
                "Stacks"
            ]
    except DeployError as error:
        if error.code == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return stacks[0] if stacks and stacks[0]["StackStatus"] != "DELETE_COMPLETE" else None


def _wait(name: str, waiter: str) -> None:
    cloudformation = client("cloudformation")
    with one_line_errors():
        stack_id = name
        if (stack := _describe(name)) is not None:
            stack_id = stack["StackId"]  # a deleted stack is found by its id only
        try:
            cloudformation.get_waiter(waiter).wait(StackName=stack_id, WaiterConfig=_WAIT)
        except WaiterError:
            raise DeployError(f"stack {name!r}: {_first_failure(stack_id)}") from None


def _first_failure(stack_id: str) -> str:
    """Return the event that began the trouble; the ones after it are only its consequences."""
    with one_line_errors():
        events = client("cloudformation").describe_stack_events(StackName=stack_id)["StackEvents"]
    failed = [e for e in events if e["ResourceStatus"].endswith("_FAILED")]
    failed = [e for e in failed if "cancelled" not in e.get("ResourceStatusReason", "")] or failed
    if not failed:
        return (
            f"did not finish; it is {events[0]['ResourceStatus']}" if events else "did not finish"
        )
    first = min(failed, key=lambda event: event["Timestamp"])
    return f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason', 'failed')}"
