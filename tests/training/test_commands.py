"""``python train.py`` as a person runs it: a mistake, a grid, two processes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

SMOKE = ("experiment=smoke", "logger=none")


@pytest.fixture
def quick(small_corpus: Path) -> tuple[str, ...]:
    """Arguments for a run of seconds."""
    return (*SMOKE, f"data.path={small_corpus}")


@pytest.fixture
def broken_corpus(small_corpus: Path, tmp_path: Path) -> Path:
    """Copy the small corpus, and give one sentence a label that is neither 0 nor 1."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in small_corpus.glob("*.tsv"):
        (folder / path.name).write_bytes(path.read_bytes())

    with (folder / "in_domain_dev.tsv").open("a") as file:
        file.write("source\tmaybe\t\tA sentence.\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("data.path={broken}",), "in_domain_dev.tsv:"),
        (("data.path={missing}",), "no folder"),
        (("training.learning_rate=1",), "learning_rate"),
        (("training.lr=fast",), "lr"),
        (
            ("model.name=nobody/has-this", "model.package=null", "model.from_scratch=null"),
            "model.name=nobody/has-this",
        ),
        (("model.name=''",), "model.name is empty"),
        (("models_dir=/proc/models",), "models_dir=/proc/models"),
        (("training.resume={missing}",), "training.resume="),
        (("training.max_epochs=0",), "training.max_epochs=0: it has to be 1 or more"),
        (("hydra.run.dir=/proc/nope",), "/proc/nope"),
    ],
)
def test_a_mistake_ends_in_one_line(
    run: Run,
    quick: tuple[str, ...],
    broken_corpus: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    filled = [text.format(broken=broken_corpus, missing=tmp_path / "missing") for text in arguments]
    result = run("train.py", *quick, *filled)

    assert result.returncode == 2
    assert "Traceback" not in result.stderr + result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert complaint in line
    assert result.stderr.strip().endswith(line)
    assert "Error executing job" not in result.stderr, "Hydra adds nothing of its own"


@pytest.mark.slow
def test_a_grid_ends_in_a_ranking(run: Run, quick: tuple[str, ...], tmp_path: Path) -> None:
    result = run("train.py", "-m", *quick, "training.lr=1e-3,-1,1e-2", "model=random_tiny")
    assert result.returncode == 2, "one of its runs failed"
    assert result.stderr.count("error: training.lr=-1") == 1

    _, _, ranking = result.stdout.partition("Runs by MCC")
    assert ranking.count("failed") == 1
    assert len(list(tmp_path.glob("runs/sweep_*/*/models/best-checkpoint.ckpt"))) == 2
    assert not (tmp_path / "models").exists(), "a grid leaves the published model alone"


@pytest.mark.slow
def test_two_processes_validate_every_sentence_once(
    run: Run, quick: tuple[str, ...], tmp_path: Path
) -> None:
    two = ("training.strategy=ddp", "training.devices=2", "training.accelerator=cpu")

    # The pretext task, then two epochs of the corpus with frozen words: in the second, a process
    # knows the worst directions of the sentences that it has had in the first.
    default = ("training.pretext_epochs=1", "training.max_epochs=2", "training.freeze_words=true")

    # With the default logger, which records in the first process alone.
    arguments = (*quick, *two, *default, "logger=wandb")
    result = run("train.py", *arguments, environment={"OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr

    report = json.loads((tmp_path / "models" / "training_report.json").read_text())
    assert report["processes"] == 2

    counts, overall = report["corpus"]["sentences"], report["metrics"]["overall"]
    assert overall["sentences"] == counts["in_domain"] + counts["out_of_domain"]
    assert -1 <= overall["mcc"] <= 1
