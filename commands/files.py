"""Files that a reader never sees half of, their digests, and their locks."""

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from errors import ConfigError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_writable(folder: Path, setting: str) -> None:
    """Make the folder, and refuse now what would only fail after minutes or hours of work.

    Args:
        folder: Where files are to be written later.
        setting: The setting that the folder comes from, as the error names it.

    Raises:
        ConfigError: The folder cannot be made, or no file can be written in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{setting} cannot be written ({error.strerror}); set another") from None


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Replace a file so that a reader sees the old one or the new one, never a part.

    Yields:
        A path beside ``path``, to write the new file to. It takes the place of ``path`` when the
        block ends; if the block raises, ``path`` stays what it was.
    """
    # Two containers that share a volume may have processes of one number.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def lock(file: IO[str]) -> bool:
    """Lock a file for as long as it is open; return False if another process holds the lock.

    Where the file system has no locks, nobody holds one.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """Write a JSON document in place of the file that was there.

    Raises:
        OSError: It cannot be written; the old file then is what it was.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
