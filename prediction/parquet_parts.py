"""A part of a Parquet input, which is read, predicted and written on its own, by any machine.

Part 7 of the input is file ``part-00000007.parquet`` of the output, whoever predicts it and however
often. So parts can be predicted in any order, by many machines, again after a failure, and every
row still comes out once and in the input's order.
"""

import functools
from typing import Any

import pyarrow
from pyarrow import parquet

from errors import ConfigError, InvalidText, ModelFileError
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.parquet_job import PART_ROWS, PREDICTED, Job, Part, locate, new_file

# Of a column, read at a time: little memory, and few requests to a bucket.
READ_BYTES = 4_000_000


def predict_part(job: Job, part: Part) -> int:
    """Read a part, predict it, write it.

    Returns:
        How many of its rows have no prediction.

    Raises:
        ModelFileError: The model on this machine is missing, or not the job's.
        ConfigError: The input is not what it was.
        OSError: The input cannot be read any more, or the output cannot be written.
    """
    predictor = open_predictor(job.model)
    if predictor.info.version != job.model_version:
        raise ModelFileError(f"{job.model}: is {predictor.info.version}, not {job.model_version}")

    rows = read_rows(job, part)
    results = predictor.predict_each(texts_of(rows[job.column]))
    for name, kind in PREDICTED.items():
        # An InvalidText has none of them.
        values = [getattr(result, name, None) for result in results]
        rows = rows.append_column(name, pyarrow.array(values, kind))

    errors = [str(result) if isinstance(result, InvalidText) else None for result in results]
    rows = rows.append_column("error", pyarrow.array(errors, "string"))

    # Not there before it is whole: a part that exists is never predicted again.
    with new_file(job, part.output_name) as file:
        parquet.write_table(rows, file)
    return len(errors) - errors.count(None)


def read_rows(job: Job, part: Part) -> pyarrow.Table:
    """Return a part's rows, with all columns.

    A row group may not fit into memory. It is read in pieces, from its first row on, as Parquet has
    no other way to those behind it, and no further than the part.

    Raises:
        ConfigError: There are no longer as many.
    """
    filesystem, _ = locate(job.source)
    pieces: list[pyarrow.RecordBatch] = []
    first_row = end = 0

    with parquet.ParquetFile(part.file, filesystem=filesystem, buffer_size=READ_BYTES) as opened:
        for piece in opened.iter_batches(PART_ROWS, row_groups=[part.row_group], use_threads=False):
            pieces.append(piece)
            end += len(piece)

            if end <= part.first_row:
                first_row = end
                pieces.clear()
            if end >= part.first_row + part.rows:
                break

    if end < part.first_row + part.rows:
        raise ConfigError(f"{part.file}: was changed meanwhile")
    return pyarrow.Table.from_batches(pieces).slice(part.first_row - first_row, part.rows)


def texts_of(column: pyarrow.ChunkedArray) -> list[Any]:
    """Return the texts of a column, None for a null.

    Arrow checks neither here nor in a file that they are UTF-8. A byte that is not becomes half a
    surrogate pair, which no text may contain, as in ``input_files.py``.
    """
    texts = column.cast("large_binary").to_pylist()
    return [None if text is None else text.decode(errors="surrogateescape") for text in texts]


@functools.cache
def open_predictor(model: str) -> ColaONNXPredictor:
    """Return the predictor of this process, which has one core: there is one worker per core."""
    return ColaONNXPredictor(model, threads=1)
