"""What is refused before training."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from transformers import AutoConfig, AutoModel

from configs.schema import Config
from corpus.format import Sentence
from errors import CheckpointError, ConfigError, CorpusError
from tests.helpers.untrained_model import build_model
from training.checks import (
    require_monitor,
    require_positions,
    require_same_corpus,
    resume_folder,
)
from training.provenance import require_same_settings

Compose = Callable[..., Config]

BOTH_LABELS = [Sentence("x", 1, "", "A boy sits."), Sentence("x", 0, "*", "A boy sit.")]
TWO_SPLITS = ["in_domain", "in_domain", "out_of_domain", "out_of_domain"]


def test_a_file_without_the_state_of_a_run_is_not_resumed(compose: Compose, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A text")
    torch.save({"state_dict": {}, "optimizer_states": []}, tmp_path / "another_program_s.ckpt")
    for name in ("README.md", "another_program_s.ckpt"):
        complaint = rf"{name} is not a checkpoint of train.py \(.*Error\); give a run's resume"
        with pytest.raises(CheckpointError, match=complaint):
            resume_folder(str(tmp_path / name))

    provenance = build_model(compose()).provenance.to_json()
    torch.save({"state_dict": {}, "cola": provenance}, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match="has the weights alone"):
        resume_folder(str(tmp_path / "best.ckpt"))


@pytest.mark.parametrize("monitor", ["val/loss", "val/mcc", "val/mcc_in_domain", "train/loss"])
def test_what_is_logged_may_be_monitored(monitor: str) -> None:
    require_monitor(monitor, BOTH_LABELS * 2, TWO_SPLITS)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "electra", "mpnet", "deberta-v2"])
def test_a_sentence_has_at_most_as_many_tokens_as_the_model_has_positions(kind: str) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 30}
    config = AutoConfig.for_model(kind, **sizes, max_position_embeddings=16)
    if kind == "distilbert":
        config.update({"dim": 8, "n_heads": 2, "n_layers": 1})
    if kind == "deberta-v2":
        config.update({"position_biased_input": False, "relative_attention": True})
    network = AutoModel.from_config(config)

    # As many as it takes itself.
    taken = 0
    with suppress(IndexError, RuntimeError), torch.no_grad():
        for tokens in range(3, 19):
            network(input_ids=torch.full((1, tokens), 5))
            taken = tokens

    require_positions(network, taken)
    if kind != "deberta-v2":
        with pytest.raises(ConfigError, match=rf"={taken + 1}: the model has {taken} positions"):
            require_positions(network, taken + 1)


def test_what_is_not_logged_is_not_monitored() -> None:
    with pytest.raises(ConfigError, match="training.monitor=val/mmc"):
        require_monitor("val/mmc", BOTH_LABELS * 2, TWO_SPLITS)

    # A correlation with labels that are all the same is not defined.
    one_label = [BOTH_LABELS[0]] * 2 + BOTH_LABELS
    require_monitor("val/mcc", one_label, TWO_SPLITS)
    with pytest.raises(ConfigError, match="sentences of both labels"):
        require_monitor("val/mcc_in_domain", one_label, TWO_SPLITS)


def test_processes_with_different_corpora_all_stop() -> None:
    def trainer(first: str, others_agree: bool) -> Any:
        strategy = SimpleNamespace(
            broadcast=lambda digest: first,
            reduce_boolean_decision=lambda mine: mine and others_agree,
        )
        return cast(Any, SimpleNamespace(strategy=strategy))

    require_same_corpus(trainer("a", others_agree=True), "own", "a")
    for first, others_agree in (("b", True), ("a", False)):
        with pytest.raises(CorpusError, match="not all processes have found the same corpus"):
            require_same_corpus(trainer(first, others_agree), "own", "a")


def test_a_run_is_not_resumed_in_another_precision(compose: Compose) -> None:
    fp32 = replace(build_model(compose()).provenance, precision="32-true")
    require_same_settings(fp32, fp32)
    with pytest.raises(CheckpointError, match="that run had precision=32-true; resume it with"):
        require_same_settings(fp32, replace(fp32, precision="bf16-mixed"))

    # An older version did not record it.
    require_same_settings(replace(fp32, precision=None), fp32)
