"""The template and its stack on a server that creates the resources; no Docker."""

import dataclasses
import fnmatch
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from errors import DeployError
from infra import rest_api
from infra.image import mark_released
from infra.stack import TEMPLATE, Stack, StackOutputs
from tests.helpers.aws_fixtures import POLL_SECONDS, Deploy
from tests.helpers.paths import ROOT

NAME = "cola-stack"
IMAGE = f"registry.invalid/cola@sha256:{'0' * 64}"


@pytest.fixture
def stack(aws: str) -> Stack:
    """Make a stack with a function whose image nobody pulls."""
    stack = Stack(NAME, POLL_SECONDS)
    stack.apply(
        {"ImageUri": IMAGE, "GitHubRepository": "someone/cola", "CreateOidcProvider": "false"}
    )
    return stack


@pytest.fixture
def outputs(stack: Stack) -> StackOutputs:
    """Return the outputs of ``stack``."""
    return stack.outputs()


# --- store and registry ------------------------------------------------------------------------


def test_first_step_makes_store_registry_and_roles_only(aws: str) -> None:
    base = Stack("cola-base", POLL_SECONDS)
    base.apply({})
    assert set(base.outputs().template_names()) == {"ModelStoreUrl", "RepositoryUri"}

    base.delete()
    assert not base.exists()


def test_store_is_private_versioned_and_encrypted(outputs: StackOutputs) -> None:
    s3, bucket = boto3.client("s3"), outputs.model_store_bucket
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())

    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"

    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Statement"][0]["Effect"] == "Deny"
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_store_outlives_the_stack(aws: str) -> None:
    gone = Stack("cola-gone", POLL_SECONDS)
    gone.apply({})
    stored = {"Bucket": gone.outputs().model_store_bucket, "Key": "dvc/model"}
    boto3.client("s3").put_object(**stored, Body=b"weights")

    gone.delete()
    assert boto3.client("s3").get_object(**stored)["Body"].read() == b"weights"


def test_registry_keeps_its_tags(outputs: StackOutputs) -> None:
    answer = boto3.client("ecr").describe_repositories(repositoryNames=[NAME])
    (repository,) = answer["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}


def test_an_image_that_answers_outlives_those_that_never_did(outputs: StackOutputs) -> None:
    ecr = boto3.client("ecr")
    policy = ecr.get_lifecycle_policy(repositoryName=NAME)["lifecyclePolicyText"]
    rules = sorted(json.loads(policy)["rules"], key=lambda rule: int(rule["rulePriority"]))

    # What the first rule selects, no later one may expire.
    selections = [rule["selection"] for rule in rules]
    assert [selection.get("tagPrefixList") for selection in selections] == [["released-"], None]

    manifest = {"schemaVersion": 2, "config": {}, "layers": []}
    pushed = ecr.put_image(
        repositoryName=NAME, imageTag="commit-image", imageManifest=json.dumps(manifest)
    )
    digest = pushed["image"]["imageId"]["imageDigest"]
    for _ in range(2):
        mark_released(f"{outputs.repository_uri}@{digest}")

    (image,) = ecr.describe_images(repositoryName=NAME)["imageDetails"]
    assert sorted(image["imageTags"]) == ["commit-image", f"released-{digest[7:19]}"]


def test_an_image_that_the_registry_lost_cannot_be_marked(outputs: StackOutputs) -> None:
    with pytest.raises(DeployError, match="push it again"):
        mark_released(f"{outputs.repository_uri}@sha256:{'1' * 64}")


# --- the function, its log and its alarms ------------------------------------------------------


def test_function_runs_the_digest_behind_an_alias(outputs: StackOutputs) -> None:
    functions = boto3.client("lambda")
    function = functions.get_function(FunctionName=NAME, Qualifier="live")
    assert function["Code"]["ImageUri"] == IMAGE
    assert function["Configuration"]["Version"] == "1"
    assert function["Configuration"]["LoggingConfig"]["LogFormat"] == "JSON"
    assert function["Configuration"]["MemorySize"] == 1769

    policy = json.loads(functions.get_policy(FunctionName=NAME, Qualifier="live")["Policy"])
    assert outputs.rest_api_id is not None
    assert outputs.rest_api_id in json.dumps(policy["Statement"])


def test_log_is_not_kept_for_ever(outputs: StackOutputs) -> None:
    answer = boto3.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{NAME}")
    assert [group["retentionInDays"] for group in answer["logGroups"]] == [30]


def test_three_alarms_watch_the_function(outputs: StackOutputs) -> None:
    dimension = {"Name": "FunctionName", "Value": NAME}
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    watched = [alarm["MetricName"] for alarm in alarms if dimension in alarm["Dimensions"]]
    assert sorted(watched) == ["Duration", "Errors", "Throttles"]


def test_an_alarm_sees_answers_that_are_failures(outputs: StackOutputs) -> None:
    """The function raises nothing, so that Lambda's own count of errors stays 0."""
    dimension = {"Name": "ApiName", "Value": NAME}
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    watched = [alarm for alarm in alarms if dimension in alarm["Dimensions"]]
    assert [alarm["MetricName"] for alarm in watched] == ["5XXError"]
    assert watched[0]["Namespace"] == "AWS/ApiGateway"


def section(name: str) -> dict[str, dict[str, Any]]:
    """Return a section of the template, as CloudFormation reads it."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Reads ``!Sub x`` as ``{"Fn::Sub": x}``, ``!Ref x`` as ``{"Ref": x}``."""

    def intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = loader.construct_scalar(node)
        else:
            assert isinstance(node, yaml.SequenceNode)
            value = loader.construct_sequence(node, deep=True)
        return {"Ref" if suffix == "Ref" else f"Fn::{suffix}": value}

    Loader.add_multi_constructor("!", intrinsic)
    loaded: dict[str, dict[str, Any]] = yaml.load(TEMPLATE.read_text("utf-8"), Loader)[name]
    return loaded


def resources() -> dict[str, dict[str, Any]]:
    """Return the template's resources."""
    return section("Resources")


def test_alarms_see_predictions_that_are_lost_on_the_way() -> None:
    alarms = [item for item in resources().values() if item["Type"] == "AWS::CloudWatch::Alarm"]
    metrics = {
        alarm["Properties"]["MetricName"]
        for alarm in alarms
        if {"Ref": "Forwarder"} in [item["Value"] for item in alarm["Properties"]["Dimensions"]]
    }
    assert metrics == {"Errors", "DeadLetterErrors", "AsyncEventsDropped"}


def test_an_alarm_sees_lines_that_never_reach_the_forwarder() -> None:
    """Whom nobody may call counts no errors: CloudWatch Logs counts them, by the subscription."""
    template = resources()
    subscription = template["PredictionsToForwarder"]["Properties"]
    alarm = template["SubscriptionErrorAlarm"]
    assert alarm["Condition"] == template["PredictionsToForwarder"]["Condition"]

    properties = alarm["Properties"]
    assert (properties["Namespace"], properties["MetricName"]) == ("AWS/Logs", "DeliveryErrors")
    assert {item["Name"]: item["Value"] for item in properties["Dimensions"]} == {
        "LogGroupName": subscription["LogGroupName"],
        "DestinationType": "Lambda",
        "FilterName": subscription["FilterName"],
    }


def test_an_alarm_on_batches_that_are_in_the_queue_does_not_call_them_lost() -> None:
    """AWS: before an event is dropped, it is sent to the dead-letter queue."""
    alarm = resources()["ForwarderDroppedAlarm"]["Properties"]
    assert "lost" not in alarm["AlarmDescription"]


def test_the_forwarder_may_write_to_the_search_domain_and_do_nothing_else() -> None:
    """Within an account one Allow is enough, so the domain's must be as narrow as the role's."""
    (writer,) = [
        statement
        for statement in resources()["Search"]["Properties"]["AccessPolicies"]["Statement"]
        if statement.get("Sid") == "WriterByRole"
    ]
    assert writer["Resource"]["Fn::Sub"].endswith("/_bulk")


def test_the_credentials_of_github_last_an_hour() -> None:
    durations = {
        name: item["Properties"].get("MaxSessionDuration")
        for name, item in resources().items()
        if item["Type"] == "AWS::IAM::Role"
        and "sts:AssumeRoleWithWebIdentity" in str(item["Properties"])
    }
    assert durations == {"ReleaseRole": 3600, "TrainRole": 3600}


def test_a_log_says_who_was_refused(outputs: StackOutputs) -> None:
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/apigateway/{NAME}")
    assert [group["retentionInDays"] for group in groups["logGroups"]] == [30]

    # The server has no access logs: read the setting itself.
    setting = resources()["Stage"]["Properties"]["AccessLogSetting"]
    assert setting["DestinationArn"]["Fn::Sub"].endswith(":log-group:${AccessLog}")

    line = json.loads(setting["Format"])
    assert line["ip"] == "$context.identity.sourceIp"
    assert line["refused"] == "$context.error.responseType"


# --- callers -----------------------------------------------------------------------------------


def test_a_caller_without_the_key_is_refused(outputs: StackOutputs) -> None:
    with pytest.raises(DeployError, match="403"):
        rest_api.predict(dataclasses.replace(outputs, api_key_id=None), "The boy sat.")


def test_one_key_may_only_ask_so_often(outputs: StackOutputs) -> None:
    plans = boto3.client("apigateway").get_usage_plans()["items"]
    (plan,) = [plan for plan in plans if plan["name"] == NAME]
    assert plan["throttle"] == {"rateLimit": 50.0, "burstLimit": 100}
    assert plan["quota"]["limit"] == 100000


def test_without_a_key_the_url_is_open(stack: Stack) -> None:
    stack.apply({"RequireApiKey": "false"})
    outputs = stack.outputs()
    assert outputs.api_key_id is None

    # The request gets as far as the image that nobody can pull.
    with pytest.raises(DeployError) as refused:
        rest_api.predict(outputs, "The boy sat.")
    assert "403" not in str(refused.value)

    # The update alone closes it: nothing must be left to do if the command is interrupted then.
    stack.apply({"RequireApiKey": "true"})
    with pytest.raises(DeployError, match="403"):
        rest_api.predict(outputs, "The boy sat.")


def test_no_update_puts_the_stage_on_a_snapshot_that_asks_for_no_key() -> None:
    # The server's stages have the methods of the moment, not those of a deployment: read it itself.
    template = resources()
    with_key, openly = "DeploymentWithKey", "OpenDeployment"
    assert template["Stage"]["Properties"]["DeploymentId"] == {
        "Fn::If": ["NeedsKey", {"Ref": with_key}, {"Ref": openly}]
    }
    assert template[with_key]["Condition"] == "ServesWithKey"
    assert template[openly]["Condition"] == "ServesOpenly"
    assert {"GetPredict", "PostPredict"} <= set(template[with_key]["DependsOn"])


def test_published_versions_may_pull_their_image() -> None:
    (statement,) = resources()["Repository"]["Properties"]["RepositoryPolicyText"]["Statement"]
    sources = [arn["Fn::Sub"] for arn in statement["Condition"]["ArnLike"]["aws:SourceArn"]]
    unqualified, qualified = sources
    assert unqualified.endswith(":function:${AWS::StackName}")
    assert qualified == unqualified + ":*"


# --- what GitHub Actions may do ----------------------------------------------------------------


def role_of(outputs: StackOutputs, field: str) -> str:
    """Return the name of the role whose ARN is in a field of the outputs."""
    arn: str = getattr(outputs, field)
    return arn.rpartition("/")[2]


def statements_of(role: str) -> list[dict[str, Any]]:
    """Return the statements of all policies of a role."""
    iam = boto3.client("iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    documents = (
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names
    )
    return [statement for document in documents for statement in document["Statement"]]


@pytest.mark.parametrize(
    ("field", "environment", "workflow"),
    [
        ("release_role_arn", "production", "build_docker_image.yaml"),
        ("train_role_arn", "training", "train.yaml"),
    ],
)
def test_role_is_for_one_workflow_on_main_in_one_environment(
    outputs: StackOutputs, field: str, environment: str, workflow: str
) -> None:
    path = f".github/workflows/{workflow}"
    assert f"environment: {environment}" in (ROOT / path).read_text()

    condition = condition_of(role_of(outputs, field))
    assert condition["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:job_workflow_ref": (
            f"someone/cola/{path}@refs/heads/main"
        ),
    }

    # As GitHub names a repository from before July 2026, and any other.
    names = ["repo:someone/cola", "repo:someone@12/cola@34"]
    trusted = [f"{name}:environment:{environment}" for name in names]
    strangers = [
        *(f"{name}:environment:other" for name in names),
        f"repo:someone/cola2:environment:{environment}",
        f"repo:someone@12/cola2@34:environment:{environment}",
        f"repo:someone2@12/cola@34:environment:{environment}",
        f"repo:someone@12/other@56:environment:/cola@34%3Aenvironment%3A{environment}",
    ]
    patterns = condition["StringLike"]["token.actions.githubusercontent.com:sub"]
    assert [subject for subject in trusted + strangers if is_like(subject, patterns)] == trusted


def condition_of(role: str) -> dict[str, dict[str, Any]]:
    """Return the condition on which a role may be assumed."""
    document = boto3.client("iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    condition: dict[str, dict[str, Any]] = document["Statement"][0]["Condition"]
    return condition


def is_like(value: str, patterns: list[str]) -> bool:
    """Return whether a value fits a pattern, as IAM's StringLike has it."""
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)


@pytest.mark.parametrize("field", ["release_role_arn", "train_role_arn"])
def test_role_reaches_the_models_only(outputs: StackOutputs, field: str) -> None:
    statements = statements_of(role_of(outputs, field))
    objects = [item["Resource"] for item in statements if "s3:GetObject" in item["Action"]]
    assert objects == [f"arn:aws:s3:::{outputs.model_store_bucket}/dvc/*"]


def test_the_release_role_may_ask_for_the_stack_by_its_name(outputs: StackOutputs) -> None:
    """AWS compares a question by name with ``stack/NAME/*``, never with the whole id."""
    statements = statements_of(role_of(outputs, "release_role_arn"))
    (asked,) = [item for item in statements if item["Action"] == "cloudformation:DescribeStacks"]
    assert asked["Resource"].endswith(f":stack/{NAME}/*")


@pytest.mark.parametrize("field", ["release_role_arn", "train_role_arn"])
def test_role_cannot_delete_or_do_everything(outputs: StackOutputs, field: str) -> None:
    statements = statements_of(role_of(outputs, field))
    assert statements

    for statement in statements:
        action = statement["Action"]
        actions = action if isinstance(action, list) else [action]
        forbidden = [
            action
            for action in actions
            if "*" in action or ":Delete" in action or action.startswith(("iam:", "sts:"))
        ]
        assert forbidden == []

        # This action knows no other resource.
        if statement["Resource"] == "*":
            assert actions == ["ecr:GetAuthorizationToken"]


# --- the search domain -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "dashboards"),
    [("Elasticsearch_7.10", "/_plugin/kibana/"), ("OpenSearch_3.1", "/_dashboards/")],
)
def test_search_domain_is_https_only_and_by_address(aws: str, engine: str, dashboards: str) -> None:
    search = Stack("cola-search", POLL_SECONDS)
    search.apply({"SearchDomain": "true", "SearchEngine": engine, "SearchCidr": "203.0.113.0/24"})
    domain = boto3.client("opensearch").describe_domain(DomainName="cola-search")["DomainStatus"]
    assert domain["EngineVersion"] == engine
    assert domain["DomainEndpointOptions"]["EnforceHTTPS"] is True

    # Without a login, these addresses reach the dashboards and nothing else.
    by_address = statement_of_people(domain)
    assert by_address["Condition"] == {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}}
    paths = {resource.partition("domain/cola-search")[2] for resource in by_address["Resource"]}
    assert paths == {"/_plugin/kibana/*", "/_dashboards/*"}

    url = search.outputs().kibana_url
    assert url is not None
    assert url.endswith(dashboards)
    search.delete()


def statement_of_people(domain: dict[str, Any]) -> dict[str, Any]:
    """Return the statement of a domain's access policy that lets addresses in."""
    policy = domain["AccessPolicies"]
    policy = json.loads(policy) if isinstance(policy, str) else policy
    statements = {statement["Sid"]: statement for statement in policy["Statement"]}
    found: dict[str, Any] = statements["PeopleByAddress"]
    return found


def test_a_search_domain_is_open_to_nobody_unless_addresses_are_named(aws: str) -> None:
    search = Stack("cola-closed", POLL_SECONDS)
    search.apply({"SearchDomain": "true"})
    domain = boto3.client("opensearch").describe_domain(DomainName="cola-closed")["DomainStatus"]
    assert "PeopleByAddress" not in json.dumps(domain["AccessPolicies"])
    search.delete()


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "10.0.0.0/8", "203.0.112.0/23", "203.0.113.7"])
def test_a_search_domain_is_open_to_256_addresses_at_most(cidr: str) -> None:
    parameter = section("Parameters")["SearchCidr"]
    assert re.fullmatch(parameter["AllowedPattern"], cidr) is None
    assert re.fullmatch(parameter["AllowedPattern"], "203.0.113.0/24")
    assert parameter["Default"] == ""


# --- the stack itself --------------------------------------------------------------------------


def test_an_update_keeps_what_is_not_given(stack: Stack) -> None:
    stack.apply({"MemorySize": "2048"})
    stack.apply({"Timeout": "10"})
    configuration = boto3.client("lambda").get_function_configuration(FunctionName=NAME)
    assert (configuration["MemorySize"], configuration["Timeout"]) == (2048, 10)

    # Nothing to do is not an error.
    stack.apply({"Timeout": "10"})
    stack.apply({"MemorySize": "1769", "Timeout": "20"})


def test_the_forwarder_can_wait_until_the_domain_is_provisioned(aws: str, deploy: Deploy) -> None:
    """The order of docs/09_deploy.md: `up` without it, `make provision`, `make deploy`."""

    def forwarder_key(*arguments: str) -> str:
        done = deploy("--stack", "cola-order", "up", *arguments)
        assert done.returncode == 0, done.stderr
        (stack,) = boto3.client("cloudformation").describe_stacks(StackName="cola-order")["Stacks"]
        values = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
        assert values["SearchDomain"] == "true"
        return values["ForwarderKey"]

    assert forwarder_key("SearchDomain=true", "ForwarderKey=") == ""
    assert forwarder_key().startswith("forwarder/")
    Stack("cola-order", POLL_SECONDS).delete()


def test_a_stack_without_outputs_can_be_deleted(aws: str, deploy: Deploy) -> None:
    """As an interrupted `make deploy` leaves it, or a creation that failed."""
    half = Stack("cola-half", POLL_SECONDS)
    bucket = {"Resources": {"Store": {"Type": "AWS::S3::Bucket"}}}
    boto3.client("cloudformation").create_stack(
        StackName=half.name, TemplateBody=json.dumps(bucket)
    )

    status = deploy("--stack", half.name, "status")
    assert status.returncode == 2
    assert "has no outputs" in status.stderr
    assert "make destroy" in status.stderr

    down = deploy("--stack", half.name, "down")
    assert down.returncode == 0, down.stderr
    assert "stack cola-half is gone" in down.stdout
    assert not half.exists()


def test_every_output_of_the_template_has_a_field() -> None:
    # The template's short forms, such as !Ref, are more than a YAML parser knows.
    section = TEMPLATE.read_text().partition("\nOutputs:\n")[2]
    values = {name: name for name in re.findall(r"^  (\w+):$", section, re.MULTILINE)}
    assert "ModelStoreUrl" in values
    assert StackOutputs.from_template_names(values).template_names() == values


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "MemorySise=1"], "no parameter 'MemorySise'"),
        (["up", "MemorySize"], "not a parameter NAME=VALUE"),
        (["up", "ImageUri=cola:latest"], "not a parameter NAME=VALUE"),
        (["--stack", "nothing-here", "status"], "make deploy"),
        (["--stack", "nothing-here", "down"], "make deploy"),
        (["--stack", "nothing-here", "rollback"], "make deploy"),
        (["--stack", NAME, "release", "registry.invalid/cola:latest"], "by digest"),
        (["--stack", NAME, "rollback"], "nothing to go back to"),
    ],
)
def test_a_wrong_command_is_one_line(
    stack: Stack, deploy: Deploy, arguments: list[str], says: str
) -> None:
    done = deploy(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_status_prints_each_output_on_one_line_and_whole(
    stack: Stack, outputs: StackOutputs, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = deploy("--stack", NAME, "status")
    assert done.returncode == 0, done.stderr

    printed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    shown = {name: value.strip() for name, value in printed.items()}
    assert shown == {
        **outputs.template_names(),
        "LiveImage": IMAGE,
        "PredictUrl": rest_api.predict_url(outputs),
    }
    assert list(shown) == sorted(shown)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no AWS credentials"),
        ({"AWS_REGION": None, "AWS_DEFAULT_REGION": None}, "no AWS region"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
    ],
)
def test_a_machine_that_is_not_set_up_is_one_line(
    deploy: Deploy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: dict[str, str | None],
    says: str,
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for key, value in settings.items():
        monkeypatch.delenv(key) if value is None else monkeypatch.setenv(key, value)

    done = deploy("status")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert says in done.stderr


@pytest.mark.parametrize(
    "command", [["cfn-lint"], ["sam", "validate", "--lint", "--region", "us-east-1", "-t"]]
)
def test_template_is_clean(
    tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("SAM_CLI_TELEMETRY", "0")
    run = [tool(command[0]), *command[1:], str(ROOT / "infra/template.yaml")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
