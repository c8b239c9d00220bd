"""How a command ends: with one line and an exit code, never with a stack trace."""

import contextlib
import functools
import io
import os
import select
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

from errors import ColaError, ConfigError, Interrupted

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
    Hydra and OmegaConf (an unknown key, a wrong type) and of the operating system (a full disk);
    ends with 130 after Ctrl-C. With HYDRA_FULL_ERROR=1 in the environment nothing is caught, for
    those who want the stack trace.
    """
    if _wants_stack_trace():
        main()
        return

    _open_missing_streams()
    _print_any_character()
    before = dict(os.environ)
    os.environ |= {"HYDRA_FULL_ERROR": "1", _MARK: "1"}
    try:
        _run_to_the_last_line(main)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not _fits_one_line(error):
            raise
        exit_with(error)
    finally:
        for name in ("HYDRA_FULL_ERROR", _MARK):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def _run_to_the_last_line(main: Callable[[], object]) -> None:
    """Run a command, and write what standard output then still holds.

    Raises:
        ConfigError: Standard output cannot be written.
    """
    try:
        main()
    except BrokenPipeError:
        # It may be another pipe's.
        if _is_read():
            raise

        _discard_output()
        sys.exit()
    except OSError:
        # It may be that of standard output itself, which this then says. If it is another one, it
        # counts more than a reader that has gone.
        with contextlib.suppress(SystemExit):
            write_out()
        raise
    except (Exception, SystemExit):
        # It counts more than what becomes of the rest of the output.
        with contextlib.suppress(ConfigError, SystemExit):
            write_out()
        raise

    write_out()


def _open_missing_streams() -> None:
    """Open /dev/null in place of each standard stream that the process was started without.

    Python has None for such a stream, whose file descriptor the next file that is opened gets; and
    what is printed to a missing standard error would go to standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115


def _print_any_character() -> None:
    r"""Let standard output write what its encoding lacks: in ASCII, ``é`` as ``\xe9``."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def write_out(text: str = "") -> None:
    """Write a text, and what standard output still holds; end the process if nobody reads it.

    At the exit it would be too late to say what is wrong.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        print(text, end="", flush=True)
    except OSError as error:
        _discard_output()

        # The reader has seen enough, as in `| head`.
        if isinstance(error, BrokenPipeError):
            sys.exit()
        raise ConfigError(f"standard output: {error.strerror}") from None


def _is_read() -> bool:
    """Return whether somebody still reads standard output."""
    poll = select.poll()

    # That nobody does is always told.
    poll.register(sys.stdout.fileno(), 0)
    return not poll.poll(0)


def _discard_output() -> None:
    """Send what is left for standard output nowhere, or Python would try once more at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_on_error(main: Callable[Arguments, Result]) -> Callable[Arguments, Result | Exception]:
    """Decorate a function under ``@hydra.main``: end the process where an error is raised.

    Left to ``run_command``, the error would pass through Hydra, which prints lines of its own on
    the way. In a grid (``-m``) the error is printed and returned in place of the result: Hydra
    would forget the other runs' results over it (see ``training.grid.RankRuns``).
    """

    @functools.wraps(main)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result | Exception:
        # Not above: a server, which has no Hydra, imports this module too.
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        if _wants_stack_trace():
            return main(*args, **kwargs)

        failure: Exception
        try:
            return main(*args, **kwargs)
        except KeyboardInterrupt:
            failure = Interrupted("interrupted")
        except SystemExit as error:
            # Lightning answers Ctrl-C with an exit of its own, with code 1.
            if not isinstance(error.__context__, KeyboardInterrupt):
                raise
            failure = Interrupted("interrupted")
        except Exception as error:
            failure = error

        if HydraConfig.get().mode == RunMode.MULTIRUN:
            _print_failure_of_grid(failure)
            return failure
        if _fits_one_line(failure):
            exit_with(failure)
        raise failure

    return wrapper


def _wants_stack_trace() -> bool:
    """Return whether a person, not ``run_command``, has set HYDRA_FULL_ERROR=1."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1" and _MARK not in os.environ


def _fits_one_line(error: Exception) -> bool:
    """Return whether the message says all: the error is ours, the configuration's or the system's.

    Anything else is a mistake in the code, which is found by its stack trace.
    """
    is_configuration = type(error).__module__.startswith(("hydra.", "omegaconf."))
    return is_configuration or isinstance(error, (ColaError, OSError))


def _print_failure_of_grid(failure: Exception) -> None:
    # How to continue a single run is no advice for a grid, which ends here.
    if isinstance(failure, Interrupted):
        return
    if _fits_one_line(failure):
        print_error(failure)
    else:
        traceback.print_exception(failure)


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
