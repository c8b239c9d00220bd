"""Indices that are there already: other people's are left alone, ours follow the settings."""

from datetime import UTC, datetime
from typing import Any

import pytest

from errors import ElasticError
from monitoring.elastic import Elastic
from monitoring.provision import provision_elasticsearch
from monitoring.steps import Report
from tests.helpers.search_domain import SearchDomain
from tests.helpers.search_lifecycles import LifecycleServer, make_index
from tests.helpers.subscription import PREDICTION

OURS = {"cwl-2026.01.01": "prediction", "drift-2026.01": "verdict"}
"""Indices of an earlier month, and a field that each of them has."""

on_elasticsearch = pytest.mark.parametrize("running_server", ["elasticsearch"], indirect=True)
on_opensearch = pytest.mark.parametrize("running_server", ["opensearch"], indirect=True)


@pytest.fixture(autouse=True)
def retention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETENTION_DAYS", raising=False)


def provision(url: str) -> dict[str, str]:
    """Return the state of everything that was provisioned."""
    report = Report()
    provision_elasticsearch(Elastic(url), report)
    return dict(report.steps)


def templates(server: Elastic) -> list[Any]:
    found: list[Any] = server.request("GET", "/_index_template")["index_templates"]
    return found


# --- Other people's --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "field"), [("cwl-2026.01.01", "@message"), ("drift-2026.01", "prediction")]
)
@pytest.mark.parametrize("days", ["30", "none"])
def test_indices_of_another_program_are_not_touched(
    bare_server: Elastic, monkeypatch: pytest.MonkeyPatch, index: str, field: str, days: str
) -> None:
    """Amazon's own subscription function writes cwl-YYYY.MM.DD for every log group."""
    monkeypatch.setenv("RETENTION_DAYS", days)
    make_index(bare_server, index, field)

    with pytest.raises(ElasticError, match=f"{index} .*give .* a server of their own") as caught:
        provision(bare_server.url)
    assert "\n" not in str(caught.value)
    assert templates(bare_server) == []


@on_elasticsearch
def test_an_index_keeps_the_lifecycle_that_somebody_gave_it(
    bare_server: Elastic, lifecycles: LifecycleServer
) -> None:
    for index, field in OURS.items():
        make_index(bare_server, index, field)
    bare_server.request("PUT", "/drift-2026.01/_settings", {"index.lifecycle.name": "theirs"})

    with pytest.raises(ElasticError, match=r"drift-2026\.01 .* theirs.*RETENTION_DAYS=none"):
        provision(lifecycles.url)
    assert lifecycles.named() == {"cwl-2026.01.01": None, "drift-2026.01": "theirs"}
    assert lifecycles.policies == {}
    assert templates(bare_server) == []


@on_opensearch
def test_an_index_keeps_the_state_management_that_somebody_gave_it(
    bare_server: Elastic, domain: SearchDomain
) -> None:
    make_index(bare_server, "cwl-2026.01.01", "prediction")
    domain.managed["cwl-2026.01.01"] = "theirs"

    with pytest.raises(ElasticError, match=r"cwl-2026\.01\.01 .* theirs.*RETENTION_DAYS=none"):
        provision(domain.url)
    assert domain.managed == {"cwl-2026.01.01": "theirs"}
    assert domain.writes == []
    assert templates(bare_server) == []


@on_elasticsearch
def test_whoever_deletes_by_themselves_keeps_their_policy(
    bare_server: Elastic, lifecycles: LifecycleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the error above says works."""
    monkeypatch.setenv("RETENTION_DAYS", "none")
    make_index(bare_server, "cwl-2026.01.01", "prediction")
    bare_server.request("PUT", "/cwl-2026.01.01/_settings", {"index.lifecycle.name": "theirs"})

    provision(lifecycles.url)
    assert lifecycles.named()["cwl-2026.01.01"] == "theirs"


# --- Ours ------------------------------------------------------------------------------------


def test_an_index_that_came_before_its_template_is_told(
    bare_server: Elastic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took its mapping from the first line, in which a model's version is text, for example."""
    monkeypatch.setenv("RETENTION_DAYS", "none")
    today = f"{datetime.now(UTC):cwl-%Y.%m.%d}"
    bare_server.request("PUT", f"/{today}/_doc/1?refresh=true", PREDICTION)

    for _ in range(2):
        states = provision(bare_server.url)
        (told,) = [what for what in states if today in what]
        assert states[told] == "wrong"
        assert "delete it" in told
        assert "index cwl-*" not in states

    bare_server.request("DELETE", f"/{today}")
    assert provision(bare_server.url)[f"index {today}"] == "created"
    assert provision(bare_server.url)["index cwl-*"] == "unchanged"


@on_elasticsearch
def test_without_a_retention_no_index_follows_a_lifecycle_any_more(
    bare_server: Elastic, lifecycles: LifecycleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, field in OURS.items():
        make_index(bare_server, index, field)
    provision(lifecycles.url)
    assert set(lifecycles.named().values()) == {"cola-retention", "cola-drift-retention", None}

    monkeypatch.setenv("RETENTION_DAYS", "none")
    assert provision(lifecycles.url)["index template cola-cwl"] == "updated"
    assert set(lifecycles.named().values()) == {None}
    assert lifecycles.policies == {}
    assert "retention" not in str(templates(bare_server))

    assert set(provision(lifecycles.url).values()) == {"unchanged", "skipped"}


@on_opensearch
def test_without_a_retention_no_index_is_managed_any_more(
    bare_server: Elastic, domain: SearchDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, field in OURS.items():
        make_index(bare_server, index, field)
    provision(domain.url)
    assert set(domain.managed.values()) == {"cola-retention", "cola-drift-retention"}

    monkeypatch.setenv("RETENTION_DAYS", "none")
    provision(domain.url)
    assert domain.managed == {}
    assert domain.policies == {}

    assert set(provision(domain.url).values()) == {"unchanged", "skipped"}


@on_opensearch
def test_an_index_that_keeps_its_policy_is_an_error(
    bare_server: Elastic, domain: SearchDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be deleted, though somebody has said that it must not."""
    make_index(bare_server, "cwl-2026.01.01", "prediction")
    provision(domain.url)

    monkeypatch.setenv("RETENTION_DAYS", "none")
    refused = {"updated_indices": 0, "failures": True, "failed_indices": [{"reason": "blocked"}]}
    monkeypatch.setattr(domain, "_remove", lambda index: refused)
    with pytest.raises(ElasticError, match="still follows cola-retention.*blocked.*again"):
        provision(domain.url)
