"""Stage 2: export the model. models/best-checkpoint.ckpt -> models/model.onnx and models/export_report.json.

    python convert_model_to_onnx.py                          # int8 weights, calibrated scores
    python convert_model_to_onnx.py export.precision=fp32 export.calibrate=false

One file holds all that a predictor needs: graph, tokenizer, labels, limits, lineage, reference distributions.
Corpus and settings are those that the checkpoint recorded, unless a `data.` override says otherwise. The old
file is replaced only when the new one has passed every gate; a gate that fails says which, and by how much.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
import onnx
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from commands.files import write_json
from commands.run import exit_with, run_command
from configs.schema import ExportConfig, Precision, as_config
from corpus.format import OUT_OF_DOMAIN
from errors import ColaError, ExportError
from export import model_file, reference, variants
from export.calibration import expected_calibration_error
from export.packing import can_pack, to_onnx
from export.quantization import SCHEMES, observe, quantize
from export.variants import Contestant, Subject
from prediction.model_file import Lineage

MAX_DIFFERENCE = 1e-4  # of logits, PyTorch against ONNX Runtime at fp32
MAX_MCC_LOSS = 0.02  # int8 against PyTorch
MAX_FLIPS = 0.025  # share of the validation set whose label int8 may change


@hydra.main(version_base="1.3", config_path="configs", config_name="config")
def main(cfg: DictConfig) -> None:
    """Compose the configuration and export."""
    told = [override.split("=")[0].lstrip("+") for override in HydraConfig.get().overrides.task]
    config = as_config(cfg)
    keys = [key.removeprefix("data.") for key in told if key.startswith("data.")]
    data = {key: getattr(config.data, key) for key in keys}
    try:
        export(config.export, data)
    except ColaError as error:
        exit_with(error)  # here, before Hydra adds lines of its own


def export(config: ExportConfig, data: Mapping[str, Any]) -> dict[str, Any]:
    """Export by the ``export`` group of the configuration; ``data`` overrides where the corpus comes from.

    Returns the report. Raises ExportError if a gate fails: ``config.output`` then is what it was.
    """
    output, checkpoint = Path(config.output), Path(config.checkpoint)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    require_writable(temporary)
    status = Console(stderr=True).status("")
    try:
        with status:
            status.update("asking PyTorch about the validation set")
            subject = variants.prepare(checkpoint, data, calibrate=config.calibrate)
            contestants = {"pytorch": variants.measure_pytorch(subject, checkpoint)}
            status.update("exporting the graph")
            graph = to_onnx(subject.model.network, subject.temperature)
            contestants["fp32"] = variants.measure(graph, subject, temporary)
            difference = require_parity(subject, temporary)
            if config.precision is Precision.int8:
                status.update("quantizing to 8 bits")
                graph, contestants["int8"] = choose_scheme(
                    graph, subject, temporary, contestants["pytorch"]
                )
            shipped = contestants[config.precision.value]
            require_quality(shipped, config.min_mcc)
            lineage = replace(
                model_file.describe_lineage(subject.model.provenance, config.precision.value),
                scheme=shipped.scheme,
                temperature=subject.temperature,
                parity=difference,
                metrics=shipped.metrics,
                checkpoint_sha256=_sha256(checkpoint),
            )
            distributions = reference.describe(shipped.predictions, subject.labels)
            model_file.write(temporary, graph, subject.model.provenance, lineage, distributions)
            onnx.checker.check_model(temporary, full_check=True)
            temporary.chmod(0o644)
            os.replace(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    report = make_report(output, subject, lineage, contestants)
    write_json(output.with_name("export_report.json"), report)
    print_report(report)
    return report


def require_writable(file: Path) -> None:
    """Raise ExportError now rather than after minutes of measuring."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        raise ExportError(
            f"export.output: {file.parent} cannot be written ({error.strerror}); set another"
        ) from None


def require_parity(subject: Subject, path: Path) -> float:
    """The largest difference between the logits of PyTorch and of the fp32 file. Raises ExportError."""
    difference, same_labels = variants.largest_difference(subject, variants.open_session(path))
    if difference > MAX_DIFFERENCE:
        raise ExportError(
            f"parity: the file's logits differ from PyTorch's by {difference:.1e}, more than "
            f"{MAX_DIFFERENCE}; install the versions of requirements.txt, or choose another model"
        )
    if not same_labels:
        raise ExportError("parity: the file gives a validation sentence another label than PyTorch")
    return difference


def choose_scheme(
    graph: onnx.ModelProto, subject: Subject, path: Path, pytorch: Contestant
) -> tuple[onnx.ModelProto, Contestant]:
    """The first int8 scheme that keeps labels and MCC, and its measure. Raises ExportError if none does."""
    tried = []
    largest_inputs = observe(graph, variants.padded_batches(subject.calibration_sentences, 1))
    for scheme in SCHEMES:
        quantized = quantize(graph, scheme, largest_inputs)
        contestant = variants.measure(quantized, subject, path, scheme.name)
        loss = pytorch.mcc - contestant.mcc
        if loss <= MAX_MCC_LOSS and contestant.flips <= MAX_FLIPS:
            return quantized, contestant
        tried.append(f"{scheme.name}: MCC -{loss:.3f}, {contestant.flips:.1%} other labels")
    raise ExportError(
        f"int8: no scheme keeps the MCC within {MAX_MCC_LOSS} and the labels within {MAX_FLIPS:.1%} "
        f"({'; '.join(tried)}); export with export.precision=fp32"
    )


def require_quality(shipped: Contestant, min_mcc: float) -> None:
    """Raise ExportError for a model that hardly beats the guess of the majority label, whose MCC is 0."""
    if shipped.mcc < min_mcc:
        raise ExportError(
            f"quality: the MCC is {shipped.mcc:.3f}, less than export.min_mcc={min_mcc}; "
            "train longer or on more data, or lower export.min_mcc"
        )


def make_report(
    output: Path,
    subject: Subject,
    lineage: Lineage,
    contestants: Mapping[str, Contestant],
) -> dict[str, Any]:
    """What export_report.json holds."""
    unseen = [split == OUT_OF_DOMAIN for split in subject.corpus.validation_splits]
    logits, label = subject.logits[unseen], subject.label[unseen]
    return {
        "model": str(output),
        "sha256": _sha256(output),
        "packing": can_pack(subject.model.network),
        "contestants": {name: contestant.as_dict() for name, contestant in contestants.items()},
        "parity": {"largest_difference": lineage.parity, "limit": MAX_DIFFERENCE},
        "calibration": {
            "temperature": subject.temperature,
            "judged_on": OUT_OF_DOMAIN,
            "error_before": expected_calibration_error(logits * subject.temperature, label),
            "error_after": expected_calibration_error(logits, label),
        },
        "lineage": lineage.to_json(),
    }


def print_report(report: Mapping[str, Any]) -> None:
    """The contestants side by side."""
    table = Table(title=f"{report['model']}: {report['lineage']['precision']}")
    for column in ("", "MB", "MCC", "other labels", "largest difference", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right" if column else "left")
    for name, values in report["contestants"].items():
        latency = (f"{values['latency'][key]:.2f}" for key in ("p50_ms", "p99_ms"))
        difference = "-" if name == "pytorch" else f"{values['largest_difference']:.1e}"
        mcc, flips = f"{values['metrics']['overall']['mcc']:.3f}", f"{values['flips']:.2%}"
        table.add_row(name, f"{values['megabytes']:.1f}", mcc, flips, difference, *latency)
    calibration = report["calibration"]
    console = Console()
    console.print(table)
    console.print(
        f"calibration error {calibration['error_before']:.3f} -> {calibration['error_after']:.3f} "
        f"(temperature {calibration['temperature']:.2f}), "
        f"parity {report['parity']['largest_difference']:.1e}; latency: one sentence, one thread"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    run_command(main)
