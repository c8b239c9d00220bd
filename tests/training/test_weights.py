"""Weights from folders and packages, and what a run records of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from commands.files import sha256_of
from configs.schema import Config
from errors import WeightsError
from tests.helpers.untrained_model import build_model
from training import dequantization, weights

Compose = Callable[..., Config]


def test_a_folder_or_package_without_a_model_is_refused(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="has no config.json"):
        weights.resolve(compose(f"model.name={tmp_path}").model)
    with pytest.raises(WeightsError, match="there is no such folder or package"):
        weights.resolve(compose("model.package=no.such").model)


def test_a_silent_hub_is_given_up_after_the_timeout(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts: list[float | None] = []

    def too_slow(hub: HfApi, name: str, *, timeout: float | None = None, **options: object) -> None:
        timeouts.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(HfApi, "model_info", too_slow)
    config = compose(
        "model.name=nobody/nothing", "model.package=null", f"model.revision={'a' * 40}"
    )
    with pytest.raises(WeightsError, match="does not give its commit .*TimeoutError"):
        weights.resolve(config.model)
    assert timeouts == [weights.HUB_TIMEOUT]


def test_a_local_folder_is_not_recorded_as_the_hub_s_model(
    compose: Compose, tmp_path: Path
) -> None:
    # The group still has the commit and the digest of another model.
    build_model(compose()).network.save_pretrained(tmp_path)
    weights.load_tokenizer(compose().model).save_pretrained(tmp_path)
    config = compose("model=minilm", f"model.name={tmp_path}")

    recorded = build_model(config).provenance.base_model
    assert recorded.name == str(tmp_path)
    assert recorded.revision is None
    assert recorded.sha256 == sha256_of(tmp_path / "model.safetensors")


def test_other_quantized_weights_than_the_expected_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tagger.onnx").touch()
    with pytest.raises(WeightsError, match="not model.sha256=0000"):
        weights._dequantized(tmp_path / "tagger.onnx", "0000")


def test_two_first_runs_may_write_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = tmp_path / "package"
    package.mkdir()
    (package / "tagger.onnx").touch()

    # Meanwhile, another process is quicker.
    def convert(model: Path, tokenizer: Path, folder: Path) -> None:
        for written in (folder, folder.with_name(folder.name.rpartition("-")[0])):
            written.mkdir(parents=True)
            (written / "config.json").touch()

    monkeypatch.setattr(dequantization, "convert", convert)
    folder = weights._dequantized(package / "tagger.onnx", None)
    assert list((tmp_path / "cache" / "cola").iterdir()) == [folder]


def test_weights_that_cannot_be_written_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tagger.onnx").touch()

    def convert(model: Path, tokenizer: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dequantization, "convert", convert)
    with pytest.raises(WeightsError, match="No space left on device"):
        weights._dequantized(tmp_path / "tagger.onnx", None)
    assert list((tmp_path / "cache" / "cola").iterdir()) == []
