"""The whole AWS path on a server that runs it (ministack), into a server like Elasticsearch.

HTTP -> API Gateway -> Lambda -> CloudWatch Logs -> subscription -> forwarder -> index; and dead
letters, replayed. The stack's own template makes the forwarder, its role, queue, filter and alarm.
The predicting function is the project's handler with a predictor that needs no model, since a
function from an image needs Docker.
"""

import io
import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator

import boto3
import pytest

from infra import forwarder_zip
from infra.stack import Stack, StackOutputs
from monitoring.elastic import Elastic
from monitoring.log_events import encode
from tests.helpers.aws_fixtures import POLL_SECONDS
from tests.helpers.net import wait_until
from tests.helpers.paths import ROOT
from tests.helpers.servers import search
from tests.helpers.subscription import POISON, log_data

pytestmark = pytest.mark.parametrize("running_server", ["opensearch"], indirect=True)

IMAGE = f"registry.invalid/cola@sha256:{'0' * 64}"
NAME = "cola-chain"
PREDICTED = json.dumps({"event": "prediction", "prediction": {"label": "acceptable", "score": 0.9}})

# ministack talks to a function over its descriptor 1 and takes what it writes to 2 for its log.
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


@pytest.fixture
def outputs(aws: str, server: Elastic) -> Iterator[StackOutputs]:
    """Make the stack with a forwarder to ``server``."""
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
    # ministack understands filter patterns of bare words only.
    stack.apply({**settings, "ForwardPattern": "prediction"})
    yield stack.outputs()

    stack.delete()


def zipped(name: str, text: str) -> bytes:
    """Return a zip file with one text file in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def predicting_function(log_group: str) -> str:
    """Make an API whose function is the project's handler and logs into a group; return its URL."""
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
    invocation = f"functions/{function['FunctionArn']}/invocations"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/{invocation}"

    api = gateway.create_rest_api(name=f"{NAME}-zip")["id"]
    (root,) = gateway.get_resources(restApiId=api)["items"]
    path = gateway.create_resource(restApiId=api, parentId=root["id"], pathPart="predict")["id"]
    common = {"restApiId": api, "resourceId": path, "httpMethod": "POST"}
    gateway.put_method(**common, authorizationType="NONE")
    gateway.put_integration(**common, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=api, stageName="v1")

    return f"{os.environ['AWS_ENDPOINT_URL']}/restapis/{api}/v1/_user_request_/predict"


def replay(outputs: StackOutputs, server: Elastic, *arguments: str) -> str:
    """Return what ``python -m monitoring.replay`` prints."""
    assert outputs.dead_letter_queue_url is not None
    settings = {
        "DEAD_LETTER_QUEUE_URL": outputs.dead_letter_queue_url,
        "ELASTICSEARCH_URL": server.url,
    }
    done = subprocess.run(
        [sys.executable, "-m", "monitoring.replay", *arguments],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def replay_until(word: str, outputs: StackOutputs, server: Elastic, *arguments: str) -> str:
    """Run the command until it prints a word; a message that was read is hidden for a while."""

    def printed() -> str:
        text = replay(outputs, server, *arguments)
        return text if word in text else ""

    return wait_until(printed, 120, 0.3)


# --- Predictions -----------------------------------------------------------------------------


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


# --- Dead letters ----------------------------------------------------------------------------


def test_the_stack_watches_its_dead_letters(outputs: StackOutputs) -> None:
    assert outputs.dead_letter_queue_url is not None
    queue = outputs.dead_letter_queue_url.rpartition("/")[2]

    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    dimension = {"Name": "QueueName", "Value": queue}
    assert [alarm["MetricName"] for alarm in alarms if dimension in alarm["Dimensions"]] == [
        "ApproximateNumberOfMessagesVisible"
    ]

    forwarder = boto3.client("lambda").get_function(FunctionName=f"{NAME}-forwarder")
    variables = forwarder["Configuration"]["Environment"]["Variables"]
    assert variables["DEAD_LETTER_QUEUE_URL"].endswith(f"/{queue}")

    filters = boto3.client("logs").describe_subscription_filters(logGroupName=f"/aws/lambda/{NAME}")
    assert filters["subscriptionFilters"][0]["destinationArn"].endswith(f":{NAME}-forwarder")


def test_a_refused_document_waits_in_the_queue_and_is_replayed(
    outputs: StackOutputs, server: Elastic
) -> None:
    event = encode(log_data(POISON, json.dumps({"prediction": {"label": "acceptable"}})))
    boto3.client("lambda").invoke(FunctionName=f"{NAME}-forwarder", Payload=json.dumps(event))

    shown = replay_until("waiting", outputs, server, "--dry-run")
    assert "object mapping" in shown
    assert search(server, {})["hits"]["total"]["value"] == 1

    refused_again = replay_until("refused", outputs, server)
    assert "object mapping" in refused_again
    assert search(server, {})["hits"]["total"]["value"] == 1


def test_a_dead_letter_is_delivered_once_its_mapping_is_fixed(
    outputs: StackOutputs, server: Elastic
) -> None:
    """Lambda's own dead letters (whole batches) and the forwarder's (one event) have one form."""
    queue = boto3.client("sqs")
    for body in (
        encode(log_data(PREDICTED, PREDICTED)),
        {**encode(log_data(PREDICTED)), "reason": "mapping"},
    ):
        queue.send_message(QueueUrl=outputs.dead_letter_queue_url, MessageBody=json.dumps(body))

    assert "delivered=3" in replay(outputs, server)
    assert replay(outputs, server).strip() == "the queue is empty"

    # Both letters hold an event of the same id: it is one document.
    assert search(server, {})["hits"]["total"]["value"] == 2
