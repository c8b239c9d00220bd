"""Write the gateway events beside this file with AWS's own generator (aws-sam-cli 1.170.0).

    SAM_CLI_TELEMETRY=0 python tests/serving/events/make_events.py

The generator makes one form of each event; the other bodies and the Function URL's are put into
what it made.
"""

import base64
import json
import subprocess
from pathlib import Path
from urllib.parse import urlencode

HERE = Path(__file__).parent
ONE, MANY = (
    {"sentence": "The boy is sitting on a bench."},
    {"sentences": ["One boy sits.", "A sits boy."]},
)


def generate(kind: str, method: str) -> dict:
    command = [
        "sam",
        "local",
        "generate-event",
        "apigateway",
        kind,
        "--method",
        method,
        "--path",
        "predict",
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def body(event: dict, message: dict, encoded: bool) -> dict:
    text = json.dumps(message)
    return {
        **event,
        "body": base64.b64encode(text.encode()).decode() if encoded else text,
        "isBase64Encoded": encoded,
    }


def query(event: dict, text: str) -> dict:
    event = {
        **event,
        "body": None,
        "isBase64Encoded": False,
        "queryStringParameters": {"text": text},
    }
    if "rawQueryString" in event:
        event["rawQueryString"] = urlencode({"text": text})
    if "multiValueQueryStringParameters" in event:
        event["multiValueQueryStringParameters"] = {"text": [text]}
    return event


def function_url(event: dict) -> dict:
    domain = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws"
    context = {
        **event["requestContext"],
        "domainName": domain,
        "domainPrefix": domain.split(".")[0],
    }
    context["http"] = {**context["http"], "path": "/"}
    return {**event, "rawPath": "/", "requestContext": context}


rest, http = generate("aws-proxy", "POST"), generate("http-api-proxy", "POST")
events = {
    "rest_get": query(generate("aws-proxy", "GET"), ONE["sentence"]),
    "rest_post": body(rest, ONE, encoded=False),
    "rest_post_base64": body(rest, MANY, encoded=True),
    "http_api_get": query(generate("http-api-proxy", "GET"), ONE["sentence"]),
    "http_api_post": body(http, MANY, encoded=False),
    "http_api_post_base64": body(http, ONE, encoded=True),
    "function_url_post": function_url(body(http, ONE, encoded=False)),
    "direct_sentence": ONE,
    "direct_sentences": MANY,
}
for name, event in events.items():
    (HERE / f"{name}.json").write_text(json.dumps(event, indent=2) + "\n")
