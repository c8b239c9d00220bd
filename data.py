"""The data: a corpus from the first source that has one, turned into batches of tokens.

    python train.py data.path=path/to/cola              # CoLA's three TSVs in a folder
    python train.py data.sources=[hub]                  # nyu-mll/glue or an error

Reads a local folder, the Hugging Face Hub or ``corpus/``, in the order of ``data.sources``; writes nothing but
the Hub's own cache.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from corpus import format as cola
from corpus.format import IN_DOMAIN, OUT_OF_DOMAIN, TRAIN, Sentence
from corpus.generate import paradigms
from errors import CorpusError
from training.corruption import Corrupter
from training.examples import Encoder, Examples, join
from training.sampler import BucketBatchSampler

OWN_CORPUS = Path(__file__).parent / "corpus"
OWN_NAME = "own"
GLUE_IN_DOMAIN_ROWS = (
    527  # GLUE's validation set is CoLA's in-domain file followed by its out-of-domain file
)


@dataclass(frozen=True)
class Corpus:
    """Labelled sentences by split, and where they came from."""

    name: str
    splits: Mapping[str, Sequence[Sentence]]
    skipped_sources: Mapping[str, str]  # source -> why it had none

    @property
    def validation(self) -> list[Sentence]:
        """In-domain first, then out-of-domain, as in GLUE."""
        return [*self.splits[IN_DOMAIN], *self.splits[OUT_OF_DOMAIN]]

    @property
    def validation_splits(self) -> list[str]:
        """The split of each validation sentence."""
        return [IN_DOMAIN] * len(self.splits[IN_DOMAIN]) + [OUT_OF_DOMAIN] * len(
            self.splits[OUT_OF_DOMAIN]
        )

    def describe(self) -> dict[str, Any]:
        """What a run records of its corpus."""
        return {
            "name": self.name,
            "sha256": cola.digest(self.splits),
            "sentences": {split: len(sentences) for split, sentences in self.splits.items()},
            "acceptable": {
                split: sum(s.label for s in sentences) for split, sentences in self.splits.items()
            },
            **cola.audit(self.splits),
            "skipped_sources": dict(self.skipped_sources),
        }


def load_corpus(settings: Mapping[str, Any]) -> Corpus:
    """The corpus of the first source in ``settings['sources']`` that has one (see ``configs/data``).

    Raises:
        CorpusError: no source has one, or the one found is malformed.
    """
    key = tuple(tuple(value) if isinstance(value, list) else value for value in settings.values())
    return _load_corpus(tuple(settings), key)


@functools.cache  # prepare_data and setup ask for the same corpus: warn once, wait for the hub once
def _load_corpus(names: tuple[str, ...], values: tuple[Any, ...]) -> Corpus:
    settings = dict(zip(names, values, strict=True))
    skipped: dict[str, str] = {}
    for source in settings["sources"]:
        try:
            name, splits = _READERS[source](settings)
        except _Unavailable as reason:
            skipped[source] = str(reason)
            continue
        corpus = Corpus(name, splits, skipped)
        if source == "corpus" and skipped:
            _warn_of_fallback(corpus)
        return corpus
    reasons = "; ".join(f"{source}: {reason}" for source, reason in skipped.items())
    raise CorpusError(
        f"no corpus in data.sources ({reasons}); set data.path to a folder with CoLA's TSVs, "
        "or data.sources=[corpus] for the one in this repository"
    )


class _Unavailable(Exception):
    """This source has no corpus: try the next."""


def _read_folder(settings: Mapping[str, Any]) -> tuple[str, dict[str, list[Sentence]]]:
    if settings["path"] is None:
        raise _Unavailable("data.path is not set")
    folder = Path(settings["path"])
    return f"folder:{folder.name}", cola.read_folder(folder)


def _read_own(settings: Mapping[str, Any]) -> tuple[str, dict[str, list[Sentence]]]:
    return OWN_NAME, cola.read_folder(OWN_CORPUS)


def _read_hub(settings: Mapping[str, Any]) -> tuple[str, dict[str, list[Sentence]]]:
    from datasets import load_dataset
    from huggingface_hub import HfApi

    name, revision = settings["hub_name"], settings["hub_revision"]
    try:  # the library's own retries take half a minute to find that there is no network
        HfApi().dataset_info(name, revision=revision, timeout=settings["hub_timeout"])
        parts = load_dataset(name, settings["hub_config"], revision=revision)
        rows = {part: [_from_glue(row) for row in parts[part]] for part in ("train", "validation")}
    except (
        Exception
    ) as error:  # each of the hub's libraries raises its own kinds; all mean: not from here
        raise _Unavailable(f"{name} cannot be reached ({type(error).__name__}: {error})") from error
    splits = {
        TRAIN: rows["train"],
        IN_DOMAIN: rows["validation"][:GLUE_IN_DOMAIN_ROWS],
        OUT_OF_DOMAIN: rows["validation"][GLUE_IN_DOMAIN_ROWS:],
    }
    return f"hub:{name}/{settings['hub_config']}", splits


def _from_glue(row: Mapping[str, Any]) -> Sentence:
    return Sentence(
        source="glue",
        label=int(row["label"]),
        mark="" if row["label"] else "*",
        text=row["sentence"],
    )


_READERS: dict[str, Callable[[Mapping[str, Any]], tuple[str, dict[str, list[Sentence]]]]] = {
    "folder": _read_folder,
    "hub": _read_hub,
    "corpus": _read_own,
}


def _warn_of_fallback(corpus: Corpus) -> None:
    reasons = "\n".join(
        f"  {source}: {reason}" for source, reason in corpus.skipped_sources.items()
    )
    text = (
        f"Training on this repository's own small corpus, not on CoLA:\n{reasons}\n"
        "Set data.path to a folder with CoLA's TSVs, or data.sources=[corpus] if this is what you want."
    )
    Console(stderr=True).print(
        Panel(escape(text), title="WARNING: not CoLA", style="bold yellow", expand=False)
    )


class DataModule(pl.LightningDataModule):
    """CoLA's token batches, in the form that ``training.examples.Encoder.collate`` gives.

    The first ``pretask_epochs`` tell whole sentences from broken ones, and learn paradigms from the grammar of
    ``corpus/``; the others tell acceptable from unacceptable ones.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        data: Mapping[str, Any],
        processing: Mapping[str, Any],
        pretask_epochs: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(tokenizer, processing["max_length"], processing["padding"])
        self.settings, self.processing = data, processing
        self.pretask_epochs, self.seed = pretask_epochs, seed

    def prepare_data(self) -> None:
        """Download or read, on one process, so that ``setup`` finds it on all."""
        load_corpus(self.settings)

    def setup(self, stage: str | None = None) -> None:
        """Assign the corpus and its tokens."""
        self.corpus = load_corpus(self.settings)
        sentences = self.corpus.splits[TRAIN]
        self.train_examples = self.encoder.encode(sentences)
        self.validation_examples = self.encoder.encode(self.corpus.validation)
        self.whole_texts = [sentence.text for sentence in sentences if sentence.label == 1]
        self.corrupter = Corrupter([sentence.text for sentence in sentences])

    def train_dataloader(self) -> DataLoader[int]:
        """The batches of the current epoch; the trainer asks anew for each."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        examples = self.train_examples
        if epoch < self.pretask_epochs:
            random = Random(f"{self.seed}-{epoch}")
            broken = self.encoder.corrupt(self.whole_texts, self.corrupter, random)
            examples = join(broken, self.encoder.encode(self._paradigms(random)))
        return self._loader(examples, shuffle=True, epoch=epoch)

    def val_dataloader(self) -> DataLoader[int]:
        return self._loader(self.validation_examples, shuffle=False)

    def _paradigms(self, random: Random) -> list[Sentence]:
        return paradigms(random, for_own_corpus=self.corpus.name == OWN_NAME)

    def training_steps(self, max_epochs: int, world_size: int, limit_batches: float) -> int:
        """Optimizer steps of all epochs together: an epoch of the pretask has another length than the others."""

        def steps(sentences: int) -> int:
            batches = -(-sentences // self.processing["batch_size"])
            return int(-(-batches // world_size) * limit_batches)

        pretask = self.pretask_epochs * steps(
            2 * len(self.whole_texts) + len(self._paradigms(Random()))
        )
        return pretask + (max_epochs - self.pretask_epochs) * steps(len(self.train_examples.ids))

    def _loader(self, examples: Examples, *, shuffle: bool, epoch: int = 0) -> DataLoader[int]:
        trainer = self.trainer

        def batches_done() -> int:
            return (
                trainer.fit_loop.epoch_loop.batch_progress.current.completed
                if trainer and shuffle
                else 0
            )

        sampler = BucketBatchSampler(
            [len(sentence) for sentence in examples.ids],
            self.processing["batch_size"],
            shuffle=shuffle,
            bucket=self.processing["bucket"],
            seed=f"{self.seed}-{epoch}",
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            start_batch=batches_done,
        )
        collate = functools.partial(self.encoder.collate, examples)
        return DataLoader(range(len(examples.ids)), batch_sampler=sampler, collate_fn=collate)  # type: ignore[arg-type]
