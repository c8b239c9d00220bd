"""In which precision it multiplies, and with which library: a faster one must be as precise."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from training import precision

MATMUL = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def setting() -> Iterator[None]:
    """The setting is the process's: other tests find it as it was."""
    before = MATMUL.fp32_precision
    MATMUL.fp32_precision = "none"
    yield
    MATMUL.fp32_precision = before


def matrices() -> tuple[Tensor, Tensor]:
    left, right = torch.rand(2, 300, 300, generator=torch.Generator().manual_seed(1))
    return left, right


def error(product: Tensor) -> float:
    left, right = matrices()
    exact = left.double() @ right.double()
    return float((product - exact).abs().max() / exact.abs().max())


def test_products_keep_the_precision_of_fp32() -> None:
    precision.multiply_with_onednn()

    left, right = matrices()
    assert error(left @ right) <= precision.FP32_ERROR


def test_the_limit_tells_bf16_from_fp32() -> None:
    left, right = matrices()

    # Only the factors are rounded, as on a CPU with AMX.
    product = left.bfloat16().float() @ right.bfloat16().float()
    assert error(product) > 10 * precision.FP32_ERROR


def test_a_cpu_that_would_round_goes_on_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    # Then every product counts as rounded.
    monkeypatch.setattr(precision, "FP32_ERROR", 0.0)

    precision.multiply_with_onednn()

    assert MATMUL.fp32_precision == "none"


def test_a_cpu_that_would_not_round_multiplies_with_onednn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Then every product counts as exact.
    monkeypatch.setattr(precision, "FP32_ERROR", 1.0)

    precision.multiply_with_onednn()

    assert MATMUL.fp32_precision == "bf16"


def test_a_gpu_s_precision_can_still_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    precision.multiply_with_onednn()

    # As Lightning does on an Ampere GPU and later ones.
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(
    ("accelerator", "emulates", "expected"),
    [("auto", False, "bf16-mixed"), ("auto", True, "32-true"), ("cpu", False, "32-true")],
)
def test_bf16_is_chosen_where_the_device_that_trains_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, emulates: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or not emulates,
    )
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert precision.choose_precision("auto", accelerator) == expected
