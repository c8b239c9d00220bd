"""Optimizer groups, adversarial training, and checkpoints that are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.schema import Config
from errors import CheckpointError
from export.checkpoint import load_checkpoint
from model import ColaModel
from tests.helpers.untrained_model import batch_of_three, build_model
from training.examples import Batch
from training.optimization import parameter_groups

Compose = Callable[..., Config]


def build(compose: Compose, *overrides: str) -> ColaModel:
    """Return an untrained model of the composed configuration."""
    return build_model(compose(*overrides))


# Optimizer groups


def test_biases_and_norms_are_not_decayed(compose: Compose) -> None:
    module = build(compose, "training.pretext_epochs=1")
    groups = parameter_groups(module, layers=2, weight_decay=0.1, layer_decay=1.0)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    names = {name: decay[id(parameter)] for name, parameter in module.named_parameters()}
    assert {name for name, value in names.items() if value == 0} == {
        name for name in names if name.endswith("bias") or "LayerNorm" in name
    }
    assert len(names) == len(decay), "each parameter is in exactly one group"


def test_the_learning_rate_decays_from_head_to_embeddings(compose: Compose) -> None:
    module = build(compose)
    groups = parameter_groups(module, layers=2, weight_decay=0.0, layer_decay=0.5)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    rates = {name: rate[id(parameter)] for name, parameter in module.named_parameters()}
    assert rates["network.classifier.weight"] == 1.0
    assert rates["network.bert.encoder.layer.1.output.dense.weight"] == 0.5
    assert rates["network.bert.encoder.layer.0.output.dense.weight"] == 0.25
    assert rates["network.bert.embeddings.word_embeddings.weight"] == 0.125


def test_electra_s_projection_of_embeddings_learns_as_slowly_as_they_do(compose: Compose) -> None:
    scratch = "model.from_scratch"
    module = build(compose, f"{scratch}.model_type=electra", f"+{scratch}.embedding_size=16")
    groups = parameter_groups(module, layers=2, weight_decay=0.0, layer_decay=0.5)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    rates = {name: rate[id(parameter)] for name, parameter in module.named_parameters()}
    assert rates["network.electra.embeddings_project.weight"] == 0.125
    assert rates["network.electra.encoder.layer.1.output.dense.weight"] == 0.5
    assert rates["network.classifier.out_proj.weight"] == 1.0


def test_frozen_words_are_not_optimized(compose: Compose) -> None:
    module = build(compose, "training.freeze_words=true")
    groups = parameter_groups(module, layers=2, weight_decay=0.0, layer_decay=1.0)
    optimized = {id(parameter) for group in groups for parameter in group["params"]}
    left_out = [name for name, p in module.named_parameters() if id(p) not in optimized]
    assert left_out == ["network.bert.embeddings.word_embeddings.weight"]


# Adversarial training


def adversarial_model(compose: Compose, *overrides: str) -> ColaModel:
    """Return a model without dropout that moves its embeddings by 0.1."""
    torch.manual_seed(0)
    module = build(compose, "training.adversarial=0.1", *overrides).eval()
    module.log = lambda *arguments, **options: None  # type: ignore[method-assign]
    return module


@pytest.mark.parametrize("frozen", ["true", "false"])
def test_a_sentence_that_was_learned_before_is_harder_the_next_time(
    compose: Compose, frozen: str
) -> None:
    module, batch = adversarial_model(compose, f"training.freeze_words={frozen}"), batch_of_three()
    first = module.training_step(batch, 0)
    first.backward()
    assert module.training_step(batch, 0) > first

    # And every parameter that is optimized has a gradient, as DDP expects.
    optimized = [parameter for parameter in module.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in optimized)


def test_a_direction_has_length_one_and_follows_its_sentence(compose: Compose) -> None:
    module, batch = adversarial_model(compose), batch_of_three()
    module.training_step(batch, 0).backward()

    # The last two, in another batch with another padding, beside one that is new.
    mask = torch.tensor([[1] * 3 + [0] * 3, [1] * 6, [1] * 5 + [0]])
    other: Batch = {**batch, "index": torch.tensor([2, 9, 1]), "attention_mask": mask}
    directions = module.worst_directions.directions_of(other, torch.zeros(3, 6, 32))
    assert directions.flatten(1).norm(dim=1).tolist() == pytest.approx([1, 0, 1], abs=1e-2)
    assert (directions[0, 3:] == 0).all(), "padding is no part of a sentence"
    assert (directions[2, 5:] == 0).all()


def test_a_sentence_whose_length_changed_has_no_direction(compose: Compose) -> None:
    module, batch = adversarial_model(compose), batch_of_three()
    module.training_step(batch, 0).backward()

    # The second and the third have changed places, and with them their lengths.
    other: Batch = {**batch, "index": torch.tensor([0, 2, 1])}
    directions = module.worst_directions.directions_of(other, torch.zeros(3, 7, 32))
    assert directions.flatten(1).norm(dim=1).tolist() == pytest.approx([1, 0, 0], abs=1e-2)


# Checkpoints


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


@pytest.mark.parametrize("wrong", [{"hidden_size": 64}, {"model_type": "none"}])
def test_weights_that_do_not_fit_their_network_are_refused(
    compose: Compose, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    model = build(compose)
    provenance = model.provenance.to_json()
    checkpoint = {"state_dict": model.state_dict(), "cola": provenance}
    torch.save(checkpoint, tmp_path / "x.ckpt")
    load_checkpoint(tmp_path / "x.ckpt")

    provenance["network"] = {**provenance["network"], **wrong}
    torch.save(checkpoint, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of"):
        load_checkpoint(tmp_path / "x.ckpt")
