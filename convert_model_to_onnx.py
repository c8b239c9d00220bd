"""Chapter 5: export the model to one ONNX file.

    python convert_model_to_onnx.py                          # int8 weights, calibrated scores
    python convert_model_to_onnx.py export.precision=fp32 export.calibrate=false

Reads models/best-checkpoint.ckpt and the corpus that it was validated on; writes models/model.onnx
and models/export_report.json. The model file holds all that a predictor needs: graph, tokenizer,
labels, limits, lineage, reference distributions.

Corpus and settings are those that the checkpoint recorded, unless a ``data.`` override says
otherwise. The old file is replaced only when the new one has passed every gate; a gate that fails
says which one it is, and by how much.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import hydra
import onnx
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from commands.files import replace_atomically, require_writable, sha256_of, write_json
from commands.run import exit_on_error, run_command
from configs.schema import ExportConfig, Precision, as_config
from corpus.format import OUT_OF_DOMAIN
from errors import ExportError
from export import comparison, feeds, model_file, packing, reference, variants
from export.calibration import calibration_error_by_chance, expected_calibration_error
from export.comparison import Company
from export.evaluation import EvaluationSet, prepare
from export.matrix_inputs import collect_ranges
from export.quantization import SCHEMES, quantize
from export.report import (
    CalibrationFigures,
    CompanyFigures,
    ExportReport,
    ParityFigures,
    print_report,
)
from export.variants import Variant

MAX_DIFFERENCE = 1e-4
"""Of a logit, ONNX Runtime at fp32 from PyTorch."""

MAX_MCC_LOSS = 0.01
"""Of int8 against PyTorch. Each other label among a thousand sentences moves the MCC by 0.002, one
way or the other: twenty of them now and then lose more, and the next scheme is tried."""

MAX_LABEL_CHANGES = 0.025
"""The share of the validation set whose label int8 may change."""

MAX_COMPANY_DIFFERENCE = 0.005
"""Of a probability, a sentence alone from the same sentence among strangers; no label may change.

Only static schemes are held to it: it is what dynamic ones cannot do.
"""


@hydra.main(version_base="1.3", config_path="configs", config_name="config")
@exit_on_error
def main(cfg: DictConfig) -> None:
    """Export with the composed configuration."""
    config = as_config(cfg)

    # The checkpoint's own corpus is read, unless the command line names another.
    task = HydraConfig.get().overrides.task
    overridden_keys = [override.split("=")[0].lstrip("+") for override in task]
    data_keys = [key.removeprefix("data.") for key in overridden_keys if key.startswith("data.")]

    export(config.export, {key: getattr(config.data, key) for key in data_keys})


def export(config: ExportConfig, data_overrides: Mapping[str, object]) -> ExportReport:
    """Export a checkpoint, and write the report beside the model file.

    Args:
        config: The ``export`` group of the configuration.
        data_overrides: Values of the ``data`` group that replace the recorded ones.

    Raises:
        ExportError: A gate failed; ``config.output`` then is what it was, as after any error.
        CheckpointError: The checkpoint is missing or damaged.
        CorpusError: The corpus cannot be found.
        ConfigError: The folder of ``config.output`` cannot be written.
    """
    output = Path(config.output)

    # Refuse now what would only fail after minutes of measuring.
    require_writable(output.parent, f"export.output: {output.parent}")

    with replace_atomically(output) as temporary:
        report = make_model_file(config, data_overrides, temporary)

        # A server may run as somebody else.
        temporary.chmod(0o644)

    write_json(output.with_name("export_report.json"), report.to_json())
    print_report(report)
    return report


def make_model_file(
    config: ExportConfig, data_overrides: Mapping[str, object], path: Path
) -> ExportReport:
    """Write the model file to ``path`` if it passes every gate.

    Args:
        config: The ``export`` group of the configuration.
        data_overrides: Values of the ``data`` group that replace the recorded ones.
        path: Where the file goes, also while it is measured.

    Raises:
        ExportError: A gate failed.
        CheckpointError: The checkpoint is missing or damaged.
        CorpusError: The corpus cannot be found.
    """
    checkpoint, precision = Path(config.checkpoint), config.precision.value
    measured: dict[str, Variant] = {}

    with Console(stderr=True).status("") as status:
        # The truth that the exported model is compared with.
        status.update("predicting the validation set with PyTorch")
        evaluation = prepare(checkpoint, data_overrides, calibrate=config.calibrate)
        measured["pytorch"] = variants.measure_pytorch(evaluation, checkpoint)

        # The graph, which must compute the same.
        status.update("exporting the graph")
        graph = packing.to_onnx(evaluation.model.network, evaluation.calibration)
        measured["fp32"] = variants.measure(graph, evaluation, path)
        difference = require_parity(evaluation, path)

        # Its weights as 8-bit integers, which must label the same.
        if config.precision is Precision.int8:
            status.update("quantizing to 8 bits")
            graph, measured["int8"] = choose_scheme(graph, evaluation, path, measured["pytorch"])

        exported = measured[precision]
        require_quality(exported, config.min_mcc)

        # The file, now with all that is known of it.
        provenance = evaluation.model.provenance
        lineage = replace(
            model_file.describe_lineage(provenance, precision),
            scheme=exported.scheme,
            temperature=evaluation.calibration.temperature,
            largest_margin=evaluation.calibration.largest_margin,
            parity=difference,
            metrics=exported.metrics,
            checkpoint_sha256=sha256_of(checkpoint),
        )
        distributions = reference.describe(exported.predictions, evaluation.label_names)
        model_file.write(path, graph, provenance, lineage, distributions)
        onnx.checker.check_model(path, full_check=True)

    return ExportReport(
        model=str(Path(config.output)),
        sha256=sha256_of(path),
        packing=packing.can_pack(evaluation.model.network),
        variants=measured,
        parity=ParityFigures(difference, MAX_DIFFERENCE),
        calibration=calibration_of(evaluation),
        lineage=lineage,
        company=CompanyFigures(exported.company, MAX_COMPANY_DIFFERENCE),
    )


def require_parity(evaluation: EvaluationSet, path: Path) -> float:
    """Return the largest difference between the logits of PyTorch and of the fp32 file.

    Raises:
        ExportError: It is too large.
    """
    difference = comparison.compare_with_pytorch(evaluation, feeds.open_session(path))

    # Within it, a label can differ only where the two logits are less than twice as far apart. Not
    # `>`, which a nan would pass.
    if not difference <= MAX_DIFFERENCE:
        raise ExportError(
            f"parity: the file's logits differ from PyTorch's by {difference:.1e}, more than "
            f"{MAX_DIFFERENCE}; install the versions of requirements.txt, or choose another model"
        )
    return difference


def choose_scheme(
    graph: onnx.ModelProto, evaluation: EvaluationSet, path: Path, pytorch: Variant
) -> tuple[onnx.ModelProto, Variant]:
    """Quantize by the first scheme that keeps labels, MCC and, if static, scores in company.

    Args:
        graph: The graph at fp32.
        evaluation: What the schemes are measured on.
        path: Where the file goes while it is measured.
        pytorch: What the quantized graph is compared with.

    Returns:
        The quantized graph, and what was measured of it.

    Raises:
        ExportError: No scheme does.
    """
    calibration_feeds = feeds.padded_batches(evaluation.calibration_sentences, 1)
    ranges = collect_ranges(graph, calibration_feeds)

    failures = []
    for scheme in SCHEMES:
        quantized = quantize(graph, scheme, ranges)
        variant = variants.measure(quantized, evaluation, path, scheme.name)

        mcc_loss = pytorch.mcc - variant.mcc
        is_accurate = mcc_loss <= MAX_MCC_LOSS and variant.label_changes <= MAX_LABEL_CHANGES
        if is_accurate and (not scheme.static or is_unmoved(variant.company)):
            return quantized, variant

        changes = f"{variant.label_changes:.1%} other labels"
        moved = f"{variant.company.largest_difference:.4f} by company"
        failures.append(f"{scheme.name}: MCC -{mcc_loss:.3f}, {changes}, {moved}")

    raise ExportError(
        f"int8: no scheme keeps the MCC within {MAX_MCC_LOSS} and the labels within "
        f"{MAX_LABEL_CHANGES:.1%} ({'; '.join(failures)}); export with export.precision=fp32"
    )


def is_unmoved(company: Company) -> bool:
    """Return whether a sentence's score depends on the sentence alone, closely enough."""
    return company.largest_difference <= MAX_COMPANY_DIFFERENCE and not company.label_changes


def require_quality(exported: Variant, min_mcc: float) -> None:
    """Check that the model beats guessing the majority label, whose MCC is 0, by enough.

    Raises:
        ExportError: Its MCC is less than ``min_mcc``.
    """
    if exported.mcc < min_mcc:
        raise ExportError(
            f"quality: the MCC is {exported.mcc:.3f}, less than export.min_mcc={min_mcc}; "
            "train longer or on more data, or lower export.min_mcc"
        )


def calibration_of(evaluation: EvaluationSet) -> CalibrationFigures:
    """Return the calibration error on the split that the calibration was not fitted on."""
    unseen = [split == OUT_OF_DOMAIN for split in evaluation.corpus.validation_splits]
    logits, label = evaluation.logits[unseen], evaluation.label[unseen]

    return CalibrationFigures(
        calibration=evaluation.calibration,
        evaluated_on=OUT_OF_DOMAIN,
        error_before=expected_calibration_error(evaluation.raw_logits[unseen], label),
        error_after=expected_calibration_error(logits, label),
        error_by_chance=calibration_error_by_chance(logits),
    )


if __name__ == "__main__":
    run_command(main)
