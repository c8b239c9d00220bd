"""The configuration: every file composes, every key is read, mistakes are refused."""

import ast
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf

from configs.recorded import from_plain, plain
from configs.schema import Config

Compose = Callable[..., Config]
ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
GROUPS = sorted(path.relative_to(CONFIGS) for path in CONFIGS.glob("*/*.yaml"))


@pytest.mark.parametrize("path", GROUPS, ids=str)
def test_every_file_composes(compose: Compose, path: Path) -> None:
    config = compose(f"{path.parent}={path.stem}")
    text = yaml.safe_load((CONFIGS / path).read_text())
    if path.parent.name == "experiment":
        assert config.experiment_name == text["experiment_name"] == path.stem
    else:
        assert set(plain(config)[path.parent.name]) == set(text), (
            "a file of a group gives every key of its schema"
        )


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("training.learning_rate=1", "learning_rate"),
        ("data.sources=[web]", "web"),
        ("training.max_epochs=many", "max_epochs"),
        ("training.lr=[1]", "lr"),
        ("processing.padding=right", "padding"),
        ("model=gpt", "gpt"),
        ("colour=red", "colour"),
    ],
)
def test_what_is_unknown_or_of_a_wrong_type_is_refused(
    compose: Compose, override: str, complaint: str
) -> None:
    with pytest.raises(HydraException) as error:
        compose(override)
    assert complaint in f"{error.value} {error.value.__cause__}"


def test_every_key_is_read() -> None:
    """A key whose name no module reads as an attribute would be a setting without effect."""
    readers = [ROOT / name for name in ("data.py", "model.py", "train.py")]
    readers += [ROOT / "convert_model_to_onnx.py", *(ROOT / "training").glob("*.py")]
    read = {
        node.attr
        for path in [*readers, *(ROOT / "export").glob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }

    # The name of an experiment is for people, and for benchmarks/quality.py.
    assert set(keys(Config)) - read == {"experiment_name"}


def keys(group: type) -> Iterator[str]:
    """Yield the names of a group's fields, and of the fields of its groups."""
    for field in dataclasses.fields(group):
        yield field.name
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            yield from keys(field.type)


# Recorded configurations


def test_a_recorded_configuration_is_read_back(compose: Compose) -> None:
    config = compose("model=random_tiny", "training.devices=[0,1]")
    assert from_plain(json.loads(json.dumps(plain(config)))) == config


def test_a_configuration_recorded_by_an_older_version_is_read(compose: Compose) -> None:
    # All that it did not know is off, or as it was then.
    off = [f"training.{key}=false" for key in ("freeze_words", "match_rate")]
    off += ["training.adversarial=0.0", "processing.exchange_names=false"]
    off += ["training.pretext_lr=null", "training.average_epochs=0"]
    off += ["training.grammar_sentences=200"]
    config = compose("data.sources=[own]", *off)
    recorded = plain(config)
    recorded["data"]["sources"] = ["corpus"]
    recorded["training"]["pretask_epochs"] = recorded["training"].pop("pretext_epochs")
    for key in ("adversarial", "average_epochs", "freeze_words"):
        del recorded["training"][key]
    for key in ("grammar_sentences", "match_rate", "pretext_lr"):
        del recorded["training"][key]
    del recorded["processing"]["exchange_names"]
    for key in ("attention_dropout", "quantized"):
        del recorded["model"][key]
    assert from_plain(recorded) == config


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_two_runs_of_one_second_have_a_folder_each(kind: str) -> None:
    def folder() -> str:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = hydra_compose("config", return_hydra_config=True)

        # Hydra keeps the time of its first look at the clock, one per process.
        OmegaConf.clear_cache(config)
        return str(config.hydra[kind].dir)

    assert folder() != folder()
