"""Provisioning: a second run changes nothing, a change is written, what a server lacks is said.

Elasticsearch's part runs against the two servers; Kibana and Elasticsearch's security API run in CI only, so
here a stand-in keeps what it is sent and answers in their form.
"""

import base64
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from errors import ElasticError
from monitoring import provision
from monitoring.elastic import Elastic, basic
from monitoring.kibana_objects import provision_kibana, read
from monitoring.provision import (
    POLICY,
    WRITER_ROLE,
    Reference,
    provision_elasticsearch,
    provision_security,
)
from monitoring.steps import Report, covers
from tests.drift.test_drift import REFERENCE
from tests.helpers.servers import search


def states(report: Report) -> set[str]:
    return {state for _, state in report.steps}


def run(server: Elastic, reference: Reference | None = None) -> Report:
    report = Report()
    provision_elasticsearch(server, report, reference)
    return report


def test_a_second_run_changes_nothing(server: Elastic) -> None:
    run(server, REFERENCE)
    assert states(run(server, REFERENCE)) <= {"unchanged", "skipped"}


def test_a_template_that_differs_is_written_again(server: Elastic) -> None:
    path = "/_index_template/cola-drift"
    template = server.request("GET", path)["index_templates"][0]["index_template"]
    del template["template"]["mappings"]["properties"]["verdict"]
    server.request("PUT", path, template)
    assert [what for what, state in run(server).steps if state == "updated"] == [
        "index template cola-drift"
    ]
    assert states(run(server)) <= {"unchanged", "skipped"}


def test_the_first_indices_have_the_templates_mapping(server: Elastic) -> None:
    run(server)
    ((name, index),) = server.request("GET", "/cwl-*/_mapping").items()
    assert re.fullmatch(r"cwl-\d{4}\.\d\d\.\d\d", name)
    assert index["mappings"]["properties"]["prediction"]["properties"]["score"]["type"] == "float"


def test_the_reference_histogram_is_that_of_the_model_given_last(server: Elastic) -> None:
    run(server, Reference("aaaaaaaaaaaa", REFERENCE.distributions))
    run(server, REFERENCE)
    hits = search(server, {"size": 100}, "cola-reference")["hits"]["hits"]
    documents = sorted(
        (hit["_source"] for hit in hits), key=lambda source: source["reference"]["center"]
    )
    histogram = REFERENCE.distributions.score_histogram
    assert [round(document["reference"]["center"], 3) for document in documents] == [
        round(edge + 0.025, 3) for edge in histogram.edges[:-1]
    ]
    assert [document["reference"]["share"] for document in documents] == pytest.approx(
        histogram.shares
    )
    assert {document["model"]["version"] for document in documents} == {REFERENCE.version}


def test_covers_ignores_what_a_server_adds_and_how_it_spells() -> None:
    assert covers({"a": "1", "b": {"c": "true", "d": 0}, "e": 2}, {"a": 1, "b": {"c": True}})
    assert not covers({"a": "1"}, {"a": 2})
    assert not covers({"a": "1"}, {"b": 1})
    assert not covers({"a": [1, 2]}, {"a": [1]})
    assert not covers(None, {"a": 1})


class StandIn:
    """Keeps what it is sent under its path and gives it back as Kibana and Elasticsearch do."""

    def __init__(self, version: str = "9.5.6") -> None:
        self.version = version
        self.kept: dict[str, Any] = {}
        self.passwords: dict[str, str] = {"elastic": "admin"}
        self.writes: list[str] = []
        self.headers: list[dict[str, str]] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                stand_in.headers.append(dict(self.headers.items()))
                status, answer = stand_in.respond(
                    self.command, self.path, body, dict(self.headers.items())
                )
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def respond(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, Any]:
        name, _, password = (
            base64.b64decode(headers["Authorization"].removeprefix("Basic "))
            .decode()
            .partition(":")
        )
        if self.passwords.get(name) != password:
            return 401, {"error": {"reason": "unable to authenticate user"}}
        if path == "/api/status":
            return 200, {"version": {"number": self.version}}
        if path == "/_security/_authenticate":
            return 200, {"username": name}
        if path == "/api/saved_objects/_export":
            found = self.kept.get(json.loads(body)["objects"][0]["id"])
            return (200, found) if found else (400, {"message": "Error fetching objects to export"})
        if method == "GET":
            return (
                (200, self.shaped(path)) if path in self.kept else (404, {"message": "Not Found"})
            )
        self.writes.append(f"{method} {path}")
        return 200, self.keep(path, body, headers)

    def keep(self, path: str, body: bytes, headers: dict[str, str]) -> Any:
        if path.startswith("/api/saved_objects/_import"):
            boundary = headers["Content-Type"].partition("boundary=")[2]
            (file,) = body.decode().split(f"--{boundary}")[1:-1]
            for line in file.partition("\r\n\r\n")[2].strip().splitlines():
                saved = json.loads(line)
                self.kept[saved["id"]] = saved
            return {"success": True}
        content = json.loads(body)
        if path == "/api/data_views/data_view":
            path += "/" + content["data_view"]["id"]
            content = content["data_view"]
        elif path == "/_security/api_key":
            return {"id": "k", "encoded": "a2V5", "name": content["name"]}
        elif "password" in content:
            self.passwords[path.split("/")[3]] = content["password"]
        self.kept[path] = {**self.kept.get(path, {}), **content}
        return self.kept[path]

    def shaped(self, path: str) -> Any:
        found = self.kept[path]
        if "/data_view/" in path:
            return {"data_view": found}
        if path.startswith("/api/dashboards/"):
            return {"id": "cola", "data": found, "meta": {"version": "1"}}
        return {path.split("/")[3]: found} if path.startswith("/_security/role/") else found


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.close()


def kibana(stand_in: StandIn, limit: float = 0.5) -> Report:
    report = Report()
    provision_kibana(Elastic(stand_in.url, basic("elastic", "admin")), report, limit)
    return report


def test_kibana_is_provisioned_once(stand_in: StandIn) -> None:
    first = kibana(stand_in)
    assert states(first) <= {"created", "imported"}
    assert len(first.steps) == 4 + 1 + 1 + 1 + 3  # data views, search, dashboard, connector, rules
    assert all(headers["Kbn-Xsrf"] == "true" for headers in stand_in.headers)
    stand_in.writes.clear()
    assert states(kibana(stand_in)) == {"unchanged"}
    assert stand_in.writes == []


def test_what_changed_in_kibana_is_written_again(stand_in: StandIn) -> None:
    kibana(stand_in)
    stand_in.kept["/api/dashboards/cola"]["panels"].pop()
    stand_in.writes.clear()
    assert [what for what, state in kibana(stand_in).steps if state != "unchanged"] == [
        "dashboard cola"
    ]
    assert stand_in.writes == ["PUT /api/dashboards/cola"]
    assert stand_in.kept["/api/dashboards/cola"] == read("dashboard.json")


def test_an_object_that_kibana_keeps_in_its_own_form_is_unchanged(stand_in: StandIn) -> None:
    """It never reads as it was written; what counts is that writing it again changed nothing."""
    keep = stand_in.keep

    def rounded(path: str, body: bytes, headers: dict[str, str]) -> Any:
        kept = keep(path, body, headers)
        if path == "/api/dashboards/cola":
            kept["time_range"] = {"from": "now-60m", "to": "now"}
        return kept

    stand_in.keep = rounded  # type: ignore[method-assign]
    kibana(stand_in)
    assert states(kibana(stand_in)) == {"unchanged"}
    stand_in.kept["/api/dashboards/cola"]["panels"].pop()
    assert [what for what, state in kibana(stand_in).steps if state == "updated"] == [
        "dashboard cola"
    ]


def test_the_low_confidence_rule_takes_its_limit_from_the_model(stand_in: StandIn) -> None:
    kibana(stand_in, REFERENCE.low_confidence_limit)
    rules = [kept for path, kept in stand_in.kept.items() if path.startswith("/api/alerting/rule/")]
    (rule,) = [rule for rule in rules if "Low-confidence" in rule["name"]]
    assert f"share > {REFERENCE.low_confidence_limit}" in rule["params"]["esqlQuery"]["esql"]
    assert REFERENCE.low_confidence_limit > REFERENCE.distributions.low_confidence_share
    kibana(stand_in, 0.9)
    assert stand_in.writes[-1].startswith("PUT /api/alerting/rule/")


def test_every_rule_tells_of_its_start_and_its_end() -> None:
    wanted = read("rules.json")
    for rule in wanted["rules"]:
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", rule["id"]
        )
        assert [action["group"] for action in rule["actions"]] == ["query matched", "recovered"]
        assert {action["id"] for action in rule["actions"]} == {wanted["connector"]["id"]}
        assert rule["params"]["threshold"] == [0]
        assert rule["params"]["thresholdComparator"] == ">"


def test_an_old_kibana_gets_the_saved_objects(stand_in: StandIn) -> None:
    stand_in.version = "7.10.2"
    kibana(stand_in)
    assert stand_in.writes == ["POST /api/saved_objects/_import?overwrite=true"]
    assert stand_in.kept["cola"]["attributes"]["title"] == "CoLA predictions"
    assert {"cwl", "cola-predictions", "cola-latency-ms"} <= set(stand_in.kept)


def test_the_writer_may_create_documents_and_nothing_else(
    stand_in: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WRITER_PASSWORD", "w-secret")
    monkeypatch.setenv("KIBANA_SYSTEM_PASSWORD", "k-secret")
    server = Elastic(stand_in.url, basic("elastic", "admin"))
    report = Report()
    provision_security(server, report, tmp_path / "key")
    assert stand_in.kept["/_security/role/cola_writer"] == WRITER_ROLE
    assert WRITER_ROLE["indices"] == [
        {"names": ["cwl-*"], "privileges": ["create_doc", "auto_configure"]}
    ]
    assert stand_in.passwords["cola_writer"] == "w-secret"
    assert stand_in.passwords["kibana_system"] == "k-secret"
    assert (tmp_path / "key").read_text() == "a2V5\n"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    stand_in.writes.clear()
    again = Report()
    provision_security(server, again, tmp_path / "key")
    assert states(again) == {"unchanged"}
    assert stand_in.writes == []
    assert "secret" not in capsys.readouterr().out


def test_a_wrong_password_is_one_line(stand_in: StandIn) -> None:
    with pytest.raises(ElasticError, match="HTTP 401: unable to authenticate"):
        provision_kibana(Elastic(stand_in.url, basic("elastic", "wrong")), Report(), 0.5)


def test_the_lifecycle_names_the_policy_where_there_is_one(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_DAYS", "7")
    server = Elastic(stand_in.url, basic("elastic", "admin"))
    assert provision._lifecycle(server, Report())
    assert stand_in.kept[f"/_ilm/policy/{POLICY}"]["policy"]["phases"]["delete"]["min_age"] == "7d"


@pytest.mark.parametrize("days", ["0", "-1", "a week"])
def test_a_retention_that_is_no_number_of_days_says_so(
    days: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_DAYS", days)
    with pytest.raises(Exception, match=r"RETENTION_DAYS=.* whole number of days"):
        provision._lifecycle(Elastic("http://127.0.0.1:1"), Report())
