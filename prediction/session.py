"""A model file in ONNX Runtime, set up for rows of sentences."""

import hashlib
import os
from pathlib import Path
from typing import TypeAlias

# From 1.31 on, ONNX Runtime reports to its maker unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from errors import ModelFileError

Session: TypeAlias = ort.InferenceSession

REMEDY = "make a good one with: python convert_model_to_onnx.py"
"""How an error about a model file ends."""


def open_session(path: Path, threads: int) -> tuple[str, Session]:
    """Open a model file.

    The file is read twice rather than held in memory beside the session, to keep the peak low.

    Args:
        path: The file.
        threads: How many threads share a row.

    Returns:
        The file's version (the first 12 digits of its SHA-256), and the session.

    Raises:
        ModelFileError: The file is missing, or ONNX Runtime cannot load it.
    """
    try:
        with path.open("rb") as file:
            version = hashlib.file_digest(file, "sha256").hexdigest()[:12]
            session = Session(
                path,
                _session_options(threads),
                providers=["CPUExecutionProvider"],
                # The fused kernel is slower than its parts.
                disabled_optimizers=["SkipLayerNormFusion"],
            )
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                raise ModelFileError(f"{path}: was replaced while it was being read; try again")
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror}; {REMEDY}") from None
    except ModelFileError:
        raise
    except Exception as error:
        # ONNX Runtime's exceptions share no public base class.
        reason = str(error).splitlines()[0]
        raise ModelFileError(
            f"{path}: not a model that ONNX Runtime can load ({reason}); {REMEDY}"
        ) from None

    return version, session


def _session_options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1

    # Let threads spin within a row (they synchronise after every matrix product) but stop them
    # between rows, or they would hold the cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")

    # An arena keeps the memory of the longest row ever seen.
    options.enable_cpu_mem_arena = False

    # Its errors are raised too; no need to print them.
    options.log_severity_level = 4
    return options
