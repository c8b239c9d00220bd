"""The whole AWS path on a server that runs it (ministack), into a server that speaks Elasticsearch's API:
HTTP -> API Gateway -> Lambda -> CloudWatch Logs -> subscription -> forwarder; and dead letters, replayed.

The stack's own template makes the forwarder, its role, queue, filter and alarm. The predicting function is
the project's handler with a predictor that needs no model, since a function from an image needs Docker.
"""

import io
import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

boto3 = pytest.importorskip("boto3")

from infra import forwarder_zip
from infra.stack import Stack, StackOutputs
from monitoring.elastic import Elastic
from monitoring.forwarder import encode
from tests.helpers.aws_fixtures import POLL_SECONDS
from tests.helpers.net import wait_until
from tests.helpers.servers import search
from tests.monitoring.test_forwarder import payload

pytestmark = pytest.mark.parametrize("running_server", ["osmem"], indirect=True)

ROOT = Path(__file__).parents[2]
IMAGE = f"registry.invalid/cola@sha256:{'0' * 64}"
NAME = "cola-chain"
PREDICTED = json.dumps({"event": "prediction", "prediction": {"label": "acceptable", "score": 0.9}})
# The server runs a function with its own protocol on descriptor 1 and takes descriptor 2 for the log.
HANDLER = f"""
import functools, sys
sys.path[:0] = {[str(ROOT), *(path for path in sys.path if "site-packages" in path)]!r}
from prediction import onnx_predictor
from serving import prediction_log
from tests.helpers.fake_predictor import FakePredictor
onnx_predictor.ColaONNXPredictor = lambda *arguments: FakePredictor()
prediction_log.PredictionLog = functools.partial(prediction_log.PredictionLog, descriptor=2)
from lambda_handler import lambda_handler
"""


@pytest.fixture(scope="session", autouse=True)
def functions_run_on_this_python() -> Iterator[None]:
    """The server runs functions with the first python3 on PATH; ours has botocore, as Lambda's has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        yield


def zipped(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture
def outputs(aws: str, server: Elastic) -> Iterator[StackOutputs]:
    """The stack with a forwarder to `server`."""
    stack = Stack(NAME, POLL_SECONDS)
    stack.apply({})
    bucket = stack.outputs().model_store_bucket
    key = forwarder_zip.upload(bucket)
    assert forwarder_zip.upload(bucket) == key
    settings = {
        "ImageUri": IMAGE,
        "ElasticsearchUrl": server.url,
        "ForwarderKey": key,
        "RequireApiKey": "false",
    }
    # The server knows bare words only.
    stack.apply({**settings, "ForwardPattern": "prediction"})
    yield stack.outputs()
    stack.delete()


def predicting_function(log_group: str) -> str:
    """The URL of an API whose function is the project's handler and logs into the stack's log group."""
    functions, gateway = boto3.client("lambda"), boto3.client("apigateway")
    function = functions.create_function(
        FunctionName=f"{NAME}-zip",
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/none",
        Handler="main.lambda_handler",
        Code={"ZipFile": zipped("main.py", HANDLER)},
        Timeout=30,
        LoggingConfig={"LogFormat": "JSON", "LogGroup": log_group},
    )
    api = gateway.create_rest_api(name=f"{NAME}-zip")["id"]
    (root,) = gateway.get_resources(restApiId=api)["items"]
    path = gateway.create_resource(restApiId=api, parentId=root["id"], pathPart="predict")["id"]
    common = {"restApiId": api, "resourceId": path, "httpMethod": "POST"}
    gateway.put_method(**common, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function['FunctionArn']}/invocations"
    gateway.put_integration(**common, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=api, stageName="v1")
    return f"{os.environ['AWS_ENDPOINT_URL']}/restapis/{api}/v1/_user_request_/predict"


def test_a_prediction_made_by_http_is_found_by_its_label(
    outputs: StackOutputs, server: Elastic
) -> None:
    url = predicting_function(f"/aws/lambda/{NAME}")
    sentence = "My prediction is {that} this arrives."
    request = urllib.request.Request(url, json.dumps({"sentence": sentence}).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        label = json.loads(response.read())["prediction"]["label"]
    query = {"query": {"term": {"prediction.label.keyword": label}}}
    (hit,) = wait_until(lambda: search(server, query)["hits"]["hits"], 120, 0.3)
    assert hit["_source"]["text"] == sentence
    assert hit["_source"]["@log_group"] == f"/aws/lambda/{NAME}"
    assert hit["_source"]["service"] == "lambda"
    assert hit["_id"] == hit["_source"]["@id"]


def test_the_stack_watches_its_dead_letters(outputs: StackOutputs) -> None:
    assert outputs.dead_letter_queue_url is not None
    queue = outputs.dead_letter_queue_url.rpartition("/")[2]
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert [
        a["MetricName"] for a in alarms if {"Name": "QueueName", "Value": queue} in a["Dimensions"]
    ] == ["ApproximateNumberOfMessagesVisible"]
    forwarder = boto3.client("lambda").get_function(FunctionName=f"{NAME}-forwarder")[
        "Configuration"
    ]
    assert forwarder["Environment"]["Variables"]["DEAD_LETTER_QUEUE_URL"].endswith(f"/{queue}")
    filters = boto3.client("logs").describe_subscription_filters(logGroupName=f"/aws/lambda/{NAME}")
    assert filters["subscriptionFilters"][0]["destinationArn"].endswith(f":{NAME}-forwarder")


def replay(outputs: StackOutputs, server: Elastic, *arguments: str) -> str:
    """What `python -m monitoring.replay` prints."""
    assert outputs.dead_letter_queue_url is not None
    done = subprocess.run(
        [sys.executable, "-m", "monitoring.replay", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DEAD_LETTER_QUEUE_URL": outputs.dead_letter_queue_url,
            "ELASTICSEARCH_URL": server.url,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_refused_document_waits_in_the_queue_and_is_replayed(
    outputs: StackOutputs, server: Elastic
) -> None:
    poison = json.dumps({"text": "poison", "prediction": "not an object"})
    event = encode(payload(poison, json.dumps({"prediction": {"label": "acceptable"}})))
    boto3.client("lambda").invoke(FunctionName=f"{NAME}-forwarder", Payload=json.dumps(event))
    shown = wait_until(
        lambda: "waiting" in (text := replay(outputs, server, "--dry-run")) and text, 120, 0.3
    )
    assert "object mapping" in shown
    assert search(server, {})["hits"]["total"]["value"] == 1
    # A letter is visible again after a while.
    still = wait_until(lambda: "refused" in (text := replay(outputs, server)) and text, 120, 0.3)
    assert "object mapping" in still
    assert search(server, {})["hits"]["total"]["value"] == 1


def test_a_letter_is_delivered_once_its_mapping_is_mended(
    outputs: StackOutputs, server: Elastic
) -> None:
    """Lambda's own dead letters (whole batches) and the forwarder's (one document) have the same form."""
    queue = boto3.client("sqs")
    for body in (
        encode(payload(PREDICTED, PREDICTED)),
        {**encode(payload(PREDICTED)), "reason": "mapping"},
    ):
        queue.send_message(QueueUrl=outputs.dead_letter_queue_url, MessageBody=json.dumps(body))
    assert "delivered=3" in replay(outputs, server)
    assert replay(outputs, server).strip() == "the queue is empty"
    assert search(server, {})["hits"]["total"]["value"] == 2  # the same event twice is one document
