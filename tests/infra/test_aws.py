"""The clients of AWS: where they take the region from."""

from pathlib import Path

import boto3
import pytest

from infra.aws import client


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a profile with a region of its own; forget this machine's settings."""
    config = tmp_path / "config"
    config.write_text("[default]\nregion = us-west-2\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)

    # boto3 keeps the session that an earlier test made, with the settings of then.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.mark.usefixtures("profile")
def test_the_region_that_is_set_wins_over_the_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert client("sts").meta.region_name == "eu-west-1"


@pytest.mark.usefixtures("profile")
@pytest.mark.parametrize("setting", [None, ""], ids=["not set", "empty"])
def test_without_it_the_profiles_region_counts(
    monkeypatch: pytest.MonkeyPatch, setting: str | None
) -> None:
    if setting is not None:
        monkeypatch.setenv("AWS_REGION", setting)
    assert client("sts").meta.region_name == "us-west-2"
