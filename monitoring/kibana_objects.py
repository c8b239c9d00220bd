"""Kibana's side of provisioning: data views, saved search, dashboard and rules from monitoring/kibana/.

Kibana 9.4 and later get the dashboard by the Dashboards API and the rules by the alerting API. Anything older
(the Kibana 7.10 of Amazon's Elasticsearch) gets the saved objects of kibana_7_10.py, and no rules.
"""

import json
from pathlib import Path
from string import Template
from typing import Any

from errors import ElasticError
from monitoring.elastic import Elastic
from monitoring.steps import Report, covers, current

FILES = Path(__file__).parent / "kibana"
DASHBOARD = "cola"
BOUNDARY = "cola-saved-objects"


def read(name: str) -> Any:
    """One of the JSON files in monitoring/kibana/."""
    return json.loads((FILES / name).read_text(encoding="utf-8"))


def provision_kibana(kibana: Elastic, report: Report, low_confidence_limit: float) -> None:
    """Everything that Kibana holds. Raises ElasticError if Kibana refuses an object, with its reason."""
    kibana.headers |= {"kbn-xsrf": "true", "Elastic-Api-Version": "2023-10-31"}
    version = kibana.request("GET", "/api/status")["version"]["number"]
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) < (9, 4):
        saved = (FILES / "kibana_7_10.ndjson").read_bytes()
        import_saved_objects(kibana, saved)
        report.add(f"dashboard {DASHBOARD} (saved objects, Kibana {version})", "imported")
        return
    for view in read("data_views.json"):
        _data_view(kibana, report, view)
    _saved_search(kibana, report, read("saved_search.json"))
    path = f"/api/dashboards/{DASHBOARD}"
    report.put(
        f"dashboard {DASHBOARD}",
        kibana,
        path,
        read("dashboard.json"),
        current(kibana, path, "data"),
        again=lambda: current(kibana, path, "data"),
    )
    _rules(kibana, report, low_confidence_limit)


def import_saved_objects(kibana: Elastic, ndjson: bytes) -> None:
    """Import saved objects, replacing those of the same id."""
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="cola.ndjson"\r\n'
        "Content-Type: application/ndjson\r\n\r\n"
    ).encode()
    body += ndjson + f"\r\n--{BOUNDARY}--\r\n".encode()
    answer = kibana.request(
        "POST",
        "/api/saved_objects/_import?overwrite=true",
        body,
        content_type=f"multipart/form-data; boundary={BOUNDARY}",
    )
    if not answer.get("success"):
        raise ElasticError(f"Kibana refused saved objects: {answer.get('errors')}")


def _data_view(kibana: Elastic, report: Report, view: dict[str, Any]) -> None:
    there = current(kibana, f"/api/data_views/data_view/{view['id']}", "data_view")
    if there is not None and covers(there, view):
        report.add(f"data view {view['title']}", "unchanged")
        return
    kibana.request("POST", "/api/data_views/data_view", {"data_view": view, "override": True})
    report.add(f"data view {view['title']}", "created" if there is None else "updated")


def _saved_search(kibana: Elastic, report: Report, search: dict[str, Any]) -> None:
    """Kibana rewrites a search when it imports it, so title and description decide whether it is the same."""
    name = f"saved search {search['attributes']['title']!r}"
    wanted = {field: search["attributes"][field] for field in ("title", "description")}
    body = {"objects": [{"type": "search", "id": search["id"]}], "excludeExportDetails": True}
    try:
        if covers(
            kibana.request("POST", "/api/saved_objects/_export", body).get("attributes"), wanted
        ):
            report.add(name, "unchanged")
            return
    except ElasticError as error:
        if error.status not in (400, 404):  # 400: nothing to export
            raise
    import_saved_objects(kibana, (json.dumps(search) + "\n").encode())
    report.add(name, "imported")


def _rules(kibana: Elastic, report: Report, low_confidence_limit: float) -> None:
    text = (FILES / "rules.json").read_text(encoding="utf-8")
    wanted = json.loads(Template(text).substitute(limit=low_confidence_limit))
    _keep(kibana, report, "connector", "/api/actions/connector", wanted["connector"])
    for rule in wanted["rules"]:
        _keep(kibana, report, "rule", "/api/alerting/rule", rule)


def _keep(kibana: Elastic, report: Report, kind: str, folder: str, wanted: dict[str, Any]) -> None:
    """Create an object, or change it; what it is (its type, its consumer) cannot be changed afterwards."""
    what, path = f"{kind} {wanted['name']!r}", f"{folder}/{wanted['id']}"
    there = current(kibana, path)
    fixed = {"id"} if there is None else {"id", "rule_type_id", "connector_type_id", "consumer"}
    body = {name: value for name, value in wanted.items() if name not in fixed}
    method = "POST" if there is None else "PUT"
    report.put(what, kibana, path, body, there, method, again=lambda: current(kibana, path))
