"""A classifier of 0.2 MB for tests, trained on corpus/ in half a minute: tests/helpers/tiny_model.onnx.

python tests/helpers/tiny_model.py            # make that file again, after a change to what export/ writes
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TINY_MODEL = Path(__file__).with_suffix(".onnx")
MAX_LENGTH = 32


def tokenizer_json() -> str:
    """A WordPiece tokenizer with 800 tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=50))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=800, special_tokens=special, show_progress=False)
    lines = (ROOT / "corpus" / "in_domain_train.tsv").read_text(encoding="utf-8").splitlines()
    tokenizer.train_from_iterator([line.split("\t")[3] for line in lines], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(tokenizer.to_str())


def make_checkpoint(path: Path, steps: int = 0, **architecture: Any) -> Path:
    """A checkpoint as train.py writes it; by default a BERT with random weights."""
    import torch
    from hydra import compose, initialize_config_dir
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from configs.schema import plain
    from data import load_corpus
    from model import ColaModel
    from training import provenance

    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        settings = ["data.sources=[corpus]", f"processing.max_length={MAX_LENGTH}", "logger=none"]
        config = plain(compose("config", settings))
    torch.manual_seed(0)
    tokenizer = tokenizer_json()
    network = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(
            **{
                "model_type": "bert",
                "hidden_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 64,
                "max_position_embeddings": 64,
                "vocab_size": len(json.loads(tokenizer)["model"]["vocab"]),
                "num_labels": 2,
                "initializer_range": 0.2,
                **architecture,
            }
        )
    )
    facts = {
        "base_model": {"name": "tiny", "revision": None, "sha256": None},
        "network": json.loads(network.config.to_json_string(use_diff=False)),
        "tokenizer": tokenizer,
        "labels": ["unacceptable", "acceptable"],
        **provenance.collect(config, load_corpus(config["data"]).describe()),
    }
    model = ColaModel(network, config["training"], facts)
    if steps:
        _train(model, load_corpus(config["data"]).splits["train"], steps)
    torch.save({"state_dict": model.state_dict(), "cola": model.records}, path)
    return path


def _train(model: Any, sentences: Any, steps: int) -> None:
    import torch

    from prediction.encoder import TextEncoder

    encoder = TextEncoder(model.records["tokenizer"], MAX_LENGTH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(steps):
        batch = [sentences[int(place)] for place in torch.randint(len(sentences), (64,))]
        ids = [torch.tensor(encoder.encode(sentence.text).ids) for sentence in batch]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        mask = (
            torch.arange(padded.shape[1]) < torch.tensor([len(row) for row in ids])[:, None]
        ).long()
        label = torch.tensor([sentence.label for sentence in batch])
        torch.nn.functional.cross_entropy(model(padded, mask), label).backward()
        optimizer.step()
        optimizer.zero_grad()


if __name__ == "__main__":
    import tempfile

    sys.path.insert(0, str(ROOT))
    from convert_model_to_onnx import export

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(
            Path(folder) / "tiny.ckpt", steps=600, hidden_size=32, initializer_range=0.05
        )
        output = Path(folder) / TINY_MODEL.name
        settings = {
            "checkpoint": checkpoint,
            "output": output,
            "precision": "fp32",
            "calibrate": True,
        }
        export({**settings, "min_mcc": 0.05}, {})
        TINY_MODEL.write_bytes(output.read_bytes())
