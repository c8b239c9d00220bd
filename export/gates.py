"""The gates before a model file: what it must keep of PyTorch, and how good it must be."""

from pathlib import Path

import onnx

from errors import ExportError
from export import comparison, feeds, variants
from export.evaluation import EvaluationSet
from export.matrix_inputs import collect_ranges
from export.quantization import DYNAMIC_SCHEMES, STATIC_SCHEMES, quantize
from export.variants import Variant

MAX_DIFFERENCE = 1e-4
"""Largest difference of a logit between fp32 ONNX and PyTorch, relative to the largest logit where
that exceeds 1.
"""

MAX_MCC_LOSS = 0.02
"""Largest MCC loss from PyTorch to int8. One changed label in a thousand moves the MCC by about
0.002 either way, so twenty usually move it by 0.01, rarely by 0.02.
"""

PREFERRED_MCC_LOSS = 0.01
"""MCC loss beyond which the next scheme is tried."""

MAX_LABEL_CHANGES = 0.025
"""Largest share of the validation set whose label int8 may change."""

MAX_BATCH_DIFFERENCE = 0.005
"""Largest change of a probability when other sentences share the row; no label may change.

Only static schemes are held to it: it is what dynamic ones cannot do.
"""


def require_parity(evaluation: EvaluationSet, path: Path) -> float:
    """Return the largest difference between the logits of PyTorch and of the fp32 file.

    Raises:
        ExportError: It is too large.
    """
    difference = comparison.compare_with_pytorch(evaluation, feeds.open_plain_session(path))

    # Within it, a label can differ only where the two logits are nearly equal. Not `>`, which a nan
    # would pass.
    if not difference <= MAX_DIFFERENCE:
        raise ExportError(
            f"parity: the file's logits differ from PyTorch's by {difference:.1e} (of the largest, "
            f"where that is more than 1), more than {MAX_DIFFERENCE}; install the versions of "
            "requirements.txt, or choose another model"
        )
    return difference


def choose_scheme(
    graph: onnx.ModelProto, evaluation: EvaluationSet, path: Path, pytorch: Variant
) -> tuple[onnx.ModelProto, Variant]:
    """Quantize by the first scheme that loses little MCC, else by the first one that is accepted.

    A static scheme is taken before any dynamic one. The file's MCC is measured on the sentences
    that choose the scheme, so it is a little too good where a later one was taken for it.

    Args:
        graph: The graph at fp32.
        evaluation: What the schemes are measured on.
        path: Where the file goes while it is measured.
        pytorch: What the quantized graph is compared with.

    Returns:
        The quantized graph, and what was measured of it.

    Raises:
        ExportError: No scheme is accepted.
    """
    batches = feeds.padded_batches(evaluation.quantization_sentences, 1)
    ranges = collect_ranges(graph, batches)
    refusals = []

    for schemes in (STATIC_SCHEMES, DYNAMIC_SCHEMES):
        accepted = []
        for scheme in schemes:
            quantized = quantize(graph, scheme, ranges)
            variant = variants.measure(quantized, evaluation, path, scheme.name)

            mcc_loss = pytorch.mcc - variant.mcc
            if refusal := _refusal(variant, mcc_loss, is_static=scheme.static):
                refusals.append(f"{scheme.name}: {refusal}")
            elif mcc_loss <= PREFERRED_MCC_LOSS:
                return quantized, variant
            else:
                accepted.append((quantized, variant))

        # The smallest, which as a rule is also the fastest.
        if accepted:
            return accepted[0]

    raise ExportError(
        f"int8: no scheme is accepted ({'; '.join(refusals)}); export with export.precision=fp32"
    )


def _refusal(variant: Variant, mcc_loss: float, *, is_static: bool) -> str:
    """Return why a scheme is refused, nothing if it is accepted."""
    invariance, reasons = variant.batch_invariance, []

    # Not `>`, which a nan would pass.
    if not mcc_loss <= MAX_MCC_LOSS:
        reasons.append(f"the MCC falls by {mcc_loss:.3f} (limit {MAX_MCC_LOSS})")
    if not variant.label_changes <= MAX_LABEL_CHANGES:
        limit = f"{MAX_LABEL_CHANGES:.1%}"
        reasons.append(f"{variant.label_changes:.1%} other labels (limit {limit})")

    # A dynamic scheme is held to no limit, but a nan is refused of it, too.
    limit_of_scheme = MAX_BATCH_DIFFERENCE if is_static else 1.0
    if not invariance.largest_difference <= limit_of_scheme:
        moved = f"{invariance.largest_difference:.4f} (limit {limit_of_scheme})"
        reasons.append(f"other sentences in a row move scores by {moved}")
    if is_static and invariance.label_changes:
        reasons.append(f"other sentences in a row change {invariance.label_changes} labels")

    return ", ".join(reasons)


def require_quality(exported: Variant, min_mcc: float) -> None:
    """Check that the model beats guessing the majority label, whose MCC is 0, by enough.

    Raises:
        ExportError: Its MCC is less than ``min_mcc``.
    """
    if not exported.mcc >= min_mcc:
        raise ExportError(
            f"quality: the MCC is {exported.mcc:.3f}, less than export.min_mcc={min_mcc}; "
            "train longer or on more data, or lower export.min_mcc"
        )
