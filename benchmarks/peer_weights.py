"""Write a checkpoint in the forms that the peers of benchmarks/serving.py read.

    python -m benchmarks.peer_weights CHECKPOINT FOLDER

FOLDER becomes a model of the transformers library, with the same weights as fp32 ONNX in
FOLDER/onnx/model.onnx.
"""

import argparse
import json
from pathlib import Path

from configs.schema import ExportConfig, Precision
from convert_model_to_onnx import export
from export.checkpoint import load_checkpoint

TOKENIZER = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": 128,
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def main() -> None:
    """Write both forms."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()

    write_transformers(arguments.checkpoint, arguments.folder)
    write_onnx(arguments.checkpoint, arguments.folder / "onnx" / "model.onnx")


def write_transformers(checkpoint: Path, folder: Path) -> None:
    """Write the network, its labels and its tokenizer."""
    model = load_checkpoint(checkpoint)
    # A pipeline of the transformers library names labels as the network's configuration does.
    labels = model.provenance.labels
    model.network.config.id2label = dict(enumerate(labels))
    model.network.config.label2id = {label: number for number, label in enumerate(labels)}
    model.network.save_pretrained(folder)

    (folder / "tokenizer.json").write_text(model.provenance.tokenizer, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")


def write_onnx(checkpoint: Path, path: Path) -> None:
    """Export at fp32, without calibration: the same probabilities as the other form gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config = ExportConfig(
        checkpoint=str(checkpoint),
        output=str(path),
        precision=Precision.fp32,
        calibrate=False,
        # Whatever its quality, it is the servers that are measured.
        min_mcc=-1.0,
    )
    export(config, {})


if __name__ == "__main__":
    main()
