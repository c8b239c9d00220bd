"""Weights from folders, packages and the Hub, and what a run records of them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from commands.files import sha256_of
from configs.schema import Config
from errors import WeightsError
from tests.helpers.paths import ROOT
from tests.helpers.untrained_model import build_model
from training import dequantization, weights

Compose = Callable[..., Config]

# Of nobody's model.
COMMIT = "0123456789abcdef" * 2 + "01234567"

DISTILBERT = ("model.from_scratch.model_type=distilbert", "+model.from_scratch.n_heads=2")


# Folders, packages and the Hub


def test_a_local_folder_comes_first(compose: Compose, tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    assert weights.resolve(compose("model=minilm", f"model.name={tmp_path}").model) == str(tmp_path)


def test_pretrained_weights_come_from_the_installed_package(compose: Compose) -> None:
    folder = Path(weights.resolve(compose("model=minilm").model))
    assert (folder / "model.safetensors").is_file()


def test_a_folder_or_package_without_a_model_is_refused(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="has no config.json"):
        weights.resolve(compose(f"model.name={tmp_path}").model)
    with pytest.raises(WeightsError, match="there is no such folder or package"):
        weights.resolve(compose("model.package=no.such").model)


@pytest.mark.parametrize("model", ["bert", "deberta-v2"])
def test_weights_without_their_tokenizer_are_refused(
    compose: Compose, tmp_path: Path, model: str
) -> None:
    architecture = compose(f"model.from_scratch.model_type={model}")
    build_model(architecture).network.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="there is no tokenizer beside the weights"):
        weights.load_tokenizer(compose(f"model.name={tmp_path}").model)


def test_other_weights_than_expected_are_refused(compose: Compose) -> None:
    with pytest.raises(WeightsError, match="not model.sha256=0000"):
        weights.resolve(compose("model=minilm", "model.sha256='0000'").model)


def test_a_silent_hub_is_given_up_after_the_timeout(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts: list[float | None] = []

    def too_slow(hub: HfApi, name: str, *, timeout: float | None = None, **options: object) -> None:
        timeouts.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(HfApi, "model_info", too_slow)
    config = compose("model.name=nobody/nothing", "model.package=null", f"model.revision={COMMIT}")
    complaint = (
        "model.name=nobody/nothing: .* does not give its commit .*TimeoutError.*model=minilm"
    )
    with pytest.raises(WeightsError, match=complaint):
        weights.resolve(config.model)
    assert timeouts == [weights.HUB_TIMEOUT]


@pytest.mark.parametrize("revision", ["null", "main", COMMIT[:12]])
def test_the_hub_is_not_asked_for_what_may_change(compose: Compose, revision: str) -> None:
    model = compose("model=mpnet", f"model.revision={revision}").model
    with pytest.raises(WeightsError, match=rf"not model.revision={revision}; give the 40 digits"):
        weights.resolve(model)


def test_the_hub_is_asked_for_the_commit_of_the_configuration(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    # A network, and a tokenizer of one word.
    loaded: Any = torch.nn.Sequential(torch.nn.Identity())
    loaded.all_special_ids = []
    loaded.get_vocab = lambda: {"word": 0}

    def load(name: str, *, revision: str, **options: Any) -> Any:
        asked.append((name, revision))
        return loaded

    monkeypatch.setattr(weights, "_ask_hub", lambda config: None)
    for factory in (AutoTokenizer, AutoConfig, AutoModelForSequenceClassification):
        monkeypatch.setattr(factory, "from_pretrained", load)

    model = compose("model=mpnet", f"model.revision={COMMIT}").model
    weights.load_network(model, weights.load_tokenizer(model))
    assert asked == [("microsoft/mpnet-base", COMMIT)] * 3


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "configs/model").glob("*.yaml")])
def test_every_pretrained_model_is_a_commit(compose: Compose, name: str) -> None:
    model = compose(f"model={name}").model
    if model.from_scratch is None and model.quantized is None:
        assert re.fullmatch("[0-9a-f]{40}", model.revision or "")


# Quantized weights


@pytest.mark.slow
def test_quantized_weights_become_a_network_that_transformers_reads(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = compose("model=distilbert_grammar").model
    folder = Path(weights.resolve(config))
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert weights.resolve(config) == str(folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns == before, "written once"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    # Nothing but the head is new; the words that the tokenizer knows are those of the network.
    network, report = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True
    )
    heads = ("classifier.", "pre_classifier.")
    assert all(name.startswith(heads) for name in report["missing_keys"])
    assert not report["unexpected_keys"]
    assert len(weights.load_tokenizer(config)) == network.config.vocab_size


def test_quantized_weights_without_their_package_are_an_error(compose: Compose) -> None:
    model = compose("model=distilbert_grammar", "model.package=not_installed").model
    with pytest.raises(WeightsError, match="not_installed is not installed.*requirements.txt"):
        weights.resolve(model)


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


def test_a_cache_that_cannot_be_written_is_named(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"file cannot be written .*; set XDG_CACHE_HOME"):
        weights.resolve(compose("model=distilbert_grammar").model)


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


# What a run records


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


def test_the_tokenizer_is_recorded_without_its_source_s_truncation(compose: Compose) -> None:
    tokenizer = weights.load_tokenizer(compose().model)
    recorded = json.loads(weights.tokenizer_json(tokenizer))
    assert recorded["truncation"] is None
    assert recorded["padding"] is None
    assert recorded["model"]["type"] == "WordPiece"


# Dropout


@pytest.mark.parametrize("architecture", [(), DISTILBERT], ids=["bert", "distilbert"])
def test_dropout_of_the_configuration_reaches_the_whole_network(
    compose: Compose, architecture: tuple[str, ...]
) -> None:
    module = build_model(compose(*architecture, "model.dropout=0.25"))
    dropouts = {m.p for m in module.modules() if isinstance(m, torch.nn.Dropout)}
    assert dropouts == {0.25}


def test_attention_can_have_a_dropout_of_its_own(compose: Compose) -> None:
    module = build_model(compose("model.dropout=0.25", "model.attention_dropout=0.0"))
    assert module.network.config.hidden_dropout_prob == 0.25
    assert module.network.config.attention_probs_dropout_prob == 0.0
