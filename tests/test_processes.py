"""The helper that runs servers for tests: what does not come up is told, and nothing stays."""

import signal
from pathlib import Path

import psutil
import pytest

from tests.helpers.processes import running

STAYS = "echo $$; exec sleep 60"


def test_a_process_that_ends_at_once_fails_the_test_with_what_it_said(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo a start; echo a reason >&2; exit 3"]
    expected = r"exit 3'\] ended with code 3; it said:\na start\n\na reason"
    with (
        pytest.raises(pytest.fail.Exception, match=expected),
        running(command, lambda: False, log=tmp_path / "log", errors=tmp_path / "errors"),
    ):
        pytest.fail("it is not up")


def test_a_process_that_never_listens_fails_the_test_and_is_gone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(pytest.fail.Exception, match=r"60'\] was not up in 0.3 s; it said:\n\d+"),
        running(["sh", "-c", STAYS], lambda: False, log=log, seconds=0.3),
    ):
        pytest.fail("it is not up")
    assert not psutil.pid_exists(int(log.read_text()))


def test_a_process_ends_with_the_test_that_fails(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(ZeroDivisionError),
        running(["sh", "-c", STAYS], log.read_text, log=log) as process,
    ):
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGTERM


def test_a_process_that_does_not_end_when_it_is_told_to_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", f"trap '' TERM; {STAYS}"]
    with running(command, log.read_text, log=log, patience=0.1) as process:
        pass
    assert process.returncode == -signal.SIGKILL
