"""How models/model.onnx is written: a graph and, in its metadata, all else that predictors need."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import onnx
from onnx import helper
from tokenizers import Tokenizer

from configs.recorded import plain
from export.packing import PACKABLE
from prediction.model_file import Lineage, LineageCorpus, Reference, TrainedBy
from training.provenance import Provenance, git_commit

# Packages whose versions are recorded.
PACKAGES = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers", "numpy")


def write(
    path: Path,
    graph: onnx.ModelProto,
    provenance: Provenance,
    lineage: Lineage,
    reference: Reference,
) -> None:
    """Write ``graph`` with its ``metadata_props``, each a JSON document.

    Args:
        path: Where the file goes.
        graph: The exported network; it is not changed.
        provenance: The checkpoint's.
        lineage: See ``describe_lineage``.
        reference: See ``export.reference.describe``.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph)

    metadata = {
        "labels": json.dumps(provenance.labels),
        "max_length": json.dumps(provenance.max_length),
        "packing": json.dumps(provenance.network["model_type"] in PACKABLE),
        "lineage": json.dumps(lineage.to_json()),
        "reference": json.dumps(reference.to_json()),
        "tokenizer": provenance.tokenizer,
    }
    helper.set_model_props(model, metadata)
    model.producer_name = "convert_model_to_onnx.py"
    model.producer_version = str(lineage.git_commit)

    path.write_bytes(model.SerializeToString())


def describe_lineage(provenance: Provenance, precision: str) -> Lineage:
    """Return where a model file comes from, before anything is measured of it.

    Args:
        provenance: The checkpoint's.
        precision: Precision of the file, ``fp32`` or ``int8``.
    """
    base, corpus = provenance.base_model, provenance.corpus
    return Lineage(
        base_model=base.name,
        base_revision=base.revision,
        base_sha256=base.sha256,
        corpus=LineageCorpus(corpus.name, corpus.sha256, corpus.sentences),
        trained=TrainedBy(provenance.created, provenance.git_commit, provenance.packages),
        config=plain(provenance.config),
        vocabulary=Tokenizer.from_str(provenance.tokenizer).get_vocab_size(),
        git_commit=git_commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        packages={name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        precision=precision,
    )
