"""The errors that this project raises on purpose, and how a command reports them: one line, exit code 2.

ColaError                 what was wrong, and the setting or the command that mends it
|-- ConfigError           a setting that cannot be used
|-- CorpusError           a corpus that is missing or malformed
|-- WeightsError          base weights that cannot be found or are not the ones expected
|-- CheckpointError       a checkpoint that is missing, damaged or from another program
|-- Interrupted           the run was stopped on request and can be resumed
|-- ExportError           a model that did not pass an export gate
|-- ModelFileError        a model.onnx that is missing, damaged or incomplete
`-- InvalidText           (also a ValueError) a text that no prediction can be made for
"""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

_MARK = "COLA_REPORTS_ERRORS"


class ColaError(Exception):
    """Root of the tree. The message is one line: what was wrong and what mends it."""


class ConfigError(ColaError):
    """A setting that cannot be used."""


class CorpusError(ColaError):
    """A corpus that is missing or malformed; the message names file and line."""


class WeightsError(ColaError):
    """Base weights that cannot be found or are not the ones expected."""


class CheckpointError(ColaError):
    """A checkpoint that is missing, damaged or from another program."""


class Interrupted(ColaError):
    """The run was stopped on request; the message says how to resume it."""


class ExportError(ColaError):
    """A model that did not pass an export gate; the message says which and by how much."""


class ModelFileError(ColaError):
    """A model.onnx that is missing, damaged or incomplete."""


class InvalidText(ColaError, ValueError):
    """A text that no prediction can be made for."""


def _one_line(error: BaseException) -> str:
    parts = [str(error)] + ([str(error.__cause__)] if error.__cause__ else [])
    lines = [line.strip() for part in parts for line in part.splitlines()]
    wanted = (
        line for line in lines if line and not line.startswith(("full_key:", "object_type=", "To append"))
    )
    return ". ".join(dict.fromkeys(line.rstrip(".") for line in wanted))


def exit_with(error: BaseException) -> NoReturn:
    """End the process with the error's one line; exit code 2, or 130 for what was interrupted."""
    print(f"error: {_one_line(error)}", file=sys.stderr)
    sys.exit(130 if isinstance(error, Interrupted) else 2)


def run_command(main: Callable[[], object]) -> None:
    """Run a command's ``main``; end with ``error: ...`` and exit code 2 if it raises a ColaError.

    Errors of Hydra and OmegaConf (an unknown key, a wrong type) are reported in the same way. With
    HYDRA_FULL_ERROR=1 nothing is caught, for those who want the stack trace. Exit code 130 after Ctrl-C.
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1" and _MARK not in os.environ:
        main()
        return
    # Makes Hydra hand its errors to us instead of printing a stack trace; the mark tells that to the processes that
    # a training with several of them starts.
    before = dict(os.environ)
    os.environ |= {"HYDRA_FULL_ERROR": "1", _MARK: "1"}
    try:
        main()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        is_configuration = type(error).__module__.startswith(("hydra.", "omegaconf."))
        if not (isinstance(error, ColaError) or is_configuration):
            raise
        exit_with(error)
    finally:
        for name in ("HYDRA_FULL_ERROR", _MARK):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
