"""What the registry's tests put into a checkout: commits, and the smallest valid model."""

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from prediction.model_file import Lineage, LineageCorpus, Reference, TrainedBy

CORPUS_SHA256 = "c0" * 32
"""The digest of the corpus that ``write_model``'s models were validated on."""

CREATED = "2026-01-01T00:00:00+00:00"


def git(repo: Path, *arguments: str) -> None:
    """Run a git command in ``repo`` as a person whom the machine's settings do not know."""
    settings = ("user.name=tester", "user.email=tester@invalid", "commit.gpgsign=false")
    options = [word for setting in settings for word in ("-c", setting)]
    subprocess.run(["git", *options, *arguments], cwd=repo, check=True, capture_output=True)


def md5(path: Path) -> str:
    """Return a file's MD5, as DVC names it."""
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_model(path: Path, mcc: float, seed: int = 0) -> str:
    """Write the smallest file that the predictor accepts; return its MD5.

    Args:
        path: Where to write it.
        mcc: The MCC in its lineage.
        seed: Models of different seeds are different files.
    """
    lineage = Lineage(
        base_model="tiny",
        base_revision=None,
        base_sha256=None,
        corpus=LineageCorpus(name="own", sha256=CORPUS_SHA256, sentences={}),
        trained=TrainedBy(created=CREATED, git_commit=None, packages={}),
        config={},
        vocabulary=3,
        git_commit="a" * 40,
        created=CREATED,
        packages={},
        precision="fp32",
        metrics={"overall": {"mcc": mcc}},
    )
    metadata = {
        "labels": ["unacceptable", "acceptable"],
        "max_length": 8,
        "packing": False,
        "lineage": lineage.to_json(),
        "reference": Reference.empty().to_json(),
    }
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]")).to_str()
    texts = {"tokenizer": tokenizer} | {key: json.dumps(value) for key, value in metadata.items()}

    model = _sum_of_rows(seed)
    helper.set_model_props(model, texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return md5(path)


def _sum_of_rows(seed: int) -> onnx.ModelProto:
    """Return a network whose logits are the sum of one row of random weights per token."""
    weights = np.random.default_rng(seed).standard_normal((3, 2)).astype(np.float32)
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["logits"], keepdims=0),
        # An input that no node reads would be dropped.
        helper.make_node("Identity", ["attention_mask"], ["seen"]),
    ]

    tokens = ["batch", "sequence"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, tokens)
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("seen", TensorProto.INT64, tokens),
    ]

    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)
