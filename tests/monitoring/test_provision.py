"""Provisioning: a second run changes nothing, a change is written, what a server lacks is said.

Elasticsearch's part runs against the two servers. Kibana and Elasticsearch's security API run in CI
only, so here a stand-in keeps what it is sent and answers in their form.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from errors import ConfigError, ElasticError
from monitoring.elastic import Elastic
from monitoring.kibana_objects import provision_kibana, read, read_dashboard
from monitoring.provision import provision_elasticsearch
from monitoring.reference import ReferenceModel
from monitoring.security import WRITER_ROLE, provision_security
from monitoring.signers import basic
from monitoring.steps import Report, covers
from tests.helpers.paths import ROOT
from tests.helpers.reference import DISTRIBUTIONS, REFERENCE
from tests.helpers.servers import search
from tests.helpers.stand_in import StandIn


def states(report: Report) -> set[str]:
    """Return the states that the steps are in."""
    return {state for _, state in report.steps}


def changed(report: Report) -> list[str]:
    """Return what was not as it should be."""
    return [what for what, state in report.steps if state not in ("unchanged", "skipped")]


# --- Elasticsearch ---------------------------------------------------------------------------


def provision(server: Elastic, reference: ReferenceModel | None = None) -> Report:
    report = Report()
    provision_elasticsearch(server, report, reference)
    return report


def test_a_second_run_changes_nothing(server: Elastic) -> None:
    provision(server, REFERENCE)
    assert states(provision(server, REFERENCE)) <= {"unchanged", "skipped"}


def test_a_template_that_differs_is_written_again(server: Elastic) -> None:
    path = "/_index_template/cola-drift"
    template = server.request("GET", path)["index_templates"][0]["index_template"]
    del template["template"]["mappings"]["properties"]["verdict"]
    server.request("PUT", path, template)

    first = provision(server)
    assert [what for what, state in first.steps if state == "updated"] == [
        "index template cola-drift"
    ]
    assert states(provision(server)) <= {"unchanged", "skipped"}


def test_the_first_indices_have_the_templates_mapping(server: Elastic) -> None:
    provision(server)

    ((name, index),) = server.request("GET", "/cwl-*/_mapping").items()
    assert re.fullmatch(r"cwl-\d{4}\.\d\d\.\d\d", name)
    assert index["mappings"]["properties"]["prediction"]["properties"]["score"]["type"] == "float"


def test_the_reference_histogram_is_that_of_the_model_given_last(server: Elastic) -> None:
    provision(server, ReferenceModel("aaaaaaaaaaaa", DISTRIBUTIONS))
    provision(server, REFERENCE)

    hits = search(server, {"size": 100}, "cola-reference")["hits"]["hits"]
    documents = [hit["_source"] for hit in hits]
    documents.sort(key=lambda document: document["reference"]["center"])

    histogram = DISTRIBUTIONS.score_histogram
    centers = [document["reference"]["center"] for document in documents]
    assert centers == pytest.approx([edge + 0.025 for edge in histogram.edges[:-1]])
    shares = [document["reference"]["share"] for document in documents]
    assert shares == pytest.approx(histogram.shares)
    assert {document["model"]["version"] for document in documents} == {REFERENCE.version}


def test_covers_ignores_what_a_server_adds_and_how_it_spells() -> None:
    assert covers({"a": "1", "b": {"c": "true", "d": 0}, "e": 2}, {"a": 1, "b": {"c": True}})
    assert not covers({"a": "1"}, {"a": 2})
    assert not covers({"a": "1"}, {"b": 1})
    assert not covers({"a": [1, 2]}, {"a": [1]})
    assert not covers(None, {"a": 1})


# --- Kibana ----------------------------------------------------------------------------------


@pytest.fixture
def stand_in(httpserver: HTTPServer) -> StandIn:
    return StandIn(httpserver)


def administrator(stand_in: StandIn) -> Elastic:
    return Elastic(stand_in.url, basic("elastic", "admin"))


def kibana(stand_in: StandIn, limit: float = 0.5) -> Report:
    report = Report()
    provision_kibana(administrator(stand_in), report, limit)
    return report


def test_kibana_is_provisioned_once(stand_in: StandIn) -> None:
    first = kibana(stand_in)
    assert states(first) == {"created"}

    data_views, rules = 4, 3
    dashboard, connector = 1, 1
    assert len(first.steps) == data_views + dashboard + connector + rules
    assert all(headers["Kbn-Xsrf"] == "true" for headers in stand_in.headers)

    stand_in.writes.clear()
    assert states(kibana(stand_in)) == {"unchanged"}
    assert stand_in.writes == []


def test_what_changed_in_kibana_is_written_again(stand_in: StandIn) -> None:
    kibana(stand_in)
    stand_in.kept["/api/dashboards/cola"]["panels"].pop()
    stand_in.writes.clear()

    assert changed(kibana(stand_in)) == ["dashboard cola"]
    assert stand_in.writes == ["PUT /api/dashboards/cola"]
    assert stand_in.kept["/api/dashboards/cola"] == read_dashboard(0.5)


def test_an_object_that_kibana_keeps_in_its_own_form_is_unchanged(stand_in: StandIn) -> None:
    """It never reads as it was written; what counts is that writing it again changed nothing."""

    def rewrite(path: str, content: dict[str, Any]) -> None:
        if path == "/api/dashboards/cola":
            content["time_range"] = {"from": "now-60m", "to": "now"}

    stand_in.amend = rewrite
    kibana(stand_in)
    assert states(kibana(stand_in)) == {"unchanged"}

    stand_in.kept["/api/dashboards/cola"]["panels"].pop()
    assert changed(kibana(stand_in)) == ["dashboard cola"]


def test_rule_and_dashboard_take_the_low_confidence_limit_from_the_model(
    stand_in: StandIn,
) -> None:
    limit = REFERENCE.low_confidence_limit
    assert limit > DISTRIBUTIONS.low_confidence_share
    kibana(stand_in, limit)

    panels = {panel["id"]: panel["config"] for panel in read_dashboard(limit)["panels"]}
    assert stand_in.kept["/api/dashboards/cola"]["panels"] == list(read_dashboard(limit)["panels"])
    assert panels["low-confidence"]["layers"][1]["thresholds"][0]["value"] == limit
    (figure,) = panels["low-confidence-now"]["metrics"]
    assert figure["subtitle"] == f"alarm above {100 * limit:g} %"
    assert figure["color"]["steps"][1]["gte"] == limit

    rules = [kept for path, kept in stand_in.kept.items() if path.startswith("/api/alerting/rule/")]
    (rule,) = [rule for rule in rules if "Low-confidence" in rule["name"]]
    query = rule["params"]["esqlQuery"]["esql"]
    assert f"share > {REFERENCE.low_confidence_limit}" in query

    kibana(stand_in, 0.9)
    assert stand_in.writes[-1].startswith("PUT /api/alerting/rule/")


def test_every_rule_tells_of_its_start_and_its_end() -> None:
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    wanted = read("rules.json")

    for rule in wanted["rules"]:
        assert re.fullmatch(uuid, rule["id"])
        assert [action["group"] for action in rule["actions"]] == ["query matched", "recovered"]
        assert {action["id"] for action in rule["actions"]} == {wanted["connector"]["id"]}
        assert rule["params"]["threshold"] == [0]
        assert rule["params"]["thresholdComparator"] == ">"


def test_an_alert_says_how_much_where_to_look_and_what_to_do() -> None:
    """``context.value`` would be the number of rows that the query found: 1 or 0."""
    for rule in read("rules.json")["rules"]:
        query = rule["params"]["esqlQuery"]["esql"]
        columns = set(re.findall(r"(\w+) = ", query))
        fired, recovered = (action["params"]["documents"][0] for action in rule["actions"])

        figures = set(re.findall(r"{{_source\.(\w+)}}", fired["message"] + fired["value"]))
        assert figures <= columns
        assert "total" not in columns or {"total", "percent", "since", "share"} <= figures
        assert "context.value" not in json.dumps([fired, recovered])

        # Nothing is found any more when a rule recovers, so there is no row to take figures from.
        assert "_source" not in json.dumps(recovered)
        assert fired["link"] == recovered["link"] == "{{context.link}}"

        path, _, heading = fired["what_to_do"].partition(", ")
        chapter = (ROOT / path).read_text(encoding="utf-8")
        assert f"\n## {heading.strip(chr(39))}\n" in chapter
        assert f"| {rule['name'].split(' above')[0]}" in chapter


def test_a_rule_whose_key_cannot_be_read_any_more_gets_a_new_one(stand_in: StandIn) -> None:
    """Kibana has another encryption key than before: the rule looks right, and never runs."""
    kibana(stand_in)
    dead = f"/api/alerting/rule/{read('rules.json')['rules'][0]['id']}"
    reason = {"reason": "decrypt", "message": 'Unable to decrypt attribute "apiKey"'}
    stand_in.kept[dead]["execution_status"] = {"status": "error", "error": reason}
    stand_in.writes.clear()

    assert len(changed(kibana(stand_in))) == 1
    assert stand_in.writes == [f"POST {dead}/_update_api_key"]

    # Any other error is not for a new key to mend.
    stand_in.writes.clear()
    stand_in.kept[dead]["execution_status"]["error"] = {"reason": "execute", "message": "no index"}
    assert changed(kibana(stand_in)) == []
    assert stand_in.writes == []


@pytest.mark.parametrize("version", ["7.10.2", "8.12.2", "9.4.1", "3.1.0"])
def test_an_old_kibana_gets_the_saved_objects(stand_in: StandIn, version: str) -> None:
    """And so does OpenSearch Dashboards, 3.1."""
    stand_in.version = version
    kibana(stand_in)

    assert stand_in.writes == ["POST /api/saved_objects/_import?overwrite=true"]
    assert stand_in.kept["cola"]["attributes"]["title"] == "CoLA predictions"
    assert {"cwl", "cola-predictions", "cola-latency"} <= set(stand_in.kept)


# --- Users and passwords ---------------------------------------------------------------------


def test_the_writer_may_create_documents_and_nothing_else(
    stand_in: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WRITER_PASSWORD", "w-secret")
    monkeypatch.setenv("KIBANA_SYSTEM_PASSWORD", "k-secret")
    server, key = administrator(stand_in), tmp_path / "key"

    provision_security(server, Report(), key)
    assert stand_in.kept["/_security/role/cola_writer"] == WRITER_ROLE
    assert WRITER_ROLE["indices"] == [
        {"names": ["cwl-*"], "privileges": ["create_doc", "auto_configure"]}
    ]
    assert stand_in.passwords["cola_writer"] == "w-secret"
    assert stand_in.passwords["kibana_system"] == "k-secret"
    assert key.read_text(encoding="utf-8") == "a2V5\n"
    assert key.stat().st_mode & 0o777 == 0o600

    stand_in.writes.clear()
    second = Report()
    provision_security(server, second, key)
    assert states(second) == {"unchanged"}
    assert stand_in.writes == []
    assert "secret" not in capsys.readouterr().out


def test_no_key_is_made_that_could_not_be_written(stand_in: StandIn, tmp_path: Path) -> None:
    """Elasticsearch would keep it for ever, and nobody would know it."""
    key = tmp_path / "missing" / "key"
    with pytest.raises(ConfigError, match=r"--key-file .*key: No such file or directory: name a"):
        provision_security(administrator(stand_in), Report(), key)
    assert "POST /_security/api_key" not in stand_in.writes


def test_no_file_stays_for_a_key_that_was_refused(stand_in: StandIn, tmp_path: Path) -> None:
    key = tmp_path / "key"
    server = Refusing(stand_in.url, basic("elastic", "admin"))
    with pytest.raises(ElasticError, match="no keys here"):
        provision_security(server, Report(), key)
    assert not key.exists()


class Refusing(Elastic):
    """A server that makes no API keys, as OpenSearch."""

    def request(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        if path == "/_security/api_key":
            raise ElasticError("no keys here", 400)
        return super().request(method, path, *args, **kwargs)


def test_a_wrong_password_is_one_line(stand_in: StandIn) -> None:
    with pytest.raises(ElasticError, match="HTTP 401: unable to authenticate"):
        provision_kibana(Elastic(stand_in.url, basic("elastic", "wrong")), Report(), 0.5)
