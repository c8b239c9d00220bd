"""Writes models/model.onnx: a graph and, in its metadata, all that a predictor needs beside it."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
from onnx import helper
from tokenizers import Tokenizer

from export.packing import PACKABLE
from training.provenance import git_commit

PACKAGES = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers", "numpy")


def write(
    path: Path,
    graph: onnx.ModelProto,
    records: Mapping[str, Any],
    lineage: Mapping[str, Any],
    reference: Mapping[str, Any],
) -> None:
    """Write ``graph`` with its ``metadata_props``, each a JSON document.

    Args:
        records: the checkpoint's (see ``model.py``): labels, tokenizer, max_length.
        lineage: see ``lineage``. reference: see ``reference.describe``.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    metadata = {
        "labels": json.dumps(records["labels"]),
        "max_length": json.dumps(records["max_length"]),
        "packing": json.dumps(records["network"]["model_type"] in PACKABLE),
        "lineage": json.dumps(lineage),
        "reference": json.dumps(reference),
        "tokenizer": records["tokenizer"],
    }
    helper.set_model_props(model, metadata)
    model.producer_name, model.producer_version = (
        "convert_model_to_onnx.py",
        str(lineage["git_commit"]),
    )
    path.write_bytes(model.SerializeToString())


def lineage(records: Mapping[str, Any], **findings: Any) -> dict[str, Any]:
    """Where a model file comes from: the checkpoint's records, and what the export found."""
    base, corpus = records["base_model"], records["corpus"]
    return {
        "base_model": base["name"],
        "base_revision": base["revision"],
        "base_sha256": base["sha256"],
        "corpus": {
            "name": corpus["name"],
            "sha256": corpus["sha256"],
            "sentences": corpus["sentences"],
        },
        "trained": {key: records[key] for key in ("created", "git_commit", "packages")},
        "config": records["config"],
        "vocabulary": Tokenizer.from_str(records["tokenizer"]).get_vocab_size(),
        "git_commit": git_commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        **findings,
    }
