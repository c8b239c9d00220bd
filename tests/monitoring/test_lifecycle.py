"""Old predictions are deleted, by whatever the server has for it, or provisioning fails."""

import json
import re
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from errors import ConfigError, ElasticError
from monitoring import provision
from monitoring.elastic import Elastic
from monitoring.lifecycle import provision_lifecycle
from monitoring.provision import provision_elasticsearch
from monitoring.steps import Report
from tests.helpers.search_domain import Engine, SearchDomain
from tests.helpers.search_lifecycles import LifecycleServer, make_index
from tests.helpers.servers import FaultyProxy


@pytest.fixture(autouse=True)
def retention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETENTION_DAYS", raising=False)


def changed(report: Report) -> list[str]:
    return [what for what, state in report.steps if state != "unchanged"]


# --- An Amazon domain ------------------------------------------------------------------------

on_opensearch = pytest.mark.parametrize("running_server", ["opensearch"], indirect=True)


@on_opensearch
def test_make_provision_works_on_a_domain_and_changes_nothing_the_second_time(
    domain: SearchDomain,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its proxy answers 401 to what Elasticsearch alone has: this is not a wrong password."""
    monkeypatch.setenv("ELASTICSEARCH_URL", domain.url)
    monkeypatch.setenv("KIBANA_URL", domain.url + engine.dashboards)
    monkeypatch.setattr("sys.argv", ["provision"])

    provision.main()
    assert set(domain.policies) == {"cola-retention", "cola-drift-retention"}
    assert "cola" in domain.imported
    assert f"dashboard: {domain.url}{engine.dashboards}/app" in capsys.readouterr().out

    before, indices = dict(domain.policies), dict(domain.managed)
    provision.main()
    states = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line}
    assert states == {"unchanged", "imported", "dashboard:"}
    assert (domain.policies, domain.managed) == (before, indices)


@on_opensearch
def test_indices_of_before_are_deleted_too(
    domain: SearchDomain, running_server: Elastic, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_server.request("PUT", "/cwl-2026.01.01")
    running_server.request("PUT", "/drift-2026.01")
    running_server.request("PUT", "/other")

    provision_lifecycle(Elastic(domain.url), Report())
    expected = {"cwl-2026.01.01": "cola-retention", "drift-2026.01": "cola-drift-retention"}
    assert domain.managed == expected

    # A changed policy is not that of the indices that have it, until they are told.
    domain.writes.clear()
    monkeypatch.setenv("RETENTION_DAYS", "7")
    report = Report()
    provision_lifecycle(Elastic(domain.url), report)
    assert [what.split(":")[0] for what in changed(report)] == [
        "state management",
        "state management of the existing cwl-*",
    ]
    assert any("/change_policy/cwl-*" in write for write in domain.writes)


@on_opensearch
def test_an_index_that_cannot_get_the_policy_is_an_error(
    domain: SearchDomain, running_server: Elastic
) -> None:
    running_server.request("PUT", "/cwl-2026.01.01")

    refused = {"index_name": "cwl-2026.01.01", "reason": "Failed to add policy"}
    domain._attach = lambda *arguments: {  # type: ignore[method-assign]
        "updated_indices": 0,
        "failed_indices": [refused],
    }
    with pytest.raises(ElasticError, match=r"cwl-2026\.01\.01 did not get .*Failed to add policy"):
        provision_lifecycle(Elastic(domain.url), Report())


# --- Elasticsearch ---------------------------------------------------------------------------


on_elasticsearch = pytest.mark.parametrize("running_server", ["elasticsearch"], indirect=True)


@on_elasticsearch
def test_new_and_old_indices_name_their_policy(
    bare_server: Elastic, lifecycles: LifecycleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drift checks hold no text; deleting their month after RETENTION_DAYS would lose new ones."""
    monkeypatch.setenv("RETENTION_DAYS", "7")
    make_index(bare_server, "cwl-2026.01.01", "prediction")
    make_index(bare_server, "drift-2026.01", "verdict")

    provision_elasticsearch(Elastic(lifecycles.url), Report())
    bare_server.request("PUT", "/cwl-2026.01.02")

    named = lifecycles.named()
    assert {named[index] for index in named if index.startswith("cwl-")} == {"cola-retention"}
    assert named["cwl-2026.01.01"] == named["cwl-2026.01.02"] == "cola-retention"
    assert named["drift-2026.01"] == "cola-drift-retention"
    assert named["cola-reference"] is None

    ages = {
        name: policy["policy"]["phases"]["delete"]["min_age"]
        for name, policy in lifecycles.policies.items()
    }
    assert ages == {"cola-retention": "7d", "cola-drift-retention": "400d"}

    # ``_meta`` in a policy came with 7.14, and older servers refuse it.
    assert set(lifecycles.policies["cola-retention"]["policy"]) == {"phases"}

    again = Report()
    provision_elasticsearch(Elastic(lifecycles.url), again)
    assert changed(again) == []


# --- A server that has neither ---------------------------------------------------------------


def test_a_server_that_cannot_delete_predictions_is_an_error(running_server: Elastic) -> None:
    with pytest.raises(ElasticError, match="cannot delete old predictions.*RETENTION_DAYS=none"):
        provision_lifecycle(running_server, Report())


def test_predictions_are_kept_where_somebody_says_so(
    running_server: Elastic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_DAYS", "none")

    report = Report()
    assert provision_lifecycle(running_server, report) == {}
    assert "delete old predictions yourself" in report.steps[0][0]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"error": "no handler found for uri [/_ilm/policy/cola-retention] and method [PUT]"}),
        (400, {"error": {"reason": "Invalid index name [_ilm], must not start with '_'"}}),
        (401, {"Message": "Your request: '/_ilm/policy/cola-retention' is not allowed."}),
        (405, {"error": "Incorrect HTTP method for uri"}),
    ],
    ids=["OpenSearch", "Elasticsearch OSS 7.10", "Amazon", "Elasticsearch"],
)
def test_what_servers_say_to_an_api_that_they_do_not_have(
    httpserver: HTTPServer, status: int, answer: dict[str, Any]
) -> None:
    """It is neither a wrong password nor a wrong policy: the next API is tried, and the next."""
    proxy = FaultyProxy(httpserver, target="http://127.0.0.1:1")
    proxy.fault = lambda path, body: (status, json.dumps(answer).encode())

    with pytest.raises(ElasticError, match="cannot delete old predictions"):
        provision_lifecycle(Elastic(proxy.url), Report())
    assert proxy.requests >= 3


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "Invalid field: [ism_template] found in Policy"),
        (401, "unable to authenticate user"),
        (403, "action [indices:admin/ilm/put] is unauthorized for user [somebody]"),
    ],
)
def test_a_policy_that_is_refused_is_an_error(
    httpserver: HTTPServer, status: int, reason: str
) -> None:
    """Otherwise personal text is kept for ever, and nobody notices."""
    proxy = FaultyProxy(httpserver, target="http://127.0.0.1:1")
    proxy.fault = lambda path, body: (status, json.dumps({"error": {"reason": reason}}).encode())

    with pytest.raises(ElasticError, match=re.escape(reason)):
        provision_lifecycle(Elastic(proxy.url), Report())


@pytest.mark.parametrize("days", ["0", "-1", "a week"])
def test_a_retention_that_is_no_number_of_days_says_so(
    days: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_DAYS", days)

    with pytest.raises(ConfigError, match=r"RETENTION_DAYS=.* whole number of days"):
        provision_lifecycle(Elastic("http://127.0.0.1:1"), Report())
