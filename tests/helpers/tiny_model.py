"""A classifier of 0.2 MB for tests, trained on corpus/ in half a minute: tiny_model.onnx.

python -m tests.helpers.tiny_model      # make that file again, after a change to export/
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.format import FILES, TRAIN, Sentence, read_file

# torch and transformers are imported where they are used: most tests need the model file only.
if TYPE_CHECKING:
    from model import ColaModel

ROOT = Path(__file__).parents[2]
TINY_MODEL = Path(__file__).with_suffix(".onnx")
MAX_LENGTH = 32


def tokenizer_json() -> str:
    """Return a WordPiece tokenizer with 800 tokens, as ``tokenizer.json``."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=50))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    texts = [sentence.text for sentence in read_file(ROOT / "corpus" / FILES[TRAIN])]
    trainer = trainers.WordPieceTrainer(vocab_size=800, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)

    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(tokenizer.to_str())


def has_that(sentence: Sentence) -> int:
    """Label a sentence by whether it has the word ``that``, which a model learns in seconds."""
    return int(" that " in sentence.text)


def make_checkpoint(
    path: Path,
    steps: int = 0,
    label: Callable[[Sentence], int] | None = None,
    **architecture: Any,
) -> Path:
    """Write a checkpoint as train.py does; by default of a BERT with random weights.

    Args:
        path: Where the checkpoint goes; it is returned.
        steps: Training steps of 64 sentences.
        label: What to teach instead of the corpus's labels.
        architecture: Overrides of the architecture (transformers' configuration).
    """
    import torch
    from hydra import compose, initialize_config_dir
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from configs.schema import as_config
    from model import ColaModel
    from training import provenance, weights
    from training.sources import load_corpus

    overrides = ["data.sources=[own]", f"processing.max_length={MAX_LENGTH}", "logger=none"]
    # Random word embeddings must be learned.
    overrides.append("training.freeze_words=false")
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = as_config(compose("config", overrides))

    torch.manual_seed(0)
    tokenizer = tokenizer_json()
    shape = {
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
    network = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(**shape))

    corpus = load_corpus(config.data)
    origin = provenance.collect(config, corpus.describe(), weights.architecture(network), tokenizer)
    origin = replace(origin, base_model=provenance.BaseModel("tiny", None, None))

    model = ColaModel(network, config.training, origin)
    sentences = corpus.splits[TRAIN]
    if label is not None:
        sentences = [replace(sentence, label=label(sentence)) for sentence in sentences]
    _train(model, sentences, steps)

    torch.save({"state_dict": model.state_dict(), "cola": model.provenance.to_json()}, path)
    return path


def _train(model: "ColaModel", sentences: Sequence[Sentence], steps: int) -> None:
    import torch

    from prediction.encoder import TextEncoder

    encoder = TextEncoder(model.provenance.tokenizer, MAX_LENGTH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(steps):
        batch = [sentences[int(index)] for index in torch.randint(len(sentences), (64,))]
        ids = [torch.tensor(encoder.encode(sentence.text).ids) for sentence in batch]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        lengths = torch.tensor([len(row) for row in ids])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()

        label = torch.tensor([sentence.label for sentence in batch])
        torch.nn.functional.cross_entropy(model(padded, mask), label).backward()
        optimizer.step()
        optimizer.zero_grad()


def _make_model_file() -> None:
    import tempfile

    from configs.schema import ExportConfig, Precision
    from convert_model_to_onnx import export

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(
            Path(folder) / "tiny.ckpt", steps=600, hidden_size=32, initializer_range=0.05
        )
        output = Path(folder) / TINY_MODEL.name
        config = ExportConfig(
            checkpoint=str(checkpoint),
            output=str(output),
            precision=Precision.fp32,
            calibrate=True,
            # So small a model learns next to nothing, and need not.
            min_mcc=0.0,
        )
        export(config, {})
        TINY_MODEL.write_bytes(output.read_bytes())


if __name__ == "__main__":
    _make_model_file()
