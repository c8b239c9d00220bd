"""The forwarder's zip file: complete, and the same for the same code."""

import subprocess
import sys
from pathlib import Path

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


def test_the_same_code_gives_the_same_bytes() -> None:
    assert forwarder_zip.build() == forwarder_zip.build()
