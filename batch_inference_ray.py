"""Predict a corpus beyond one machine: Parquet in, Parquet out, the same predictor on every core of a Ray cluster.

    pip install -r requirements_inference.txt "ray[data]==2.60.0"
    python batch_inference_ray.py sentences.parquet predictions/ --column sentence
    RAY_ADDRESS=ray://head:10001 python batch_inference_ray.py s3://bucket/sentences s3://bucket/predictions

Reads a Parquet file or folder with a column of sentences; writes its columns and `label`, `score`,
`probability_acceptable`, and `error` for a sentence that no prediction can be made for. Each worker reads the
model from the same path. Without RAY_ADDRESS it runs on the cores of this machine.
"""

import argparse
from typing import Any

import numpy as np
import pyarrow
import ray
from pyarrow import dataset

from commands.run import run_command
from errors import ConfigError, InvalidText
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Encoded

Batch = dict[str, Any]  # a column each, of numpy arrays


class Predict:
    """Adds predictions to a batch; Ray makes one for each worker, which has one core."""

    def __init__(self, model: str, column: str) -> None:
        self._predictor = ColaONNXPredictor(model, threads=1)
        self._column = column

    def __call__(self, batch: Batch) -> Batch:
        encoded: dict[int, Encoded] = {}
        errors: list[str | None] = [None] * len(batch[self._column])
        for place, text in enumerate(batch[self._column]):
            try:
                encoded[place] = self._predictor.encode(text)
            except InvalidText as error:
                errors[place] = str(error)
        predictions = dict(
            zip(encoded, self._predictor.predict_encoded(list(encoded.values())), strict=True)
        )
        found = [predictions.get(place) for place in range(len(errors))]
        return {
            **batch,
            "label": np.array([item and item.label for item in found], object),
            "score": np.array([item.score if item else np.nan for item in found]),
            "probability_acceptable": np.array(
                [item.probability_acceptable if item else np.nan for item in found]
            ),
            "error": np.array(errors, object),
        }


def main() -> None:
    """Run the command. Raises ColaError."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("input", help="Parquet file or folder, local or of a bucket")
    parser.add_argument("output", help="folder for the Parquet files with predictions")
    parser.add_argument("--column", default="sentence", help="default: %(default)s")
    parser.add_argument("--model", default="models/model.onnx", help="default: %(default)s")
    options = parser.parse_args()
    ColaONNXPredictor(options.model, threads=1)  # a bad file is reported here, in one line
    require_column(options.input, options.column)
    ray.init(log_to_driver=False)
    workers = int(ray.cluster_resources()["CPU"])
    predicted = ray.data.read_parquet(options.input).map_batches(
        Predict,
        fn_constructor_args=(options.model, options.column),
        batch_size=1024,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
    )
    predicted.write_parquet(options.output)


def require_column(path: str, column: str) -> None:
    """Raise ConfigError now rather than from a worker."""
    try:
        names = dataset.dataset(path, format="parquet").schema.names
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet ({error})") from None
    if column not in names:
        raise ConfigError(f"--column {column}: {path} has {', '.join(names)}")


if __name__ == "__main__":
    run_command(main)
