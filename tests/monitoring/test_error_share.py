"""The share of errors is one of requests: a refused one is a document, and so is each sentence."""

import json
from typing import Any

from monitoring.elastic import Elastic
from monitoring.kibana_7_10 import saved_objects
from monitoring.kibana_objects import read, read_dashboard
from tests.helpers.servers import search


def deliver(server: Elastic, documents: list[dict[str, Any]]) -> None:
    action = '{"index": {}}\n'
    body = "".join(f"{action}{json.dumps(document)}\n" for document in documents).encode()
    path = "/cwl-2026.11.21/_bulk"
    answer = server.request("POST", path, body, content_type="application/x-ndjson")
    assert not answer["errors"]


def test_half_of_the_requests_is_half_even_if_the_others_are_batches(server: Elastic) -> None:
    refused = [{"event": "error", "request_id": f"refused-{n}"} for n in range(20)]
    batches = [
        {"event": "prediction", "request_id": f"batch-{n}"} for n in range(20) for _ in range(100)
    ]
    deliver(server, refused + batches)

    requests = {"requests": {"cardinality": {"field": "request_id"}}}
    asked = {
        "errors": {"filter": {"term": {"event": "error"}}, "aggs": requests},
        "answers": {"filter": {"terms": {"event": ["error", "prediction"]}}, "aggs": requests},
    }
    counted = search(server, {"size": 0, "aggs": asked})["aggregations"]
    assert counted["errors"]["requests"]["value"] == 20
    assert counted["answers"]["requests"]["value"] == 40


def test_kibana_7_10_counts_requests_too() -> None:
    saved = saved_objects(read_dashboard(0.2), read("data_views.json"))
    states = {one["id"]: one["attributes"].get("visState", "{}") for one in saved}

    for panel in ("cola-errors-now", "cola-error-share"):
        ratio = json.loads(states[panel])["params"]["series"][0]["metrics"]
        assert ratio == [
            {
                "id": "ratio",
                "type": "filter_ratio",
                "metric_agg": "cardinality",
                "field": "request_id",
                "numerator": {"query": "event: error", "language": "kuery"},
                "denominator": {
                    "query": "event: prediction or event: error",
                    "language": "kuery",
                },
            }
        ]
