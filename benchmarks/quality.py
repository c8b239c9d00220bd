"""How good the classifier gets: several seeds on CoLA or corpus/, each exported to int8.

    python -m benchmarks.quality data.path=path/to/cola
    python -m benchmarks.quality data.path=path/to/cola experiment=quality --seeds 1,2
    python -m benchmarks.quality data.sources=[own]

One seed is not a result: the same settings give MCCs that differ by several hundredths. Nor is one
precision: training in bf16 gives others than in fp32, so a CPU that computes in both measures both.

Each seed is trained and exported by the commands that people run, into --folder; one that has
finished there with the same configuration and corpus is not run again. After a change of the
export, --export-again exports finished seeds again. Writes
benchmarks/results/quality_vnni.json or quality_no_vnni.json, by experiment, corpus, other overrides
and precision, and prints it as the last line. Seeds are added to those of earlier runs with the
same settings.

What is recorded has a commit: code that was changed since is refused, so commit the file before the
next run.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.inputs import composed
from benchmarks.quality_documents import PRECISIONS
from benchmarks.quality_groups import Measured, record, summary
from benchmarks.results import ROOT, without_folder
from configs.schema import Config
from training.precision import choose_precision
from training.provenance import CorpusFacts, git_commit
from training.report import TrainingReport
from training.sources import load_corpus

# What the experiment's and the corpus's names tell of the overrides.
NAMED = ("experiment=", "data.path=", "data.sources=")

# What the benchmark decides itself: an override would be in the results' name, and nowhere else.
DECIDED_HERE = (
    "seed=",
    "training.precision=",
    "logger=",
    "models_dir=",
    "export.checkpoint=",
    "export.output=",
    "export.precision=",
)


def main() -> None:
    """Run what has not been run; print and record all seeds of each precision."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as data.path=...")
    parser.add_argument("--seeds", default="1,2,3", help="default: %(default)s")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="default: all that this CPU computes in"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/quality"), help="of the runs")
    parser.add_argument("--export-again", action="store_true", help="finished seeds, too")
    arguments = parser.parse_intermixed_args()
    for override in arguments.overrides:
        if override.lstrip("+").startswith(DECIDED_HERE):
            parser.error(f"{override}: the benchmark decides this (--seeds, --precision, --folder)")

    config = composed(arguments.overrides)
    require_cpu(config.training.accelerator)

    corpus = corpus_facts(config)
    name = group_name(arguments.overrides, corpus)
    folder = arguments.folder / re.sub(r"[^\w.-]+", "-", name)

    # What `auto` chooses is the faster one, if there are two.
    precisions = dict.fromkeys(["32-true", choose_precision("auto", "cpu")])
    groups: dict[str, list[Measured]] = {}
    for precision in [arguments.precision] if arguments.precision else precisions:
        overrides = [*arguments.overrides, f"training.precision={precision}"]
        groups[f"{name}, {PRECISIONS[precision]}"] = [
            finished_run(
                [*overrides, f"seed={seed}", "logger=none"],
                corpus,
                folder / precision / f"seed-{seed}",
                export_again=arguments.export_again,
            )
            for seed in map(int, arguments.seeds.split(","))
        ]

    # At the end: once the results are written, the code has no commit that trains the rest.
    for group, measured in groups.items():
        record(measured, group)


def require_cpu(accelerator: str) -> None:
    """Refuse to train on a GPU: results name the CPU that gave them.

    Args:
        accelerator: ``training.accelerator``.

    Raises:
        SystemExit: Lightning would take a GPU.
    """
    has_gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    if has_gpu and accelerator != "cpu":
        raise SystemExit("error: training would take the GPU: add training.accelerator=cpu")


def group_name(overrides: Sequence[str], corpus: CorpusFacts) -> str:
    """Return experiment and corpus, and the overrides that neither of them stands for."""
    name = f"{composed(overrides).experiment_name} on {corpus.name.removeprefix('folder:')}"
    others = [override for override in overrides if not override.startswith(NAMED)]
    return ", ".join([name, *map(without_folder, others)])


def finished_run(
    overrides: Sequence[str], corpus: CorpusFacts, folder: Path, *, export_again: bool
) -> Measured:
    """Return a seed's results; train and export first where that has not been done.

    Args:
        overrides: The configuration's, the seed included.
        corpus: What it is trained on.
        folder: Where the checkpoint, the model file and the reports are.
        export_again: Whether to export a finished seed, too.

    Raises:
        SystemExit: The code, or that of a finished run, was changed since its commit.
    """
    overrides = [*overrides, f"models_dir={folder}"]
    report, export_report = folder / "training_report.json", folder / "export_report.json"
    is_finished = is_trained(report, composed(overrides), corpus)
    if not is_finished or export_again:
        export_report.unlink(missing_ok=True)

    if not export_report.is_file():
        require_clean(git_commit())
    if not is_finished:
        run("train.py", *overrides, f"hydra.run.dir={folder}/run")
    if not export_report.is_file():
        export = [override for override in overrides if override.startswith("export.")]
        export += [f"export.checkpoint={folder}/best-checkpoint.ckpt"]
        run("convert_model_to_onnx.py", *export, f"export.output={folder}/model.onnx")

    training = read_report(report)
    result = summary(training, export_report)
    for commit in (result["git_commit"], result["export_git_commit"]):
        require_clean(commit)
    return training, result


def is_trained(report: Path, config: Config, corpus: CorpusFacts) -> bool:
    """Return whether the run of a report trained so, on these sentences, from committed code."""
    if not report.is_file():
        return False

    # How it is exported is not training's concern.
    run = read_report(report)
    return (
        replace(run.config, export=config.export) == config
        and run.corpus.sha256 == corpus.sha256
        and run.corpus.pretext_sha256 == corpus.pretext_sha256
        and not is_dirty(run.git_commit)
    )


def is_dirty(commit: str | None) -> bool:
    """Return whether code was changed since its commit."""
    return commit is not None and commit.endswith("-dirty")


def require_clean(commit: str | None) -> None:
    """Refuse results of code that nobody else can have.

    Raises:
        SystemExit: It was changed since its commit.
    """
    if is_dirty(commit):
        raise SystemExit(
            f"error: the code was changed since its commit ({commit}): "
            "commit, then run this again with --export-again"
        )


def corpus_facts(config: Config) -> CorpusFacts:
    """Return the digests of what a configuration trains on."""
    return load_corpus(config.data).describe()


def run(script: str, *arguments: str) -> None:
    """Run one of the root scripts from here, with its output in sight.

    Raises:
        subprocess.CalledProcessError: It failed; the seeds that have finished are kept.
    """
    subprocess.run([sys.executable, str(ROOT / script), *arguments], check=True)


def read_report(path: Path) -> TrainingReport:
    """Return a finished run's report."""
    return TrainingReport.from_json(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
