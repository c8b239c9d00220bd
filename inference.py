"""Chapter 6: predict with the PyTorch checkpoint; the answers of inference_onnx.py, more slowly.

    python inference.py "The boy is sitting on a bench"
    python inference.py --input corpus.csv --output predictions.jsonl

Reads models/best-checkpoint.ckpt, and from export_report.json beside it the calibration that the
export fitted for it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence

from commands.run import run_command
from errors import CheckpointError, InvalidText
from export.calibration import NO_CALIBRATION, Calibration
from export.checkpoint import load_with_digest
from prediction.command_line import main
from prediction.encoder import TextEncoder
from prediction.types import Answer, Encoded, Prediction

BATCH_SIZE = 32


class ColaPredictor:
    """Predictions from a checkpoint.

    Args:
        path: The checkpoint.

    Raises:
        CheckpointError: It is missing, damaged or just replaced, or its export's report is damaged.
    """

    def __init__(self, path: str | Path = "models/best-checkpoint.ckpt") -> None:
        self._model, sha256 = load_with_digest(Path(path))
        provenance = self._model.provenance
        self.labels = provenance.labels
        self._encoder = TextEncoder(provenance.tokenizer, provenance.max_length)
        self._calibration = fitted_calibration(Path(path), sha256)

    def predict(self, text: str) -> Answer:
        """Predict one text.

        Returns:
            ``{"text": ..., "prediction": {"label": ..., "score": ...}}``.

        Raises:
            InvalidText: It cannot be predicted; the message says what to change.
        """
        return self.predict_batch([text])[0]

    def predict_batch(self, texts: Sequence[str]) -> list[Answer]:
        """Predict several texts, in order.

        Raises:
            InvalidText: One of them cannot be predicted.
        """
        return [prediction.as_dict() for prediction in self.predict_many(texts)]

    def predict_many(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict several texts like ``predict_batch``, with all that a log line says of them.

        Raises:
            InvalidText: One of them cannot be predicted.
        """
        return self._predict_encoded([self._encoder.encode(text) for text in texts])

    def predict_each(self, texts: Sequence[str]) -> list[Prediction | InvalidText]:
        """Predict several texts, in order; one that cannot be predicted gives its error instead."""
        encoded = self._encoder.encode_each(texts)
        valid = [item for item in encoded if isinstance(item, Encoded)]
        predictions = iter(self._predict_encoded(valid))
        return [next(predictions) if isinstance(item, Encoded) else item for item in encoded]

    def _predict_encoded(self, encoded: list[Encoded]) -> list[Prediction]:
        # Sentences of similar length share a batch, which then has little padding.
        order = sorted(range(len(encoded)), key=lambda position: len(encoded[position].ids))

        predictions: dict[int, Prediction] = {}
        for start in range(0, len(order), BATCH_SIZE):
            positions = order[start : start + BATCH_SIZE]
            batch = [encoded[position] for position in positions]
            predictions |= zip(positions, self._predict_padded(batch), strict=True)

        return [predictions[position] for position in range(len(encoded))]

    def _predict_padded(self, batch: list[Encoded]) -> list[Prediction]:
        ids = [torch.tensor(item.ids) for item in batch]
        input_ids = pad_sequence(ids, batch_first=True)
        attention_mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)

        with torch.inference_mode():
            logits = self._model(input_ids, attention_mask)
        probabilities = self._calibration.apply(logits.double()).softmax(dim=1).tolist()

        return [
            Prediction.from_probabilities(item, probability, self.labels)
            for item, probability in zip(batch, probabilities, strict=True)
        ]


def fitted_calibration(checkpoint: Path, sha256: str) -> Calibration:
    """Return the calibration that the export fitted for a checkpoint.

    ``NO_CALIBRATION`` if it was not exported yet, or if the report is another checkpoint's.

    Args:
        checkpoint: Its path; the report lies beside it.
        sha256: Of the file that was loaded.

    Raises:
        CheckpointError: The report is damaged.
    """
    report = checkpoint.with_name("export_report.json")
    if not report.is_file():
        return NO_CALIBRATION

    try:
        lineage = json.loads(report.read_text(encoding="utf-8"))["lineage"]
        if lineage["checkpoint_sha256"] != sha256:
            return NO_CALIBRATION
        return Calibration.from_json(lineage)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{report} is damaged ({reason}); delete it, or export again"
        ) from None


if __name__ == "__main__":
    run_command(lambda: main(ColaPredictor, __doc__ or "", "models/best-checkpoint.ckpt"))
