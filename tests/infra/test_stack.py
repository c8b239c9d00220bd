"""The template and its stack on a server that creates the resources; no Docker."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from errors import DeployError
from infra import rest_api, stack

Deploy = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
IMAGE = f"registry.invalid/cola@sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def name() -> str:
    return "cola-stack"


@pytest.fixture
def served(aws: str, name: str) -> dict[str, str]:
    """A stack with a function whose image nobody pulls."""
    stack.apply(
        name, {"ImageUri": IMAGE, "GitHubRepository": "someone/cola", "CreateOidcProvider": "false"}
    )
    return stack.outputs(name)


def test_first_step_makes_store_registry_and_roles_only(aws: str) -> None:
    stack.apply("cola-base", {})
    assert set(stack.outputs("cola-base")) == {"ModelStoreUrl", "RepositoryUri"}
    stack.delete("cola-base")
    assert not stack.exists("cola-base")


def test_store_is_private_versioned_and_encrypted(served: dict[str, str]) -> None:
    s3, bucket = boto3.client("s3"), served["ModelStoreUrl"].split("/")[2]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Statement"][0]["Effect"] == "Deny"
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_store_outlives_the_stack(aws: str) -> None:
    stack.apply("cola-gone", {})
    bucket = stack.outputs("cola-gone")["ModelStoreUrl"].split("/")[2]
    boto3.client("s3").put_object(Bucket=bucket, Key="dvc/model", Body=b"weights")
    stack.delete("cola-gone")
    assert (
        boto3.client("s3").get_object(Bucket=bucket, Key="dvc/model")["Body"].read() == b"weights"
    )


def test_registry_keeps_its_tags(served: dict[str, str], name: str) -> None:
    repository = boto3.client("ecr").describe_repositories(repositoryNames=[name])["repositories"][
        0
    ]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}


def test_function_runs_the_digest_behind_an_alias(served: dict[str, str], name: str) -> None:
    functions = boto3.client("lambda")
    function = functions.get_function(FunctionName=name, Qualifier="live")
    assert function["Code"]["ImageUri"] == IMAGE
    assert function["Configuration"]["Version"] == "1"
    assert function["Configuration"]["LoggingConfig"]["LogFormat"] == "JSON"
    assert function["Configuration"]["MemorySize"] == 1769
    policy = json.loads(functions.get_policy(FunctionName=name, Qualifier="live")["Policy"])
    assert served["RestApiId"] in json.dumps(policy["Statement"])


def test_log_is_not_kept_for_ever(served: dict[str, str], name: str) -> None:
    groups = boto3.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")[
        "logGroups"
    ]
    assert [group["retentionInDays"] for group in groups] == [30]


def test_three_alarms_watch_the_function(served: dict[str, str], name: str) -> None:
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    ours = [a for a in alarms if {"Name": "FunctionName", "Value": name} in a["Dimensions"]]
    assert sorted(a["MetricName"] for a in ours) == ["Duration", "Errors", "Throttles"]


def test_a_caller_without_the_key_is_refused(served: dict[str, str]) -> None:
    with pytest.raises(DeployError, match="403"):
        rest_api.predict({k: v for k, v in served.items() if k != "ApiKeyId"}, "The boy sat.")


def test_one_key_may_only_ask_so_often(served: dict[str, str], name: str) -> None:
    plans = boto3.client("apigateway").get_usage_plans()["items"]
    plan = next(p for p in plans if p["name"] == name)
    assert plan["throttle"] == {"rateLimit": 50.0, "burstLimit": 100}
    assert plan["quota"]["limit"] == 100000


def _statements(role: str) -> list[dict[str, Any]]:
    iam = boto3.client("iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    found = [
        iam.get_role_policy(RoleName=role, PolicyName=n)["PolicyDocument"]["Statement"]
        for n in names
    ]
    return [statement for statements in found for statement in statements]


@pytest.mark.parametrize(
    ("output", "environment"), [("ReleaseRoleArn", "production"), ("TrainRoleArn", "training")]
)
def test_role_is_for_one_environment_of_one_repository(
    served: dict[str, str], output: str, environment: str
) -> None:
    role = boto3.client("iam").get_role(RoleName=served[output].rpartition("/")[2])["Role"]
    condition = role["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]
    assert condition == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:someone/cola:environment:{environment}",
        }
    }


@pytest.mark.parametrize("output", ["ReleaseRoleArn", "TrainRoleArn"])
def test_role_cannot_delete_or_do_everything(served: dict[str, str], output: str) -> None:
    statements = _statements(served[output].rpartition("/")[2])
    assert statements
    for statement in statements:
        actions = (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
        assert not [
            a for a in actions if "*" in a or ":Delete" in a or a.startswith(("iam:", "sts:"))
        ]
        if statement["Resource"] == "*":
            assert actions == ["ecr:GetAuthorizationToken"]  # it knows no other resource


def test_search_domain_is_https_only_and_by_address(aws: str) -> None:
    stack.apply("cola-search", {"SearchDomain": "true", "SearchCidr": "203.0.113.0/24"})
    domain = boto3.client("opensearch").describe_domain(DomainName="cola-search")["DomainStatus"]
    assert domain["EngineVersion"] == "Elasticsearch_7.10"
    assert domain["DomainEndpointOptions"]["EnforceHTTPS"] is True
    assert "203.0.113.0/24" in json.dumps(domain["AccessPolicies"])
    assert stack.outputs("cola-search")["KibanaUrl"].endswith("/_plugin/kibana/")
    stack.delete("cola-search")


def test_an_update_keeps_what_is_not_given(served: dict[str, str], name: str) -> None:
    stack.apply(name, {"MemorySize": "2048"})
    stack.apply(name, {"Timeout": "10"})
    configuration = boto3.client("lambda").get_function_configuration(FunctionName=name)
    assert (configuration["MemorySize"], configuration["Timeout"]) == (2048, 10)
    stack.apply(name, {"Timeout": "10"})  # nothing to do is not an error
    stack.apply(name, {"MemorySize": "1769", "Timeout": "20"})


def test_without_a_key_the_url_is_open(served: dict[str, str], name: str) -> None:
    stack.apply(name, {"RequireApiKey": "false"})
    outputs = stack.outputs(name)
    rest_api.snapshot(outputs)
    assert "ApiKeyId" not in outputs
    with pytest.raises(DeployError) as refused:  # it gets as far as the image that nobody can pull
        rest_api.predict(outputs, "The boy sat.")
    assert "403" not in str(refused.value)
    stack.apply(name, {"RequireApiKey": "true"})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "MemorySise=1"], "no parameter 'MemorySise'"),
        (["up", "MemorySize"], "not a parameter NAME=VALUE"),
        (["up", "ImageUri=cola:latest"], "not a parameter NAME=VALUE"),
        (["--stack", "nothing-here", "status"], "make deploy"),
        (["--stack", "nothing-here", "down"], "make deploy"),
        (["--stack", "nothing-here", "rollback"], "make deploy"),
        (["--stack", "cola-stack", "release", "registry.invalid/cola:latest"], "by digest"),
        (["--stack", "cola-stack", "rollback"], "nothing to go back to"),
    ],
)
def test_a_wrong_command_is_one_line(
    served: dict[str, str], deploy: Deploy, arguments: list[str], says: str
) -> None:
    done = deploy(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


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
