"""Feeds for the network in its different forms, and what comes of them: logits, latencies."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Feed = dict[str, NDArray[np.int64]]
"""``input_ids`` and ``attention_mask``, both int64 [rows, tokens]."""

LATENCY_SENTENCES = 200
WARM_UP_SENTENCES = 10


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds that one sentence takes on one thread."""

    p50_ms: float
    p99_ms: float


def padded_batches(sentences: Sequence[Sequence[int]], size: int) -> Iterator[Feed]:
    """Put consecutive sentences below each other, padded to the longest of their batch.

    Args:
        sentences: Token ids.
        size: Sentences per batch.
    """
    for start in range(0, len(sentences), size):
        batch = sentences[start : start + size]
        longest = max(len(ids) for ids in batch)

        input_ids = [[*ids, *[0] * (longest - len(ids))] for ids in batch]
        attention_mask = [[1] * len(ids) + [0] * (longest - len(ids)) for ids in batch]
        yield {
            "input_ids": np.array(input_ids, np.int64),
            "attention_mask": np.array(attention_mask, np.int64),
        }


def packed_rows(sentences: Sequence[Sequence[int]], size: int) -> Iterator[Feed]:
    """Put consecutive sentences end to end in one row, numbered by the mask.

    Args:
        sentences: Token ids.
        size: Sentences per row.
    """
    for start in range(0, len(sentences), size):
        batch = sentences[start : start + size]

        input_ids = [token for ids in batch for token in ids]
        numbers = [number for number, ids in enumerate(batch, 1) for _ in ids]
        yield {
            "input_ids": np.array([input_ids], np.int64),
            "attention_mask": np.array([numbers], np.int64),
        }


def open_plain_session(path: Path, threads: int = 1) -> ort.InferenceSession:
    """Return a session with ONNX Runtime's own settings, as any other consumer would open it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def torch_logits(network: nn.Module, feeds: Iterable[Feed]) -> Tensor:
    """Return the logits of a transformers classifier, float [sentences, 2]."""
    logits = []
    with torch.inference_mode():
        for feed in feeds:
            tensors = {name: torch.from_numpy(values) for name, values in feed.items()}
            logits.append(network(**tensors).logits)
    return torch.cat(logits)


def onnx_logits(session: ort.InferenceSession, feeds: Iterable[Feed]) -> Tensor:
    """Return the logits of an exported model, float [sentences, 2]."""
    return torch.cat([torch.from_numpy(session.run(["logits"], feed)[0]) for feed in feeds])


def measure_latency(run: Callable[[Feed], object], sentences: Sequence[Sequence[int]]) -> Latency:
    """Time single sentences, after a few that warm everything up.

    Args:
        run: Predicts a feed, on one thread.
        sentences: Token ids; the first ``LATENCY_SENTENCES`` are timed.
    """
    feeds = list(padded_batches(sentences[:LATENCY_SENTENCES], 1))
    for feed in feeds[:WARM_UP_SENTENCES]:
        run(feed)

    milliseconds = []
    for feed in feeds:
        start = time.perf_counter()
        run(feed)
        milliseconds.append(1000 * (time.perf_counter() - start))

    return Latency(
        p50_ms=float(np.percentile(milliseconds, 50)),
        p99_ms=float(np.percentile(milliseconds, 99)),
    )
