"""Chapter 6: predict a corpus beyond one machine, on every core of a Ray cluster.

    pip install -r requirements_inference.txt "ray[data]==2.60.0"
    python batch_inference_ray.py sentences.parquet predictions/ --column sentence
    RAY_ADDRESS=ray://head:10001 python batch_inference_ray.py s3://bucket/in s3://bucket/out

Reads a Parquet file or folder with a column of sentences; writes its columns and ``label``,
``score``, ``probability_acceptable``, and ``error`` for a sentence that cannot be predicted. Each
worker reads the model from the same path. Without RAY_ADDRESS it runs on the cores of this machine.
"""

import argparse

import numpy as np
import pyarrow
import ray
from numpy.typing import NDArray
from pyarrow import dataset

from commands.run import run_command
from errors import ConfigError, InvalidText
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Encoded

Batch = dict[str, NDArray[np.generic]]
"""One array per column."""

BATCH_SENTENCES = 1024


class Predict:
    """Adds predictions to a batch; Ray makes one of these per worker, which has one core.

    Args:
        model: Path of the model file.
        column: The column of sentences.
    """

    def __init__(self, model: str, column: str) -> None:
        self._predictor = ColaONNXPredictor(model, threads=1)
        self._column = column

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with the columns of the predictions."""
        texts = batch[self._column]

        encoded: dict[int, Encoded] = {}
        errors: list[str | None] = [None] * len(texts)
        for position, text in enumerate(texts):
            try:
                encoded[position] = self._predictor.encode(text)
            except InvalidText as error:
                errors[position] = str(error)

        answers = self._predictor.predict_encoded(list(encoded.values()))
        answer_at = dict(zip(encoded, answers, strict=True))
        predictions = [answer_at.get(position) for position in range(len(texts))]

        labels = [item.label if item else None for item in predictions]
        scores = [item.score if item else np.nan for item in predictions]
        probabilities = [item.probability_acceptable if item else np.nan for item in predictions]
        return {
            **batch,
            "label": np.array(labels, object),
            "score": np.array(scores),
            "probability_acceptable": np.array(probabilities),
            "error": np.array(errors, object),
        }


def main() -> None:
    """Run the command.

    Raises:
        ConfigError: The input cannot be read, or has no such column.
        ModelFileError: The model file is missing, damaged or incomplete.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("input", help="Parquet file or folder, local or of a bucket")
    parser.add_argument("output", help="folder for the Parquet files with predictions")
    parser.add_argument("--column", default="sentence", help="default: %(default)s")
    parser.add_argument("--model", default="models/model.onnx", help="default: %(default)s")
    options = parser.parse_args()

    # Report what is wrong here, in one line, rather than from a worker.
    ColaONNXPredictor(options.model, threads=1)
    require_column(options.input, options.column)

    ray.init(log_to_driver=False)
    workers = int(ray.cluster_resources()["CPU"])

    sentences = ray.data.read_parquet(options.input)
    predicted = sentences.map_batches(
        Predict,
        fn_constructor_args=(options.model, options.column),
        batch_size=BATCH_SENTENCES,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
    )
    predicted.write_parquet(options.output)


def require_column(path: str, column: str) -> None:
    """Check that the input has the column of sentences.

    Raises:
        ConfigError: It has not, or cannot be read.
    """
    try:
        names = dataset.dataset(path, format="parquet").schema.names
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet ({error})") from None

    if column not in names:
        raise ConfigError(f"--column {column}: {path} has {', '.join(names)}")


if __name__ == "__main__":
    run_command(main)
