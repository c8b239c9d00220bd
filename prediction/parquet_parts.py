"""A Parquet input in parts, each of which is read, predicted and written on its own.

Part 7 of the input is file ``part-00000007.parquet`` of the output, whoever predicts it and however
often. So parts can be predicted in any order, by many machines, again after a failure, and every
row still comes out once and in the input's order. The input and the output may lie in a bucket.
"""

import functools
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow
from pyarrow import dataset, fs, parquet

from errors import ConfigError, InvalidText, ModelFileError
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.types import Encoded, Prediction

# About five seconds of one core: what a failure costs, and how long the last core runs alone.
PART_ROWS = 8192

# Of a column, read at a time: little memory, and few requests to a bucket.
READ_BYTES = 4_000_000

# Readers of a Parquet folder skip names that begin with an underscore.
JOB_FILE = "_job.json"
UNFINISHED = "_unfinished-"

# What is written of a prediction, and of a sentence without one.
PREDICTED = {"label": "string", "score": "double", "probability_acceptable": "double"}
NEW_COLUMNS = (*PREDICTED, "error")


@dataclass(frozen=True)
class Part:
    """Consecutive rows of one row group of one input file."""

    number: int
    """Counted from 0 over the whole input, in its order."""

    file: str
    row_group: int
    first_row: int
    """Within the row group."""
    rows: int

    @property
    def output_name(self) -> str:
        """The output file of this part; names in alphabetical order are in the input's order."""
        return f"part-{self.number:08}.parquet"


@dataclass(frozen=True)
class Job:
    """What every worker has to know."""

    source: str
    """Parquet file or folder: a path, or a URI of a bucket."""
    output: str
    column: str
    model: str
    model_version: str


@dataclass(frozen=True)
class Input:
    """An input as it was found."""

    parts: list[Part]
    bytes_of_files: dict[str, int]
    """Size by path: another input with as many rows shall not continue this one's output."""


# --- before: on the machine that runs the job ----------------------------------------------------


def read_input(job: Job) -> Input:
    """Divide the input into parts, in the order of file names and rows.

    Raises:
        ConfigError: It cannot be read, has no such column of texts, no rows, or a column that the
            predictions would replace.
    """
    parts: list[Part] = []
    bytes_of_files: dict[str, int] = {}
    try:
        filesystem, path = locate(job.source)
        files = sorted(dataset.dataset(path, filesystem=filesystem, format="parquet").files)
        for file in files:
            bytes_of_files[file] = filesystem.get_file_info(file).size
            with parquet.ParquetFile(file, filesystem=filesystem) as opened:
                require_columns(opened.schema_arrow, job.column, file)
                sizes = [
                    opened.metadata.row_group(group).num_rows
                    for group in range(opened.metadata.num_row_groups)
                ]
            for group, size in enumerate(sizes):
                for first in range(0, size, PART_ROWS):
                    rows = min(PART_ROWS, size - first)
                    parts.append(Part(len(parts), file, group, first, rows))
    except (OSError, pyarrow.ArrowException) as error:
        raise ConfigError(f"{job.source}: cannot be read as Parquet ({error})") from None

    if not parts:
        raise ConfigError(f"{job.source}: has no rows")
    return Input(parts, bytes_of_files)


def require_columns(schema: pyarrow.Schema, column: str, file: str) -> None:
    """Check the columns of one input file.

    Raises:
        ConfigError: See ``read_input``.
    """
    if column not in schema.names:
        raise ConfigError(f"--column {column}: {file} has {', '.join(schema.names)}")

    kind = schema.field(column).type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        raise ConfigError(f"--column {column}: {file} has no texts there, but {kind}")

    taken = [name for name in NEW_COLUMNS if name in schema.names]
    if taken:
        raise ConfigError(f"{file}: has a column {taken[0]}, which predictions add: rename it")


def prepare_output(job: Job, source: Input, resume: bool) -> list[Part]:
    """Make the output folder, or check that an existing one belongs to this job.

    Returns:
        The parts that are still to be predicted.

    Raises:
        ConfigError: The folder must not be continued, is another job's, or cannot be written.
    """
    description = {
        "column": job.column,
        "model": job.model_version,
        "files": source.bytes_of_files,
        "parts": [list(asdict(part).values())[1:] for part in source.parts],
    }
    try:
        filesystem, folder = locate(job.output)
        filesystem.create_dir(folder)
        found = filesystem.get_file_info(fs.FileSelector(folder))
        names = {info.base_name for info in found}
        if not names:
            with filesystem.open_output_stream(f"{folder}/{JOB_FILE}") as file:
                file.write(json.dumps(description).encode())
            return source.parts

        if JOB_FILE not in names:
            raise ConfigError(f"{job.output}: has files of something else: give an empty folder")
        if not resume:
            raise ConfigError(f"{job.output} exists: continue it with --resume, or delete it")
        with filesystem.open_input_stream(f"{folder}/{JOB_FILE}") as file:
            if file.read() != json.dumps(description).encode():
                raise ConfigError(
                    f"{job.output}: belongs to another input, column or model: give another folder"
                )

        # What a killed worker had begun to write.
        for info in found:
            if info.base_name.startswith(UNFINISHED):
                filesystem.delete_file(info.path)
        return [part for part in source.parts if part.output_name not in names]
    except (OSError, pyarrow.ArrowException) as error:
        raise ConfigError(f"{job.output}: cannot be used ({error})") from None


# --- on a worker ----------------------------------------------------------------------------------


def predict_part(job: Job, part: Part) -> int:
    """Read a part, predict it, write it.

    Returns:
        How many of its rows have no prediction.

    Raises:
        ModelFileError: The model on this machine is missing, or not the job's.
        OSError: The input cannot be read any more, or the output cannot be written.
    """
    predictor = open_predictor(job.model)
    if predictor.info.version != job.model_version:
        raise ModelFileError(f"{job.model}: is {predictor.info.version}, not {job.model_version}")

    rows = read_rows(job, part)
    predictions, errors = predict(predictor, rows[job.column].to_pylist())
    for name, kind in PREDICTED.items():
        values = [prediction and getattr(prediction, name) for prediction in predictions]
        rows = rows.append_column(name, pyarrow.array(values, kind))
    rows = rows.append_column("error", pyarrow.array(errors, "string"))

    # Under another name until it is whole: a part that exists is never predicted again. The name is
    # of this attempt, because a machine that was given up on may still be writing its own.
    filesystem, folder = locate(job.output)
    unfinished = f"{folder}/{UNFINISHED}{uuid.uuid4().hex}.parquet"
    parquet.write_table(rows, unfinished, filesystem=filesystem)
    filesystem.move(unfinished, f"{folder}/{part.output_name}")
    return len(errors) - errors.count(None)


def read_rows(job: Job, part: Part) -> pyarrow.Table:
    """Return a part's rows, with all columns.

    A row group may not fit into memory. It is read in pieces, from its first row on, as Parquet has
    no other way to those behind it, and no further than the part.
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

    return pyarrow.Table.from_batches(pieces).slice(part.first_row - first_row, part.rows)


@functools.cache
def open_predictor(model: str) -> ColaONNXPredictor:
    """Return the predictor of this process, which has one core: there is one worker per core."""
    return ColaONNXPredictor(model, threads=1)


def predict(
    predictor: ColaONNXPredictor, texts: Sequence[str]
) -> tuple[list[Prediction | None], list[str | None]]:
    """Return, for each text, its prediction or None, and why there is none."""
    encoded: dict[int, Encoded] = {}
    errors: list[str | None] = [None] * len(texts)
    for position, text in enumerate(texts):
        try:
            encoded[position] = predictor.encode(text)
        except InvalidText as error:
            errors[position] = str(error)

    answers = predictor.predict_encoded(list(encoded.values()))
    answer_at = dict(zip(encoded, answers, strict=True))
    return [answer_at.get(position) for position in range(len(texts))], errors


def locate(place: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path in it."""
    if "://" in place:
        filesystem, path = fs.FileSystem.from_uri(place)
        return filesystem, path
    return fs.LocalFileSystem(), str(Path(place).resolve())
