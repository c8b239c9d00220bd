"""``make env``: the passwords that docker compose needs, random, readable by their owner only."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from serving.settings import Settings
from tests.helpers.passwords import make_env
from tests.helpers.paths import ROOT


def test_every_secret_of_the_compose_file_is_written(tmp_path: Path) -> None:
    values = make_env(tmp_path / "env")

    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert values.pop("COMPOSE_PROFILES") == "monitoring"
    assert set(values) == set(re.findall(r"\$\{(\w+_(?:PASSWORD|KEY)):-\}", compose)) - {"API_KEY"}
    assert all(re.fullmatch(r"[0-9a-z]{32}", value) for value in values.values())
    assert len(set(values.values())) == len(values)
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600


def test_what_predicts_needs_neither_passwords_nor_the_profile() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    always = {name: service for name, service in services.items() if "profiles" not in service}

    assert set(always) == {"api", "prepare"}
    assert set(always["api"]["depends_on"]) == {"prepare"}
    assert "_PASSWORD" not in json.dumps(always)


def test_every_setting_of_the_api_can_be_given_in_the_env_file() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    given = services["api"]["environment"]
    passed = {name for name, value in given.items() if value.startswith(f"${{{name}:-")}

    # The image and the volume decide these.
    fixed = {"MODEL_PATH", "HOST", "PORT", "LOG_FILE"}
    names = {field.name.upper() for field in fields(Settings)} - {"THREADS"} | {"COLA_THREADS"}
    assert passed == names - fixed

    blank = {name: "" for name in passed if given[name] == f"${{{name}:-}}"}
    assert Settings.from_environment(blank) == Settings.from_environment({})


def test_make_up_first_writes_the_passwords_and_opens_what_containers_read() -> None:
    plan = subprocess.run(
        ["make", "--dry-run", "up"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    up = plan.index("docker compose up")
    assert 0 < plan.index("openssl rand") < up
    assert 0 < plan.index("chmod -R a+rX monitoring") < up


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "env"
    make_env(path)
    before = path.read_bytes()

    make_env(path)
    assert path.read_bytes() == before


def test_what_is_there_stays_and_what_is_missing_is_added(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("# ours\nELASTIC_PASSWORD=chosen\nRETENTION_DAYS=7", encoding="utf-8")

    values = make_env(path)
    assert values["ELASTIC_PASSWORD"] == "chosen"
    assert values["RETENTION_DAYS"] == "7"
    assert "KIBANA_OBJECTS_KEY" in values
    assert path.read_text(encoding="utf-8").count("ELASTIC_PASSWORD") == 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_blank_password_is_none(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("ELASTIC_PASSWORD=\nWRITER_PASSWORD = \n", encoding="utf-8")

    values = make_env(path)
    assert re.fullmatch(r"[0-9a-z]{32}", values["ELASTIC_PASSWORD"])
    assert re.fullmatch(r"[0-9a-z]{32}", values["WRITER_PASSWORD"])


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., set[str]]:
    """Return what runs a target of make where each command prints its environment.

    It takes the target, the text of ``.env`` and arguments of make; it returns the lines printed.
    """
    for name in ("API_KEY", "ELASTIC_PASSWORD", "MAKEFLAGS"):
        monkeypatch.delenv(name, raising=False)

    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho $*\nenv\n")
    python.chmod(0o755)
    for name in (
        "requirements.txt",
        "requirements_inference.txt",
        "constraints.txt",
        ".venv/.train",
    ):
        (tmp_path / name).touch()

    def run(target: str, text: str, *arguments: str) -> set[str]:
        (tmp_path / ".env").write_text(text, encoding="utf-8")
        command = ["make", target, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return set(done.stdout.splitlines())

    return run


# What compose takes, and a shell would run, split or replace.
ENV = """\
ALLOWED_HOSTS=localhost, cola.example
ELASTIC_PASSWORD=an earlier one
ELASTIC_PASSWORD = 'p&$word'
# API_KEY=not this one
API_KEY=a&key
"""


def test_the_drift_check_reads_one_password_and_no_other(watch: Callable[..., set[str]]) -> None:
    printed = watch("drift", ENV)
    assert "-m drift" in printed
    assert "ELASTICSEARCH_PASSWORD=p&$word" in printed
    assert not {line for line in printed if line.startswith(("API_KEY=", "ALLOWED_HOSTS="))}


def test_the_password_goes_to_the_server_of_compose_and_no_other(
    watch: Callable[..., set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chapter 10 has people export the address of another one, and its credentials."""
    for name in ("URL", "API_KEY", "SECRET_ARN"):
        monkeypatch.setenv(f"ELASTICSEARCH_{name}", "https://search.example.org")

    printed = watch("drift", ENV)
    assert "ELASTICSEARCH_URL=http://127.0.0.1:9200" in printed
    assert {"ELASTICSEARCH_API_KEY=", "ELASTICSEARCH_SECRET_ARN="} <= printed


def test_the_demo_sends_the_key_that_compose_gives_the_api(
    watch: Callable[..., set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("-o", "up", "SHIPPING_SECONDS=0")
    assert "API_KEY=a&key" in watch("demo", ENV, *arguments)
    assert not any("ELASTIC_PASSWORD=" in line for line in watch("demo", ENV, *arguments))

    # To compose, too, the environment comes first.
    monkeypatch.setenv("API_KEY", "exported")
    assert "API_KEY=exported" in watch("demo", ENV, *arguments)
