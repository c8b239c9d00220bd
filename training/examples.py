"""Sentences as tokens and labels, and batches of them as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NotRequired, TypedDict

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from configs.schema import Padding
from corpus.format import Sentence
from training.corruption import Corrupter, MarkedWords, split_words

NO_LABEL = -100
"""The label of a token that has none: ``cross_entropy`` ignores it."""


class Batch(TypedDict):
    """A batch of sentences, padded to the same number of tokens."""

    input_ids: Tensor
    """int64 [sentences, tokens]."""

    attention_mask: Tensor
    """1 for a token, 0 for padding, int64 [sentences, tokens]."""

    label: Tensor
    """1 acceptable (or whole), 0 unacceptable (or broken), int64 [sentences]."""

    index: Tensor
    """Position of each sentence among the examples, int64 [sentences]."""

    token_label: NotRequired[Tensor]
    """Only in the pretext task: 1 for a wrong token, 0 for a right one, ``NO_LABEL`` for one that
    is not evaluated, int64 [sentences, tokens].
    """


@dataclass(frozen=True)
class Examples:
    """Sentences as the model reads them, each list in the order of the sentences."""

    ids: list[list[int]]
    """Token ids of each sentence, special tokens included."""

    labels: list[int]

    token_labels: list[list[int]] | None = None
    """A label per token as in ``Batch.token_label``; None where tokens have none."""


def join(first: Examples, second: Examples) -> Examples:
    """Return both together; tokens without labels get ``NO_LABEL``."""
    token_labels = [
        part.token_labels or [[NO_LABEL] * len(ids) for ids in part.ids] for part in (first, second)
    ]
    return Examples(
        first.ids + second.ids, first.labels + second.labels, token_labels[0] + token_labels[1]
    )


class Encoder:
    """Turns sentences into examples and examples into batches.

    Args:
        tokenizer: The model's tokenizer.
        max_length: Tokens; longer sentences are truncated.
        padding: How far the sentences of a batch are padded.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int, padding: Padding
    ) -> None:
        self.tokenizer, self.max_length, self.padding = tokenizer, max_length, padding

    def encode(self, sentences: Sequence[Sentence]) -> Examples:
        """Return the sentences with their own labels."""
        # Without padding: how far to pad is known when a batch is put together.
        texts = [sentence.text for sentence in sentences]
        encoded = self.tokenizer(texts, truncation=True, max_length=self.max_length)
        return Examples(encoded["input_ids"], [sentence.label for sentence in sentences])

    def corrupt(self, texts: Sequence[str], corrupter: Corrupter, rng: Random) -> Examples:
        """Return all texts whole (label 1), then all broken (label 0), with labels for tokens."""
        whole: list[MarkedWords] = [[(word, 0) for word in split_words(text)] for text in texts]
        broken = [corrupter.corrupt(text, rng) for text in texts]
        sentences = whole + broken

        words = [[word for word, _ in sentence] for sentence in sentences]
        encoded = self.tokenizer(
            words, is_split_into_words=True, truncation=True, max_length=self.max_length
        )

        # A token has the mark of the word it belongs to; a special token belongs to none.
        token_labels = [
            [NO_LABEL if word is None else sentence[word][1] for word in encoded.word_ids(number)]
            for number, sentence in enumerate(sentences)
        ]
        return Examples(encoded["input_ids"], [1] * len(texts) + [0] * len(texts), token_labels)

    def collate(self, examples: Examples, indices: Sequence[int]) -> Batch:
        """Return the examples at ``indices`` as a batch."""
        rows = [torch.tensor(examples.ids[index]) for index in indices]
        longest = max(len(row) for row in rows)
        width = self.max_length if self.padding is Padding.max_length else longest

        batch: Batch = {
            "input_ids": _pad(rows, width, self.tokenizer.pad_token_id),
            "attention_mask": _pad([torch.ones_like(row) for row in rows], width, 0),
            "label": torch.tensor([examples.labels[index] for index in indices]),
            "index": torch.tensor(list(indices)),
        }

        if examples.token_labels is not None:
            labels = [torch.tensor(examples.token_labels[index]) for index in indices]
            batch["token_label"] = _pad(labels, width, NO_LABEL)
        return batch


def _pad(rows: Sequence[Tensor], width: int, value: int) -> Tensor:
    """Return rows as one tensor, int64 [rows, width], filled up with ``value``."""
    return torch.stack(
        [torch.nn.functional.pad(row, (0, width - len(row)), value=value) for row in rows]
    )
