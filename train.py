"""Chapter 3: train the classifier on the corpus.

    python train.py                                # CoLA from the Hub, else corpus/
    python train.py data.path=path/to/cola         # on CoLA's TSVs in a folder
    python train.py -m training.lr=5e-5,1e-4       # a grid, ranked at the end
    python train.py training.resume=runs/.../resume.ckpt

Reads configs/, the corpus and the base weights; writes models/best-checkpoint.ckpt,
models/training_report.json, and runs/<time>/ (logs, pictures, resume.ckpt).
"""

import os
import resource
import shutil
import time
from dataclasses import replace
from pathlib import Path

import hydra
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from transformers import PreTrainedModel

from commands import files
from commands.run import exit_on_error, run_command
from configs.limits import require_limits
from configs.schema import Config, as_config
from data import DataModule
from model import ColaModel
from training import checks, pictures, provenance, report, tracking, weights
from training.callbacks import LearningCurves, Throughput
from training.precision import multiply_with_onednn
from training.provenance import Provenance
from training.report import TrainingReport, peak_megabytes
from training.trainer import best_checkpoint, make_trainer, quieten

# cuBLAS is deterministic only with a fixed workspace, which must be set before CUDA starts.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@hydra.main(version_base="1.3", config_path="configs", config_name="config")
@exit_on_error
def main(cfg: DictConfig) -> TrainingReport:
    """Train with the composed configuration; Hydra hands the report to ``RankRuns``."""
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    is_grid = HydraConfig.get().mode == RunMode.MULTIRUN

    # A run of a grid keeps its model in its own folder.
    models_dir = run_dir / "models" if is_grid else Path(cfg.models_dir)

    return train(as_config(cfg), run_dir, models_dir)


def train(config: Config, run_dir: Path, models_dir: Path) -> TrainingReport:
    """Train, and publish the best checkpoint and its report to ``models_dir``.

    Args:
        config: The configuration.
        run_dir: Folder of this run, for logs, pictures and ``resume.ckpt``.
        models_dir: Folder of the published checkpoint.

    Returns:
        The report.

    Raises:
        ColaError: See ``errors.py``. ``models_dir`` then holds what it held before.
    """
    started, cpu_started = time.perf_counter(), cpu_seconds()
    quieten()

    # Refuse now what would only fail after an hour of training.
    require_limits(config)
    files.require_writable(models_dir, f"models_dir={models_dir}")
    checkpoint_dir = checks.resume_folder(config.training.resume) or run_dir

    make_repeatable(config.seed)
    data, network, origin = load(config)

    with tracking.record(config, run_dir) as logger:
        throughput, curves = Throughput(), LearningCurves()
        callbacks = [tracking.TrackValidation(data.corpus.validation), throughput, curves]
        with checks.report_refused_settings(TypeError, ValueError):
            trainer = make_trainer(config, checkpoint_dir, logger, callbacks)

        origin = replace(origin, precision=trainer.precision)
        model = make_model(config, network, origin, data, trainer)
        best = fit(trainer, model, data, config.training.resume)

        picture_dir, published = run_dir / "pictures", models_dir / "best-checkpoint.ckpt"
        result = summarize(
            model,
            trainer,
            throughput,
            seconds=time.perf_counter() - started,
            cpu=cpu_seconds() - cpu_started,
            picture_dir=picture_dir,
            published=published,
        )

        # Only the first process writes. It publishes last, so that an earlier failure leaves the
        # published model alone.
        if trainer.is_global_zero:
            assert model.validation is not None
            pictures.draw(picture_dir, model.validation, data.corpus.validation, curves.points)
            tracking.log_checkpoint(logger, best)
            publish(best, result)
            (checkpoint_dir / "resume.ckpt").unlink(missing_ok=True)
            report.print_summary(result)
    return result


def make_repeatable(seed: int) -> None:
    """Let all random numbers follow from the seed, and choose the library of matrix products."""
    pl.seed_everything(seed, workers=True, verbose=False)

    # With deterministic algorithms torch also fills new memory, which nothing here reads before it
    # is written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    multiply_with_onednn()


def load(config: Config) -> tuple[DataModule, PreTrainedModel, Provenance]:
    """Return the corpus as tokens, the pretrained network, and what its checkpoint will record."""
    tokenizer = weights.load_tokenizer(config.model)
    data = DataModule(
        tokenizer,
        config.data,
        config.processing,
        config.training.pretext_epochs,
        config.training.grammar_sentences,
        config.seed,
    )
    data.prepare_data()
    data.setup()
    checks.require_monitor(
        config.training.monitor, data.corpus.validation, data.corpus.validation_splits
    )

    network = weights.load_network(config.model, tokenizer)
    checks.require_positions(network, config.processing.max_length)
    origin = provenance.collect(
        config,
        data.corpus.describe(),
        weights.architecture(network),
        weights.tokenizer_json(tokenizer),
    )
    return data, network, origin


def make_model(
    config: Config,
    network: PreTrainedModel,
    origin: Provenance,
    data: DataModule,
    trainer: pl.Trainer,
) -> ColaModel:
    """Return the model to train; the trainer knows the number of processes, and so of steps."""
    steps = data.training_steps(
        trainer.max_epochs or 0, trainer.world_size, config.training.limit_train_batches
    )
    return ColaModel(
        network,
        config.training,
        origin,
        validation_splits=data.corpus.validation_splits,
        steps=steps,
    )


def fit(trainer: pl.Trainer, model: ColaModel, data: DataModule, resume: str | None) -> Path:
    """Train; validate the best checkpoint once more, for the report, and return its path."""
    with checks.report_refused_settings():
        trainer.fit(model, data, ckpt_path=resume, weights_only=True)

    best = best_checkpoint(trainer)
    trainer.validate(model, data, ckpt_path=best, verbose=False, weights_only=True)
    return best


def cpu_seconds() -> float:
    """Return the CPU time of this process so far; in a grid, earlier runs included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def summarize(
    model: ColaModel,
    trainer: pl.Trainer,
    throughput: Throughput,
    *,
    seconds: float,
    cpu: float,
    picture_dir: Path,
    published: Path,
) -> TrainingReport:
    """Return the run's report.

    Args:
        model: The model, after the validation of its best checkpoint.
        trainer: Its trainer.
        throughput: The speed of its steps.
        seconds: Duration of the run.
        cpu: CPU seconds of this process in that time.
        picture_dir: Folder of the pictures.
        published: Where the checkpoint will be.
    """
    origin = model.provenance

    return TrainingReport(
        metrics=origin.validation_metrics,
        epochs=trainer.current_epoch,
        steps=trainer.global_step,
        processes=trainer.world_size,
        sentences_per_second=throughput.sentences_per_second,
        peak_memory_mb=peak_megabytes(resource.getrusage(resource.RUSAGE_SELF)),
        base_model=origin.base_model,
        corpus=origin.corpus,
        git_commit=origin.git_commit,
        created=origin.created,
        packages=origin.packages,
        config=origin.config,
        seconds=seconds,
        cpu_seconds=cpu,
        pictures=str(picture_dir),
        checkpoint=str(published),
    )


def publish(best: Path, result: TrainingReport) -> None:
    """Move the best checkpoint to ``result.checkpoint`` and write the report beside it."""
    published = Path(result.checkpoint)
    with files.replace_atomically(published) as temporary:
        shutil.move(best, temporary)
        # A server may run as somebody else.
        temporary.chmod(0o644)

    files.write_json(published.with_name("training_report.json"), result.to_json())


if __name__ == "__main__":
    run_command(main)
