"""Stage 1: train the classifier. Corpus -> models/best-checkpoint.ckpt and models/training_report.json.

    python train.py                                     # on what it finds: CoLA from the Hub, else corpus/
    python train.py data.path=path/to/cola              # on CoLA's TSVs in a folder
    python train.py -m training.lr=5e-5,1e-4            # a grid, ranked at the end
    python train.py training.resume=runs/.../resume.ckpt

Reads configs/ and the corpus; writes runs/<time>/ (logs, pictures, resume.ckpt) and models/.
"""

import logging
import os
import resource
import shutil
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from commands.files import write_json
from commands.run import exit_with, run_command
from configs.schema import plain
from data import DataModule
from errors import CheckpointError, ColaError, ConfigError
from model import ColaModel
from training import provenance, report, tracking, weights
from training.callbacks import LearningCurves, SeedEachStep, StopOnSignal, Throughput
from training.metrics import evaluate

# cuBLAS is deterministic only with a fixed workspace, which must be set before CUDA starts.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@hydra.main(version_base="1.3", config_path="configs", config_name="config")
def main(cfg: DictConfig) -> dict[str, Any]:
    """Compose the configuration and train. A run of a grid keeps its model in its own folder."""
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    is_grid = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        return train(plain(cfg), run_dir, run_dir / "models" if is_grid else Path(cfg.models_dir))
    except ColaError as error:
        if is_grid:
            raise  # the other runs go on
        exit_with(error)  # here, before Hydra adds lines of its own


def train(config: Mapping[str, Any], run_dir: Path, models_dir: Path) -> dict[str, Any]:
    """Train, publish the best checkpoint and its report to ``models_dir``, and return the report.

    Raises:
        ColaError: see ``errors.py``. ``models_dir`` then holds what it held before.
    """
    started = time.perf_counter()
    quieten()
    require_writable(models_dir)
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    tokenizer = weights.load_tokenizer(config["model"])
    data = DataModule(
        tokenizer,
        config["data"],
        config["processing"],
        config["training"]["pretask_epochs"],
        config["seed"],
    )
    data.prepare_data()
    data.setup()
    network = weights.load_network(config["model"], tokenizer)
    facts = weights.describe(config["model"], network, tokenizer) | provenance.collect(
        config, data.corpus.describe()
    )
    model = ColaModel(network, config["training"], facts)

    folder = resume_folder(config["training"]["resume"]) or run_dir
    throughput, curves = Throughput(), LearningCurves()
    logger = tracking.make_logger(config, run_dir)
    failed = True
    try:
        trainer = make_trainer(config, folder, logger, [throughput, curves])
        trainer.fit(model, data, ckpt_path=config["training"]["resume"], weights_only=True)
        best = Path(trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr]
        trainer.validate(model, data, ckpt_path=best, verbose=False, weights_only=True)
        result = summarize(model, trainer, throughput)
        if trainer.is_global_zero:
            result |= {
                "seconds": time.perf_counter() - started,
                "pictures": str(run_dir / "pictures"),
            }
            publish(best, models_dir, result)
            draw(model, data, curves, run_dir / "pictures")
            tracking.log_checkpoint(logger, models_dir / "best-checkpoint.ckpt")
            (folder / "resume.ckpt").unlink(missing_ok=True)
            report.print_summary(result)
        failed = False
    finally:
        tracking.finish(failed=failed)
    return result


def quieten() -> None:
    """Silence what a person who trains cannot act on."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # tokens are in memory: a worker process would only cost time
        ".*your dataloader is not resumable.*",  # it is: see BucketBatchSampler.start_batch
        ".*number of training batches .* is smaller than the logging interval.*",
        ".*Checkpoint directory .* exists and is not empty.*",  # Hydra's own files are there
        ".*LeafSpec.*",  # between Lightning and torch
    ):
        warnings.filterwarnings("ignore", message=message)


def require_writable(folder: Path) -> None:
    """Raise ConfigError now rather than after an hour of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"models_dir={folder} cannot be written ({error.strerror}); set another"
        ) from error


def resume_folder(resume: str | None) -> Path | None:
    """The run folder that a run is resumed in: its best checkpoint so far stands there."""
    if resume is None:
        return None
    if not Path(resume).is_file():
        raise CheckpointError(
            f"training.resume={resume}: there is no such file; give a run's resume.ckpt"
        )
    return Path(resume).parent


def make_trainer(
    config: Mapping[str, Any], folder: Path, logger: Any, callbacks: list[pl.Callback]
) -> pl.Trainer:
    """Lightning's trainer with this project's callbacks; checkpoints go to ``folder``."""
    settings = config["training"]
    best = ModelCheckpoint(
        dirpath=folder,
        filename="best-checkpoint",
        monitor=settings["monitor"],
        mode=settings["monitor_mode"],
        save_weights_only=True,
        enable_version_counter=False,
    )
    resume = ModelCheckpoint(
        dirpath=folder,
        filename="resume",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    callbacks = [SeedEachStep(config["seed"]), StopOnSignal(folder / "resume.ckpt"), *callbacks]
    if settings["patience"] is not None:
        callbacks.append(
            EarlyStopping(
                settings["monitor"], patience=settings["patience"], mode=settings["monitor_mode"]
            )
        )
    return pl.Trainer(
        max_epochs=settings["pretask_epochs"] + settings["max_epochs"],
        reload_dataloaders_every_n_epochs=1,  # an epoch of the pretask has its own data
        accelerator=settings["accelerator"],
        devices=settings["devices"],
        num_nodes=settings["num_nodes"],
        strategy=settings["strategy"],
        precision=choose_precision(settings["precision"]),
        deterministic=settings["deterministic"],
        gradient_clip_val=settings["gradient_clip"],
        log_every_n_steps=settings["log_every_n_steps"],
        limit_train_batches=settings["limit_train_batches"],
        limit_val_batches=settings["limit_val_batches"],
        logger=logger or False,
        callbacks=[best, tracking.TrackValidation(), *callbacks, resume],
        use_distributed_sampler=False,  # BucketBatchSampler shares the batches out
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def choose_precision(precision: str) -> Any:
    """``auto`` is bf16 where the GPU, or else the CPU, computes in it (on a CPU twice as fast), else fp32."""
    if precision.startswith("16"):
        raise ConfigError(
            f"training.precision={precision}: fp16 is not supported; use bf16-mixed or 32-true"
        )
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if torch.cpu.get_capabilities().get("avx512_bf16") else "32-true"


def summarize(model: ColaModel, trainer: pl.Trainer, throughput: Throughput) -> dict[str, Any]:
    """The run's report, but for its seconds and its files."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    kept = ("base_model", "corpus", "git_commit", "created", "packages", "config")
    return {
        "metrics": model.records["validation_metrics"],
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "processes": trainer.world_size,
        "sentences_per_second": throughput.sentences_per_second,
        "peak_memory_mb": peak,
        **{key: model.records[key] for key in kept},
    }


def publish(best: Path, models_dir: Path, result: dict[str, Any]) -> None:
    """Move the best checkpoint and its report into ``models_dir``, readable by everyone."""
    target = models_dir / "best-checkpoint.ckpt"
    temporary = target.with_suffix(".tmp")
    shutil.move(best, temporary)
    temporary.chmod(0o644)
    os.replace(temporary, target)
    result["checkpoint"] = str(target)
    write_json(models_dir / "training_report.json", result)


def draw(model: ColaModel, data: DataModule, curves: LearningCurves, folder: Path) -> None:
    """The pictures of the best checkpoint's predictions."""
    assert model.validation is not None
    sentences = data.corpus.validation
    sources = [sentences[index].source for index in model.validation.index]
    probability, label = model.validation.probability, model.validation.label
    by_source = {
        source: values["mcc"] for source, values in evaluate(probability, label, sources).items()
    }
    report.draw_pictures(folder, probability, label, by_source, curves.points)


if __name__ == "__main__":
    run_command(main)
