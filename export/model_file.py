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
from prediction.model_file import Lineage, LineageCorpus, Reference, TrainedBy
from training.provenance import git_commit

PACKAGES = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers", "numpy")


def write(
    path: Path,
    graph: onnx.ModelProto,
    records: Mapping[str, Any],
    lineage: Lineage,
    reference: Reference,
) -> None:
    """Write ``graph`` with its ``metadata_props``, each a JSON document.

    Args:
        records: the checkpoint's (see ``model.py``): labels, tokenizer, max_length.
        lineage: see ``describe_lineage``.
        reference: see ``export.reference.describe``.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph)

    metadata = {
        "labels": json.dumps(records["labels"]),
        "max_length": json.dumps(records["max_length"]),
        "packing": json.dumps(records["network"]["model_type"] in PACKABLE),
        "lineage": json.dumps(lineage.to_json()),
        "reference": json.dumps(reference.to_json()),
        "tokenizer": records["tokenizer"],
    }
    helper.set_model_props(model, metadata)
    model.producer_name = "convert_model_to_onnx.py"
    model.producer_version = str(lineage.git_commit)

    path.write_bytes(model.SerializeToString())


def describe_lineage(records: Mapping[str, Any], precision: str) -> Lineage:
    """Return where a model file comes from, before anything is measured with it."""
    base, corpus = records["base_model"], records["corpus"]
    return Lineage(
        base_model=base["name"],
        base_revision=base["revision"],
        base_sha256=base["sha256"],
        corpus=LineageCorpus(corpus["name"], corpus["sha256"], corpus["sentences"]),
        trained=TrainedBy(records["created"], records["git_commit"], records["packages"]),
        config=records["config"],
        vocabulary=Tokenizer.from_str(records["tokenizer"]).get_vocab_size(),
        git_commit=git_commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        packages={name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        precision=precision,
    )
