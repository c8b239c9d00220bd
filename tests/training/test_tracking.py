"""What W&B gets to record, read back from the run's own file, without an account."""

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

import train
from configs.recorded import plain
from configs.schema import Config
from errors import ConfigError
from model import ColaModel
from training import tracking

Compose = Callable[..., Config]
BLOCK, HEADER = 32768, 7


def records(path: Path) -> Iterator[bytes]:
    """Yield the whole records of a ``.wandb`` file; one that is being written is left out.

    The format is that of LevelDB's log: blocks of 32 KiB, of which a record may span several.
    """
    content, offset, parts = path.read_bytes(), HEADER, []
    assert content[:4] == b":W&B"
    while offset + HEADER <= len(content):
        if BLOCK - offset % BLOCK < HEADER:
            offset += BLOCK - offset % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, offset)
        if offset + HEADER + length > len(content):
            return

        parts.append(content[offset + HEADER : offset + HEADER + length])
        offset += HEADER + length
        # A whole record, or the last part of one.
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []


def test_a_record_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    def record(data: bytes) -> bytes:
        return struct.pack("<IHB", 0, len(data), 1) + data

    path = tmp_path / "run.wandb"
    path.write_bytes(b":W&B___" + record(b"whole") + record(b"part")[:-1])
    assert list(records(path)) == [b"whole"]


def recorded(folder: Path) -> tuple[set[str], dict[str, Any], set[str]]:
    """Return metric keys, configuration and artifact names of the one offline run in a folder."""
    # Generated code, in which mypy sees no names.
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")

    # W&B's own process may write the end of the file after `finish` has returned.
    deadline = time.monotonic() + 60
    while not any(Record.FromString(data).HasField("exit") for data in records(path)):
        assert time.monotonic() < deadline, "the run's file has no end"
        time.sleep(0.1)

    keys: set[str] = set()
    config: dict[str, Any] = {}
    artifacts: set[str] = set()
    for data in records(path):
        record = Record.FromString(data)
        keys |= {item.key or "/".join(item.nested_key) for item in record.history.item}
        config |= {
            item.key: json.loads(item.value_json) for item in record.config.update if item.key
        }
        if record.HasField("artifact"):
            artifacts.add(record.artifact.name)
        if record.request.HasField("log_artifact"):
            artifacts.add(record.request.log_artifact.artifact.name)
    return keys, config, artifacts


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key for W&B in the environment or in a home folder."""
    torch.set_num_threads(1)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_an_offline_run_records_everything(
    compose: Compose, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = compose("logger=wandb", "logger.project=some-project")
    result = train.train(config, tmp_path / "run", tmp_path / "models")
    assert "upload with: wandb sync" in capfd.readouterr().out

    keys, seen, artifacts = recorded(tmp_path / "run")
    expected = {
        f"val/{name}{suffix}"
        for suffix, group in (
            ("", "overall"),
            ("_in_domain", "in_domain"),
            ("_out_of_domain", "out_of_domain"),
        )
        for name, value in result.metrics[group].items()
        if name != "sentences" and value is not None
    }
    assert expected <= keys
    assert {"val/loss", "train/loss", "train/gradient_norm"} <= keys
    assert any(key.startswith("confusion_matrix") for key in keys), keys
    assert any(key.startswith("roc") for key in keys), keys
    assert any(key.startswith("wrong_predictions") for key in keys), keys
    assert {key: seen[key] for key in plain(config)} == plain(config)
    assert "best-checkpoint" in artifacts


def test_only_the_first_of_several_processes_records(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert isinstance(tracking.make_logger(compose("logger=wandb"), tmp_path), WandbLogger)
    assert wandb.run is None


def test_the_recorded_checkpoint_is_not_replaced_by_the_next_run(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb"))
    logger = tracking.make_logger(compose("logger=wandb"), tmp_path)
    assert isinstance(logger, WandbLogger)
    recorded: list[Any] = []
    monkeypatch.setattr(logger.experiment, "log_artifact", recorded.append)

    (tmp_path / "best.ckpt").write_text("this run's")
    tracking.log_checkpoint(logger, tmp_path / "best.ckpt")
    (tmp_path / "best.ckpt").write_text("the next run's")
    tracking.finish(failed=False)

    (entry,) = recorded[0].manifest.entries.values()
    assert Path(entry.local_path).read_text() == "this run's"


def test_an_upload_that_does_not_end_is_given_up(
    compose: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = tracking.make_logger(compose("logger=wandb"), tmp_path)
    assert isinstance(logger, WandbLogger)
    settings = logger.experiment.settings
    assert settings.finish_timeout == tracking.UPLOAD_TIMEOUT

    # As W&B then does, if it is asked to.
    def finish(*, exit_code: int) -> None:
        close(exit_code=exit_code)
        if settings.finish_timeout_raises:
            raise TimeoutError

    close = wandb.finish
    monkeypatch.setattr(wandb, "finish", finish)
    tracking.finish(failed=False)
    assert f"upload the rest with: wandb sync {tmp_path}" in capsys.readouterr().out


def test_a_mode_that_a_person_chose_is_not_overridden(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    train.train(compose("logger=wandb"), tmp_path / "run", tmp_path / "models")
    assert not list(tmp_path.glob("run/wandb/*run-*"))


@pytest.mark.parametrize(("project", "mode"), [("a/b", "offline"), ("cola", "sometimes")])
def test_what_wandb_refuses_is_an_error_of_ours(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: str, mode: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    with pytest.raises(ConfigError, match="W&B refuses logger.project"):
        tracking.make_logger(compose("logger=wandb", f"logger.project={project}"), tmp_path)


def test_a_failed_training_closes_its_run(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(ColaModel, "training_step", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        train.train(compose("logger=wandb"), tmp_path / "run", tmp_path / "models")
    assert wandb.run is None


def test_an_account_is_found_in_environment_or_netrc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not tracking.has_account()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert tracking.has_account()
    (tmp_path / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert tracking.has_account()


def test_csv_and_none(compose: Compose, tmp_path: Path) -> None:
    train.train(compose("logger=csv"), tmp_path / "run", tmp_path / "models")
    header = (tmp_path / "run" / "csv" / "metrics.csv").read_text().splitlines()[0]
    assert "val/mcc" in header.split(",")
    assert tracking.make_logger(compose("logger=none"), tmp_path) is None
