"""Predictions from models/model.onnx: onnxruntime, tokenizers and numpy, no torch.

Sentences are packed instead of padded: several share a row, ``attention_mask`` numbers them, and
the model gives one row of logits per sentence. Rows run side by side on one core each, because
more threads for one row pay off only where there is no other row to run.
"""

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from errors import InvalidText, ModelFileError
from prediction.cores import available_cores
from prediction.encoder import TextEncoder
from prediction.model_file import Lineage, Reference
from prediction.rows import plan
from prediction.session import REMEDY, Session, open_session
from prediction.types import Answer, Encoded, ModelInfo, Prediction

Item = TypeVar("Item")
Result = TypeVar("Result")

# Texts that a thread works on before it takes the next slice.
SLICE_SENTENCES = 64

METADATA = ("labels", "tokenizer", "max_length", "packing", "lineage", "reference")


class ColaONNXPredictor:
    """Predictions from one ONNX file. Several threads may share a predictor.

    Args:
        path: The model file.
        threads: How many rows run side by side; by default one per available core.
        single_threads: How many threads share a row that runs exclusively. More than one costs a
            second copy of the weights.

    Attributes:
        info: What the file says about itself.
        threads: See above.

    Raises:
        ModelFileError: The file is missing, damaged or incomplete.
        ConfigError: COLA_THREADS is not a number of threads.
    """

    def __init__(
        self,
        path: str | Path = "models/model.onnx",
        threads: int | None = None,
        single_threads: int = 1,
    ) -> None:
        self.threads = available_cores() if threads is None else threads
        self._path = Path(path)

        version, self._session = open_session(self._path, threads=1)
        self._single_session = self._session
        if single_threads > 1:
            second_version, self._single_session = open_session(self._path, single_threads)
            if second_version != version:
                message = f"{self._path}: was replaced while it was being read; try again"
                raise ModelFileError(message)

        self.info, tokenizer_json = self._read_metadata(version)
        self._encoder = self._read_tokenizer(tokenizer_json)
        self._warm_up()

        self._pool = ThreadPoolExecutor(self.threads, "row") if self.threads > 1 else None

    def predict(self, text: str) -> Answer:
        """Predict one text, on the caller's thread.

        Returns:
            ``{"text": ..., "prediction": {"label": ..., "score": ...}}``.

        Raises:
            InvalidText: It cannot be predicted; the message says what to change.
        """
        return self.predict_encoded([self.encode(text)])[0].as_dict()

    def predict_batch(self, texts: Sequence[str]) -> list[Answer]:
        """Predict several texts, in order, on all of the predictor's threads.

        Raises:
            InvalidText: One of them cannot be predicted.
        """
        return [prediction.as_dict() for prediction in self.predict_many(texts)]

    def predict_many(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict several texts like ``predict_batch``, with all that a log line says of them.

        Raises:
            InvalidText: One of them cannot be predicted.
        """
        # All are encoded before one is predicted: a batch that is refused costs no more than that.
        encoded = self._in_slices(self._encode_all, texts)
        return self._in_slices(self.predict_encoded, encoded)

    def predict_each(self, texts: Sequence[str]) -> list[Prediction | InvalidText]:
        """Predict several texts, in order; one that cannot be predicted gives its error instead."""
        return self._in_slices(self._predict_valid, texts)

    def encode(self, text: str) -> Encoded:
        """Check and tokenize one text.

        Raises:
            InvalidText: It cannot be predicted; the message says what to change.
        """
        return self._encoder.encode(text)

    def predict_encoded(
        self, encoded: Sequence[Encoded], exclusive: bool = False
    ) -> list[Prediction]:
        """Predict encoded texts, in order, on the caller's thread.

        Args:
            encoded: What ``encode`` returned.
            exclusive: Nothing else runs at the moment: share each row among ``single_threads``.
        """
        session = self._single_session if exclusive else self._session
        labels = self.info.labels

        predictions: dict[int, Prediction] = {}
        for row in plan(encoded, self.info.packing):
            logits = self._run_row([encoded[position].ids for position in row], session)
            probabilities = _softmax(logits).tolist()
            for position, probability in zip(row, probabilities, strict=True):
                predictions[position] = Prediction.from_probabilities(
                    encoded[position], probability, labels
                )

        return [predictions[position] for position in range(len(encoded))]

    def _in_slices(
        self, function: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]
    ) -> list[Result]:
        """Return a function's results, in order, each thread working on a slice of the items."""
        if self._pool is None or len(items) == 1:
            return function(items)

        size = max(1, min(SLICE_SENTENCES, math.ceil(len(items) / self.threads)))
        slices = [items[start : start + size] for start in range(0, len(items), size)]
        return [result for results in self._pool.map(function, slices) for result in results]

    def _encode_all(self, texts: Sequence[str]) -> list[Encoded]:
        return [self.encode(text) for text in texts]

    def _predict_valid(self, texts: Sequence[str]) -> list[Prediction | InvalidText]:
        encoded = self._encoder.encode_each(texts)
        valid = [item for item in encoded if isinstance(item, Encoded)]
        predictions = iter(self.predict_encoded(valid))
        return [next(predictions) if isinstance(item, Encoded) else item for item in encoded]

    def _run_row(self, sentences: list[list[int]], session: Session) -> NDArray[np.float32]:
        """Run the model on one row of sentences.

        Args:
            sentences: Token ids; of equal length if the model does not pack.
            session: Where to run it.

        Returns:
            Logits, float32 [sentences, labels].
        """
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
            if "acceptable" not in info.labels:
                raise KeyError("acceptable")
        except KeyError as error:
            raise ModelFileError(
                f"{self._path}: its labels or lineage are incomplete: no {error}; {REMEDY}"
            ) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelFileError(
                f"{self._path}: its metadata cannot be read ({error}); {REMEDY}"
            ) from None

        return info, metadata["tokenizer"]

    def _read_tokenizer(self, tokenizer_json: str) -> TextEncoder:
        try:
            encoder = TextEncoder(tokenizer_json, self.info.max_length)
        except Exception as error:
            # ``tokenizers`` raises nothing more specific.
            raise ModelFileError(
                f"{self._path}: its tokenizer cannot be read ({error}); {REMEDY}"
            ) from None

        if encoder.vocabulary != self.info.lineage.vocabulary:
            raise self._wrong_tokenizer(encoder.vocabulary)
        return encoder

    def _warm_up(self) -> None:
        """Run each session once, with the last token id, which must have a row in the embedding."""
        try:
            for session in (self._session, self._single_session):
                self._run_row([[self._encoder.vocabulary - 1]], session)
        except Exception:
            # ONNX Runtime's exceptions share no public base class.
            raise self._wrong_tokenizer(self._encoder.vocabulary) from None

    def _wrong_tokenizer(self, vocabulary: int) -> ModelFileError:
        return ModelFileError(
            f"{self._path}: its tokenizer ({vocabulary} tokens) is not the model's; {REMEDY}"
        )


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return probabilities, float64 [sentences, labels], of logits of the same shape."""
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return probabilities
