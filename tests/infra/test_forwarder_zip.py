"""The forwarder's zip file: the same for the same code. tests/test_structure.py imports it."""

import hashlib

import pytest

from infra import forwarder_zip


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
