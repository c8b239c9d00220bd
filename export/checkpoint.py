"""A checkpoint, and the digest of the very file that it was loaded from."""

from pathlib import Path

from commands.files import sha256_of
from errors import CheckpointError
from model import ColaModel, load_checkpoint


def load_with_digest(path: Path) -> tuple[ColaModel, str]:
    """Return the model of a checkpoint, and the SHA-256 of its file.

    A training run may end meanwhile and publish another checkpoint under this name.

    Raises:
        CheckpointError: The file is missing or damaged, or was replaced while it was being read.
    """
    # Of a missing file, loading says best what to do.
    sha256 = sha256_of(path) if path.is_file() else None
    model = load_checkpoint(path)

    if sha256 is None or sha256_of(path) != sha256:
        raise CheckpointError(f"{path}: was replaced while it was being read; try again")
    return model, sha256
