"""Stage 3: predict with the PyTorch checkpoint; the same answers as inference_onnx.py, in ten times the time.

    python inference.py "The boy is sitting on a bench"
    python inference.py --input corpus.csv --output predictions.jsonl

Reads models/best-checkpoint.ckpt, and the temperature that the export fitted for it from export_report.json.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from commands.run import run_command
from model import load_checkpoint
from prediction.command_line import main
from prediction.encoder import TextEncoder
from prediction.types import Encoded, Prediction

BATCH = 32


class ColaPredictor:
    """Predictions from a checkpoint. Raises CheckpointError for one that is missing or damaged."""

    def __init__(self, path: str | Path = "models/best-checkpoint.ckpt") -> None:
        self._model = load_checkpoint(path)
        provenance = self._model.provenance
        self.labels = provenance.labels
        self._encoder = TextEncoder(provenance.tokenizer, provenance.max_length)
        self._temperature = fitted_temperature(Path(path))

    def predict(self, text: str) -> dict[str, Any]:
        """``{"text": ..., "prediction": {"label": ..., "score": ...}}``. Raises InvalidText."""
        return self.predict_batch([text])[0]

    def predict_batch(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """The same for several texts, in order. Raises InvalidText."""
        return [prediction.as_dict() for prediction in self.predict_many(texts)]

    def predict_many(self, texts: Sequence[str]) -> list[Prediction]:
        """Like predict_batch, with what a log line needs. Raises InvalidText."""
        encoded = [self._encoder.encode(text) for text in texts]
        order = sorted(range(len(encoded)), key=lambda position: len(encoded[position].ids))
        predictions: dict[int, Prediction] = {}
        for start in range(0, len(order), BATCH):
            positions = order[start : start + BATCH]
            batch = [encoded[position] for position in positions]
            predictions |= zip(positions, self._predict_batch(batch), strict=True)
        return [predictions[position] for position in range(len(encoded))]

    def _predict_batch(self, batch: list[Encoded]) -> list[Prediction]:
        ids = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(item.ids) for item in batch], batch_first=True
        )
        mask = torch.nn.utils.rnn.pad_sequence(
            [torch.ones(len(item.ids)).long() for item in batch], True
        )
        with torch.inference_mode():
            probabilities = (self._model(ids, mask).double() / self._temperature).softmax(dim=1)
        return [self._prediction(*pair) for pair in zip(batch, probabilities.tolist(), strict=True)]

    def _prediction(self, item: Encoded, probabilities: list[float]) -> Prediction:
        score = max(probabilities)
        return Prediction(
            text=item.text,
            label=self.labels[probabilities.index(score)],
            score=score,
            probability_acceptable=probabilities[self.labels.index("acceptable")],
            characters=len(item.text),
            tokens=len(item.ids),
            unknown_tokens=item.unknown_tokens,
            truncated=item.truncated,
        )


def fitted_temperature(checkpoint: Path) -> float:
    """What the export divided this checkpoint's logits by, to calibrate its scores; 1 before any export."""
    report = checkpoint.with_name("export_report.json")
    if not report.is_file():
        return 1.0
    lineage = json.loads(report.read_text(encoding="utf-8"))["lineage"]
    with checkpoint.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return float(lineage["temperature"]) if lineage["checkpoint_sha256"] == digest else 1.0


if __name__ == "__main__":
    run_command(lambda: main(ColaPredictor, __doc__ or "", "models/best-checkpoint.ckpt"))
