"""Where the corpus comes from: the first source that has one, and never another one unnoticed."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest

import data
from configs.schema import Config, Source
from errors import CorpusError
from training import sources
from training.weights import load_tokenizer

Compose = Callable[..., Config]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host has an address."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing has been downloaded before; return the folder where it would be."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def test_a_folder_comes_before_the_rest(compose: Compose, small_corpus: Path) -> None:
    corpus = sources.load_corpus(compose().data)
    assert corpus.name == f"folder:{small_corpus.name}"
    assert corpus.skipped_sources == {}
    assert len(corpus.validation) == len(corpus.validation_splits)


def test_falling_back_warns_in_a_box_and_is_recorded(
    compose: Compose, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = sources.load_corpus(compose("data.path=null").data)
    assert corpus.name == "own"
    shown = capsys.readouterr().err
    assert "WARNING: not CoLA" in shown
    assert "data.path" in shown
    assert "data.sources=[own]" in shown.replace("│\n│ ", "")
    assert "╭" in shown
    assert set(corpus.describe().skipped_sources) == {"folder", "hub"}


def test_a_data_module_reads_its_corpus_once(
    compose: Compose, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    config = compose("data.path=null")
    module = data.DataModule(load_tokenizer(config.model), config.data, config.processing)
    module.prepare_data()
    module.setup("fit")
    module.setup("validate")
    assert capsys.readouterr().err.count("WARNING: not CoLA") == 1


def test_the_own_corpus_may_be_asked_for_by_its_old_name(compose: Compose) -> None:
    config = compose("data.sources=[corpus]").data
    assert config.sources == [Source.own]
    assert sources.load_corpus(config).source is Source.own


def test_asking_for_the_own_corpus_does_not_warn(
    compose: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sources.load_corpus(compose("data.sources=[own]").data).name == "own"
    assert capsys.readouterr().err == ""


def test_a_missing_hub_is_an_error_that_says_what_to_set(
    compose: Compose, no_network: None
) -> None:
    with pytest.raises(CorpusError, match="set data.path to a folder") as error:
        sources.load_corpus(compose("data.sources=[hub]").data)
    assert "nyu-mll/glue cannot be reached" in str(error.value)


def test_a_data_set_that_was_downloaded_before_needs_no_network(
    compose: Compose, no_network: None, empty_cache: Path, tmp_path: Path
) -> None:
    config = compose("data.sources=[hub]").data
    rows = [{"sentence": f"Sentence {i}.", "label": i % 2, "idx": i} for i in range(1043)]
    parts = {"train": rows[:10], "validation": rows}
    for part, its_rows in parts.items():
        lines = "\n".join(json.dumps(row) for row in its_rows)
        (tmp_path / f"{part}.jsonl").write_text(lines)

    # The same files as load_dataset leaves for the hub's data set, but for their names.
    files = {part: str(tmp_path / f"{part}.jsonl") for part in parts}
    datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "json"))
    (info,) = tmp_path.glob("json/json/*/*/*/dataset_info.json")
    place = empty_cache / "nyu-mll___glue" / "cola" / "0.0.0"
    place.mkdir(parents=True)
    folder = info.parent.rename(place / config.hub_revision)
    for path in folder.glob("json-*.arrow"):
        path.rename(path.with_name(path.name.replace("json-", "glue-")))

    assert sources.load_corpus(config).describe().sentences["train"] == 10

    # Another commit of it would be another corpus.
    folder.rename(place / "another")
    with pytest.raises(CorpusError, match="cannot be reached"):
        sources.load_corpus(config)


def test_a_misspelt_setting_is_not_replaced_by_another_source(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, config: str, *, revision: str) -> None:
        raise ValueError(f"BuilderConfig '{config}' not found")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *a, **k: None)
    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(CorpusError, match="data.hub_config=colla"):
        sources.load_corpus(compose("data.path=null", "data.hub_config=colla").data)


def test_a_silent_hub_is_given_up_after_the_timeout(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def too_slow(self: Any, name: str, *, revision: str, timeout: float) -> None:
        asked.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", too_slow)
    with pytest.raises(CorpusError, match="TimeoutError"):
        sources.load_corpus(compose("data.sources=[hub]", "data.hub_timeout=0.25").data)
    assert asked == [0.25]


def test_the_hub_s_rows_are_split_as_cola_is(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"sentence": f"Sentence {i}.", "label": i % 2, "idx": i} for i in range(1043)]
    asked: dict[str, Any] = {}

    def load_dataset(name: str, config: str, *, revision: str) -> dict[str, Any]:
        asked.update(name=name, config=config, revision=revision)
        return {"train": rows[:10], "validation": rows}

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *a, **k: None)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    config = compose("data.sources=[hub]").data
    corpus = sources.load_corpus(config)
    assert asked == {"name": "nyu-mll/glue", "config": "cola", "revision": config.hub_revision}
    assert corpus.describe().sentences == {"train": 10, "in_domain": 527, "out_of_domain": 516}


@pytest.mark.parametrize(
    ("rows", "row"),
    [
        (1043, {"label": -1}),
        (1043, {"sentence": " "}),
        (1043, {"sentence": None}),
        (527, {}),
    ],
)
def test_another_data_set_of_the_hub_is_read_as_strictly_as_files_are(
    compose: Compose, monkeypatch: pytest.MonkeyPatch, rows: int, row: dict[str, Any]
) -> None:
    validation = [{"sentence": f"Sentence {i}.", "label": i % 2, "idx": i} for i in range(rows)]
    validation[3] |= row
    parts = {"train": validation[10:20], "validation": validation}

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *a, **k: None)
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: parts)
    with pytest.raises(CorpusError, match="is not like CoLA's in GLUE"):
        sources.load_corpus(compose("data.path=null", "data.hub_name=someone/else").data)


def test_a_given_folder_that_is_missing_is_not_replaced_by_another_source(compose: Compose) -> None:
    with pytest.raises(CorpusError, match="no folder"):
        sources.load_corpus(compose("data.path=nowhere").data)
