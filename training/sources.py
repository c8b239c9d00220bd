"""Where a corpus is read from: a local folder, the Hugging Face Hub, or ``corpus/``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from configs.schema import DataConfig, Source
from corpus import format as corpus_format
from corpus.format import IN_DOMAIN, OUT_OF_DOMAIN, TRAIN, Sentence, read_folder
from corpus.pretext import pretext_sentences
from errors import CorpusError
from training.provenance import CorpusFacts

OWN_CORPUS = Path(__file__).parents[1] / "corpus"

GLUE_IN_DOMAIN_ROWS = 527
"""Rows of CoLA's in-domain file; in GLUE's validation set the out-of-domain file follows them."""

Splits = Mapping[str, Sequence[Sentence]]
"""Sentences by split: ``train``, ``in_domain``, ``out_of_domain``."""


class UnavailableError(Exception):
    """A source has no corpus; the message says why. The next one is tried."""


class GlueRow(TypedDict):
    """A row of the configuration ``cola`` of GLUE on the Hub."""

    sentence: str

    label: int
    """1 acceptable, 0 unacceptable."""

    idx: int


@dataclass(frozen=True)
class Corpus:
    """Labelled sentences by split, and where they came from."""

    name: str
    """The source's name and, after a colon, which of its corpora: ``folder:cola``, ``own``."""

    splits: Splits

    skipped_sources: Mapping[str, str]
    """Why each source that was tried before had no corpus."""

    @property
    def source(self) -> Source:
        """The source it came from."""
        return source_of(self.name)

    @property
    def validation(self) -> list[Sentence]:
        """In-domain first, then out-of-domain, as in GLUE."""
        return [*self.splits[IN_DOMAIN], *self.splits[OUT_OF_DOMAIN]]

    @property
    def validation_splits(self) -> list[str]:
        """The split of each validation sentence."""
        return [
            split for split in (IN_DOMAIN, OUT_OF_DOMAIN) for _ in range(len(self.splits[split]))
        ]

    def describe(self) -> CorpusFacts:
        """Return what a run records of its corpus."""
        written = pretext_sentences(for_own_corpus=self.source is Source.own)
        return CorpusFacts(
            name=self.name,
            sha256=corpus_format.digest(self.splits),
            sentences={split: len(sentences) for split, sentences in self.splits.items()},
            acceptable={
                split: sum(s.label for s in sentences) for split, sentences in self.splits.items()
            },
            **corpus_format.audit(self.splits),
            skipped_sources=dict(self.skipped_sources),
            pretext_sha256=corpus_format.digest({TRAIN: written}),
        )


def source_of(name: str) -> Source:
    """Return the source of a corpus with this name, as recorded in a checkpoint."""
    return Source(name.partition(":")[0])


def load_corpus(config: DataConfig) -> Corpus:
    """Return the corpus of the first of ``config.sources`` that has one.

    Raises:
        CorpusError: No source has one, or the one found is malformed.
    """
    skipped: dict[str, str] = {}
    for source in config.sources:
        try:
            name, splits = _READERS[source](config)
        except UnavailableError as reason:
            skipped[source.value] = str(reason)
            continue

        # Training on another corpus than CoLA must not go unnoticed, unless it was asked for.
        corpus = Corpus(name, splits, skipped)
        if source is Source.own and skipped:
            _warn_of_fallback(corpus)
        return corpus

    reasons = "; ".join(f"{source}: {reason}" for source, reason in skipped.items())
    raise CorpusError(
        f"no corpus in data.sources ({reasons}); set data.path to a folder with CoLA's TSVs, "
        "or data.sources=[own] for the one in this repository"
    )


def _warn_of_fallback(corpus: Corpus) -> None:
    reasons = "\n".join(
        f"  {source}: {reason}" for source, reason in corpus.skipped_sources.items()
    )
    text = (
        f"Training on this repository's own small corpus, not on CoLA:\n{reasons}\n"
        "Set data.path to a folder with CoLA's TSVs, or data.sources=[own] "
        "if this is what you want."
    )
    Console(stderr=True).print(
        Panel(escape(text), title="WARNING: not CoLA", style="bold yellow", expand=False)
    )


def _read_folder(config: DataConfig) -> tuple[str, Splits]:
    if config.path is None:
        raise UnavailableError("data.path is not set")

    folder = Path(config.path)
    return f"{Source.folder.value}:{folder.name}", read_folder(folder)


def _read_own(config: DataConfig) -> tuple[str, Splits]:
    return Source.own.value, read_folder(OWN_CORPUS)


def _read_hub(config: DataConfig) -> tuple[str, Splits]:
    # Heavy, and not needed for the other sources.
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    name, revision = config.hub_name, config.hub_revision
    not_there = (RepositoryNotFoundError, RevisionNotFoundError, DatasetNotFoundError)
    try:
        parts = _downloaded_before(config)
        if parts is None:
            # Asked first: load_dataset takes half a minute to find that there is no network.
            HfApi().dataset_info(name, revision=revision, timeout=config.hub_timeout)
            parts = load_dataset(name, config.hub_config, revision=revision)

        rows = {part: [_from_glue(row) for row in parts[part]] for part in ("train", "validation")}
        _require_both_validation_splits(rows["validation"])
    except (*not_there, ValueError, KeyError) as error:
        # Another source is no answer to a misspelt setting.
        raise CorpusError(
            f"data.hub_name={name}, data.hub_config={config.hub_config}, data.hub_revision="
            f"{revision}: the hub has no such data set, or it is not like CoLA's in GLUE"
        ) from error
    except Exception as error:
        # Each of the hub's libraries raises errors of its own; all others mean: not from here.
        raise UnavailableError(
            f"{name} cannot be reached ({type(error).__name__}: {error})"
        ) from error

    splits = {
        TRAIN: rows["train"],
        IN_DOMAIN: rows["validation"][:GLUE_IN_DOMAIN_ROWS],
        OUT_OF_DOMAIN: rows["validation"][GLUE_IN_DOMAIN_ROWS:],
    }
    return f"{Source.hub.value}:{name}/{config.hub_config}", splits


def _downloaded_before(config: DataConfig) -> Mapping[str, Iterable[GlueRow]] | None:
    """Return the data set from the local cache; None if this commit of it is not in there.

    It needs no network. Offline, ``load_dataset`` would take whichever commit is in the cache.
    """
    from datasets.packaged_modules.cache.cache import Cache

    builder = Cache(
        repo_id=config.hub_name,
        dataset_name=config.hub_name.rpartition("/")[2],
        config_name=config.hub_config,
        hash=config.hub_revision,
    )
    if not Path(builder.cache_dir).is_dir():
        return None
    parts: Mapping[str, Iterable[GlueRow]] = builder.as_dataset()
    return parts


def _require_both_validation_splits(validation: Sequence[Sentence]) -> None:
    """Refuse a validation set that ends before CoLA's out-of-domain part begins.

    Raises:
        ValueError: It does.
    """
    if len(validation) <= GLUE_IN_DOMAIN_ROWS:
        raise ValueError(f"{len(validation)} validation rows")


def _from_glue(row: GlueRow) -> Sentence:
    """Return a row of GLUE's CoLA.

    Raises:
        ValueError: It has no sentence or no label; GLUE's test rows have the label -1.
    """
    if row["label"] not in (0, 1) or not (row["sentence"] or "").strip():
        raise ValueError(f"not a labelled sentence: {row}")

    # GLUE left out the linguists' marks: an unacceptable sentence gets the common one.
    return Sentence(
        source="glue",
        label=int(row["label"]),
        mark="" if row["label"] else "*",
        text=row["sentence"],
    )


_READERS: dict[Source, Callable[[DataConfig], tuple[str, Splits]]] = {
    Source.folder: _read_folder,
    Source.hub: _read_hub,
    Source.own: _read_own,
}
