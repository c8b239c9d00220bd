"""A search of the predictions in Elasticsearch, whose answer is of all of them or an error."""

from datetime import datetime

from drift.times import moment
from errors import ElasticError
from monitoring.elastic import Elastic, JsonObject

INDEX = "cwl-*"


def search(server: Elastic, query: JsonObject) -> JsonObject:
    """Return the answer to a search of all predictions.

    Raises:
        ElasticError: The server does not answer, or refuses, or answers for a part only.
    """
    path = f"/{INDEX}/_search?ignore_unavailable=true"
    answer: JsonObject = server.request("POST", path, query)
    shards = answer["_shards"]

    if shards["total"] == 0:
        raise ElasticError(f"there is no index {INDEX}: run `make provision`")

    # With shards that failed, or out of time, Elasticsearch answers 200 with what it has.
    if answer["timed_out"] or shards["failed"]:
        raise ElasticError(
            f"{server.url} has answered for a part of the predictions only "
            f"({shards['failed']} of {shards['total']} shards failed): try again, and look at "
            "GET /_cluster/health if that does not help"
        )
    return answer


def earliest(server: Elastic) -> datetime | None:
    """Return when the oldest prediction was made, None if there is none.

    Raises:
        ElasticError: The server does not answer, or refuses, or answers for a part only.
    """
    query = {
        "size": 1,
        "_source": ["@timestamp"],
        "sort": [{"@timestamp": "asc"}],
        "query": {"bool": {"filter": [{"term": {"event": "prediction"}}]}},
    }
    hits = search(server, query)["hits"]["hits"]
    return moment(hits[0]["_source"]["@timestamp"]) if hits else None
