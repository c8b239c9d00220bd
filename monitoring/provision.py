"""Set up Elasticsearch and Kibana for the predictions: everything that a person would click, idempotent.

    python -m monitoring.provision                       # what is there already and right is left alone
    python -m monitoring.provision --model models/model.onnx --key-file writer.key

Reads from the environment: the server and an administrator's credentials (elastic.py), KIBANA_URL (without
it, only Elasticsearch is set up), WRITER_PASSWORD (a user `cola_writer` for Filebeat), KIBANA_SYSTEM_PASSWORD
(the password that Kibana itself logs in with), RETENTION_DAYS (default 30).
Writes: index templates, lifecycle, first indices, the writer's role, user and key; with --model the reference
histogram of that model; in Kibana data views, saved search, dashboard, rules (kibana_objects.py).
Amazon's Elasticsearch 7.10 has no lifecycle or roles under these names: there the domain's own are used.
"""

import argparse
import json
import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from commands.run import run_command
from errors import ColaError, ElasticError
from monitoring.elastic import Elastic, basic
from monitoring.kibana_objects import provision_kibana
from monitoring.reference import Reference
from monitoring.steps import Report, current

FILES = Path(__file__).parent / "elasticsearch"
POLICY = "cola-retention"
WRITER = "cola_writer"
WRITER_ROLE: dict[str, Any] = {
    "cluster": ["monitor"],
    "indices": [{"names": ["cwl-*"], "privileges": ["create_doc", "auto_configure"]}],
}
NO_HANDLER = {400, 404, 405, 501}  # what servers without a feature answer to its URLs


def provision_elasticsearch(
    server: Elastic, report: Report, reference: Reference | None = None
) -> None:
    """Index templates, lifecycle, first indices, and with a `reference` its histogram."""
    lifecycle = _lifecycle(server, report)
    for path in sorted(FILES.glob("*_template.json")):
        template = json.loads(path.read_text(encoding="utf-8"))
        if lifecycle and path.stem in ("cwl_template", "drift_template"):
            template["template"]["settings"]["index"]["lifecycle"] = {"name": POLICY}
        name = f"cola-{path.stem.removesuffix('_template')}"
        there = current(server, f"/_index_template/{name}", "index_templates", 0, "index_template")
        report.put(f"index template {name}", server, f"/_index_template/{name}", template, there)
    _first_indices(server, report)
    if reference is not None:
        _reference_histogram(server, report, reference)


def _lifecycle(server: Elastic, report: Report) -> bool:
    """Delete indices after RETENTION_DAYS. Returns whether templates have to name the policy."""
    days = f"{_positive('RETENTION_DAYS', '30')}d"
    policy = json.loads((FILES / "lifecycle.json").read_text(encoding="utf-8"))
    policy["policy"]["phases"]["delete"]["min_age"] = days
    try:
        there = current(server, f"/_ilm/policy/{POLICY}", POLICY)
        report.put(
            f"lifecycle: delete after {days}", server, f"/_ilm/policy/{POLICY}", policy, there
        )
        return True
    except ElasticError as error:
        if error.status not in NO_HANDLER:
            raise
    path = f"/_opendistro/_ism/policies/{POLICY}"
    try:
        there = current(server, path)
        revision = (
            f"?if_seq_no={there['_seq_no']}&if_primary_term={there['_primary_term']}"
            if there
            else ""
        )
        report.put(
            f"lifecycle: delete after {days}", server, path + revision, _state_policy(days), there
        )
    except ElasticError as error:
        if error.status not in NO_HANDLER:
            raise
        report.add("lifecycle: this server has none, delete old indices yourself", "skipped")
    return False


def _state_policy(days: str) -> dict[str, Any]:
    """The same lifecycle for Amazon's index state management, which applies itself by its `ism_template`."""
    keep = {"state_name": "delete", "conditions": {"min_index_age": days}}
    return {
        "policy": {
            "description": "Predictions may hold personal text: delete their daily index after a while",
            "default_state": "keep",
            "states": [
                {"name": "keep", "actions": [], "transitions": [keep]},
                {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
            ],
            "ism_template": [{"index_patterns": ["cwl-*", "drift-*"], "priority": 300}],
        }
    }


def _first_indices(server: Elastic, report: Report) -> None:
    """Empty indices where there is none yet, so that data views have fields before the first prediction."""
    now = datetime.now(UTC)
    first = {
        "cwl-*": f"{now:cwl-%Y.%m.%d}",
        "drift-*": f"{now:drift-%Y.%m}",
        "monitoring-alerts": "monitoring-alerts",
        "cola-reference": "cola-reference",
    }
    for pattern, name in first.items():
        there = server.request(
            "GET", f"/{pattern}/_count?allow_no_indices=true&ignore_unavailable=true"
        )
        if there["_shards"]["total"]:
            report.add(f"index {pattern}", "unchanged")
            continue
        try:
            server.request("PUT", f"/{name}")
            report.add(f"index {name}", "created")
        except ElasticError as error:
            if "exists" not in str(error):  # a document may have come first
                raise


def _reference_histogram(server: Elastic, report: Report, reference: Reference) -> None:
    histogram = reference.distributions.score_histogram
    lines: list[dict[str, Any]] = []
    for number, ((low, high), share) in enumerate(
        zip(pairwise(histogram.edges), histogram.shares, strict=True)
    ):
        values = {"center": (low + high) / 2, "share": share}
        lines.append({"index": {"_id": f"score-{number:02}"}})
        lines.append({"model": {"version": reference.version}, "reference": values})
    query = {"query": {"term": {"model.version": reference.version}}}
    if server.request("POST", "/cola-reference/_count", query)["count"] == len(lines) // 2:
        report.add(f"reference histogram of model {reference.version}", "unchanged")
        return
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = server.request(
        "POST", "/cola-reference/_bulk?refresh=true", body, content_type="application/x-ndjson"
    )
    if answer["errors"]:
        raise ElasticError(f"the reference histogram was refused: {answer['items'][0]}")
    report.add(f"reference histogram of model {reference.version}", "written")


def provision_security(server: Elastic, report: Report, key_file: Path | None) -> None:
    """The writer's role, user and API key, and the password of Kibana's own user, each where asked for."""
    writer_password = os.environ.get("WRITER_PASSWORD")
    kibana_password = os.environ.get("KIBANA_SYSTEM_PASSWORD")
    if not (writer_password or kibana_password or key_file):
        return
    there = current(server, f"/_security/role/{WRITER}", WRITER)
    report.put(f"role {WRITER}", server, f"/_security/role/{WRITER}", WRITER_ROLE, there)
    if writer_password:
        user = {
            "password": writer_password,
            "roles": [WRITER],
            "full_name": "Writes predictions, nothing else",
        }
        _password(server, report, WRITER, writer_password, f"/_security/user/{WRITER}", user)
    if kibana_password:
        path = "/_security/user/kibana_system/_password"
        _password(
            server, report, "kibana_system", kibana_password, path, {"password": kibana_password}
        )
    if key_file:
        _key(server, report, key_file)


def _password(
    server: Elastic, report: Report, user: str, password: str, path: str, body: object
) -> None:
    try:
        Elastic(server.url, basic(user, password)).request("GET", "/_security/_authenticate")
        report.add(f"user {user}", "unchanged")
    except ElasticError as error:
        if error.status != 401:
            raise
        server.request("PUT", path, body)
        report.add(f"user {user}", "written")


def _key(server: Elastic, report: Report, path: Path) -> None:
    """An API key that may only create documents in cwl-*, written to a file that only its owner reads."""
    if path.exists():
        report.add(f"writer key in {path}", "unchanged")
        return
    body = {"name": "cola-forwarder", "role_descriptors": {WRITER: WRITER_ROLE}}
    key = server.request("POST", "/_security/api_key", body)
    with open(path, "w", encoding="utf-8", opener=_owner_only) as file:
        file.write(key["encoded"] + "\n")
    report.add(f"writer key in {path}", "created")


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _positive(name: str, default: str) -> int:
    value = os.environ.get(name) or default
    if not value.isdecimal() or int(value) < 1:
        raise ColaError(f"{name}={value} is not a whole number of days: set it to 1 or more")
    return int(value)


def main() -> None:
    """The command: see the module's docstring."""
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
    reference = Reference.of(arguments.model) if arguments.model else None
    provision_elasticsearch(server, report, reference)
    provision_security(server, report, arguments.key_file)
    if url := os.environ.get("KIBANA_URL"):
        limit = reference.low_confidence_limit if reference else 0.5
        provision_kibana(
            Elastic.from_environment({**os.environ, "ELASTICSEARCH_URL": url}), report, limit
        )
        public = os.environ.get("KIBANA_PUBLIC_URL") or url
        print(f"\ndashboard: {public}/app/dashboards#/view/cola")


if __name__ == "__main__":
    run_command(main)
