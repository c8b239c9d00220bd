"""What several benchmarks are given: sentences of a corpus, a configuration."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir

from benchmarks.results import ROOT
from configs.schema import Config, as_config
from corpus.format import IN_DOMAIN, OUT_OF_DOMAIN, read_folder


def corpus_texts() -> list[str]:
    """Return all sentences of corpus/."""
    return [sentence.text for split in read_folder(ROOT / "corpus").values() for sentence in split]


def validation_texts(folder: Path) -> list[str]:
    """Return the validation sentences of a corpus, in-domain first.

    Args:
        folder: The corpus's, in CoLA's format.
    """
    splits = read_folder(folder)
    return [sentence.text for name in (IN_DOMAIN, OUT_OF_DOMAIN) for sentence in splits[name]]


def composed(overrides: Sequence[str]) -> Config:
    """Return the configuration that train.py composes from the same arguments."""
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return as_config(compose("config", list(overrides)))
