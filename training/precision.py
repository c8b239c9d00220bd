"""In which precision, and with which library, a CPU or GPU multiplies matrices."""

from typing import Any

import torch
from torch import Tensor

from errors import ConfigError

FP32_ERROR = 1e-5
"""Largest error of a product in fp32, relative to its largest value. With factors rounded to bf16
it is some 1e-4.
"""


def choose_precision(precision: str, accelerator: str = "auto") -> Any:
    """Return Lightning's name of the precision to train in.

    ``auto`` is bf16 where the GPU, or else the CPU, computes in it, else fp32.

    Args:
        precision: ``training.precision``.
        accelerator: ``training.accelerator``.

    Raises:
        ConfigError: fp16, whose gradients would have to be scaled.
    """
    if precision.startswith("16"):
        raise ConfigError(
            f"training.precision={precision}: fp16 is not supported; use bf16-mixed or 32-true"
        )
    if precision != "auto":
        return precision

    # A GPU that only emulates bf16 is slower in it than in fp32.
    if accelerator != "cpu" and torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return "bf16-mixed" if has_bf16 else "32-true"


def multiply_with_onednn() -> None:
    """Let oneDNN multiply matrices of fp32 on the CPU, if it does so in fp32.

    By default torch multiplies with MKL, which does not use AVX-512 on AMD CPUs; oneDNN does, and
    is twice as fast there. torch uses oneDNN for fp32 only with the setting that also permits
    rounding to bf16. CPUs with AMX do round, so a product is checked and the setting taken back
    where it is not fp32. Without AVX-512, torch keeps to MKL.
    """
    # Lightning asks for the precision of a GPU in words that torch refuses after this setting.
    if torch.cuda.is_available():
        return

    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"

    left, right = torch.rand(2, 256, 256, generator=torch.Generator().manual_seed(0))
    if not _is_fp32(left @ right, left.double() @ right.double()):
        matmul.fp32_precision = before


def _is_fp32(product: Tensor, exact: Tensor) -> bool:
    """Return whether a product is as precise as fp32 makes it; both float [rows, columns]."""
    error = (product - exact).abs().max() / exact.abs().max()
    return bool(error <= FP32_ERROR)
