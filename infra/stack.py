"""The CloudFormation stack of infra/template.yaml: create, update, delete, outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from botocore.exceptions import WaiterError

from errors import DeployError
from infra.aws import POLL_SECONDS, aws_errors, client, waiter_config
from infra.stack_events import first_failure

TEMPLATE = Path(__file__).with_name("template.yaml")

# A search domain takes half an hour.
_PATIENCE_MINUTES = 60


@dataclass(frozen=True)
class StackOutputs:
    """The outputs of infra/template.yaml, which describes each; None where the stack has none.

    ``model_store_url`` here is ``ModelStoreUrl`` there, and so on.
    """

    model_store_url: str
    repository_uri: str

    function_name: str | None = None
    """None as long as the stack has no image, like the four below."""

    predict_url: str | None = None
    rest_api_id: str | None = None
    stage_name: str | None = None
    log_url: str | None = None

    api_key_id: str | None = None
    """None if callers need no key."""

    kibana_url: str | None = None
    search_url: str | None = None
    dead_letter_queue_url: str | None = None
    release_role_arn: str | None = None
    train_role_arn: str | None = None

    @classmethod
    def from_template_names(cls, values: Mapping[str, str]) -> Self:
        """Read the outputs as CloudFormation names them; those that have no field are ignored."""
        names = {field.name: _template_name(field.name) for field in fields(cls)}
        return cls(**{field: values[name] for field, name in names.items() if name in values})

    def template_names(self) -> dict[str, str]:
        """Return the outputs that there are, under CloudFormation's names."""
        values = {_template_name(field.name): getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def model_store_bucket(self) -> str:
        """The S3 bucket of ``model_store_url``."""
        return self.model_store_url.removeprefix("s3://").partition("/")[0]

    def require_function(self) -> str:
        """Return the function's name.

        Raises:
            DeployError: The stack has no function yet.
        """
        if self.function_name is None:
            raise DeployError("the stack has no function yet: give it an image with `make deploy`")
        return self.function_name


class Stack:
    """A stack that may or may not exist yet.

    Args:
        name: Its name in CloudFormation.
        poll_seconds: Between two looks at a change that is under way.
    """

    def __init__(self, name: str, poll_seconds: float = POLL_SECONDS) -> None:
        self.name = name
        self.poll_seconds = poll_seconds

    def outputs(self) -> StackOutputs:
        """Return the stack's outputs.

        Raises:
            DeployError: There is no such stack, or it was not created completely.
        """
        description = self._require()
        if not description.outputs:
            raise DeployError(
                f"stack {self.name!r} has no outputs: it is {description.status}; "
                "wait until it is complete, or delete it with `make destroy`"
            )
        return StackOutputs.from_template_names(description.outputs)

    def has_outputs(self) -> bool:
        """Return whether the stack has outputs: not while it is created, nor if that failed.

        Raises:
            DeployError: There is no such stack.
        """
        return bool(self._require().outputs)

    def exists(self) -> bool:
        """Return whether there is such a stack."""
        return self._describe() is not None

    def apply(self, parameters: Mapping[str, str]) -> None:
        """Create the stack or update it; return when that is done.

        A creation that fails is taken back as a whole; an update that fails leaves the stack as it
        was.

        Args:
            parameters: Values for the template's parameters. One that is not given keeps its value;
                when the stack is created, it gets the template's default.

        Raises:
            DeployError: The template has no such parameter, or a resource failed.
        """
        cloudformation = client("cloudformation")
        body = TEMPLATE.read_text(encoding="utf-8")
        before = self._describe()

        # CloudFormation would refuse an unknown parameter too, without saying which ones there are.
        with aws_errors():
            template = cloudformation.validate_template(TemplateBody=body)
        declared = {parameter["ParameterKey"] for parameter in template["Parameters"]}
        if unknown := sorted(set(parameters) - declared):
            known = ", ".join(sorted(declared))
            raise DeployError(f"the template has no parameter {unknown[0]!r}; it has {known}")

        # An update puts a parameter that is not sent back to its default, and refuses one that the
        # template no longer has.
        given = [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
        kept = (before.parameters & declared) - set(parameters) if before else set()
        request = {
            "StackName": self.name,
            "TemplateBody": body,
            # The template makes roles.
            "Capabilities": ["CAPABILITY_IAM"],
            "Parameters": given
            + [{"ParameterKey": key, "UsePreviousValue": True} for key in sorted(kept)],
        }

        try:
            with aws_errors():
                if before is None:
                    # A stack whose creation failed cannot be updated: it must go.
                    cloudformation.create_stack(**request, OnFailure="DELETE")
                else:
                    cloudformation.update_stack(**request)
        except DeployError as error:
            # For CloudFormation an update that changes nothing is an error.
            if "No updates are to be performed" in str(error):
                return
            raise
        self._wait_for("CREATE" if before is None else "UPDATE")

    def delete(self) -> None:
        """Delete the stack. The model store stays: it holds every version of the model.

        Raises:
            DeployError: A resource could not be deleted.
        """
        with aws_errors():
            client("cloudformation").delete_stack(StackName=self.name)
        self._wait_for("DELETE")

    def _require(self) -> "_Description":
        """Return what CloudFormation says of the stack.

        Raises:
            DeployError: There is no such stack.
        """
        description = self._describe()
        if description is None:
            raise DeployError(
                f"there is no stack {self.name!r} in this account and region: "
                "create it with `make deploy`"
            )
        return description

    def _describe(self) -> "_Description | None":
        """Return what CloudFormation says of the stack, None if there is none."""
        try:
            with aws_errors():
                answer = client("cloudformation").describe_stacks(StackName=self.name)
        except DeployError as error:
            if error.code == "ValidationError" and "does not exist" in str(error):
                return None
            raise

        # A deleted stack may still be listed for a while.
        stacks = [s for s in answer["Stacks"] if s["StackStatus"] != "DELETE_COMPLETE"]
        if not stacks:
            return None
        return _Description(
            stack_id=stacks[0]["StackId"],
            status=stacks[0]["StackStatus"],
            parameters={p["ParameterKey"] for p in stacks[0].get("Parameters", [])},
            outputs={o["OutputKey"]: o["OutputValue"] for o in stacks[0].get("Outputs", [])},
        )

    def _wait_for(self, operation: str) -> None:
        """Wait until CREATE, UPDATE or DELETE is complete.

        Raises:
            DeployError: It failed.
        """
        # A deleted stack is found by its id only.
        description = self._describe()
        stack_id = self.name if description is None else description.stack_id

        with aws_errors():
            waiter = client("cloudformation").get_waiter(f"stack_{operation.lower()}_complete")
            config = waiter_config(_PATIENCE_MINUTES, self.poll_seconds)
            try:
                waiter.wait(StackName=stack_id, WaiterConfig=config)
            except WaiterError:
                reason = first_failure(stack_id, operation)
                raise DeployError(f"stack {self.name!r}: {reason}") from None


@dataclass(frozen=True)
class _Description:
    """What CloudFormation says of a stack."""

    stack_id: str
    status: str
    parameters: set[str]
    outputs: dict[str, str]


def _template_name(field: str) -> str:
    """Return a field's name in the template: ``model_store_url`` is ``ModelStoreUrl``."""
    return "".join(word.capitalize() for word in field.split("_"))
