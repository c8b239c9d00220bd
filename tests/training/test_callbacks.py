"""When a run stops, and what it keeps: the best epoch that counts, also when resumed elsewhere."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader

from configs.schema import Config
from errors import CheckpointError, Interrupted
from model import ColaModel
from tests.helpers.untrained_model import build_model
from training.callbacks import RunCheckpoint, StopOnSignal
from training.trainer import make_trainer

Compose = Callable[..., Config]


class Scores(pl.LightningModule):
    """Learns nothing, and has a given score after each epoch."""

    def __init__(self, *scores: float) -> None:
        super().__init__()
        self.scores, self.weight = scores, nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/mcc_in_domain", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_epochs_of_the_pretext_task_do_not_count(compose: Compose, tmp_path: Path) -> None:
    config = compose("training.pretext_epochs=2", "training.max_epochs=4", "training.patience=1")
    trainer = make_trainer(config, tmp_path, None, [])
    batches: DataLoader[Tensor] = DataLoader([torch.zeros(1)])  # type: ignore[arg-type]
    trainer.fit(Scores(0.8, 0.9, 0.2, 0.3, 0.25, 0.4), batches, batches)

    assert trainer.current_epoch == 5
    assert isinstance(trainer.checkpoint_callback, RunCheckpoint)
    assert trainer.checkpoint_callback.best_model_score == pytest.approx(0.3)


def test_a_run_whose_folder_was_moved_remembers_its_best_epoch(tmp_path: Path) -> None:
    def callback(folder: Path) -> RunCheckpoint:
        return RunCheckpoint(dirpath=folder, filename="best", monitor="val/mcc", mode="max")

    before, path = callback(tmp_path / "old"), str(tmp_path / "old" / "best.ckpt")
    before.best_model_path = before.kth_best_model_path = path
    before.best_model_score = before.kth_value = torch.tensor(0.5)
    before.best_k_models = {path: torch.tensor(0.5)}

    after, moved = callback(tmp_path / "new"), tmp_path / "new" / "best.ckpt"
    with pytest.raises(CheckpointError, match=f"no {moved}, .* belongs beside"):
        after.load_state_dict(before.state_dict())

    moved.parent.mkdir()
    moved.touch()
    after.load_state_dict(before.state_dict())
    assert after.best_model_path == after.kth_best_model_path == str(moved)
    assert after.best_k_models == {str(moved): 0.5}


def test_each_process_goes_on_with_its_own_directions(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gather(mine: Any, everyone: list[Any]) -> None:
        everyone[:] = [mine, {7: torch.ones(1)}]

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(distributed, "gather_object", gather)

    checkpoint: dict[str, Any] = {"optimizer_states": []}
    model = build_model(compose())
    model.worst_directions.by_index = {3: torch.ones(1)}
    model.on_save_checkpoint(checkpoint)

    for rank, sentence in enumerate([3, 7]):
        two = SimpleNamespace(world_size=2, global_rank=rank)
        monkeypatch.setattr(ColaModel, "trainer", two)
        model.on_load_checkpoint(checkpoint)
        assert list(model.worst_directions.by_index) == [sentence]

    # With other processes than before, each would get other batches.
    monkeypatch.setattr(ColaModel, "trainer", SimpleNamespace(world_size=1, global_rank=0))
    with pytest.raises(CheckpointError, match=r"that run had 2 process\(es\)"):
        model.on_load_checkpoint(checkpoint)


@pytest.fixture
def stop(tmp_path: Path) -> Iterator[Any]:
    """Yield what listens to Ctrl-C and SIGTERM, as while a model is trained."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    callback: Any = StopOnSignal(tmp_path / "resume.ckpt")
    callback.on_train_start(None, None)
    yield callback

    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_second_ctrl_c_stops_at_once(stop: Any) -> None:
    signal.raise_signal(signal.SIGINT)
    assert stop.requested
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


class Impatient(Scores):
    """Gets Ctrl-C while its only epoch is validated."""

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        signal.raise_signal(signal.SIGINT)
        super().validation_step(batch, batch_idx)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ctrl_c_in_the_last_validation_stops_the_run_too(compose: Compose, tmp_path: Path) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    trainer = make_trainer(compose(), tmp_path, None, [])
    batches: DataLoader[Tensor] = DataLoader([torch.zeros(1)])  # type: ignore[arg-type]
    with pytest.raises(Interrupted, match="stopped at step 1"):
        trainer.fit(Impatient(0.5), batches, batches)

    assert (tmp_path / "resume.ckpt").is_file()
    assert [signal.getsignal(number) for number in numbers] == before
