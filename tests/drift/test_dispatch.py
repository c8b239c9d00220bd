"""Asking for a retraining run, and the workflow's decision whether one is due."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from drift import dispatch
from errors import ColaError
from tests.helpers.checkout import git
from tests.helpers.net import free_port
from tests.helpers.paths import ROOT

DISPATCHES = "/repos/owner/repo/dispatches"


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> HTTPServer:
    """Answers as api.github.com does: 204 and no body."""
    monkeypatch.setenv("GITHUB_API_URL", httpserver.url_for(""))
    monkeypatch.setenv("GITHUB_TOKEN", "a-token")
    return httpserver


def test_github_is_asked_with_the_verdict(github: HTTPServer) -> None:
    body = {"event_type": "drift", "client_payload": {"drift": {"verdict": "alarm"}}}
    headers = {"Authorization": "Bearer a-token"}
    request = github.expect_oneshot_request(DISPATCHES, "POST", json=body, headers=headers)
    request.respond_with_data(b"", 204)
    dispatch.ask_for_retraining("owner/repo", {"verdict": "alarm"})
    github.check_assertions()


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_a_refusal_is_one_line(github: HTTPServer, status: int) -> None:
    github.expect_request(DISPATCHES).respond_with_json({"message": "no"}, status)
    with pytest.raises(ColaError, match="no retraining run: .*write access"):
        dispatch.ask_for_retraining("owner/repo", {})


def test_without_a_token_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(ColaError, match="set GITHUB_TOKEN"):
        dispatch.ask_for_retraining("owner/repo", {})


def test_github_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("GITHUB_TOKEN", "a-token")
    with pytest.raises(ColaError, match="no retraining run") as caught:
        dispatch.ask_for_retraining("owner/repo", {})
    assert "\n" not in str(caught.value)


# The receiving side: .github/retraining_is_due.sh, with a stand-in for GitHub's own client

GH = r"""#!/usr/bin/env bash
# Answers the two calls of the script from a file of runs, newest first (see `run`).
echo "$*" >> "$RUNS.calls"
case "$1 $2" in
  "run list")
    [[ "$*" =~ --limit\ ([0-9]+) ]]
    jq -c --argjson now "$NOW" --argjson limit "${BASH_REMATCH[1]}" \
      '[.[:$limit][] | {databaseId: .id, createdAt: ($now - .hours * 3600 | todate)}]' "$RUNS" ;;
  "run view") jq --argjson id "$3" '.[] | select(.id == $id)' "$RUNS" | jq -r "${@: -1}" ;;
  *) exit 1 ;;
esac
"""


def stand_in(folder: Path, runs: list[dict[str, object]]) -> None:
    """Write a ``gh`` that knows these runs."""
    (folder / "gh").write_text(GH)
    (folder / "gh").chmod(0o755)
    (folder / "runs.json").write_text(json.dumps(runs))


def is_due(folder: Path, runs: list[dict[str, object]], run_id: int, **settings: str) -> str:
    """Run the decision for one run among others; return what it prints for the workflow."""
    stand_in(folder, runs)
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    environment = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "RUNS": str(folder / "runs.json"),
        "NOW": str(int(now.timestamp())),
        "GITHUB_RUN_ID": str(run_id),
        "GITHUB_EVENT_NAME": "repository_dispatch",
        "GITHUB_OUTPUT": str(folder / "output"),
        "MIN_DAYS": "7",
        **settings,
    }
    script = ROOT / ".github" / "retraining_is_due.sh"
    subprocess.run(["bash", str(script)], env=environment, check=True, capture_output=True)
    return (folder / "output").read_text().strip()


def run(
    number: int,
    hours: float,
    train: str | None,
    conclusion: str | None = None,
    failed_step: str = "Train",
) -> dict[str, object]:
    """Describe a run of the workflow.

    Args:
        number: Its id.
        hours: Its age.
        train: The conclusion of its training job, empty while that runs; None: it has no such job.
        conclusion: Its own, empty while it is under way; None: the training job decides.
        failed_step: Where the training job failed, if it did.
    """
    if conclusion is None:
        conclusion = "success" if train == "skipped" else train or ""

    jobs: list[dict[str, object]] = [{"name": "Is a run due?", "conclusion": "success"}]
    if train is not None:
        steps = [{"name": failed_step, "conclusion": train}]
        jobs.append({"name": "Train, export, compare", "conclusion": train, "steps": steps})
    return {
        "id": number,
        "hours": hours,
        "status": "completed" if conclusion else "in_progress",
        "conclusion": conclusion,
        "jobs": jobs,
    }


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ([], "due=true"),
        ([run(1, 8 * 24, "success")], "due=true"),
        ([run(1, 6 * 24, "success")], "due=false"),
        ([run(1, 0.1, "")], "due=false"),
        ([run(1, 24, "failure")], "due=true"),
        ([run(1, 24, "failure", failed_step="Refuse a worse model")], "due=false"),
        ([run(1, 24, "failure", failed_step="Export through the gates")], "due=false"),
        ([run(1, 8 * 24, "failure", failed_step="Refuse a worse model")], "due=true"),
        ([run(1, 24, "cancelled")], "due=true"),
        ([run(1, 24, None, "startup_failure")], "due=true"),
        ([run(1, 24, None, "cancelled")], "due=true"),
        ([run(1, 0.1, None, "")], "due=false"),
        ([run(1, 24, "success", "failure")], "due=true"),
        ([run(1, 0.1, "success", "")], "due=false"),
        ([run(2, 1, "skipped"), run(1, 24, "success")], "due=false"),
        ([run(2, 1, "skipped"), run(1, 9 * 24, "success")], "due=true"),
        ([*(run(n, 1, "skipped") for n in range(52, 1, -1)), run(1, 24, "success")], "due=false"),
    ],
    ids=[
        "the first",
        "an old one",
        "a recent one",
        "one that runs now",
        "one that failed",
        "one whose model was refused",
        "one whose model did not pass the export's gates",
        "one whose model was refused long ago",
        "one that was cancelled",
        "one that could not start",
        "one that was cancelled before it began",
        "one that has not begun",
        "one that trained, but whose model was not pushed",
        "one that pushes now",
        "one that was not due, after a recent one",
        "one that was not due, after an old one",
        "51 that were not due, after a recent one",
    ],
)
def test_one_retraining_run_in_seven_days(
    tmp_path: Path, earlier: list[dict[str, object]], expected: str
) -> None:
    assert is_due(tmp_path, [run(99, 0, ""), *earlier], 99) == expected


def test_an_alarm_that_stays_does_not_ask_github_of_every_check(tmp_path: Path) -> None:
    """A workflow may ask 1,000 times an hour, and this job has ten minutes."""
    skipped = [run(number, 1, "skipped") for number in range(52, 2, -1)]
    trained_after_a_failure = [run(2, 100, "success"), run(1, 110, "failure")]
    assert is_due(tmp_path, [*skipped, *trained_after_a_failure], 99) == "due=false"
    assert (tmp_path / "runs.json.calls").read_text().count("run view") == 2


def test_two_senders_at_once_start_one_run(tmp_path: Path) -> None:
    """The workflow's concurrency group runs them one after the other."""
    assert is_due(tmp_path, [run(2, 0, ""), run(1, 0, "")], 1) == "due=true"
    (tmp_path / "output").unlink()
    assert is_due(tmp_path, [run(2, 0, ""), run(1, 0.1, "success")], 2) == "due=false"


@pytest.mark.parametrize("event", ["workflow_dispatch", "schedule"])
def test_what_a_person_or_the_calendar_starts_is_always_due(tmp_path: Path, event: str) -> None:
    runs = [run(9, 0, ""), run(1, 1, "success")]
    assert is_due(tmp_path, runs, 9, GITHUB_EVENT_NAME=event) == "due=true"


def test_the_age_is_counted_from_now(tmp_path: Path) -> None:
    week = timedelta(days=7).total_seconds() / 3600
    assert is_due(tmp_path, [run(9, 0, ""), run(1, week - 0.1, "success")], 9) == "due=false"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ([], "due=true"),
        ([run(1, 0.1, "success")], "due=false"),
        ([run(1, 0.1, "")], "due=false"),
        ([run(1, 0.1, "cancelled")], "due=true"),
    ],
    ids=["asked for once", "asked for twice", "two senders at once", "an earlier run was ended"],
)
def test_the_workflow_itself_decides(
    tmp_path: Path,
    tool: Callable[[str], str],
    earlier: list[dict[str, object]],
    expected: str,
) -> None:
    """The job ``due`` of train.yaml, run by act."""
    repo = tmp_path / "repo"
    shutil.copytree(ROOT / ".github", repo / ".github")

    # Newer than act, which refuses a workflow with a key that it does not know.
    workflow = repo / ".github/workflows/train.yaml"
    workflow.write_text(re.sub(r"\n  queue: max.*", "", workflow.read_text()))

    git(repo, "init", "--initial-branch", "main")
    git(repo, "add", ".")
    git(repo, "commit", "-m", "workflows")
    stand_in(tmp_path, [run(9, 0, ""), *earlier])

    settings = {
        "RUNS": tmp_path / "runs.json",
        "NOW": int(time.time()),
        "GITHUB_RUN_ID": 9,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
    }
    command = [tool("act"), "repository_dispatch", "--workflows", ".github/workflows/train.yaml"]
    command += ["--job", "due", "--platform", "ubuntu-24.04=-self-hosted"]
    command += ["--defaultbranch", "main", "--secret", "GITHUB_TOKEN=none"]
    command += [f"--env={name}={value}" for name, value in settings.items()]

    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"::set-output:: {expected}" in done.stdout
