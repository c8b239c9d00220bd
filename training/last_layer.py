"""The last layer, which need not compute what nobody reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel


class FirstTokenHook:
    """Lets the last layer compute the first token only, which is all that a head reads.

    The other tokens are dropped after the layer's attention: three quarters of its products come
    later. The logits stay what they were. Only BERT and ELECTRA are made so that tokens can be
    dropped there; any other network computes all of them.

    Args:
        network: A transformers model for sequence classification.
    """

    def __init__(self, network: PreTrainedModel) -> None:
        self.is_paused = False
        if network.config.model_type in ("bert", "electra"):
            encoder: Any = network.base_model.encoder
            after_attention: nn.Module = encoder.layer[-1].attention.output
            after_attention.register_forward_pre_hook(self._drop)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Drop nothing for a while: the pretext task evaluates every token."""
        self.is_paused = True
        try:
            yield
        finally:
            self.is_paused = False

    def _drop(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Return what the module is called with, each float [sentences, tokens, width]."""
        if self.is_paused:
            return None
        return tuple(tensor[:, :1] for tensor in inputs)
