"""Predictions from models/model.onnx: onnxruntime, tokenizers and numpy, no torch.

Sentences are packed, not
padded: several share a row, `attention_mask` numbers them, and each answers with its own row of logits.
Rows run side by side, one core each: more threads for one row pay only where there is no other row to run.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# From 1.31 on, ONNX Runtime reports to its maker unless told not to, before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from errors import ModelFileError
from prediction.cores import available_cores
from prediction.encoder import TextEncoder
from prediction.model_file import Lineage, Reference
from prediction.rows import plan
from prediction.types import Encoded, ModelInfo, Prediction

SLICE_SENTENCES = (
    64  # what a thread of ``predict_many`` tokenizes and predicts before it takes the next
)
METADATA = ("labels", "tokenizer", "max_length", "packing", "lineage", "reference")
REMEDY = "make a good one with: python convert_model_to_onnx.py"


class ColaONNXPredictor:
    """Predictions from one ONNX file. Safe to use from several threads.

    ``threads`` run rows side by side. ``single_threads`` share one row that is run ``exclusive``; more than one cost
    a second copy of the weights. Raises ModelFileError for a file that is missing, damaged or incomplete.
    """

    def __init__(
        self,
        path: str | Path = "models/model.onnx",
        threads: int | None = None,
        single_threads: int = 1,
    ) -> None:
        self.threads = available_cores() if threads is None else threads
        self._path = Path(path)
        version, self._session = _open(self._path, 1)
        self._single_session = (
            _open(self._path, single_threads)[1] if single_threads > 1 else self._session
        )
        self.info, tokenizer = self._read_metadata(version)
        self._encoder = self._read_tokenizer(tokenizer)
        self._acceptable = self.info.labels.index("acceptable")
        self._pool = ThreadPoolExecutor(self.threads, "row") if self.threads > 1 else None

    def predict(self, text: str) -> dict[str, Any]:
        """``{"text": ..., "prediction": {"label": ..., "score": ...}}``. Raises InvalidText."""
        return self.predict_encoded([self.encode(text)])[0].as_dict()

    def predict_batch(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """The same for several texts, in order, on all of the predictor's threads. Raises InvalidText."""
        return [prediction.as_dict() for prediction in self.predict_many(texts)]

    def predict_many(self, texts: Sequence[str]) -> list[Prediction]:
        """Like predict_batch, with what a log line needs. Raises InvalidText."""
        if self._pool is None or len(texts) == 1:
            return self._predict_slice(texts)
        size = max(1, min(SLICE_SENTENCES, -(-len(texts) // self.threads)))
        slices = [texts[start : start + size] for start in range(0, len(texts), size)]
        return [
            prediction
            for part in self._pool.map(self._predict_slice, slices)
            for prediction in part
        ]

    def encode(self, text: str) -> Encoded:
        """Check and tokenize one text. Raises InvalidText (also a ValueError) that says what to change."""
        return self._encoder.encode(text)

    def predict_encoded(
        self, encoded: Sequence[Encoded], exclusive: bool = False
    ) -> list[Prediction]:
        """Predict encoded texts, in order, on the caller's thread; on ``single_threads`` if nothing else runs."""
        session = self._single_session if exclusive else self._session
        predictions: dict[int, Prediction] = {}
        for row in plan(encoded, self.info.packing):
            probabilities = _softmax(
                self._run_row([encoded[position].ids for position in row], session)
            )
            for position, probability in zip(row, probabilities, strict=True):
                predictions[position] = self._prediction(encoded[position], probability)
        return [predictions[position] for position in range(len(encoded))]

    def _predict_slice(self, texts: Sequence[str]) -> list[Prediction]:
        return self.predict_encoded([self.encode(text) for text in texts])

    def _run_row(
        self, sentences: list[list[int]], session: ort.InferenceSession
    ) -> NDArray[np.float32]:
        ids = np.array([token for sentence in sentences for token in sentence], np.int64)
        if self.info.packing:
            numbers = np.repeat(
                np.arange(1, len(sentences) + 1),
                [len(sentence) for sentence in sentences],
            )
            feed = {"input_ids": ids[None], "attention_mask": numbers[None]}
        else:
            ids = ids.reshape(len(sentences), -1)
            feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        logits: NDArray[np.float32] = session.run(["logits"], feed)[0]
        return logits

    def _prediction(self, item: Encoded, probability: NDArray[np.float64]) -> Prediction:
        best = int(probability.argmax())
        return Prediction(
            text=item.text,
            label=self.info.labels[best],
            score=float(probability[best]),
            probability_acceptable=float(probability[self._acceptable]),
            characters=len(item.text),
            tokens=len(item.ids),
            unknown_tokens=item.unknown_tokens,
            truncated=item.truncated,
        )

    def _read_metadata(self, version: str) -> tuple[ModelInfo, str]:
        """Return what the file says about itself, and its tokenizer.json."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        missing = [key for key in METADATA if key not in metadata]
        if missing:
            raise ModelFileError(f"{self._path}: no {', '.join(missing)} in its metadata; {REMEDY}")

        try:
            lineage = Lineage.from_json(json.loads(metadata["lineage"]))
            info = ModelInfo(
                version=version,
                name=lineage.base_model,
                labels=json.loads(metadata["labels"]),
                max_length=json.loads(metadata["max_length"]),
                packing=json.loads(metadata["packing"]),
                precision=lineage.precision,
                lineage=lineage,
                reference=Reference.from_json(json.loads(metadata["reference"])),
            )
            has_label = "acceptable" in info.labels
        except KeyError as error:
            raise ModelFileError(
                f"{self._path}: its labels or lineage are incomplete: no {error}; {REMEDY}"
            ) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelFileError(
                f"{self._path}: its metadata cannot be read ({error}); {REMEDY}"
            ) from None

        if not has_label:
            raise ModelFileError(f"{self._path}: its labels or lineage are incomplete; {REMEDY}")
        return info, metadata["tokenizer"]

    def _read_tokenizer(self, text: str) -> TextEncoder:
        try:
            encoder = TextEncoder(text, self.info.max_length)
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelFileError(
                f"{self._path}: its tokenizer cannot be read ({error}); {REMEDY}"
            ) from None
        size, matches = encoder.vocabulary, encoder.vocabulary == self.info.lineage.vocabulary
        try:  # the last id must have a row in the embedding; this also warms the sessions up
            for session in (self._session, self._single_session):
                self._run_row([[size - 1]], session)
        except Exception:  # onnxruntime's exceptions share no public base class
            matches = False
        if not matches:
            raise ModelFileError(
                f"{self._path}: its tokenizer ({size} tokens) is not the model's; {REMEDY}"
            )
        return encoder


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return probabilities


def _open(path: Path, threads: int) -> tuple[str, ort.InferenceSession]:
    """The file's version and its session. The bytes are not held beside the session, to keep the peak low."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that share a row meet after each matrix, too soon to go to sleep; between rows they do.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_cpu_mem_arena = False  # an arena keeps the memory of the longest row ever seen
    options.log_severity_level = 4
    try:
        with path.open("rb") as file:
            version = hashlib.file_digest(file, "sha256").hexdigest()[:12]
            session = ort.InferenceSession(
                path,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=[
                    "SkipLayerNormFusion"
                ],  # the fused kernel is slower than its parts
            )
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                raise ModelFileError(f"{path}: was replaced while it was being read; try again")
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror}; {REMEDY}") from None
    except ModelFileError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no public base class
        reason = str(error).splitlines()[0]
        raise ModelFileError(
            f"{path}: not a model that ONNX Runtime can load ({reason}); {REMEDY}"
        ) from None
    return version, session
