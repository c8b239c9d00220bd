"""Optimizer groups, the collecting of predictions, and checkpoints that are refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from configs.schema import Config
from errors import CheckpointError, WeightsError
from model import ColaModel, load_checkpoint
from tests.helpers.paths import ROOT
from tests.helpers.untrained_model import build_model
from training import weights
from training.examples import Batch
from training.optimization import parameter_groups, worst_direction
from training.validation import Validation, ValidationRows

Compose = Callable[..., Config]

# Of nobody's model.
COMMIT = "0123456789abcdef" * 2 + "01234567"


def build(compose: Compose, *overrides: str) -> ColaModel:
    """Return an untrained model of the composed configuration."""
    return build_model(compose(*overrides))


# Optimizer groups


def test_biases_and_norms_are_not_decayed(compose: Compose) -> None:
    module = build(compose, "training.pretext_epochs=1")
    groups = parameter_groups(module, layers=2, lr=1.0, weight_decay=0.1, layer_decay=1.0)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    names = {name: decay[id(parameter)] for name, parameter in module.named_parameters()}
    assert {name for name, value in names.items() if value == 0} == {
        name for name in names if name.endswith("bias") or "LayerNorm" in name
    }
    assert len(names) == len(decay), "each parameter is in exactly one group"


def test_the_learning_rate_decays_from_head_to_embeddings(compose: Compose) -> None:
    module = build(compose)
    groups = parameter_groups(module, layers=2, lr=1.0, weight_decay=0.0, layer_decay=0.5)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    rates = {name: rate[id(parameter)] for name, parameter in module.named_parameters()}
    assert rates["network.classifier.weight"] == 1.0
    assert rates["network.bert.encoder.layer.1.output.dense.weight"] == 0.5
    assert rates["network.bert.encoder.layer.0.output.dense.weight"] == 0.25
    assert rates["network.bert.embeddings.word_embeddings.weight"] == 0.125


# Adversarial training


def batch_of_three() -> Batch:
    ids = torch.randint(5, 100, (3, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 7, [1] * 5 + [0] * 2, [1] * 3 + [0] * 4])
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "label": torch.tensor([0, 1, 0]),
        "index": torch.arange(3),
    }


def test_the_worst_direction_raises_the_loss_of_each_sentence_and_has_length_one(
    compose: Compose,
) -> None:
    module, batch = build(compose).eval(), batch_of_three()

    def losses(embeddings: torch.Tensor) -> torch.Tensor:
        logits = module.network(
            inputs_embeds=embeddings, attention_mask=batch["attention_mask"]
        ).logits
        return torch.nn.functional.cross_entropy(logits, batch["label"], reduction="none")

    embeddings = module.network.get_input_embeddings()(batch["input_ids"])
    before = losses(embeddings)
    direction = worst_direction(before.mean(), embeddings)
    assert torch.allclose(direction.flatten(1).norm(dim=1), torch.ones(3))
    assert (direction[batch["attention_mask"] == 0] == 0).all(), "padding is no part of a sentence"
    assert (losses(embeddings + 0.1 * direction) > before).all()
    assert (losses(embeddings - 0.1 * direction) < before).all()


def test_adversarial_training_adds_a_larger_loss_and_reaches_every_parameter(
    compose: Compose,
) -> None:
    batch, losses = batch_of_three(), []
    for step in ("0.0", "0.5"):
        torch.manual_seed(0)
        module = build(compose, f"training.adversarial={step}", "training.pretext_epochs=1").eval()
        module.log = lambda *arguments, **options: None  # type: ignore[method-assign]
        loss = module.training_step(batch, 0)
        loss.backward()
        assert all(parameter.grad is not None for parameter in module.parameters())
        losses.append(loss.item())
    plain, adversarial = losses
    assert adversarial > 2 * plain


# The network


def test_dropout_of_the_configuration_reaches_the_network(compose: Compose) -> None:
    module = build(compose, "model.dropout=0.25")
    dropouts = {m.p for m in module.modules() if isinstance(m, torch.nn.Dropout)}
    assert dropouts == {0.25}


# Predictions for the validation set


def test_a_repeated_sentence_counts_once() -> None:
    rows = ValidationRows()
    rows.update(torch.tensor([2, 0]), torch.tensor([1, 0]), torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
    rows.update(torch.tensor([1, 2]), torch.tensor([1, 1]), torch.tensor([[0.0, 3.0], [0.0, 1.0]]))
    result = Validation.from_rows(rows.compute())
    assert result.index.tolist() == [0, 1, 2]
    assert result.label.tolist() == [0, 1, 1]
    assert result.logits[1].tolist() == [0.0, 3.0]
    assert result.probability.shape == (3,)


# Pretrained weights


def test_pretrained_weights_come_from_the_installed_package(compose: Compose) -> None:
    folder = Path(weights.resolve(compose("model=minilm").model))
    assert (folder / "model.safetensors").is_file()


def test_other_weights_than_expected_are_refused(compose: Compose) -> None:
    with pytest.raises(WeightsError, match="not model.sha256=0000"):
        weights.resolve(compose("model=minilm", "model.sha256='0000'").model)


def test_a_local_folder_comes_first(compose: Compose, tmp_path: Path) -> None:
    assert weights.resolve(compose("model=minilm", f"model.name={tmp_path}").model) == str(tmp_path)


def test_a_model_that_nobody_has_is_an_error_that_says_what_to_do(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(HfApi, "model_info", refuse)
    with pytest.raises(WeightsError, match="model=minilm") as error:
        weights.resolve(
            compose(
                "model.name=nobody/has-this", "model.package=null", f"model.revision={COMMIT}"
            ).model
        )
    assert "nobody/has-this" in str(error.value)


@pytest.mark.parametrize("revision", ["null", "main", COMMIT[:12]])
def test_the_hub_is_not_asked_for_what_may_change(compose: Compose, revision: str) -> None:
    model = compose("model=mpnet", f"model.revision={revision}").model
    with pytest.raises(WeightsError, match=rf"not model.revision={revision}; give the 40 digits"):
        weights.resolve(model)


def test_the_hub_is_asked_for_the_commit_of_the_configuration(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def load(name: str, *, revision: str, **options: Any) -> torch.nn.Module:
        asked.append((name, revision))
        return torch.nn.Identity()

    monkeypatch.setattr(weights, "_ask_hub", lambda config: None)
    for factory in (AutoTokenizer, AutoModelForSequenceClassification):
        monkeypatch.setattr(factory, "from_pretrained", load)

    model = compose("model=mpnet", f"model.revision={COMMIT}").model
    weights.load_network(model, weights.load_tokenizer(model))
    assert asked == [("microsoft/mpnet-base", COMMIT)] * 2


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "configs/model").glob("*.yaml")])
def test_every_pretrained_model_is_a_commit(compose: Compose, name: str) -> None:
    model = compose(f"model={name}").model
    if model.from_scratch is None:
        assert re.fullmatch("[0-9a-f]{40}", model.revision or "")


# Checkpoints


def test_the_tokenizer_is_recorded_without_its_source_s_truncation(compose: Compose) -> None:
    tokenizer = weights.load_tokenizer(compose().model)
    recorded = json.loads(weights.tokenizer_json(tokenizer))
    assert recorded["truncation"] is None
    assert recorded["padding"] is None
    assert recorded["model"]["type"] == "WordPiece"


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_what_is_not_a_checkpoint_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="make train"):
        load_checkpoint(path)


def test_a_checkpoint_of_another_program_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of"):
        load_checkpoint(tmp_path / "x.ckpt")
