"""What a checkpoint says about itself, so that it can be used by itself."""

import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from commands.files import sha256_of
from configs.recorded import from_plain, plain
from configs.schema import Config, ModelConfig
from errors import CheckpointError
from prediction.model_file import Metrics
from prediction.types import LABELS

PACKAGES = (
    "torch",
    "pytorch-lightning",
    "transformers",
    "tokenizers",
    "torchmetrics",
    "datasets",
    "numpy",
)

Architecture = dict[str, Any]
"""transformers' configuration dictionary of a network."""


@dataclass(frozen=True)
class BaseModel:
    """The pretrained model that training started from."""

    name: str
    """As the group ``model`` names it: a local folder, or a model on the Hub."""

    revision: str | None
    """Commit on the Hub; None for a local folder and for random weights."""

    sha256: str | None
    """SHA-256 of the file with the weights; None if it is not known."""


@dataclass(frozen=True)
class CorpusFacts:
    """What a run records of its corpus."""

    name: str
    """``folder:NAME``, ``hub:NAME/CONFIGURATION``, or ``own`` for the corpus of this repository."""

    sha256: str
    """SHA-256 of every label and sentence in order (``corpus.format.digest``)."""

    sentences: dict[str, int]
    """Number of sentences of each split."""

    acceptable: dict[str, int]
    """Number of acceptable sentences of each split."""

    duplicated: int
    """Training sentences that occur more than once."""

    contradictory: int
    """Training sentences that carry both labels."""

    leaked: int
    """Validation sentences that are in the training set too."""

    skipped_sources: dict[str, str]
    """Why each source that was tried before had no corpus."""

    pretext_sha256: str | None = None
    """SHA-256 of ``corpus/pretext.tsv``'s sentences; None in a checkpoint of an earlier version."""


@dataclass(frozen=True)
class Provenance:
    """The entry ``cola`` of a checkpoint."""

    base_model: BaseModel

    network: Architecture
    """Complete, so that the network can be rebuilt from it."""

    tokenizer: str
    """``tokenizer.json``, without truncation and padding."""

    labels: list[str]
    """Names of the labels 0 and 1."""

    config: Config
    """The run's resolved configuration."""

    corpus: CorpusFacts

    max_length: int
    """Tokens; longer sentences are truncated."""

    git_commit: str | None
    """See ``git_commit``."""

    packages: dict[str, str]
    """Versions of the packages in ``PACKAGES``."""

    created: str
    """Start of the run, ISO 8601 in UTC."""

    validation_metrics: Metrics = field(default_factory=dict)
    """Metrics of the last validation before the checkpoint was saved; empty before the first."""

    precision: str | None = None
    """What ``training.precision`` came to; None in a checkpoint of an earlier version."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON document."""
        return as_document(self)

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> "Provenance":
        """Return what ``to_json`` recorded, also in a checkpoint made by an older version.

        Raises:
            KeyError, TypeError, omegaconf.errors.OmegaConfBaseException: It was not ``to_json``.
        """
        return cls(**from_document(recorded))


def as_document(record: object) -> dict[str, Any]:
    """Return a record of a run, with ``base_model``, ``config`` and ``corpus``, as JSON."""
    fields = vars(record)
    return {
        **fields,
        "base_model": asdict(fields["base_model"]),
        "config": plain(fields["config"]),
        "corpus": asdict(fields["corpus"]),
    }


def from_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the record that ``as_document`` turned into this document."""
    return {
        **document,
        "base_model": BaseModel(**document["base_model"]),
        "config": from_plain(document["config"]),
        "corpus": CorpusFacts(**document["corpus"]),
    }


def collect(
    config: Config, corpus: CorpusFacts, network: Architecture, tokenizer: str
) -> Provenance:
    """Return the provenance of a run that starts now.

    Args:
        config: The run's configuration.
        corpus: Facts about the corpus that it trains on.
        network: Architecture (``weights.architecture``).
        tokenizer: ``tokenizer.json`` (``weights.tokenizer_json``).
    """
    return Provenance(
        base_model=_base_model(config.model),
        network=network,
        tokenizer=tokenizer,
        labels=LABELS,
        config=config,
        corpus=corpus,
        max_length=config.processing.max_length,
        git_commit=git_commit(),
        packages={name: version(name) for name in PACKAGES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _base_model(model: ModelConfig) -> BaseModel:
    """Return what training starts from: the group's commit and digest are not those of a folder."""
    if model.from_scratch is not None:
        return BaseModel(model.name, revision=None, sha256=None)

    folder = Path(model.name)
    if folder.is_dir():
        file = folder / "model.safetensors"
        return BaseModel(model.name, None, sha256_of(file) if file.is_file() else None)
    return BaseModel(model.name, model.revision, model.sha256)


def git_commit() -> str | None:
    """Return the commit of the running code, ``-dirty`` if changed; None without git."""
    # Tags are left out: a name that moves would not say which code ran.
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def require_same_settings(interrupted: Provenance, resuming: Provenance) -> None:
    """Refuse to resume a run with other settings: its batches, schedule and optimizer have its own.

    Args:
        interrupted: Provenance of the run to resume.
        resuming: Provenance of the run that would resume it.

    Raises:
        CheckpointError: They differ.
    """
    theirs, ours = _settings(interrupted), _settings(resuming)
    others = [f"{key}={value}" for key, value in theirs.items() if ours.get(key) != value]
    if others:
        raise CheckpointError(
            f"training.resume={resuming.config.training.resume}: that run had {' '.join(others)}; "
            "resume it with the same settings"
        )


def _settings(provenance: Provenance) -> dict[str, Any]:
    """Return what decides how a run goes on, by key."""
    config = provenance.config
    settings: dict[str, Any] = {
        "corpus": provenance.corpus.sha256,
        "pretext": provenance.corpus.pretext_sha256,
        "seed": config.seed,
    }
    for name in ("model", "processing", "training"):
        group = asdict(getattr(config, name))
        settings |= {f"{name}.{key}": value for key, value in group.items() if key != "resume"}

    # What "auto" came to on that machine.
    if provenance.precision is not None:
        settings["precision"] = provenance.precision
    return settings
