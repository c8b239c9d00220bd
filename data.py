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
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.panel import Panel
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from corpus import format as cola
from corpus.format import IN_DOMAIN, OUT_OF_DOMAIN, TRAIN, Sentence
from errors import CorpusError
from training.sampler import BucketBatchSampler

OWN_CORPUS = Path(__file__).parent / "corpus"
GLUE_IN_DOMAIN_ROWS = 527  # GLUE's validation set is CoLA's in-domain file followed by its out-of-domain file

Batch = dict[str, Tensor]


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
        return [IN_DOMAIN] * len(self.splits[IN_DOMAIN]) + [OUT_OF_DOMAIN] * len(self.splits[OUT_OF_DOMAIN])

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
    return "own", cola.read_folder(OWN_CORPUS)


def _read_hub(settings: Mapping[str, Any]) -> tuple[str, dict[str, list[Sentence]]]:
    from datasets import load_dataset
    from huggingface_hub import HfApi

    name, revision = settings["hub_name"], settings["hub_revision"]
    try:  # the library's own retries take half a minute to find that there is no network
        HfApi().dataset_info(name, revision=revision, timeout=settings["hub_timeout"])
        parts = load_dataset(name, settings["hub_config"], revision=revision)
        rows = {part: [_from_glue(row) for row in parts[part]] for part in ("train", "validation")}
    except Exception as error:  # each of the hub's libraries raises its own kinds; all mean: not from here
        raise _Unavailable(f"{name} cannot be reached ({type(error).__name__}: {error})") from error
    splits = {
        TRAIN: rows["train"],
        IN_DOMAIN: rows["validation"][:GLUE_IN_DOMAIN_ROWS],
        OUT_OF_DOMAIN: rows["validation"][GLUE_IN_DOMAIN_ROWS:],
    }
    return f"hub:{name}/{settings['hub_config']}", splits


def _from_glue(row: Mapping[str, Any]) -> Sentence:
    return Sentence(
        source="glue", label=int(row["label"]), mark="" if row["label"] else "*", text=row["sentence"]
    )


_READERS: dict[str, Callable[[Mapping[str, Any]], tuple[str, dict[str, list[Sentence]]]]] = {
    "folder": _read_folder,
    "hub": _read_hub,
    "corpus": _read_own,
}


def _warn_of_fallback(corpus: Corpus) -> None:
    reasons = "\n".join(f"  {source}: {reason}" for source, reason in corpus.skipped_sources.items())
    text = (
        f"Training on this repository's own small corpus, not on CoLA:\n{reasons}\n"
        "Set data.path to a folder with CoLA's TSVs, or data.sources=[corpus] if this is what you want."
    )
    Console(stderr=True).print(Panel(text, title="WARNING: not CoLA", style="bold yellow", expand=False))


class DataModule(pl.LightningDataModule):
    """CoLA's token batches.

    A batch holds ``input_ids`` and ``attention_mask`` (int64, [sentences, tokens]), ``label`` and ``index``
    (int64, [sentences]); ``index`` is the sentence's place in its split.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        data: Mapping[str, Any],
        processing: Mapping[str, Any],
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.tokenizer, self.settings, self.processing, self.seed = tokenizer, data, processing, seed

    def prepare_data(self) -> None:
        """Download or read, on one process, so that ``setup`` finds it on all."""
        load_corpus(self.settings)

    def setup(self, stage: str | None = None) -> None:
        """Assign the corpus and its tokens."""
        self.corpus = load_corpus(self.settings)
        self.train_ids = self._encode(self.corpus.splits[TRAIN])
        self.validation_ids = self._encode(self.corpus.validation)

    def _encode(self, sentences: Sequence[Sentence]) -> list[list[int]]:
        texts = [sentence.text for sentence in sentences]
        ids: list[list[int]] = self.tokenizer(
            texts, truncation=True, max_length=self.processing["max_length"], padding=False
        )["input_ids"]
        return ids

    def train_dataloader(self) -> DataLoader[int]:
        labels = [sentence.label for sentence in self.corpus.splits[TRAIN]]
        progress = self.trainer.fit_loop.epoch_loop.batch_progress if self.trainer else None
        return self._loader(
            self.train_ids, labels, shuffle=True, start_batch=progress.current.completed if progress else 0
        )

    def val_dataloader(self) -> DataLoader[int]:
        labels = [sentence.label for sentence in self.corpus.validation]
        return self._loader(self.validation_ids, labels, shuffle=False)

    def _loader(
        self, ids: list[list[int]], labels: list[int], *, shuffle: bool, start_batch: int = 0
    ) -> DataLoader[int]:
        trainer = self.trainer
        sampler = BucketBatchSampler(
            [len(sentence) for sentence in ids],
            self.processing["batch_size"],
            shuffle=shuffle,
            bucket=self.processing["bucket"],
            seed=self.seed,
            epoch=lambda: trainer.current_epoch if trainer else 0,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            start_batch=start_batch,
        )
        collate = functools.partial(self._collate, ids, labels)
        return DataLoader(range(len(ids)), batch_sampler=sampler, collate_fn=collate)  # type: ignore[arg-type]

    def _collate(self, ids: list[list[int]], labels: list[int], indices: list[int]) -> Batch:
        fixed = self.processing["padding"] == "max_length"
        padded = self.tokenizer.pad(
            {"input_ids": [ids[index] for index in indices]},
            padding="max_length" if fixed else "longest",
            max_length=self.processing["max_length"] if fixed else None,
            return_tensors="pt",
        )
        return {
            "input_ids": padded["input_ids"],
            "attention_mask": padded["attention_mask"],
            "label": torch.tensor([labels[index] for index in indices]),
            "index": torch.tensor(indices),
        }
