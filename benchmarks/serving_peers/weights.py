"""The checkpoint in the forms that the peers read: a transformers folder, and beside it the same as fp32 ONNX.

python benchmarks/serving_peers/weights.py CHECKPOINT FOLDER
"""

import sys
from pathlib import Path

from configs.schema import ExportConfig, Precision
from convert_model_to_onnx import export
from model import load_checkpoint

checkpoint, folder = Path(sys.argv[1]), Path(sys.argv[2])
model = load_checkpoint(checkpoint)
labels = model.provenance.labels
network = model.network
network.config.id2label = dict(enumerate(labels))
network.config.label2id = {label: number for number, label in enumerate(labels)}
network.save_pretrained(folder)
(folder / "tokenizer.json").write_text(model.provenance.tokenizer, encoding="utf-8")
(folder / "tokenizer_config.json").write_text(
    '{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128, "pad_token": "[PAD]", '
    '"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}'
)
(folder / "onnx").mkdir(exist_ok=True)
config = ExportConfig(
    checkpoint=str(checkpoint),
    output=str(folder / "onnx" / "model.onnx"),
    precision=Precision.fp32,
    calibrate=False,
    min_mcc=-1.0,
)
export(config, {})
