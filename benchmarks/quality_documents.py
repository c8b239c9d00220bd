"""What quality_vnni.json and quality_no_vnni.json hold: seeds, trained and exported."""

import hashlib
import json
from typing import NotRequired, TypedDict

from benchmarks.inputs import composed
from benchmarks.machine import Machine
from configs.recorded import plain
from configs.schema import Config
from corpus.format import TRAIN, digest
from corpus.pretext import pretext_sentences

PRECISIONS = {"32-true": "fp32", "bf16-mixed": "bf16"}
"""What a group's name calls ``training.precision``."""


class SeedSpread(TypedDict):
    """The mean over seeds, and the lowest and highest of them."""

    mean: float
    min: float
    max: float


class Int8Run(TypedDict):
    """The exported model of one seed, on its validation set."""

    scheme: str
    """How it was quantized."""
    megabytes: float
    mcc: float
    label_changes: float
    """Share of the sentences that have another label than with PyTorch."""
    company_difference: float
    """Largest change of a probability that other sentences in its row give a sentence."""
    company_label_changes: int
    """How often they change a label, of four times all sentences."""


class QualityRun(TypedDict):
    """One seed, trained and exported."""

    seed: int
    mcc: dict[str, float]
    """Matthews correlation per split: overall, in_domain, out_of_domain."""
    int8: Int8Run
    calibration_error: float
    """That of out-of-domain scores, each calibrated by a fit without it. Groups with earlier
    settings have that of the int8 file's, calibrated on the in-domain half."""
    calibration_error_by_chance: float
    """What exact probabilities would show on so few sentences."""
    minutes: float
    cpu_minutes: float
    """Minutes of all threads together, which other programs do not lengthen."""
    git_commit: str | None
    """Commit of the training."""
    export_git_commit: str | None


class Settings(TypedDict):
    """What all seeds of a group share, as digests."""

    configuration_sha256: str
    """Digest of the groups model, processing and training."""
    corpus_sha256: str
    pretext_sha256: str | None
    """Digest of the written sentences of the pretext task."""


class Quality(TypedDict):
    """Several seeds, in either file by ``EXPERIMENT on CORPUS, OVERRIDES, PRECISION``."""

    model: str
    sentences: dict[str, int]
    mcc: dict[str, SeedSpread]
    int8_mcc: SeedSpread
    calibration_error: SeedSpread
    runs: list[QualityRun]
    machine: NotRequired[Machine]
    """Added when the group is recorded, as are the command and the commit."""
    settings: NotRequired[Settings]
    """Groups of earlier versions lack it."""


def title(name: str, group: Quality) -> str:
    """Return a group's name, as documents show it.

    What is of other written sentences, or of other settings than the name stands for now, says so.
    """
    settings = group.get("settings")
    written = pretext_sentences(for_own_corpus=" on own" in name)
    if not settings or settings["pretext_sha256"] != digest({TRAIN: written}):
        return f"{name}, with an earlier `corpus/pretext.tsv`"

    if settings["configuration_sha256"] != configuration_digest(_configuration_of(name)):
        return f"{name}, with earlier settings"
    return name


def configuration_digest(config: Config) -> str:
    """Return a digest of what all seeds of a group share."""
    groups = plain(config)
    shared = json.dumps([groups[name] for name in ("model", "processing", "training")])
    return hashlib.sha256(shared.encode()).hexdigest()


def _configuration_of(name: str) -> Config:
    """Return what a group's name stands for: ``EXPERIMENT on CORPUS, OVERRIDES, PRECISION``."""
    what, *overrides, precision = name.split(", ")
    (setting,) = (key for key, short in PRECISIONS.items() if short == precision)
    overrides.append(f"training.precision={setting}")

    experiment = what.partition(" on ")[0]
    if experiment != "default":
        overrides.append(f"experiment={experiment}")
    return composed(overrides)
