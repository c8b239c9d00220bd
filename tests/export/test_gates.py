"""Which scheme is chosen, by what each loses."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from errors import ExportError
from export import gates, variants
from export.comparison import BatchInvariance
from export.feeds import Latency
from export.quantization import DYNAMIC_SCHEMES, STATIC_SCHEMES, Scheme
from export.variants import Variant
from prediction.model_file import Metrics

PYTORCH_MCC = 0.5
ALONE = BatchInvariance()
MOVED = BatchInvariance(largest_difference=0.006)
NAMES = [scheme.name for scheme in (*STATIC_SCHEMES, *DYNAMIC_SCHEMES)]
STATIC, STATIC_SAFER, DYNAMIC = NAMES[:3]


def variant(loss: float, scheme: str | None = None, invariance: BatchInvariance = ALONE) -> Variant:
    metrics: Metrics = {"overall": {"mcc": PYTORCH_MCC - loss}}
    return Variant(25.0, metrics, Latency(1.0, 2.0), scheme=scheme, batch_invariance=invariance)


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A choice among schemes that lose as much MCC as is said, 0.1 by default."""

    def choice(
        losses: dict[str, float], invariance: BatchInvariance = ALONE
    ) -> tuple[str | None, int]:
        measured: list[str] = []

        def measure(graph: Any, evaluation: Any, path: Path, scheme: str) -> Variant:
            measured.append(scheme)
            return variant(losses.get(scheme, 0.1), scheme, invariance)

        monkeypatch.setattr(variants, "measure", measure)
        evaluation: Any = SimpleNamespace(quantization_sentences=[])
        pytorch = variant(0.0)
        graph, chosen = gates.choose_scheme(onnx.ModelProto(), evaluation, tmp_path, pytorch)

        assert graph.doc_string == chosen.scheme
        return chosen.scheme, len(measured)

    def quantize(graph: Any, scheme: Scheme, ranges: Any) -> onnx.ModelProto:
        return onnx.ModelProto(doc_string=scheme.name)

    monkeypatch.setattr(gates, "quantize", quantize)
    return choice


@pytest.mark.parametrize(
    ("losses", "expected", "tried"),
    [
        ({STATIC: 0.009}, STATIC, 1),
        ({STATIC: -0.02}, STATIC, 1),
        ({STATIC: 0.015, STATIC_SAFER: 0.009}, STATIC_SAFER, 2),
        ({STATIC: 0.015, STATIC_SAFER: 0.012}, STATIC, 2),
        ({STATIC: 0.015}, STATIC, 2),
        ({STATIC_SAFER: 0.019, DYNAMIC: 0.0}, STATIC_SAFER, 2),
        ({DYNAMIC: 0.0}, DYNAMIC, 3),
        ({DYNAMIC: 0.015}, DYNAMIC, 5),
    ],
)
def test_the_first_scheme_that_loses_little_is_chosen_static_before_dynamic(
    choose: Any, losses: dict[str, float], expected: str, tried: int
) -> None:
    assert choose(losses) == (expected, tried)


def test_a_static_scheme_that_depends_on_the_row_is_not_chosen(choose: Any) -> None:
    assert choose(dict.fromkeys(NAMES, 0.0), MOVED) == (DYNAMIC, 3)


def test_no_scheme_means_an_error_that_names_what_each_lost(choose: Any) -> None:
    with pytest.raises(ExportError, match="no scheme is accepted") as error:
        choose({STATIC: 0.021})

    assert f"{STATIC}: the MCC falls by 0.021 (limit 0.02); " in str(error.value)
    for name in NAMES[1:]:
        assert f"{name}: the MCC falls by 0.100" in str(error.value)


def test_an_error_names_only_what_is_outside_of_its_limit(choose: Any) -> None:
    losses = {STATIC: -0.02, STATIC_SAFER: 0.03}
    with pytest.raises(ExportError) as error:
        choose(losses, BatchInvariance(largest_difference=0.001, label_changes=2))

    fall, changed = (
        "the MCC falls by 0.030 (limit 0.02)",
        "other sentences in a row change 2 labels",
    )
    assert f"{STATIC}: {changed}; {STATIC_SAFER}: {fall}, {changed}; " in str(error.value)


def test_scores_that_are_no_numbers_are_refused_whatever_the_scheme(choose: Any) -> None:
    nan = float("nan")
    for losses, invariance in (
        ({}, BatchInvariance(largest_difference=nan)),
        (dict.fromkeys(NAMES, nan), ALONE),
    ):
        with pytest.raises(ExportError, match="no scheme is accepted") as error:
            choose(dict.fromkeys(NAMES, 0.0) | losses, invariance)
        assert str(error.value).count("nan") == len(NAMES)

    with pytest.raises(ExportError, match="quality: the MCC is nan"):
        gates.require_quality(variant(nan), min_mcc=0.05)


def test_an_error_says_how_far_scores_move_in_a_row(choose: Any) -> None:
    with pytest.raises(ExportError) as error:
        choose({STATIC: 0.0}, MOVED)
    assert f"{STATIC}: other sentences in a row move scores by 0.0060 (limit 0.005); " in str(
        error.value
    )
