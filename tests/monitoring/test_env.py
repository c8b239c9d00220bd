"""``make env``: the passwords that docker compose needs, random, readable by their owner only."""

import re
from pathlib import Path

from tests.helpers.passwords import make_env
from tests.helpers.paths import ROOT


def test_every_secret_of_the_compose_file_is_written(tmp_path: Path) -> None:
    values = make_env(tmp_path / "env")

    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(values) == set(re.findall(r"\$\{(\w+_(?:PASSWORD|KEY)):-\}", compose)) - {"API_KEY"}
    assert all(re.fullmatch(r"[0-9a-z]{32}", value) for value in values.values())
    assert len(set(values.values())) == len(values)
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600


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
