"""Chapter 5: export the model to one ONNX file.

    python convert_model_to_onnx.py                          # int8 weights, calibrated scores
    python convert_model_to_onnx.py export.precision=fp32 export.calibrate=false

Reads models/best-checkpoint.ckpt and the corpus that it was validated on; writes models/model.onnx
and models/export_report.json. The model file holds all that a predictor needs: graph, tokenizer,
labels, limits, lineage, reference distributions.

The corpus is the one that the checkpoint recorded, unless a ``data.`` override names another
(``data.path=path/to/cola`` validates on that folder). The old file is replaced only when the new
one has passed every gate; a gate that fails says which one it is, and by how much.
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
from errors import ConfigError
from export import gates, model_file, packing, reference, variants
from export.calibration import calibration_error_by_chance, expected_calibration_error
from export.evaluation import EvaluationSet, prepare
from export.report import (
    BatchInvarianceFigures,
    CalibrationFigures,
    ExportReport,
    ParityFigures,
    print_report,
)
from export.variants import Variant
from prediction.model_file import Lineage


@hydra.main(version_base="1.3", config_path="configs", config_name="config")
@exit_on_error
def main(cfg: DictConfig) -> None:
    """Export with the composed configuration."""
    config = as_config(cfg)

    # The checkpoint's own corpus is read, unless the command line names another.
    task = HydraConfig.get().overrides.task
    overridden_keys = [override.split("=")[0].lstrip("+") for override in task]
    data_keys = [key.split(".")[1] for key in overridden_keys if key.startswith("data.")]

    export(config.export, {key: getattr(config.data, key) for key in data_keys})


def export(config: ExportConfig, data_overrides: Mapping[str, object]) -> ExportReport:
    """Export a checkpoint, and write the report beside the model file.

    Args:
        config: The ``export`` group of the configuration.
        data_overrides: Values of the ``data`` group that replace the recorded ones.

    Raises:
        ExportError: A gate failed; both files then are what they were, as after any error.
        CheckpointError: The checkpoint is missing or damaged, or was just replaced.
        CorpusError: The corpus cannot be found, or has changed since the training run.
        ConfigError: ``config.output`` is a folder, or cannot be written.
    """
    output = Path(config.output)

    # Refuse now what would only fail after minutes of measuring.
    require_writable(output.parent, f"export.output: {output.parent}")
    if output.is_dir():
        raise ConfigError(f"export.output: {output} is a folder; name a file in it")

    with replace_atomically(output) as temporary:
        report = make_model_file(config, data_overrides, temporary)

        # A server may run as somebody else.
        temporary.chmod(0o644)

        # First, as it is the step that can fail: a new model never stands beside an old report.
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
        CheckpointError: The checkpoint is missing or damaged, or was just replaced.
        CorpusError: The corpus cannot be found, or has changed since the training run.
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
        difference = gates.require_parity(evaluation, path)

        # Its weights as 8-bit integers, which must label the same.
        if config.precision is Precision.int8:
            status.update("quantizing to 8 bits")
            graph, measured["int8"] = gates.choose_scheme(
                graph, evaluation, path, measured["pytorch"]
            )

        exported = measured[precision]
        gates.require_quality(exported, config.min_mcc)

        # The file, now with all that is known of it.
        lineage = lineage_of(evaluation, exported, difference, precision)
        distributions = reference.describe(exported.predictions, evaluation.label_names)
        model_file.write(path, graph, evaluation.model.provenance, lineage, distributions)
        onnx.checker.check_model(path, full_check=True)

    return ExportReport(
        model=str(Path(config.output)),
        sha256=sha256_of(path),
        packing=packing.can_pack(evaluation.model.network),
        variants=measured,
        parity=ParityFigures(difference, gates.MAX_DIFFERENCE),
        calibration=calibration_of(evaluation),
        lineage=lineage,
        batch_invariance=BatchInvarianceFigures(
            exported.batch_invariance, gates.MAX_BATCH_DIFFERENCE
        ),
    )


def lineage_of(
    evaluation: EvaluationSet, exported: Variant, difference: float, precision: str
) -> Lineage:
    """Return where the model file comes from, and what was measured of it.

    Args:
        evaluation: The model, and what it was measured on.
        exported: The variant that is exported.
        difference: Largest difference of a logit between PyTorch and the fp32 graph.
        precision: ``fp32`` or ``int8``.
    """
    return replace(
        model_file.describe_lineage(evaluation.model.provenance, precision),
        scheme=exported.scheme,
        temperature=evaluation.calibration.temperature,
        largest_margin=evaluation.calibration.largest_margin,
        parity=difference,
        metrics=exported.metrics,
        checkpoint_sha256=evaluation.checkpoint_sha256,
        validated_on=evaluation.other_corpus,
    )


def calibration_of(evaluation: EvaluationSet) -> CalibrationFigures:
    """Return the calibration error out-of-domain, where it is largest."""
    out_of_domain = [split == OUT_OF_DOMAIN for split in evaluation.corpus.validation_splits]
    label = evaluation.label[out_of_domain]

    before = evaluation.raw_logits[out_of_domain].softmax(dim=1)
    after = evaluation.held_out_logits[out_of_domain].softmax(dim=1)

    return CalibrationFigures(
        fitted=evaluation.calibration,
        evaluated_on=OUT_OF_DOMAIN,
        error_before=expected_calibration_error(before, label),
        error_after=expected_calibration_error(after, label),
        error_by_chance=calibration_error_by_chance(after),
    )


if __name__ == "__main__":
    run_command(main)
