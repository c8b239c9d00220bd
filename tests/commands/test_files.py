"""Files that a reader never sees half of, and their locks."""

import errno
import fcntl
import json
import os
from pathlib import Path

import pytest

from commands.files import lock, replace_atomically, require_writable, sha256_of, write_json
from errors import ConfigError


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("the old file")

    with replace_atomically(path) as temporary:
        temporary.write_text("the new file")
        assert path.read_text() == "the old file"

    assert path.read_text() == "the new file"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"the": "old file"})

    with pytest.raises(TypeError):
        write_json(path, {"not": object()})
    with pytest.raises(FileNotFoundError), replace_atomically(path):
        (tmp_path / "nowhere").read_text()

    assert json.loads(path.read_text()) == {"the": "old file"}
    assert list(tmp_path.iterdir()) == [path]


def test_two_processes_of_one_number_do_not_write_one_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with replace_atomically(path) as one, replace_atomically(path) as other:
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_bytes() == b"one"


def test_a_file_system_without_locks_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def have_none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with (tmp_path / "file").open("w") as one, (tmp_path / "file").open("w") as other:
        assert lock(one)
        assert not lock(other)
        monkeypatch.setattr(fcntl, "flock", have_none)
        assert lock(other)


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "folder", "models_dir")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match=r"models_dir=here cannot be written .*; set another"
    ) as caught:
        require_writable(tmp_path / "file" / "folder", "models_dir=here")

    # The cause, which the message has already, would be printed again.
    assert caught.value.__cause__ is None


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file").startswith("ba7816bf8f01cfea")
