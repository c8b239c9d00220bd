"""How a command ends: what is reported in one line, and how a grid goes on."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from commands.run import exit_on_error, run_command
from errors import ConfigError, Interrupted
from tests.helpers.paths import ROOT

# A command that prints some lines and then ends of itself, by an exit code or by an error.
PRINT = """
import sys
from commands.run import run_command
from errors import ConfigError

def main():
    print("a line\\n" * {lines})
    {end}

run_command(main)
"""

# As a person's Python writes: what is left is written at the exit.
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}


def interrupt_as_lightning_does() -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


def interrupt() -> None:
    raise KeyboardInterrupt


def full_disk() -> None:
    raise OSError(28, "No space left on device", "models")


@pytest.fixture
def mode(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Run under Hydra in the given mode."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(mode=request.param))


def test_what_the_system_refuses_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_command(full_disk)
    assert end.value.code == 2
    assert "No space left on device: 'models'" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_command(interrupt)
    assert end.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize("mode", [RunMode.RUN], indirect=True)
def test_ctrl_c_that_lightning_catches_ends_with_130(
    mode: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run_command(exit_on_error(interrupt_as_lightning_does))
    assert end.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize("mode", [RunMode.RUN], indirect=True)
def test_an_exit_that_is_no_ctrl_c_keeps_its_code(mode: None) -> None:
    def leave() -> None:
        sys.exit(7)

    with pytest.raises(SystemExit) as end:
        run_command(exit_on_error(leave))
    assert end.value.code == 7


@pytest.mark.parametrize("mode", [RunMode.RUN], indirect=True)
def test_a_person_gets_the_stack_trace_that_they_ask_for(
    mode: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(OSError, match="No space left"):
        run_command(exit_on_error(full_disk))


@pytest.mark.parametrize("mode", [RunMode.MULTIRUN], indirect=True)
def test_in_a_grid_an_error_is_printed_and_returned(
    mode: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def mistake() -> None:
        raise ConfigError("training.lr=-1")

    def surprise() -> None:
        raise ZeroDivisionError

    assert isinstance(exit_on_error(mistake)(), ConfigError)
    assert capsys.readouterr().err == "error: training.lr=-1\n"
    assert isinstance(exit_on_error(surprise)(), ZeroDivisionError)
    assert "Traceback" in capsys.readouterr().err
    assert isinstance(exit_on_error(interrupt_as_lightning_does)(), Interrupted)


def test_without_standard_error_nothing_is_said_on_standard_output() -> None:
    script = """
import sys
from commands.run import run_command
from errors import ConfigError

def main():
    print(sys.stderr.isatty())
    raise ConfigError("unheard")

run_command(main)
"""
    command = ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, script]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n")


def test_without_standard_output_a_file_does_not_take_its_place(tmp_path: Path) -> None:
    script = """
import os, sys
from commands.run import run_command

def main():
    with open(sys.argv[1], "w") as file:
        os.write(1, b"a line of the log")

run_command(main)
"""
    path = tmp_path / "file"
    command = ["sh", "-c", '"$0" -c "$1" "$2" >&-', sys.executable, script, str(path)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert path.read_text() == ""


NO_FILE = "error: [Errno 2] No such file or directory: '/no'\n"

ENDS = [
    ("return", 0, ""),
    ("sys.exit(3)", 3, ""),
    ("raise ConfigError('no')", 2, "error: no\n"),
]


@pytest.mark.parametrize("lines", [1, 5_000])
@pytest.mark.parametrize(("end", "code", "said"), ENDS)
def test_a_disk_that_is_full_is_said_in_one_line(
    tmp_path: Path, lines: int, end: str, code: int, said: str
) -> None:
    # Unless the lines fit the buffer, and the command has another end to tell of.
    if code == 0 or lines > 1:
        code, said = 2, "File too large\n"

    # A limit on the size of files stands in for the end of the disk.
    script = PRINT.format(lines=lines, end=end)
    command = ["sh", "-c", 'ulimit -f 0; exec "$0" -c "$1" > "$2"', sys.executable, script]
    done = subprocess.run(
        [*command, str(tmp_path / "file")],
        cwd=ROOT,
        env=BUFFERED,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr.endswith(said)
    assert done.stderr.count("\n") == said.count("\n")


@pytest.mark.parametrize("lines", [1, 5_000])
@pytest.mark.parametrize(("end", "code", "said"), [*ENDS, ("open('/no')", 2, NO_FILE)])
def test_a_reader_that_has_seen_enough_is_no_error(
    lines: int, end: str, code: int, said: str
) -> None:
    # The command does not come to its end once a line cannot be written.
    if lines > 1:
        code, said = 0, ""

    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        done = subprocess.run(
            [sys.executable, "-c", PRINT.format(lines=lines, end=end)],
            cwd=ROOT,
            env=BUFFERED,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (code, said)


def test_a_character_that_the_terminal_lacks_is_no_stack_trace() -> None:
    script = "from commands.run import run_command; run_command(lambda: print('na\u00efve'))"
    ascii_alone = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=ascii_alone, capture_output=True, check=False
    )
    assert (result.returncode, result.stdout.strip()) == (0, rb"na\xefve")
