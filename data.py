"""Chapter 2: a corpus from the first source that has one, turned into batches of tokens.

    python train.py data.path=path/to/cola              # CoLA's three TSVs in a folder
    python train.py data.sources=[hub]                  # nyu-mll/glue or an error

Reads a local folder, the Hugging Face Hub or ``corpus/``, in the order of ``data.sources``; writes
nothing but the Hub's own cache.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase

from configs.schema import DataConfig, ProcessingConfig, Source
from corpus import format as corpus_format
from corpus.format import TRAIN, Sentence
from corpus.generate import grammar_sentences
from corpus.pretext import pretext_sentences
from training.checks import require_same_corpus
from training.corruption import Corrupter
from training.examples import Encoder, Examples, join
from training.names import exchange_names
from training.sampler import BucketBatchSampler
from training.schedule import Steps
from training.sources import Corpus, load_corpus

# Each epoch of the corpus rehearses one in so many written sentences, drawn anew each time.
REHEARSED_ONE_IN = 3


class DataModule(pl.LightningDataModule):
    """The corpus as batches (``training.examples.Batch``).

    The first epochs are the pretext task: acceptable sentences, of the corpus and of
    ``corpus/pretext.tsv``, whole and broken; and in each of these epochs the latter's unacceptable
    ones and sentences drawn afresh from the grammar in ``corpus/``. The other epochs are the corpus
    itself; training on ``corpus/`` adds some of the sentences of ``corpus/pretext.tsv`` to each.

    Args:
        tokenizer: The model's tokenizer.
        config: Where the corpus comes from.
        processing: How sentences become batches.
        pretext_epochs: Number of epochs of the pretext task.
        grammar_sentences: Sentences of each phenomenon that the grammar adds to each of them.
        seed: The order of the sentences, their names and the pretext task follow from it.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        config: DataConfig,
        processing: ProcessingConfig,
        pretext_epochs: int = 0,
        grammar_sentences: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(tokenizer, processing.max_length, processing.padding)
        self.config, self.processing = config, processing
        self.pretext_epochs, self.per_phenomenon = pretext_epochs, grammar_sentences
        self.seed = seed

    @functools.cached_property
    def corpus(self) -> Corpus:
        """The corpus, read when it is first asked for: it warns once and waits for the hub once."""
        return load_corpus(self.config)

    def prepare_data(self) -> None:
        """Read or download the corpus on one process, so that ``setup`` finds it on all."""
        _ = self.corpus

    def setup(self, stage: str | None = None) -> None:
        """Tokenize the validation set; the training set is tokenized in each epoch.

        Raises:
            CorpusError: The processes that train together have found different corpora.
        """
        if self.trainer is not None:
            digest = corpus_format.digest(self.corpus.splits)
            require_same_corpus(self.trainer, self.corpus.name, digest)

        self.validation_examples = self.encoder.encode(self.corpus.validation)

        # The pretext task breaks acceptable sentences, and takes unacceptable ones as they are.
        written = pretext_sentences(for_own_corpus=self._is_own)
        everything = [*self.corpus.splits[TRAIN], *written]
        self.acceptable = [row for row in everything if row.label == 1]
        self.unacceptable = [row for row in written if row.label == 0]
        self.corrupter = Corrupter([row.text for row in everything])

        # The grammar's sentences are narrow: trained on nothing else afterwards, a model forgets
        # plain English that it had right.
        self.to_rehearse = written if self._is_own and self.pretext_epochs > 0 else []

    def train_dataloader(self) -> DataLoader[int]:
        """Return the batches of the current epoch; the trainer asks anew for each."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        # Follows from the epoch, so that a resumed run changes the sentences in the same way.
        rng = Random(f"{self.seed}-{epoch}")

        if epoch < self.pretext_epochs:
            examples = self._pretext_examples(epoch, rng)
        else:
            examples = self.encoder.encode(self._with_names(self.corpus_epoch(rng), rng))
        return self._loader(examples, shuffle=True, epoch=epoch)

    def _pretext_examples(self, epoch: int, rng: Random) -> Examples:
        texts = [row.text for row in self._with_names(self._to_break(epoch), rng)]
        broken = self.encoder.corrupt(texts, self.corrupter, rng)

        unchanged = [*self._with_names(self.unacceptable, rng), *self._grammar_sentences(rng)]
        return join(broken, self.encoder.encode(unchanged))

    def _to_break(self, epoch: int) -> list[Sentence]:
        """Return the sentences that this epoch learns whole and broken.

        Each comes in one of the epochs; when training on ``corpus/``, which has fewer, in each of
        them: with less, exchanging a name moved a model's scores.
        """
        return self.acceptable if self._is_own else self.acceptable[epoch :: self.pretext_epochs]

    def corpus_epoch(self, rng: Random) -> list[Sentence]:
        """Return the sentences of an epoch after the pretext task; ``rng`` draws a part of them."""
        rehearsed = rng.sample(self.to_rehearse, len(self.to_rehearse) // REHEARSED_ONE_IN)

        # The corpus comes first: WorstDirections goes by a sentence's position. A rehearsed one may
        # get the direction of another of its length, which had its position in an earlier epoch.
        return [*self.corpus.splits[TRAIN], *rehearsed]

    def _with_names(self, sentences: Sequence[Sentence], rng: Random) -> list[Sentence]:
        """Return the sentences with other names in them, if that is asked for."""
        if not self.processing.exchange_names:
            return list(sentences)
        return [replace(row, text=exchange_names(row.text, rng)) for row in sentences]

    def val_dataloader(self) -> DataLoader[int]:
        """Return the batches of the validation set, in its order but for the sorting by length."""
        return self._loader(self.validation_examples, shuffle=False)

    def training_steps(self, max_epochs: int, world_size: int, limit_batches: float) -> Steps:
        """Return the number of optimizer steps of all epochs, by phase.

        Args:
            max_epochs: Number of epochs, those of the pretext task included.
            world_size: Number of processes.
            limit_batches: Share of each epoch's batches that is used.
        """

        def steps(sentences: int) -> int:
            batches = math.ceil(sentences / self.processing.batch_size)
            return int(math.ceil(batches / world_size) * limit_batches)

        # How many sentences are drawn does not depend on the random numbers.
        unchanged = len(self.unacceptable) + len(self._grammar_sentences(Random()))
        pretext_steps = [
            steps(2 * len(self._to_break(epoch)) + unchanged)
            for epoch in range(self.pretext_epochs)
        ]
        corpus_steps = steps(len(self.corpus_epoch(Random())))

        corpus_epochs = max_epochs - self.pretext_epochs
        return Steps(sum(pretext_steps), corpus_epochs * corpus_steps)

    def _grammar_sentences(self, rng: Random) -> list[Sentence]:
        return grammar_sentences(
            rng, for_own_corpus=self._is_own, per_phenomenon=self.per_phenomenon
        )

    @property
    def _is_own(self) -> bool:
        return self.corpus.source is Source.own

    def _loader(self, examples: Examples, *, shuffle: bool, epoch: int = 0) -> DataLoader[int]:
        trainer = self.trainer

        # More than 0 in an epoch that was interrupted; the sampler skips these batches.
        def batches_done() -> int:
            if not (trainer and shuffle):
                return 0
            return trainer.fit_loop.epoch_loop.batch_progress.current.completed

        sampler = BucketBatchSampler(
            [len(sentence) for sentence in examples.ids],
            self.processing.batch_size,
            shuffle=shuffle,
            bucket=self.processing.bucket,
            seed=f"{self.seed}-{epoch}",
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            start_batch=batches_done,
        )

        # The loader hands out positions; the sentences themselves are already tokens.
        collate = functools.partial(self.encoder.collate, examples)
        positions: Dataset[int] = range(len(examples.ids))  # type: ignore[assignment]
        return DataLoader(positions, batch_sampler=sampler, collate_fn=collate)
