"""How a command ends: with one line and an exit code, never with a stack trace."""

import functools
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec, TypeVar

from errors import ColaError, Interrupted

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

FAILED, INTERRUPTED = 2, 130
"""Exit codes: of an error, and of Ctrl-C (128 + the number of SIGINT) or a signal to stop."""

# What Hydra and OmegaConf add to their messages for programmers.
_NOISE = ("full_key:", "object_type=", "To append")

# Hydra prints a stack trace of its own for whatever a command raises, unless HYDRA_FULL_ERROR=1
# makes it pass the exception on. run_command wants the exception, so it sets that variable. But a
# person may set it too, to see the stack trace: then run_command must not catch anything. A
# training on several devices starts child processes that inherit the environment; this mark tells
# them which of the two it was.
_MARK = "COLA_REPORTS_ERRORS"


def run_command(main: Callable[[], object]) -> None:
    """Run a command; report what it raises on purpose in one line.

    Prints ``error: ...`` and ends with exit code 2 for a ColaError, and likewise for the errors of
    Hydra and OmegaConf (an unknown key, a wrong type); ends with 130 after Ctrl-C. With
    HYDRA_FULL_ERROR=1 in the environment nothing is caught, for those who want the stack trace.
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1" and _MARK not in os.environ:
        main()
        return

    before = dict(os.environ)
    os.environ |= {"HYDRA_FULL_ERROR": "1", _MARK: "1"}
    try:
        main()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
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


def exit_on_error(main: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function under ``@hydra.main``: end the process where a ColaError is raised.

    Left to ``run_command``, the error would pass through Hydra, which prints lines of its own on
    the way. Only in a grid (``-m``) it is left to it, so that the other runs go on.
    """

    @functools.wraps(main)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        # Not above: a server, which has no Hydra, imports this module too.
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        try:
            return main(*args, **kwargs)
        except ColaError as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            exit_with(error)

    return wrapper


def exit_with(error: BaseException) -> NoReturn:
    """End the process with the error in one line; exit code 2, or 130 for an interrupted run."""
    print_error(error)
    sys.exit(INTERRUPTED if isinstance(error, Interrupted) else FAILED)


def print_error(error: BaseException) -> None:
    """Print ``error: ...``, one line, to standard error."""
    print(f"error: {_one_line(error)}", file=sys.stderr)


def _one_line(error: BaseException) -> str:
    """Return the message of an error and of its cause, each line once."""
    messages = [str(error)]
    if error.__cause__:
        messages.append(str(error.__cause__))

    lines = [line.strip() for message in messages for line in message.splitlines()]
    wanted = [line.rstrip(".") for line in lines if line and not line.startswith(_NOISE)]
    return ". ".join(dict.fromkeys(wanted))
