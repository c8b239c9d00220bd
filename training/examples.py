"""Sentences as tokens and labels, and batches of them as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from corpus.format import Sentence
from training.corruption import Corrupter, Marked, split_words

Batch = dict[str, Tensor]
NO_LABEL = -100  # what cross_entropy ignores


@dataclass(frozen=True)
class Examples:
    """Token ids and a label for each sentence; where tokens are labelled too, 1 is a token that is wrong."""

    ids: list[list[int]]
    labels: list[int]
    token_labels: list[list[int]] | None = None


def join(first: Examples, second: Examples) -> Examples:
    """Both together; where only one has labels for its tokens, the other's tokens have none."""
    labels = [
        part.token_labels or [[NO_LABEL] * len(ids) for ids in part.ids] for part in (first, second)
    ]
    return Examples(first.ids + second.ids, first.labels + second.labels, labels[0] + labels[1])


class Encoder:
    """Turns sentences into Examples and Examples into batches.

    Args:
        max_length: tokens; longer sentences are truncated.
        padding: ``longest`` of the batch, or ``max_length``.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int, padding: str) -> None:
        self.tokenizer, self.max_length, self.padding = tokenizer, max_length, padding

    def encode(self, sentences: Sequence[Sentence]) -> Examples:
        """The sentences with their own labels."""
        texts = [sentence.text for sentence in sentences]
        encoded = self.tokenizer(texts, truncation=True, max_length=self.max_length)
        return Examples(encoded["input_ids"], [sentence.label for sentence in sentences])

    def corrupt(self, texts: Sequence[str], corrupter: Corrupter, random: Random) -> Examples:
        """Each text whole (label 1) and broken (label 0), with labels for the tokens."""
        whole: list[Marked] = [[(word, 0) for word in split_words(text)] for text in texts]
        marked = whole + [corrupter.corrupt(text, random) for text in texts]
        words = [[word for word, _ in sentence] for sentence in marked]
        encoded = self.tokenizer(
            words, is_split_into_words=True, truncation=True, max_length=self.max_length
        )
        token_labels = [
            [NO_LABEL if word is None else sentence[word][1] for word in encoded.word_ids(number)]
            for number, sentence in enumerate(marked)
        ]
        return Examples(encoded["input_ids"], [1] * len(texts) + [0] * len(texts), token_labels)

    def collate(self, examples: Examples, indices: Sequence[int]) -> Batch:
        """A batch: ``input_ids``, ``attention_mask`` and, if there are any, ``token_label`` (int64, [sentences,
        tokens]); ``label`` and ``index`` (int64, [sentences]), the sentence's place in its split."""
        rows = [torch.tensor(examples.ids[index]) for index in indices]
        width = self.max_length if self.padding == "max_length" else max(len(row) for row in rows)
        batch = {
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
    return torch.stack(
        [torch.nn.functional.pad(row, (0, width - len(row)), value=value) for row in rows]
    )
