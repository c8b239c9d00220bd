"""The whole stack under docker compose, with Elastic's own servers; runs in CI.

Needs cola:api (docker build --target api -t cola:api .) and, but for the API alone, the images of
docker-compose.yml. Where these cannot be pulled the tests are skipped, except in GitHub Actions.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from drift.sentences import read_sentences, sentences
from drift.simulate import Client, send_all
from errors import ElasticError
from monitoring.elastic import Elastic
from monitoring.kibana_objects import HEADERS, read
from monitoring.signers import basic
from tests.helpers.net import wait_until
from tests.helpers.passwords import make_env
from tests.helpers.paths import ROOT

pytestmark = [pytest.mark.container, pytest.mark.timeout(1500)]

COUNT = 200
"""The predictions that are made."""

COLA_RULES = "/api/alerting/rules/_find?per_page=50&filter=alert.attributes.tags:cola"
ARTIFACTS = ROOT / "artifacts"
SCREENSHOT = ARTIFACTS / "dashboard.png"

Compose = Callable[..., str]
"""Takes arguments of ``docker compose``; returns what it prints."""


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run ``make env`` for a file of the test's own; ``ENV_FILE`` is its path."""
    path = tmp_path_factory.mktemp("compose") / "env"
    return {"ENV_FILE": str(path), **make_env(path)}


@pytest.fixture(scope="module")
def compose(passwords: dict[str, str]) -> Compose:
    """Return what runs ``docker compose`` in a project of the test's own."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")

    project = ["-p", "cola-monitoring-test", "--env-file", passwords["ENV_FILE"]]
    command = ["docker", "compose", *project]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert done.returncode == 0, (
            f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
        )
        return done.stdout

    try:
        run("pull", "--quiet", "elasticsearch", "kibana", "filebeat")
    except AssertionError as error:
        if os.environ.get("GITHUB_ACTIONS"):
            raise
        pytest.skip(f"the images cannot be pulled: {str(error)[-200:]}")
    return run


@pytest.fixture(scope="module")
def stack(compose: Compose) -> Iterator[Compose]:
    """Start everything, wait until it is healthy, and take it down with its volumes at the end."""
    try:
        compose("up", "--wait", "--wait-timeout", "900")
        yield compose
    finally:
        ARTIFACTS.mkdir(exist_ok=True)
        log = compose("logs", "--no-color")
        (ARTIFACTS / "monitoring.log").write_text(log, encoding="utf-8")
        compose("down", "--volumes", "--timeout", "30")


@pytest.fixture(scope="module")
def elasticsearch(stack: Compose, passwords: dict[str, str]) -> Elastic:
    return Elastic("http://127.0.0.1:9200", basic("elastic", passwords["ELASTIC_PASSWORD"]))


@pytest.fixture(scope="module")
def kibana(stack: Compose, passwords: dict[str, str]) -> Elastic:
    login = basic("elastic", passwords["ELASTIC_PASSWORD"])
    return Elastic("http://127.0.0.1:5601", login, HEADERS)


def hits(elasticsearch: Elastic) -> int:
    """Return how many predictions are in the index."""
    elasticsearch.request("POST", "/cwl-*/_refresh")
    query = {"query": {"term": {"event": "prediction"}}}
    return int(elasticsearch.request("POST", "/cwl-*/_count", query)["count"])


@pytest.fixture(scope="module")
def predicted(stack: Compose, elasticsearch: Elastic) -> list[str]:
    """Make COUNT predictions, wait until they are in Elasticsearch, and return their sentences."""
    normal = read_sentences(ROOT / "corpus")
    sent = list(islice(sentences("normal", normal), COUNT))
    times = send_all(Client("http://127.0.0.1:8000"), iter(sent), COUNT, rate=50)
    assert None not in times

    wait_until(lambda: hits(elasticsearch) == COUNT, seconds=120, pause=1)
    return sent


def test_without_passwords_the_api_starts_alone_and_says_so() -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")

    command = ["docker", "compose", "-p", "cola-alone-test", "--env-file", os.devnull]

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout

    try:
        run("up", "--wait", "--no-build")
        assert run("ps", "--services").split() == ["api"]
        Elastic("http://127.0.0.1:8000").request("GET", "/health")
        assert "only the API starts" in run("logs", "--no-log-prefix", "prepare")
    finally:
        # Shown if the test fails.
        print(run("logs"))
        run("down", "--volumes", "--timeout", "10")


def test_a_second_provisioning_changes_nothing(stack: Compose) -> None:
    printed = stack("run", "--rm", "-T", "provision")

    states = {
        line.split()[0]
        for line in printed.splitlines()
        if line and not line.startswith("dashboard:")
    }
    assert states == {"unchanged"}, printed
    assert "dashboard: http://127.0.0.1:5601/app/dashboards#/view/cola" in printed


def test_every_prediction_is_there_once_with_all_its_fields(
    predicted: list[str], elasticsearch: Elastic
) -> None:
    # If something came twice, it would have come by then.
    time.sleep(5)
    assert hits(elasticsearch) == COUNT

    query = {"size": COUNT, "_source": ["text", "service"]}
    answer = elasticsearch.request("POST", "/cwl-*/_search", query)
    sources = [hit["_source"] for hit in answer["hits"]["hits"] if "text" in hit["_source"]]
    assert sorted(source["text"] for source in sources) == sorted(predicted)

    by_label = {"size": 0, "aggs": {"labels": {"terms": {"field": "prediction.label.keyword"}}}}
    answer = elasticsearch.request("POST", "/cwl-*/_search", by_label)
    buckets = answer["aggregations"]["labels"]["buckets"]
    assert sum(bucket["doc_count"] for bucket in buckets) == COUNT


def test_filebeats_user_can_neither_read_nor_delete(
    predicted: list[str], passwords: dict[str, str]
) -> None:
    writer = Elastic("http://127.0.0.1:9200", basic("cola_writer", passwords["WRITER_PASSWORD"]))
    for method, path in (
        ("GET", "/cwl-*/_search"),
        ("DELETE", "/cwl-2026.01.01"),
        ("GET", "/drift-*/_search"),
    ):
        with pytest.raises(ElasticError, match="HTTP 403"):
            writer.request(method, path)


def test_kibana_gives_back_what_was_provisioned(kibana: Elastic) -> None:
    for view in read("data_views.json"):
        kept = kibana.request("GET", f"/api/data_views/data_view/{view['id']}")["data_view"]
        assert {name: kept.get(name) for name in view} == view

    dashboard = kibana.request("GET", "/api/dashboards/cola")["data"]
    assert [panel["type"] for panel in dashboard["panels"]] == [
        panel["type"] for panel in read("dashboard.json")["panels"]
    ]

    rules = kibana.request("GET", COLA_RULES)
    assert rules["total"] == 3
    assert all(rule["enabled"] for rule in rules["data"])


def test_the_queries_of_the_rules_run(predicted: list[str], elasticsearch: Elastic) -> None:
    for rule in read("rules.json")["rules"]:
        query = rule["params"]["esqlQuery"]["esql"].replace("${limit}", "0.5")
        assert elasticsearch.request("POST", "/_query", {"query": query})["columns"]


def test_no_rule_has_an_error(kibana: Elastic) -> None:
    def outcomes() -> set[str]:
        rules = kibana.request("GET", COLA_RULES)["data"]
        return {rule["execution_status"]["status"] for rule in rules}

    deadline = time.monotonic() + 420
    while outcomes() & {"pending", "unknown"} and time.monotonic() < deadline:
        time.sleep(5)

    assert outcomes() <= {"ok", "active"}


def test_the_dashboard_can_be_looked_at(predicted: list[str], passwords: dict[str, str]) -> None:
    """Panels that failed say so on the page; the picture is kept for people."""
    playwright = pytest.importorskip("playwright.sync_api")
    browser_path = shutil.which("google-chrome") or shutil.which("chromium")
    if browser_path is None:
        pytest.skip("no Chrome or chromium on PATH")

    failed = '[data-test-subj="embeddableStackError"], [data-test-subj="embeddableError"]'
    SCREENSHOT.parent.mkdir(exist_ok=True)
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 2600})

        page.goto("http://127.0.0.1:5601/login?next=%2Fapp%2Fdashboards%23%2Fview%2Fcola")
        page.locator('[data-test-subj="loginUsername"]').fill("elastic")
        page.locator('[data-test-subj="loginPassword"]').fill(passwords["ELASTIC_PASSWORD"])
        page.locator('[data-test-subj="loginSubmit"]').click()

        # Panels are drawn one after another.
        page.wait_for_selector("text=Predictions per label", timeout=120_000)
        page.wait_for_timeout(20_000)
        page.screenshot(path=str(SCREENSHOT))
        errors = page.locator(failed).count()
        browser.close()

    assert SCREENSHOT.stat().st_size > 50_000
    assert errors == 0


def test_data_survive_down_and_up(
    predicted: list[str], stack: Compose, elasticsearch: Elastic
) -> None:
    stack("down", "--timeout", "60")
    stack("up", "--wait", "--wait-timeout", "900")

    # By then Filebeat has seen the old log again.
    time.sleep(10)
    assert hits(elasticsearch) == COUNT
