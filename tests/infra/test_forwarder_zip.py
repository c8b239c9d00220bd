"""The forwarder's zip file: complete, and the same for the same code."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from infra import forwarder_zip


def test_it_holds_all_that_the_forwarder_imports(tmp_path: Path) -> None:
    path = tmp_path / "forwarder.zip"
    path.write_bytes(forwarder_zip.build())

    # -I and -S leave nothing but the standard library.
    code = f"import sys; sys.path.insert(0, {str(path)!r}); import monitoring.forwarder"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_object_that_is_there_already_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    objects: dict[str, bytes] = {}
    digest = hashlib.sha256(forwarder_zip.build()).hexdigest()
    objects[f"forwarder/{digest}.zip"] = b"somebody else's code"

    class Bucket:
        def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
            objects[Key] = Body

    monkeypatch.setattr(forwarder_zip, "client", lambda service: Bucket())
    assert objects[forwarder_zip.upload("store")] == forwarder_zip.build()
    assert len(objects) == 1


def test_the_same_code_gives_the_same_bytes() -> None:
    assert forwarder_zip.build() == forwarder_zip.build()
