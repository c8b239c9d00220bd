"""The pointer, ``dvcfiles/trained_model.dvc``: a file of DVC's format that names the current model.

DVC itself reads and writes ``outs``, the digest and size of the model file. What people want to
know of a model is copied from its lineage into ``meta``, so that it can be read without the model.
"""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

import yaml

from commands.files import sha256_of
from errors import StoreError
from prediction.onnx_predictor import ColaONNXPredictor

POINTER = "dvcfiles/trained_model.dvc"
MODEL = "models/model.onnx"

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28,52}\b")


@dataclass(frozen=True)
class Facts:
    """What the registry shows and compares of a model; None where an older pointer does not say."""

    mcc: float | None = None
    """Matthews correlation coefficient on the whole validation set."""

    sha256: str | None = None
    """Digest of the model file, by which an exchanged one is seen; the store goes by DVC's md5."""

    corpus: str | None = None
    corpus_sha256: str | None = None
    base_model: str | None = None

    commit: str | None = None
    """The git commit that exported it, 40 digits; "-dirty" follows where the tree had changes."""

    created: str | None = None
    """When it was exported: UTC, ISO 8601."""

    @classmethod
    def of_model(cls, model: Path) -> Self:
        """Read the facts from a model file's lineage.

        Raises:
            ModelFileError: The file is missing or is not a model of this project.
            StoreError: It was written without metrics.
        """
        lineage = ColaONNXPredictor(model, threads=1).info.lineage

        try:
            # The MCC is that of the sentences that the export measured.
            measured_on = lineage.validated_on or lineage.corpus
            return cls(
                mcc=lineage.mcc,
                sha256=sha256_of(model),
                corpus=measured_on.name,
                corpus_sha256=measured_on.sha256,
                base_model=lineage.base_model,
                commit=lineage.git_commit,
                created=lineage.created,
            )
        except KeyError as error:
            raise StoreError(
                f"{model}: its lineage lacks {error}; export it again with `make export`"
            ) from None


@dataclass(frozen=True)
class Pointer:
    """One version of the pointer file."""

    md5: str
    """DVC's name of the model in every store."""

    size: int
    """Bytes of the model file."""

    facts: Facts

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pointer from the text of its file.

        Raises:
            StoreError: The text is not a pointer that DVC wrote.
        """
        try:
            document = yaml.safe_load(text)
            out = document["outs"][0]

            # Facts that it lacks are None; those of a later version are ignored.
            meta = document.get("meta", {})
            known = {field.name: meta.get(field.name) for field in fields(Facts)}
            return cls(md5=str(out["md5"]), size=int(out["size"]), facts=Facts(**known))
        except (yaml.YAMLError, AttributeError, KeyError, TypeError, IndexError, ValueError):
            raise StoreError(
                f"{POINTER} is not a pointer that DVC wrote: git checkout -- {POINTER}"
            ) from None


def read_pointer(root: Path) -> Pointer | None:
    """Return the checkout's pointer, or None if no model was ever pushed.

    Raises:
        StoreError: The file is not a pointer that DVC wrote.
    """
    path = root / POINTER
    return Pointer.parse(path.read_text(encoding="utf-8")) if path.exists() else None


def write_pointer(root: Path, facts: Facts) -> None:
    """Write a pointer to the model with these facts; ``dvc commit`` then adds its md5 and size."""
    # The paths of a pointer are relative to its folder, unless `wdir` names another.
    out = {"path": MODEL, "hash": "md5"}
    document = {"wdir": "..", "meta": asdict(facts), "outs": [out]}
    (root / POINTER).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def as_text(value: float | str | None) -> str:
    """Return a fact as people read it: a number with four decimals, a digest by its beginning."""
    if isinstance(value, float):
        return f"{value:.4f}"

    # Twelve digits are enough to find a commit or a file; a "-dirty" behind the forty stays.
    return _DIGEST.sub(r"\1", str(value))
