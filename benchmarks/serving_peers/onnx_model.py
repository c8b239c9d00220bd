"""What the LitServe and BentoML services share: ONNX Runtime, batches padded to the longest."""

import os
from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

LABELS = ("unacceptable", "acceptable")


class Model:
    """The model in ``WEIGHTS`` (its tokenizer) and ``ONNX`` (its network)."""

    def __init__(self, threads: int) -> None:
        self.tokenizer = Tokenizer.from_file(str(Path(os.environ["WEIGHTS"]) / "tokenizer.json"))
        self.tokenizer.enable_padding()
        self.tokenizer.enable_truncation(128)

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        self.session = ort.InferenceSession(os.environ["ONNX"], options, providers=providers)

    def __call__(self, texts: list[str]) -> list[dict]:
        """Return the label and its score for each sentence."""
        encoded = self.tokenizer.encode_batch(texts)
        feed = {
            "input_ids": np.array([item.ids for item in encoded], np.int64),
            "attention_mask": np.array([item.attention_mask for item in encoded], np.int64),
        }
        logits = self.session.run(["logits"], feed)[0]

        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = exponents / exponents.sum(axis=1, keepdims=True)
        return [{"label": LABELS[row.argmax()], "score": float(row.max())} for row in scores]
