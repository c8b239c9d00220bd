"""Chapter 10: set up Elasticsearch and Kibana for the predictions.

    python -m monitoring.provision              # what exists and is right is left alone
    python -m monitoring.provision --model models/model.onnx --key-file writer.key

It writes:

    Elasticsearch  index templates, lifecycle (``lifecycle.py``) and first indices; the writer's
                   role, user and key (``security.py``); with --model, the histogram of that
                   model's scores on its validation set
    Kibana         data views, saved search, dashboard and rules (``kibana_objects.py``)

and reads from the environment:

    ELASTICSEARCH_URL, ...   the server and an administrator's credentials, see ``elastic.py``
    KIBANA_URL               without it, only Elasticsearch is set up
    KIBANA_PUBLIC_URL        where people reach Kibana, if elsewhere
    DOCS_URL                 where people read docs/, for the dashboard's link to chapter 10
    WRITER_PASSWORD          makes the user ``cola_writer`` for Filebeat
    KIBANA_SYSTEM_PASSWORD   becomes the password that Kibana itself logs in with
    RETENTION_DAYS           when predictions are deleted (default 30); none: you delete them

It works with Elasticsearch and with OpenSearch, on Amazon or elsewhere. Roles, users and API keys
are Elasticsearch's: on OpenSearch use those of its security plugin, or of Amazon's IAM.
"""

import argparse
import json
import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from commands.run import run_command
from errors import ElasticError
from monitoring.elastic import Elastic, JsonObject
from monitoring.kibana_objects import DASHBOARD, provision_kibana
from monitoring.lifecycle import provision_lifecycle
from monitoring.reference import ReferenceModel
from monitoring.security import provision_security
from monitoring.steps import Report, covers, current, ensure

FILES = Path(__file__).parent / "elasticsearch"

OWN_FIELDS = {"cwl-*": "prediction", "drift-*": "verdict"}
"""A field that every index of ours has, by the pattern of their names."""

LOW_CONFIDENCE_LIMIT = 0.5
"""The share of uncertain predictions above which a rule fires, if no model says it."""


def provision_elasticsearch(
    server: Elastic, report: Report, reference: ReferenceModel | None = None
) -> None:
    """Write index templates, lifecycle, first indices, and the histogram of a reference.

    Args:
        server: Elasticsearch, with an administrator's credentials.
        report: Takes what was done.
        reference: The model to compare with on the dashboard. None: write no histogram.

    Raises:
        ConfigError: RETENTION_DAYS is neither a whole number of days nor ``none``.
        ElasticError: The server refused one of them, or cannot delete old predictions, or holds
            another program's indices of the same names; these stay as they are.
    """
    _require_own_indices(server)
    policies = provision_lifecycle(server, report)

    for path in sorted(FILES.glob("*_template.json")):
        template = json.loads(path.read_text(encoding="utf-8"))
        if policy := policies.get(template["index_patterns"][0]):
            template["template"]["settings"]["index"]["lifecycle"] = {"name": policy}

        name = f"cola-{path.stem.removesuffix('_template')}"
        url = f"/_index_template/{name}"
        existing = current(server, url, "index_templates", 0, "index_template")

        # A policy that an earlier run has named would pass for what servers add by themselves.
        names_policy: JsonObject = {"template": {"settings": {"index": {"lifecycle": {}}}}}
        if not policy and covers(existing, names_policy):
            existing = {}
        ensure(report, f"index template {name}", server, url, template, existing)

    _first_indices(server, report)
    if reference is not None:
        _reference_histogram(server, report, reference)


def _require_own_indices(server: Elastic) -> None:
    """Check that the templates and the retention reach only indices of this project.

    Their names are common: Amazon's own subscription function writes cwl-YYYY.MM.DD for every log
    group.

    Raises:
        ElasticError: They would reach another program's.
    """
    for pattern, field in OWN_FIELDS.items():
        for index, found in server.request("GET", f"/{pattern}/_mapping").items():
            if field not in found["mappings"].get("properties", {}):
                raise ElasticError(
                    f"{index} seems to be another program's, it has no field {field!r}, and "
                    f"provisioning would change and delete indices of the name {pattern}: give "
                    "the predictions a server of their own, or delete this index"
                )


def _first_indices(server: Elastic, report: Report) -> None:
    """Make an empty index where there is none: data views have fields before any prediction.

    An index that came before its template has guessed its fields' types from the first document,
    and most searches fail on it.
    """
    now = datetime.now(UTC)
    first = {
        "cwl-*": f"{now:cwl-%Y.%m.%d}",
        "drift-*": f"{now:drift-%Y.%m}",
        "monitoring-alerts": "monitoring-alerts",
        "cola-reference": "cola-reference",
    }

    for pattern, name in first.items():
        path = f"/{pattern}/_mapping?allow_no_indices=true&ignore_unavailable=true"
        mappings = {
            index: found["mappings"] for index, found in server.request("GET", path).items()
        }

        guessed = [index for index in mappings if not covers(mappings[index], {"dynamic": False})]
        for index in guessed:
            report.add(f"index {index}: came before its template, delete it (docs/10)", "wrong")
        if mappings and not guessed:
            report.add(f"index {pattern}", "unchanged")
        if mappings:
            continue

        try:
            server.request("PUT", f"/{name}")
            report.add(f"index {name}", "created")
        except ElasticError as error:
            # A document that came in the meantime has made it.
            if "exists" not in str(error):
                raise


def _reference_histogram(server: Elastic, report: Report, reference: ReferenceModel) -> None:
    """Write one document per bin, unless those of this model's version exist."""
    what = f"reference histogram of model {reference.version}"
    histogram = reference.distributions.score_histogram
    query = {"query": {"term": {"model.version": reference.version}}}
    count = server.request("POST", "/cola-reference/_count", query)["count"]
    if count == len(histogram.shares):
        report.add(what, "unchanged")
        return

    # The ids are the bins' numbers, so the histogram of the model before is replaced.
    lines: list[JsonObject] = []
    bins = zip(pairwise(histogram.edges), histogram.shares, strict=True)
    for number, ((low, high), share) in enumerate(bins):
        values = {"center": (low + high) / 2, "share": share}
        lines.append({"index": {"_id": f"score-{number:02}"}})
        lines.append({"model": {"version": reference.version}, "reference": values})

    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = server.request(
        "POST", "/cola-reference/_bulk?refresh=true", body, content_type="application/x-ndjson"
    )
    if answer["errors"]:
        raise ElasticError(f"the reference histogram was refused: {answer['items'][0]}")
    report.add(what, "written")


def main() -> None:
    """Set up the servers that the environment names, and print the dashboard's link."""
    parser = argparse.ArgumentParser(
        description="Set up Elasticsearch and Kibana for the predictions."
    )
    parser.add_argument(
        "--model", type=Path, help="write this model's reference histogram for the dashboard"
    )
    parser.add_argument(
        "--key-file", type=Path, help="create an API key for the forwarder and write it here"
    )
    arguments = parser.parse_args()

    server = Elastic.from_environment()
    report = Report()
    reference = ReferenceModel.of(arguments.model) if arguments.model else None
    provision_elasticsearch(server, report, reference)
    provision_security(server, report, arguments.key_file)

    # Kibana takes the credentials of Elasticsearch's users.
    if url := os.environ.get("KIBANA_URL"):
        kibana = Elastic.from_environment({**os.environ, "ELASTICSEARCH_URL": url})
        limit = reference.low_confidence_limit if reference else LOW_CONFIDENCE_LIMIT
        provision_kibana(kibana, report, limit, os.environ.get("DOCS_URL", ""))

        public_url = os.environ.get("KIBANA_PUBLIC_URL") or url
        print(f"\ndashboard: {public_url}/app/dashboards#/view/{DASHBOARD}")


if __name__ == "__main__":
    run_command(main)
