"""A job on Parquet files: the parts of its input, and those that its output still lacks.

The input and the output may lie in a bucket. Part 7 of the input becomes ``part-00000007.parquet``
of the output (see parquet_parts.py), and ``_job.json`` says what the output belongs to.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow
from pyarrow import dataset, fs, parquet

from errors import ConfigError

# About five seconds of one core: what a failure costs, and how long the last core runs alone.
PART_ROWS = 8192

# Readers of a Parquet folder skip names that begin with an underscore, and those who read
# ``*.parquet`` what does not end so.
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
    """Parquet file or folder: an absolute path, or a URI of a bucket."""
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


def read_input(job: Job) -> Input:
    """Divide the input into parts, in the order of file names and rows.

    Raises:
        ConfigError: It cannot be read, has no such column of texts, no rows, or columns that would
            be lost or that the predictions would replace.
    """
    parts: list[Part] = []
    bytes_of_files: dict[str, int] = {}
    place = job.source
    try:
        filesystem, root = locate(job.source)
        for place in sorted(dataset.dataset(root, filesystem=filesystem, format="parquet").files):
            require_no_partitions(place, root)
            bytes_of_files[place] = filesystem.get_file_info(place).size
            with parquet.ParquetFile(place, filesystem=filesystem) as opened:
                require_columns(opened.schema_arrow, job.column, place)
                sizes = [
                    opened.metadata.row_group(group).num_rows
                    for group in range(opened.metadata.num_row_groups)
                ]
            for group, size in enumerate(sizes):
                for first in range(0, size, PART_ROWS):
                    rows = min(PART_ROWS, size - first)
                    parts.append(Part(len(parts), place, group, first, rows))
    except (OSError, pyarrow.ArrowException) as error:
        raise ConfigError(f"{place}: cannot be read as Parquet ({error})") from None

    if not parts:
        raise ConfigError(f"{job.source}: has no rows")
    return Input(parts, bytes_of_files)


def require_no_partitions(file: str, root: str) -> None:
    """Check that no column of an input file is told by the folder it lies in.

    Raises:
        ConfigError: See ``read_input``.
    """
    folders, _, _ = file.removeprefix(root).rpartition("/")
    if "=" in folders:
        raise ConfigError(f"{file}: partition columns would be lost: predict each folder by itself")


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
    is_text = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_string_view)
    if not any(is_kind(kind) for is_kind in is_text):
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
        "parts": [[part.file, part.row_group, part.first_row, part.rows] for part in source.parts],
    }
    try:
        filesystem, folder = locate(job.output)
        if PurePosixPath(folder).is_relative_to(locate(job.source)[1]):
            raise ConfigError(f"{job.output}: lies within the input: give another folder")

        filesystem.create_dir(folder)
        found = filesystem.get_file_info(fs.FileSelector(folder))
        unfinished = [info.path for info in found if info.base_name.startswith(UNFINISHED)]
        names = {info.base_name for info in found if info.path not in unfinished}
        if not names:
            with new_file(job, JOB_FILE) as file:
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

        for path in unfinished:
            filesystem.delete_file(path)
        return [part for part in source.parts if part.output_name not in names]
    except (OSError, pyarrow.ArrowException) as error:
        raise ConfigError(f"{job.output}: cannot be used ({error})") from None


@contextmanager
def new_file(job: Job, name: str) -> Iterator[pyarrow.NativeFile]:
    """Yield a new file of the output, which has its name as soon as it is whole.

    Until then it has one of this attempt: a machine that was given up on may still be writing its
    own.
    """
    filesystem, folder = locate(job.output)
    unfinished = f"{folder}/{UNFINISHED}{uuid.uuid4().hex}"
    with filesystem.open_output_stream(unfinished) as file:
        yield file
    filesystem.move(unfinished, f"{folder}/{name}")


def absolute(place: str) -> str:
    """Return what names the same place in every working directory; a URI does so already."""
    return place if "://" in place else str(Path(place).resolve())


def locate(place: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an absolute path or URI, and the path in it."""
    if "://" in place:
        filesystem, path = fs.FileSystem.from_uri(place)
        return filesystem, path
    return fs.LocalFileSystem(), place
