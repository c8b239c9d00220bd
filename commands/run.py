"""How a command ends: with one line and an exit code, never with a stack trace."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from errors import ColaError, Interrupted

_MARK = "COLA_REPORTS_ERRORS"


def _one_line(error: BaseException) -> str:
    parts = [str(error)] + ([str(error.__cause__)] if error.__cause__ else [])
    lines = [line.strip() for part in parts for line in part.splitlines()]
    wanted = (
        line
        for line in lines
        if line and not line.startswith(("full_key:", "object_type=", "To append"))
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
