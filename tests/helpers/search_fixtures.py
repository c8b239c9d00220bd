"""Fixtures of the monitoring tests: servers.py's servers, bare or with our index templates."""

from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer

from monitoring.elastic import Elastic
from monitoring.provision import provision_elasticsearch
from monitoring.steps import Report
from tests.helpers.net import free_port
from tests.helpers.search_domain import ELASTICSEARCH, OPENSEARCH, Engine, SearchDomain
from tests.helpers.search_lifecycles import LifecycleServer
from tests.helpers.servers import SERVERS, FaultyProxy, search_server


@pytest.fixture(scope="session", params=SERVERS)
def running_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Elastic]:
    """Yield each of the two servers in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    with search_server(request.param, free_port(), folder) as server:
        yield server


@pytest.fixture
def server(running_server: Elastic, monkeypatch: pytest.MonkeyPatch) -> Iterator[Elastic]:
    """Yield one of the two servers, provisioned and without documents."""
    # Neither of them can delete old indices.
    monkeypatch.setenv("RETENTION_DAYS", "none")
    provision_elasticsearch(running_server, Report())
    yield running_server
    delete_indices(running_server)


@pytest.fixture
def bare_server(running_server: Elastic) -> Iterator[Elastic]:
    """Yield one of the two servers as it comes: without indices and templates."""
    for template in running_server.request("GET", "/_index_template")["index_templates"]:
        running_server.request("DELETE", f"/_index_template/{template['name']}")
    yield running_server
    delete_indices(running_server)


def delete_indices(server: Elastic) -> None:
    for index in server.request("GET", "/_cat/indices?format=json"):
        server.request("DELETE", f"/{index['index']}")


@pytest.fixture(params=[ELASTICSEARCH, OPENSEARCH], ids=["7.10", "OpenSearch"])
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.param
    return chosen


@pytest.fixture
def domain(bare_server: Elastic, httpserver: HTTPServer, engine: Engine) -> SearchDomain:
    """Return a domain of either engine without indices and templates."""
    return SearchDomain(httpserver, bare_server, engine)


@pytest.fixture
def lifecycles(bare_server: Elastic, httpserver: HTTPServer) -> LifecycleServer:
    """Return a server with lifecycles, without indices and templates."""
    return LifecycleServer(httpserver, bare_server)


@pytest.fixture
def proxy(server: Elastic, httpserver: HTTPServer) -> FaultyProxy:
    """Return a proxy in front of ``server`` that behaves until a test changes it."""
    return FaultyProxy(httpserver, server.url)
