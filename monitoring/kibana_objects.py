"""Kibana's side of provisioning: data views, dashboard and rules.

The objects are the JSON files in ``monitoring/kibana/``. Kibana 9.5 and later get the dashboard by
the Dashboards API and the rules by the alerting API. Anything older (the Kibana 7.10 of Amazon's
Elasticsearch) and OpenSearch Dashboards get the same dashboard as saved objects, which
``kibana_7_10.py`` makes of it, and no rules.
"""

import json
from pathlib import Path
from string import Template
from typing import Any

from errors import ElasticError
from monitoring.elastic import Elastic, JsonObject
from monitoring.kibana_7_10 import ndjson, saved_objects
from monitoring.steps import Report, covers, current, ensure

FILES = Path(__file__).parent / "kibana"

DASHBOARD = "cola"
"""The dashboard's id, which is part of its link."""

FIRST_VERSION = (9, 5)
"""The first Kibana whose Dashboards API is not a preview."""

HEADERS = {"kbn-xsrf": "true", "osd-xsrf": "true", "Elastic-Api-Version": "2023-10-31"}
"""What Kibana and OpenSearch Dashboards ask of a request: a sign that it is no forged form, and
the API's version."""

BOUNDARY = "cola-saved-objects"
"""Separates the parts of an upload."""


def read(name: str) -> Any:
    """Return one of the JSON files in ``monitoring/kibana/``."""
    return json.loads((FILES / name).read_text(encoding="utf-8"))


def read_dashboard(low_confidence_limit: float, docs_url: str = "") -> JsonObject:
    """Return ``kibana/dashboard.json`` with the limit of this model and a link to the documents.

    Args:
        low_confidence_limit: The share of uncertain predictions above which a rule fires.
        docs_url: Where people read ``docs/``. Empty: its chapter is named only.
    """
    text = (FILES / "dashboard.json").read_text(encoding="utf-8")
    percent = f"{100 * low_confidence_limit:g}"
    chapter = "chapter 10, `docs/10_monitor.md`"
    if docs_url:
        chapter = f"[chapter 10]({docs_url.rstrip('/')}/10_monitor.md)"

    # The limit is a number in some places, and part of a text in others.
    text = text.replace('"${limit}"', str(low_confidence_limit))
    dashboard: JsonObject = json.loads(
        Template(text).substitute(limit_percent=percent, chapter=json.dumps(chapter)[1:-1])
    )
    return dashboard


def provision_kibana(
    kibana: Elastic, report: Report, low_confidence_limit: float, docs_url: str = ""
) -> None:
    """Write everything that Kibana holds.

    Args:
        kibana: The server; its headers are set.
        report: Takes what was done.
        low_confidence_limit: The share of uncertain predictions above which a rule fires.
        docs_url: Where people read ``docs/``; the dashboard links to it.

    Raises:
        ElasticError: Kibana refused an object; the message has its reason.
    """
    kibana.headers |= HEADERS
    version = kibana.request("GET", "/api/status")["version"]["number"]
    major, minor = (int(part) for part in version.split(".")[:2])

    views = read("data_views.json")
    dashboard = read_dashboard(low_confidence_limit, docs_url)

    if (major, minor) < FIRST_VERSION:
        import_saved_objects(kibana, ndjson(saved_objects(dashboard, views)))
        report.add(f"dashboard {DASHBOARD} (saved objects, Kibana {version})", "imported")
        return

    for view in views:
        _data_view(kibana, report, view)
    _dashboard(kibana, report, dashboard)
    _rules(kibana, report, low_confidence_limit)


def import_saved_objects(kibana: Elastic, ndjson: bytes) -> None:
    """Import saved objects, replacing those of the same id.

    Args:
        kibana: The server.
        ndjson: One JSON object per line.

    Raises:
        ElasticError: Kibana refused one of them.
    """
    # Kibana takes a file as a browser's form would send it (multipart/form-data).
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


def _data_view(kibana: Elastic, report: Report, view: JsonObject) -> None:
    existing = current(kibana, f"/api/data_views/data_view/{view['id']}", "data_view")
    if existing is not None and covers(existing, view):
        report.add(f"data view {view['title']}", "unchanged")
        return

    kibana.request("POST", "/api/data_views/data_view", {"data_view": view, "override": True})
    report.add(f"data view {view['title']}", "created" if existing is None else "updated")


def _dashboard(kibana: Elastic, report: Report, wanted: JsonObject) -> None:
    path = f"/api/dashboards/{DASHBOARD}"

    def read_existing() -> Any:
        return current(kibana, path, "data")

    ensure(
        report,
        f"dashboard {DASHBOARD}",
        kibana,
        path,
        wanted,
        read_existing(),
        read_again=read_existing,
    )


def _rules(kibana: Elastic, report: Report, low_confidence_limit: float) -> None:
    text = (FILES / "rules.json").read_text(encoding="utf-8")
    wanted = json.loads(Template(text).substitute(limit=low_confidence_limit))

    # The rules refer to the connector, so it comes first.
    _put_by_id(kibana, report, "connector", "/api/actions/connector", wanted["connector"])
    for rule in wanted["rules"]:
        _put_by_id(kibana, report, "rule", "/api/alerting/rule", rule)
        _revive(kibana, report, rule)


def _revive(kibana: Elastic, report: Report, rule: JsonObject) -> None:
    """Give a rule a new API key if Kibana cannot read its own any more.

    That is so once Kibana has another encryption key (a new ``.env`` over old volumes). The rule
    looks as it should, and never runs again.
    """
    path = f"/api/alerting/rule/{rule['id']}"
    status = current(kibana, path, "execution_status") or {}
    if (status.get("error") or {}).get("reason") == "decrypt":
        kibana.request("POST", f"{path}/_update_api_key")
        report.add(f"key of rule {rule['name']!r}", "updated")


def _put_by_id(kibana: Elastic, report: Report, kind: str, folder: str, wanted: JsonObject) -> None:
    """Create an object, or change the existing one of its id.

    What an object is (its type, its consumer) can be said only when it is created.
    """
    path = f"{folder}/{wanted['id']}"
    existing = current(kibana, path)

    if existing is None:
        method, fixed = "POST", {"id"}
    else:
        method, fixed = "PUT", {"id", "rule_type_id", "connector_type_id", "consumer"}
    body = {name: value for name, value in wanted.items() if name not in fixed}

    ensure(
        report,
        f"{kind} {wanted['name']!r}",
        kibana,
        path,
        body,
        existing,
        method,
        read_again=lambda: current(kibana, path),
    )
