"""The export of a small checkpoint: what the file and the report say, and the gates."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from benchmarks.walk_commands import EXPORTED, trim
from commands.files import sha256_of
from configs.schema import ExportConfig, Precision, Source
from convert_model_to_onnx import calibration_of, export
from errors import CheckpointError, ConfigError, CorpusError, ExportError
from export import checkpoint as checkpoints
from export import evaluation, gates, packing, variants
from export.calibration import NO_CALIBRATION, Calibration
from export.checkpoint import load_checkpoint
from export.comparison import BatchInvariance
from export.evaluation import prepare
from export.packing import to_onnx
from export.report import ExportReport, print_report
from export.variants import Variant
from inference import ColaPredictor
from model import ColaModel
from prediction.onnx_predictor import ColaONNXPredictor
from tests.helpers.tiny_model import has_that, make_checkpoint

CONFIG = ExportConfig(precision=Precision.int8, calibrate=True, min_mcc=-1.0)
Export = Callable[..., ExportReport]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model that is sure of every label, which int8 therefore keeps on any CPU.

    With random weights it gives nearly every sentence the same label: then the MCC hangs on a few
    close calls, which the rounding of int8 decides one way or the other from CPU to CPU.
    """
    path = tmp_path_factory.mktemp("checkpoint") / "best-checkpoint.ckpt"
    return make_checkpoint(path, steps=60, label=has_that)


@pytest.fixture(scope="module", autouse=True)
def graphs() -> Iterator[dict[Calibration, onnx.ModelProto]]:
    """Export each graph only once, which takes seconds; yield them by calibration."""
    made: dict[Calibration, onnx.ModelProto] = {}

    def remember(network: Any, calibration: Calibration) -> onnx.ModelProto:
        if calibration not in made:
            made[calibration] = to_onnx(network, calibration)
        return made[calibration]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "to_onnx", remember)
        yield made


@pytest.fixture(scope="module")
def exported(checkpoint: Path, graphs: Any) -> ExportReport:
    """Export once, into the checkpoint's folder; return the report."""
    output = checkpoint.with_name("model.onnx")
    return export(replace(CONFIG, checkpoint=str(checkpoint), output=str(output)), {})


@pytest.fixture
def attempt(checkpoint: Path, tmp_path: Path) -> Export:
    """Return a function that exports over an older file, fp32 unless an argument says otherwise."""
    (tmp_path / "model.onnx").write_bytes(b"the old file")

    default = replace(
        CONFIG,
        precision=Precision.fp32,
        checkpoint=str(checkpoint),
        output=str(tmp_path / "model.onnx"),
    )

    def run(**changes: Any) -> ExportReport:
        return export(replace(default, **changes), {})

    return run


def assert_untouched(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]
    assert (folder / "model.onnx").read_bytes() == b"the old file"


def test_the_report_holds_the_figures_of_the_gates(
    exported: ExportReport, checkpoint: Path
) -> None:
    report = json.loads(checkpoint.with_name("export_report.json").read_text())
    assert report == json.loads(json.dumps(exported.to_json()))
    assert report["parity"]["largest_difference"] <= 1e-4

    pytorch, fp32, int8 = (report["contestants"][name] for name in ("pytorch", "fp32", "int8"))
    assert int8["flips"] <= 0.02
    assert pytorch["metrics"]["overall"]["mcc"] - int8["metrics"]["overall"]["mcc"] <= 0.01
    assert fp32["flips"] == 0
    assert fp32["metrics"]["overall"]["mcc"] == pytest.approx(pytorch["metrics"]["overall"]["mcc"])
    assert int8["megabytes"] < fp32["megabytes"]

    for values in (pytorch, fp32, int8):
        assert 0 < values["latency"]["p50_ms"] <= values["latency"]["p99_ms"]

    calibration = report["calibration"]
    assert set(calibration) == {"temperature", "largest_margin", "judged_on"} | {
        f"error_{kind}" for kind in ("before", "after", "by_chance")
    }
    assert 0 < calibration["error_by_chance"] < 0.5


def test_what_is_printed_fits_80_columns(
    exported: ExportReport, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/a/folder/with/a/long/name/" * 4 + "model.onnx"
    print_report(replace(exported, model=path))

    *lines, last = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    # A path is printed whole, on a line of its own, to be copied.
    assert last == f"model file  {path}"
    # Chapter 5 shows all of it.
    assert "..." not in trim([*lines, last], EXPORTED)


def test_the_file_is_self_contained(exported: ExportReport, checkpoint: Path) -> None:
    path = checkpoint.with_name("model.onnx")
    onnx.checker.check_model(path, full_check=True)
    info = ColaONNXPredictor(path).info
    assert (info.name, info.precision, info.packing, info.max_length) == ("tiny", "int8", True, 32)
    assert info.version == exported.sha256[:12]
    lineage = info.lineage
    assert lineage.corpus.name == "own"
    assert len(lineage.corpus.sha256) == 64
    assert lineage.validated_on is None
    assert lineage.config["processing"]["max_length"] == 32
    assert lineage.metrics["overall"] == exported.variants["int8"].metrics["overall"]
    assert lineage == exported.lineage
    recorded = {"base_revision", "git_commit", "created", "packages", "parity"}
    assert recorded <= lineage.to_json().keys()
    assert info.reference.count == lineage.metrics["overall"]["sentences"]

    # Readable by a server that runs as somebody else.
    assert path.stat().st_mode & 0o044 == 0o044


def test_pytorch_gives_the_scores_of_the_fp32_file(
    attempt: Export, checkpoint: Path, tmp_path: Path
) -> None:
    attempt()

    # Beside the report, which has its calibration.
    shutil.copy(checkpoint, tmp_path / "best-checkpoint.ckpt")

    texts = [
        f"The {noun} {verb} the dog."
        for noun in ("cat", "cats", "boy")
        for verb in ("sees", "see", "seeing")
    ]
    eager = ColaPredictor(tmp_path / "best-checkpoint.ckpt").predict_batch(texts)
    exported = ColaONNXPredictor(tmp_path / "model.onnx").predict_batch(texts)

    for one, other in zip(eager, exported, strict=True):
        assert one["text"] == other["text"]
        assert one["prediction"]["label"] == other["prediction"]["label"]
        assert one["prediction"]["score"] == pytest.approx(other["prediction"]["score"], abs=5e-5)


def test_calibration_can_be_left_out(attempt: Export) -> None:
    report = attempt(calibrate=False)
    assert report.calibration.fitted == NO_CALIBRATION
    assert report.calibration.error_before == pytest.approx(
        report.calibration.error_after, abs=1e-4
    )


def test_a_model_that_knows_nothing_is_not_exported(attempt: Export, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"quality: the MCC is .*less than export.min_mcc=0.9"):
        attempt(min_mcc=0.9)
    assert_untouched(tmp_path)


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_a_graph_that_computes_something_else_is_not_exported(
    factor: float, calibrate: bool, attempt: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(network: Any, calibration: Calibration) -> onnx.ModelProto:
        model = to_onnx(network, calibration)
        (weight,) = (item for item in model.graph.initializer if item.name == "head.2.weight")
        other = np.float32(factor) * numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array(other, weight.name))
        return model

    monkeypatch.setattr(packing, "to_onnx", wrong)
    with pytest.raises(
        ExportError, match=r"parity: the file's logits differ from PyTorch's by .*more than 0.0001"
    ):
        attempt(calibrate=calibrate)
    assert_untouched(tmp_path)


def test_large_logits_may_differ_by_what_fp32_rounds_off(
    attempt: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: Path) -> ColaModel:
        model = load_checkpoint(path)
        weight = model.network.get_parameter("classifier.weight")
        weight.data *= 1000
        return model

    monkeypatch.setattr(checkpoints, "load_checkpoint", load)
    monkeypatch.setattr(packing, "to_onnx", to_onnx)

    report = attempt(calibrate=False)
    assert report.variants["fp32"].largest_difference > gates.MAX_DIFFERENCE
    assert report.parity.largest_difference < gates.MAX_DIFFERENCE


def test_the_calibration_error_is_that_of_held_out_scores_out_of_domain() -> None:
    certain, label = [[9.0, -9.0]] * 4, [0, 0, 0, 1]
    given: Any = SimpleNamespace(
        corpus=SimpleNamespace(validation_splits=["in_domain"] * 4 + ["out_of_domain"] * 4),
        label=torch.tensor([0] * 4 + label),
        raw_logits=torch.tensor([[0.0, 0.0]] * 4 + certain),
        calibration=Calibration(2.0, 3.0),
        held_out_logits=torch.tensor([[0.9, 0.1]] * 4 + [[0.75, 0.25]] * 4).log(),
    )

    figures = calibration_of(given)
    assert figures.fitted == Calibration(2.0, 3.0)
    assert figures.error_before == pytest.approx(0.25, abs=1e-4)
    assert figures.error_after == pytest.approx(0.0, abs=1e-6)
    assert figures.error_by_chance > 0.1


def test_int8_that_changes_labels_is_not_exported(
    attempt: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "MAX_LABEL_CHANGES", -0.1)
    with pytest.raises(
        ExportError, match=r"int8: no scheme is accepted .*other labels.*export.precision=fp32"
    ):
        attempt(precision=Precision.int8)
    assert_untouched(tmp_path)


def test_other_sentences_in_a_row_change_no_score(exported: ExportReport, checkpoint: Path) -> None:
    assert exported.variants["int8"].scheme == "static int8"

    report = json.loads(checkpoint.with_name("export_report.json").read_text())
    assert report["company"]["largest_difference"] <= report["company"]["limit"] == 0.005
    assert report["company"]["label_changes"] == 0


@pytest.mark.parametrize(
    "invariance",
    [
        BatchInvariance(largest_difference=0.006),
        BatchInvariance(largest_difference=0.0, label_changes=1),
    ],
)
def test_a_static_scheme_whose_scores_depend_on_the_row_is_not_chosen(
    attempt: Export, monkeypatch: pytest.MonkeyPatch, invariance: BatchInvariance
) -> None:
    monkeypatch.setattr(variants, "measure_batch_invariance", lambda *_: invariance)
    report = attempt(precision=Precision.int8)
    assert report.variants["int8"].scheme == "int8"


def test_another_corpus_can_be_named(
    attempt: Export, small_corpus: Path, checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model.onnx"
    config = replace(
        CONFIG, precision=Precision.fp32, checkpoint=str(checkpoint), output=str(output)
    )
    export(config, {"path": str(small_corpus)})

    sentences = sum(
        len((small_corpus / f"{name}_dev.tsv").read_text().splitlines())
        for name in ("in_domain", "out_of_domain")
    )
    info = ColaONNXPredictor(output).info
    assert info.reference.count == sentences

    # What it was trained on, and what its figures are of.
    trained_on, validated_on = info.lineage.corpus, info.lineage.validated_on
    assert validated_on is not None
    assert (trained_on.name, validated_on.name) == ("own", f"folder:{small_corpus.name}")
    assert trained_on.sha256 != validated_on.sha256

    with pytest.raises(CorpusError, match="there is no folder"):
        export(config, {"sources": [Source.folder], "path": "nowhere"})


def test_a_corpus_that_has_changed_since_the_training_is_refused_unless_named(
    attempt: Export, checkpoint: Path, tmp_path: Path
) -> None:
    older = torch.load(checkpoint, weights_only=True)
    older["cola"]["corpus"]["sha256"] = "0" * 64
    torch.save(older, tmp_path / "older.ckpt")

    with pytest.raises(CorpusError, match=r"the corpus own is not what it was .*sources=\[own\]"):
        attempt(checkpoint=str(tmp_path / "older.ckpt"))
    assert prepare(tmp_path / "older.ckpt", {"sources": [Source.own]}, calibrate=False).other_corpus

    # How long to wait for the hub names no corpus.
    with pytest.raises(CorpusError, match="the corpus own is not what it was"):
        prepare(tmp_path / "older.ckpt", {"hub_timeout": 9.0}, calibrate=False)


def test_levels_follow_from_as_many_training_sentences_as_there_may_be(
    small_corpus: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = len((small_corpus / "in_domain_train.tsv").read_text().splitlines())
    monkeypatch.setattr(evaluation, "QUANTIZATION_SENTENCES", sentences)

    prepared = prepare(checkpoint, {"path": str(small_corpus)}, calibrate=False)
    assert len(prepared.quantization_sentences) == sentences


def test_the_report_names_the_checkpoint_that_was_measured(
    attempt: Export, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best-checkpoint.ckpt"
    shutil.copy(checkpoint, path)
    measure_pytorch = variants.measure_pytorch

    def measure(*arguments: Any) -> Variant:
        path.write_bytes(b"a training run ends meanwhile")
        return measure_pytorch(*arguments)

    monkeypatch.setattr(variants, "measure_pytorch", measure)
    assert attempt(checkpoint=str(path)).lineage.checkpoint_sha256 == sha256_of(checkpoint)


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best-checkpoint.ckpt"
    shutil.copy(checkpoint, path)

    def load(path: Path) -> ColaModel:
        model = load_checkpoint(path)
        path.write_bytes(b"another")
        return model

    monkeypatch.setattr(checkpoints, "load_checkpoint", load)
    with pytest.raises(CheckpointError, match="was replaced while it was being read"):
        checkpoints.load_with_digest(path)


def test_a_model_file_without_its_report_is_not_left(
    attempt: Export, exported: ExportReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(config: Any, data_overrides: Any, path: Path) -> ExportReport:
        path.write_bytes(b"the new file")
        return exported

    monkeypatch.setattr("convert_model_to_onnx.make_model_file", make)

    # In the report's place, where no file can take it.
    (tmp_path / "export_report.json").mkdir()
    with pytest.raises(OSError, match="export_report.json"):
        attempt()
    assert (tmp_path / "model.onnx").read_bytes() == b"the old file"


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"])
def test_a_checkpoint_of_nobody_is_refused(
    attempt: Export, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "other.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="other.ckpt") as refusal:
        attempt(checkpoint=str(path))

    # The cause would be printed, too: torch's advice on files that one trusts.
    assert refusal.value.__cause__ is None


def test_a_folder_that_cannot_be_written_is_named(attempt: Export, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"export.output: .*cannot be written"):
        attempt(output=str(tmp_path / "file" / "model.onnx"))


def test_an_output_that_is_a_folder_is_refused_before_anything_is_measured(
    attempt: Export, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"export.output: .* is a folder; name a file in it"):
        attempt(output=str(tmp_path))
    assert_untouched(tmp_path)


@pytest.mark.parametrize("override", ["data.path=nowhere", "data.sources.0=own"])
def test_the_command_reports_an_error_in_one_line(run: Callable[..., Any], override: str) -> None:
    result = run("convert_model_to_onnx.py", "export.checkpoint=nowhere.ckpt", override)

    assert result.returncode == 2
    message = "error: there is no checkpoint nowhere.ckpt; run `make train` to make one\n"
    assert result.stderr == message
