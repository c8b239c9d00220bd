"""A newcomer's walk: a fresh clone, and the commands of the README and the chapters in their order.

    python -m benchmarks.walk --folder runs/walk
    BENCHMARK_RESULTS=/tmp/trial python -m benchmarks.walk --folder /tmp/trial --venv .venv \
        --skip test --train-args "ARGS='experiment=smoke logger=none' EXPORT_ARGS=export.min_mcc=-1"

Clones this repository's HEAD into --folder and runs there what needs neither Docker nor an account,
on corpus/, without the Hub. A trial with the other options has to be recorded somewhere else.
A walk that was interrupted goes on in its clone: commands that have finished are not run again. All
output goes to FOLDER/walk.log. Prints a table; the last line is one JSON document, also written to
benchmarks/results/walk.json, from which `make readme` fills the times and samples of the documents.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from benchmarks import results
from benchmarks.results import ROOT
from benchmarks.server_process import end, free_port
from benchmarks.walk_commands import (
    ADDRESS,
    AFTER_SERVING,
    BEFORE_SERVING,
    SERVE,
    WHILE_SERVING,
    Command,
    Walk,
    WalkStep,
    trim,
)
from commands.tables import print_table

START_SECONDS = 120.0
POLL_SECONDS = 0.02

# Variables of a surrounding run, not passed on: they change what `make` prints and the tests read.
INHERITED = ("BENCHMARK_RESULTS", "COLUMNS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV")

# The line that make prints before it runs one of the root's scripts.
ECHO = re.compile(r"^\.venv/bin/python (\w+\.py)\b")


class Options(argparse.Namespace):
    """What the command line says."""

    folder: Path
    train_args: str
    venv: Path | None
    skip: list[str]


def main() -> None:
    """Walk, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="the clone, the log and the state go here")
    add("--train-args", default="", help="for a trial: what follows `make train`")
    add("--venv", type=Path, help="link this environment instead of installing one")
    add("--skip", nargs="*", default=[], help="names of commands to leave out, such as test")
    options = parser.parse_args(namespace=Options())
    results.refuse_trial(bool(options.train_args or options.venv or options.skip))

    walk = started(options.folder, options.venv)
    go(walk, options.folder, options.train_args, options.skip)

    rows = [
        (f"{x['seconds']:.1f}", str(x["exit_code"]), x["command"]) for x in walk["steps"].values()
    ]
    print_table(rows, ["seconds", "exit code", "command"])
    results.record("walk", walk)


def started(folder: Path, venv: Path | None) -> Walk:
    """Return the walk of a folder as far as it has gone; clone for a new one.

    Args:
        folder: Where clone, log and state are.
        venv: An environment for the clone; without one, `make` installs it.
    """
    clone, state = folder / "clone", folder / "walk.json"
    if state.is_file():
        walk: Walk = json.loads(state.read_text(encoding="utf-8"))
        return walk

    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    if venv is not None:
        (clone / ".venv").symlink_to(venv.absolute())
        # The requirements of a new clone are newer than any environment: make would install again.
        for requirements in (*clone.glob("requirements*.txt"), clone / "constraints.txt"):
            os.utime(requirements, (0, 0))

    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=clone, text=True).strip()
    return keep({"cloned_commit": commit, "environment_mb": 0.0, "steps": {}}, folder)


def keep(walk: Walk, folder: Path) -> Walk:
    """Write how far a walk has come; return it."""
    (folder / "walk.json").write_text(json.dumps(walk), encoding="utf-8")
    return walk


def go(walk: Walk, folder: Path, train_args: str, skip: Sequence[str]) -> None:
    """Run the commands that have not finished; after each, write how far the walk has come.

    Raises:
        SystemExit: A command failed, or the API did not start.
    """

    def missing(commands: Sequence[Command]) -> list[Command]:
        return [x for x in commands if x.name not in walk["steps"] and x.name not in skip]

    def run_all(commands: Sequence[Command], address: str = ADDRESS) -> None:
        for command in commands:
            text = f"{command.text} {train_args if command.name == 'train' else ''}".rstrip()
            walk["steps"][command.name] = run(replace(command, text=text), folder, address)
            keep(walk, folder)

    run_all(missing(BEFORE_SERVING))
    report = json.loads((folder / "clone" / "models" / "training_report.json").read_text("utf-8"))
    walk["corpus"] = report["corpus"]["name"]
    walk["environment_mb"] = size_mb(folder / "clone" / ".venv")

    # The check reads the last seconds of the log, so the traffic is sent again.
    if missing(WHILE_SERVING):
        with serving(folder) as (address, seconds):
            walk["steps"]["serve"] = {
                "command": SERVE,
                "seconds": round(seconds, 2),
                "exit_code": None,
                "output": [],
            }
            run_all([x for x in WHILE_SERVING if x.name not in skip], address)

    run_all(missing(AFTER_SERVING))


def run(command: Command, folder: Path, address: str) -> WalkStep:
    """Run a command in the clone.

    Args:
        command: What a document says.
        folder: Where clone and log are.
        address: The API's.

    Raises:
        SystemExit: It ended with another exit code than it may.
    """
    print(f"$ {command.text}", file=sys.stderr)
    start = time.perf_counter()
    lines: list[str] = []
    # What each of the root's scripts took that a target ran, and before them the set-up.
    starts = {"set-up": start}

    with process(command.text.replace(ADDRESS, address), folder, subprocess.PIPE) as child:
        assert child.stdout is not None
        with (folder / "walk.log").open("a", encoding="utf-8") as log:
            log.write(f"$ {command.text}\n")
            for line in child.stdout:
                log.write(line)
                lines.append(line.rstrip().replace(f"{folder.absolute()}/clone/", ""))
                if echo := ECHO.match(line):
                    starts[echo[1]] = time.perf_counter()
        code = child.wait()

    if code not in command.exit_codes:
        raise SystemExit(f"error: `{command.text}` ended with {code}: see {folder}/walk.log")

    times = [*starts.values(), time.perf_counter()]
    step: WalkStep = {
        "command": command.text,
        "seconds": round(times[-1] - start, 2),
        "exit_code": code,
        "output": trim(lines, command.kept),
    }
    if len(starts) > 1:
        seconds = [round(after - before, 2) for before, after in pairwise(times)]
        step["parts"] = dict(zip(starts, seconds, strict=True))
    return step


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, float]]:
    """Start the API as chapter 0 does; yield its address, and the seconds until it listened."""
    port, start = free_port(), time.perf_counter()
    with (
        (folder / "serve.log").open("w", encoding="utf-8") as log,
        process(f"PORT={port} {SERVE}", folder, log.fileno()) as api,
    ):
        while not is_listening(port):
            if api.poll() is not None or time.perf_counter() > start + START_SECONDS:
                raise SystemExit(f"error: `{SERVE}` does not answer: see {log.name}")
            time.sleep(POLL_SECONDS)

        yield f"127.0.0.1:{port}", time.perf_counter() - start


def is_listening(port: int) -> bool:
    """Return whether something on this machine accepts connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def process(text: str, folder: Path, output: int) -> "Iterator[subprocess.Popen[str]]":
    """Run a line of shell in the clone with its environment active; end what is left of it."""
    clone = folder.absolute() / "clone"
    environment = {name: value for name, value in os.environ.items() if name not in INHERITED}
    environment["PATH"] = f"{clone}/.venv/bin{os.pathsep}{environment['PATH']}"
    # The documents' samples are of corpus/, where CoLA can be reached, too.
    environment["HF_HUB_OFFLINE"] = "1"
    # Whoever clones has told git who they are.
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "newcomer", f"GIT_{role}_EMAIL": "newcomer@invalid"}

    with subprocess.Popen(
        ["bash", "-c", text],
        cwd=clone,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        # A group of its own, to end it with all that it started.
        start_new_session=True,
    ) as child:
        try:
            yield child
        finally:
            end(child)


def size_mb(folder: Path) -> float:
    """Return the size of all files in a folder."""
    return sum(x.stat().st_size for x in folder.rglob("*") if x.is_file()) // 1e6


if __name__ == "__main__":
    main()
