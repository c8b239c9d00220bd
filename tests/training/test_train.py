"""Training as a whole: what it writes, that it repeats itself, that it can be resumed."""

import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import data
import train
from configs.recorded import plain
from configs.schema import Config, Padding
from corpus.pretext import pretext_sentences
from errors import CheckpointError, ConfigError, Interrupted
from export.checkpoint import load_checkpoint
from tests.helpers.untrained_model import build_model
from training import pictures, sources, tracking
from training.callbacks import StopOnSignal
from training.examples import Encoder, Examples
from training.report import TrainingReport
from training.trainer import make_trainer
from training.weights import load_tokenizer

Compose = Callable[..., Config]
PICTURES = {
    "confusion_matrix",
    "roc",
    "precision_recall",
    "calibration",
    "learning_curves",
    "mcc_by_source",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, since tests may run in parallel; few written sentences in the pretext task."""
    torch.set_num_threads(1)
    few = pretext_sentences(for_own_corpus=True)[::50]
    for module in (data, sources):
        monkeypatch.setattr(module, "pretext_sentences", lambda **for_whom: few)


# Results


def test_a_run_leaves_checkpoint_report_and_pictures(compose: Compose, tmp_path: Path) -> None:
    config = compose()
    result = train.train(config, tmp_path / "run", tmp_path / "models")

    checkpoint = tmp_path / "models" / "best-checkpoint.ckpt"
    assert oct(checkpoint.stat().st_mode)[-3:] == "644"
    report = json.loads((tmp_path / "models" / "training_report.json").read_text())
    assert report == json.loads(json.dumps(result.to_json()))
    assert TrainingReport.from_json(report) == result
    assert report["corpus"]["sentences"]["in_domain"] == report["metrics"]["in_domain"]["sentences"]
    assert report["metrics"]["overall"]["sentences"] == sum(
        report["metrics"][split]["sentences"] for split in ("in_domain", "out_of_domain")
    )
    assert report["config"] == plain(config)
    assert report["sentences_per_second"] > 0
    assert {path.stem for path in (tmp_path / "run" / "pictures").glob("*.png")} == PICTURES
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        "best-checkpoint.ckpt",
        "training_report.json",
    ]
    assert not (tmp_path / "run" / "resume.ckpt").exists()


def test_the_checkpoint_predicts_what_training_measured(compose: Compose, tmp_path: Path) -> None:
    config = compose()
    result = train.train(config, tmp_path / "run", tmp_path / "models")
    model = load_checkpoint(tmp_path / "models" / "best-checkpoint.ckpt")
    assert model.provenance.validation_metrics == result.metrics

    module = data.DataModule(load_tokenizer(config.model), config.data, config.processing)
    module.setup()
    with torch.no_grad():
        right = [
            (model(batch["input_ids"], batch["attention_mask"]).argmax(dim=1) == batch["label"])
            for batch in module.val_dataloader()
        ]
    accuracy = torch.cat(right).double().mean().item()
    assert accuracy == pytest.approx(result.metrics["overall"]["accuracy"], abs=1e-6)


def test_as_many_sentences_are_called_acceptable_as_in_training(
    compose: Compose, tmp_path: Path
) -> None:
    config = compose()
    result = train.train(config, tmp_path / "run", tmp_path / "models")
    model = load_checkpoint(tmp_path / "models" / "best-checkpoint.ckpt")

    module = data.DataModule(load_tokenizer(config.model), config.data, config.processing)
    module.setup()
    in_domain = module.encoder.encode(module.corpus.splits["in_domain"])
    batch = module.encoder.collate(in_domain, range(len(in_domain.ids)))
    with torch.no_grad():
        labels = model(batch["input_ids"], batch["attention_mask"]).argmax(dim=1)

    facts = result.corpus
    rate = facts.acceptable["train"] / facts.sentences["train"]
    assert labels.double().mean().item() == pytest.approx(rate, abs=1 / len(labels))


def test_the_same_configuration_gives_the_same_metrics(compose: Compose, tmp_path: Path) -> None:
    runs = [train.train(compose(), tmp_path / f"run{i}", tmp_path / f"models{i}") for i in range(2)]
    assert runs[0].metrics == runs[1].metrics
    other = train.train(compose("seed=7"), tmp_path / "run2", tmp_path / "models2")
    assert other.metrics != runs[0].metrics


class OptimizerSteps(pl.Callback):
    """Remembers how many gradients the optimizer knew at the end."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        (optimizer,) = trainer.optimizers
        (self.steps,) = {int(state["step"]) for state in optimizer.state.values()}


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize(("pretext_lr", "forgets"), [("1e-3", True), ("null", False)])
def test_the_corpus_begins_with_a_new_optimizer(
    compose: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pretext_lr: str,
    forgets: bool,
    share: float,
) -> None:
    optimizer = OptimizerSteps()
    monkeypatch.setattr(
        train,
        "make_trainer",
        lambda config, folder, logger, callbacks: make_trainer(
            config, folder, logger, [*callbacks, optimizer]
        ),
    )
    config = compose(
        "training.pretext_epochs=1",
        f"training.pretext_lr={pretext_lr}",
        f"training.limit_train_batches={share}",
    )
    result = train.train(config, tmp_path / "run", tmp_path / "models")

    batches = math.ceil(result.corpus.sentences["train"] / config.processing.batch_size)
    corpus_steps = int(batches * share) * config.training.max_epochs
    assert corpus_steps < result.steps
    assert optimizer.steps == (corpus_steps if forgets else result.steps)


# Interruption


class StopAtStep(pl.Callback):
    """Sends this process the signal that Ctrl-C sends, in the middle of an epoch."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


# The last 28 steps are those of the corpus. The run is stopped within the pretext task, at its end,
# after it, between the epochs of the corpus, within the second, before the last step and after it.
@pytest.mark.parametrize("steps_left", [44, 29, 28, 27, 14, 7, 1, 0])
def test_an_interrupted_and_resumed_run_gives_the_same_metrics(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps_left: int
) -> None:
    # Two epochs of the corpus: the second moves embeddings in the directions of the first.
    longer = ["training.pretext_epochs=1", "training.max_epochs=2", "training.adversarial=0.5"]
    # The corpus begins with a new optimizer, and its weights are averaged.
    longer += ["training.pretext_lr=2e-3", "training.average_epochs=2"]
    whole = train.train(compose(*longer), tmp_path / "whole", tmp_path / "models")

    # Run the same again, and send the signal in the middle.
    def interrupting(
        config: Config, folder: Path, logger: Any, callbacks: list[pl.Callback]
    ) -> pl.Trainer:
        return make_trainer(
            config, folder, logger, [*callbacks, StopAtStep(whole.steps - steps_left)]
        )

    monkeypatch.setattr(train, "make_trainer", interrupting)
    with pytest.raises(Interrupted, match="training.resume=") as stopped:
        train.train(compose(*longer), tmp_path / "run", tmp_path / "models")
    monkeypatch.setattr(train, "make_trainer", make_trainer)

    # What it saved is a checkpoint, and enough to go on from.
    checkpoint = tmp_path / "run" / "resume.ckpt"
    assert str(checkpoint) in str(stopped.value)
    assert load_checkpoint(checkpoint).provenance.labels == ["unacceptable", "acceptable"]
    resumed = train.train(
        compose(*longer, f"training.resume={checkpoint}"), tmp_path / "again", tmp_path / "models"
    )
    assert resumed.metrics == whole.metrics
    assert resumed.steps == whole.steps


@pytest.mark.parametrize(
    ("setting", "other"),
    [
        ("training.lr=0.001", "training.lr=0.002"),
        ("processing.batch_size=32", "processing.batch_size=16"),
        ("seed=42", "seed=43"),
        ("corpus=", "data.sources=[own]"),
    ],
)
def test_a_run_is_not_resumed_with_other_settings(
    setting: str, other: str, compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        StopOnSignal, "on_train_start", lambda self, *arguments: setattr(self, "requested", True)
    )
    with pytest.raises(Interrupted):
        train.train(compose(), tmp_path / "run", tmp_path / "models")

    resumed = compose(other, f"training.resume={tmp_path / 'run' / 'resume.ckpt'}")
    with pytest.raises(CheckpointError, match=rf"that run had {setting}\w*; resume it with"):
        train.train(resumed, tmp_path / "again", tmp_path / "models")


def test_a_run_is_not_resumed_with_other_written_sentences(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        StopOnSignal, "on_train_start", lambda self, *arguments: setattr(self, "requested", True)
    )
    with pytest.raises(Interrupted):
        train.train(compose(), tmp_path / "run", tmp_path / "models")

    others = pretext_sentences(for_own_corpus=True)[:5]
    monkeypatch.setattr(sources, "pretext_sentences", lambda **for_whom: others)
    resumed = compose(f"training.resume={tmp_path / 'run' / 'resume.ckpt'}")
    with pytest.raises(CheckpointError, match=r"that run had pretext=\w*; resume it with"):
        train.train(resumed, tmp_path / "again", tmp_path / "models")


def test_an_interrupted_run_leaves_the_published_model_alone(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.train(compose(), tmp_path / "run", tmp_path / "models")
    before = {path: path.read_bytes() for path in (tmp_path / "models").iterdir()}
    monkeypatch.setattr(
        StopOnSignal, "on_train_start", lambda self, *arguments: setattr(self, "requested", True)
    )
    with pytest.raises(Interrupted):
        train.train(compose("seed=1"), tmp_path / "run2", tmp_path / "models")
    assert {path: path.read_bytes() for path in (tmp_path / "models").iterdir()} == before


@pytest.mark.parametrize("step", ["draw", "log_checkpoint"])
def test_a_run_that_fails_at_its_end_leaves_the_published_model_alone(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(pictures if step == "draw" else tracking, step, fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        train.train(compose(), tmp_path / "run", tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


# Warnings and errors


def test_a_model_that_learned_nothing_is_warned_of(
    compose: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The decision threshold stays where random weights have it: beside all sentences.
    config = compose("training.lr=0.0", "training.match_rate=false")
    result = train.train(config, tmp_path / "run", tmp_path / "models")
    assert result.mcc is not None
    assert result.mcc <= 0
    assert "WARNING: nothing was learned" in capsys.readouterr().err


def test_early_stopping_watches_the_metric_that_counts(compose: Compose, tmp_path: Path) -> None:
    result = train.train(
        compose("training.max_epochs=6", "training.patience=1", "training.lr=0.0"),
        tmp_path / "r",
        tmp_path / "m",
    )
    assert result.epochs < 6


def test_bad_settings_are_refused_before_training(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="training.resume=nowhere"):
        train.train(compose("training.resume=nowhere"), tmp_path / "run", tmp_path / "models")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="models_dir="):
        train.train(compose(), tmp_path / "run", tmp_path / "file" / "models")


@pytest.mark.parametrize(
    "override",
    [
        "training.monitor=val/mmc",
        "training.precision=bf-16",
        "training.strategy=dpp",
        "training.devices=two",
        "training.accelerator=abacus",
        "training.limit_val_batches=0.0001",
    ],
)
def test_a_setting_that_lightning_refuses_is_an_error_of_ours(
    compose: Compose, tmp_path: Path, override: str
) -> None:
    with pytest.raises(ConfigError, match="training"):
        train.train(compose(override), tmp_path / "run", tmp_path / "models")


def test_cpu_seconds_are_those_of_the_run(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An earlier run of the same process, as in a grid, has taken 100.
    monkeypatch.setattr(train, "cpu_seconds", iter([100.0, 103.0]).__next__)
    result = train.train(compose(), tmp_path / "run", tmp_path / "models")
    assert result.cpu_seconds == 3.0


def test_a_batch_without_labelled_tokens_does_no_harm(compose: Compose) -> None:
    config = compose("training.pretext_epochs=1")
    model = build_model(config)
    model.log = lambda *arguments, **options: None  # type: ignore[method-assign]
    encoder = Encoder(load_tokenizer(config.model), 16, Padding.longest)
    examples = Examples([[101, 2003, 102]] * 2, [0, 1], [[-100] * 3] * 2)
    assert torch.isfinite(model.training_step(encoder.collate(examples, [0, 1]), 0))
