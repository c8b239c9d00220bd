"""A Parquet input in parts: which there are, what is written of them, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from errors import ConfigError, ModelFileError
from prediction import parquet_job, parquet_parts
from prediction.onnx_predictor import ColaONNXPredictor
from prediction.parquet_job import Job, prepare_output, read_input
from prediction.parquet_parts import predict_part, read_rows
from tests.helpers.tiny_model import TINY_MODEL


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return a job of seven sentences: row groups of 3, 1, 3 rows, in parts of at most 2."""
    monkeypatch.setattr(parquet_job, "PART_ROWS", 2)
    (tmp_path / "in").mkdir()
    for name, ids in {"a": range(4), "b": range(4, 7)}.items():
        table = pyarrow.table({"id": ids, "sentence": [f"{number} cats sleep." for number in ids]})
        parquet.write_table(table, tmp_path / "in" / f"{name}.parquet", row_group_size=3)

    version = ColaONNXPredictor(TINY_MODEL, threads=1).info.version
    return Job(str(tmp_path / "in"), str(tmp_path / "out"), "sentence", str(TINY_MODEL), version)


def test_parts_follow_the_files_and_their_rows(job: Job) -> None:
    parts = read_input(job).parts
    assert [(part.row_group, part.first_row, part.rows) for part in parts] == [
        (0, 0, 2),
        (0, 2, 1),
        (1, 0, 1),
        (0, 0, 2),
        (0, 2, 1),
    ]
    assert [part.number for part in parts] == list(range(5))


def test_the_output_is_in_order_however_often_and_when_its_parts_are_predicted(job: Job) -> None:
    parts = prepare_output(job, read_input(job), resume=False)
    for part in [*reversed(parts), parts[2]]:
        predict_part(job, part)

    table = parquet.read_table(job.output)
    assert table["id"].to_pylist() == list(range(7))
    assert len(list(Path(job.output).glob("*"))) == 6


def test_a_part_is_read_without_holding_the_row_group_around_it(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_job, "PART_ROWS", 500)
    monkeypatch.setattr(parquet_parts, "PART_ROWS", 500)
    monkeypatch.setattr(parquet_parts, "READ_BYTES", 10_000)
    texts = [f"{number} cats {'very ' * 40} sleep." for number in range(20_000)]
    table = pyarrow.table({"id": range(20_000), "sentence": texts})
    file = Path(job.source) / "a.parquet"
    parquet.write_table(table, file, use_dictionary=False, data_page_size=10_000)
    parts = read_input(job).parts

    # Memory of its own, which tells its peak.
    default, own = pyarrow.default_memory_pool(), pyarrow.system_memory_pool()
    pyarrow.set_memory_pool(own)
    try:
        for part in parts[0], parts[20], parts[39]:
            rows = read_rows(job, part)
            assert rows == table.slice(part.first_row, 500)
    finally:
        pyarrow.set_memory_pool(default)
    assert 0 < own.max_memory() < table.nbytes / 4


def test_a_text_that_is_not_utf_8_is_an_error_of_its_row(job: Job) -> None:
    texts = [b"The cat sleeps.", b"Zo\xeb sleeps.", b"The dogs sleep.", None]
    column = pyarrow.array(texts, "binary").view("string")
    parquet.write_table(pyarrow.table({"sentence": column}), Path(job.source) / "a.parquet")

    source = read_input(job)
    parts = prepare_output(job, source, resume=False)
    assert [predict_part(job, part) for part in parts[:2]] == [1, 1]

    rows = parquet.read_table(job.output)
    assert rows["sentence"].cast("binary").to_pylist() == texts
    assert [label is None for label in rows["label"].to_pylist()] == [False, True, False, True]
    assert "surrogate" in rows["error"][1].as_py()


@pytest.mark.parametrize("kind", ["large_string", "string_view"])
def test_texts_may_have_any_of_arrows_types(job: Job, kind: str) -> None:
    texts = pyarrow.array(["A cat sleeps.", None], kind)
    source = f"{job.source}/a.parquet"
    parquet.write_table(pyarrow.table({"sentence": texts}), source)
    job = replace(job, source=source)
    (part,) = prepare_output(job, read_input(job), resume=False)
    assert predict_part(job, part) == 1


def test_what_a_killed_attempt_leaves_is_read_by_nobody(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table = parquet.write_table

    def killed(*arguments: object, **options: object) -> None:
        write_table(*arguments, **options)
        raise KeyboardInterrupt

    parts = prepare_output(job, read_input(job), resume=False)
    with monkeypatch.context() as patch:
        patch.setattr(parquet, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            predict_part(job, parts[0])
    assert list(Path(job.output).glob("*.parquet")) == []
    predict_part(job, parts[0])

    assert [path.name for path in Path(job.output).glob("*.parquet")] == ["part-00000000.parquet"]
    assert parquet.read_table(job.output)["id"].to_pylist() == [0, 1]


def test_an_input_that_loses_rows_meanwhile_is_noticed(job: Job) -> None:
    parts = prepare_output(job, read_input(job), resume=False)
    table = pyarrow.table({"id": [0], "sentence": ["A cat sleeps."]})
    parquet.write_table(table, Path(job.source) / "a.parquet")

    # Half of the first part is left, and nothing of the second one.
    for part in parts[:2]:
        with pytest.raises(ConfigError, match="a.parquet: was changed meanwhile"):
            predict_part(job, part)


def test_resuming_leaves_what_is_done_and_clears_what_was_begun(job: Job) -> None:
    source = read_input(job)
    parts = prepare_output(job, source, resume=False)
    predict_part(job, parts[1])
    unfinished = Path(job.output) / "_unfinished-0"
    unfinished.write_bytes(b"PAR1")

    remaining = prepare_output(job, source, resume=True)

    assert remaining == [parts[0], *parts[2:]]
    assert not unfinished.exists()


@pytest.mark.parametrize("resume", [False, True])
def test_a_job_that_is_killed_while_it_describes_itself_can_be_started_again(
    job: Job, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    def killed(description: object) -> str:
        raise KeyboardInterrupt

    source = read_input(job)
    with monkeypatch.context() as patch:
        patch.setattr(json, "dumps", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_output(job, source, resume=False)

    assert prepare_output(job, source, resume) == source.parts


def test_an_output_is_continued_only_on_request_and_only_by_its_own_job(job: Job) -> None:
    prepare_output(job, read_input(job), resume=False)
    with pytest.raises(ConfigError, match="continue it with --resume"):
        prepare_output(job, read_input(job), resume=False)

    # As many rows as before, but another file.
    table = pyarrow.table({"id": range(4), "sentence": ["A much longer sentence."] * 4})
    parquet.write_table(table, Path(job.source) / "a.parquet", row_group_size=3)
    with pytest.raises(ConfigError, match="belongs to another input"):
        prepare_output(job, read_input(job), resume=True)


def test_a_folder_with_other_files_is_refused(job: Job) -> None:
    Path(job.output).mkdir()
    (Path(job.output) / "notes.txt").touch()
    with pytest.raises(ConfigError, match="something else"):
        prepare_output(job, read_input(job), resume=True)


def test_an_output_among_the_input_is_refused(job: Job) -> None:
    inside = replace(job, output=f"{job.source}/predictions")
    with pytest.raises(ConfigError, match="predictions: lies within the input"):
        prepare_output(inside, read_input(inside), resume=False)
    assert not Path(inside.output).exists()


def test_a_worker_with_another_model_refuses_to_predict(job: Job) -> None:
    other = Job(job.source, job.output, job.column, job.model, "0123456789ab")
    with pytest.raises(ModelFileError, match="not 0123456789ab"):
        predict_part(other, read_input(job).parts[0])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"words": ["The cat sleeps."]}, "has words"),
        ({"sentence": [1]}, "no texts there, but int64"),
        ({"sentence": ["The cat sleeps."], "label": [1]}, "has a column label"),
        ({"sentence": pyarrow.array([], "string")}, "has no rows"),
    ],
)
def test_an_input_that_cannot_be_used_is_refused(
    job: Job, tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    file = tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table(columns), file)
    other = Job(str(file), job.output, job.column, job.model, job.model_version)
    with pytest.raises(ConfigError, match=message):
        read_input(other)


def test_a_missing_input_is_named(job: Job, tmp_path: Path) -> None:
    other = Job(str(tmp_path / "no"), job.output, job.column, job.model, job.model_version)
    with pytest.raises(ConfigError, match="cannot be read as Parquet"):
        read_input(other)


def test_a_file_that_is_no_parquet_is_named(job: Job) -> None:
    (Path(job.source) / "notes.txt").write_text("The words of the linguist.")
    with pytest.raises(ConfigError, match="notes.txt: cannot be read as Parquet"):
        read_input(job)


def test_an_input_whose_folders_are_columns_is_refused(job: Job, tmp_path: Path) -> None:
    table = pyarrow.table({"year": [2023, 2024], "sentence": ["A cat sleeps.", "A dog sleeps."]})
    parquet.write_to_dataset(table, tmp_path / "hive", partition_cols=["year"])

    with pytest.raises(ConfigError, match="partition columns would be lost"):
        read_input(replace(job, source=str(tmp_path / "hive")))
    assert len(read_input(replace(job, source=str(tmp_path / "hive" / "year=2023"))).parts) == 1


def test_an_output_in_a_place_that_is_not_known_is_named(job: Job) -> None:
    other = Job(job.source, "foo://bar", job.column, job.model, job.model_version)
    with pytest.raises(ConfigError, match="foo://bar: cannot be used"):
        prepare_output(other, read_input(job), resume=False)
