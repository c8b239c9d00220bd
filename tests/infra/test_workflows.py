"""What no linter knows of the workflows: a release starts when anything that is served changes."""

import fnmatch
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.paths import ROOT
from tests.helpers.trained_model import pytest_runtest_makereport

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))


def _load(name: str) -> dict[Any, Any]:
    workflow: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    return workflow


def _served_files() -> set[str]:
    """Return what the Dockerfile copies from the checkout, the model aside: it has its pointer."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    sources = {name for copy in copies for name in copy.split() if not name.startswith("models/")}

    paths = (path for name in sources for path in (ROOT / name, *(ROOT / name).rglob("*")))
    return {
        str(path.relative_to(ROOT))
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_release_starts_when_anything_served_changes() -> None:
    # YAML reads the key `on` as true.
    patterns = _load("build_docker_image.yaml")[True]["push"]["paths"]

    served = _served_files()
    assert served
    files = {*served, "Dockerfile", ".dockerignore", "dvcfiles/trained_model.dvc"}
    assert {
        name for name in files if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    } == set()


def test_every_action_is_pinned_by_commit_and_says_its_version() -> None:
    uses = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert uses

    pinned = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
    assert [line for line in uses if not pinned.search(line)] == []


def test_no_job_may_write_but_the_one_that_opens_a_pull_request() -> None:
    written: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        workflow = _load(path.name)
        assert workflow["permissions"] == {"contents": "read"}

        for name, job in workflow["jobs"].items():
            assert "timeout-minutes" in job
            permissions = job.get("permissions", {})
            scopes = {scope for scope, right in permissions.items() if right == "write"}
            if scopes:
                written[f"{path.stem}.{name}"] = scopes

    assert written == {
        "build_docker_image.build": {"id-token"},
        "build_docker_image.release": {"id-token"},
        "train.push": {"id-token"},
        "train.propose": {"actions", "contents", "pull-requests"},
    }


def test_what_installs_the_training_packages_cannot_ask_for_credentials() -> None:
    # A package that trains may be anybody's; a token of GitHub's opens the model store.
    for path in WORKFLOWS:
        for name, job in _load(path.name)["jobs"].items():
            commands = " ".join(step.get("run", "") for step in job["steps"])
            if "make " in commands or "-r requirements.txt" in commands:
                assert "id-token" not in job.get("permissions", {}), f"{path.name}: {name}"


def test_a_job_that_can_ask_for_credentials_installs_by_hash_alone() -> None:
    jobs = [job for path in WORKFLOWS for job in _load(path.name)["jobs"].values()]
    installs = [
        line
        for job in jobs
        if job.get("permissions", {}).get("id-token") == "write"
        for step in job["steps"]
        for line in step.get("run", "").splitlines()
        if "pip install" in line
    ]
    assert installs
    assert [line for line in installs if "--require-hashes" not in line] == []


def test_a_job_that_may_write_unpacks_outside_its_checkout_what_another_made() -> None:
    folders = [
        step["with"]["path"]
        for path in WORKFLOWS
        for job in _load(path.name)["jobs"].values()
        for step in job["steps"]
        if "write" in job.get("permissions", {}).values()
        and "download-artifact@" in step.get("uses", "")
    ]
    made = ("image", "model", "proposal")
    assert folders == ["${{ runner.temp }}/" + name for name in made]


def test_the_job_that_pushes_takes_no_code_from_the_job_that_trained(tmp_path: Path) -> None:
    steps = _load("train.yaml")["jobs"]["push"]["steps"]
    (download,) = [step for step in steps if "download-artifact@" in step.get("uses", "")]
    (take,) = [step for step in steps if step.get("name", "").startswith("Take the model")]

    # What was uploaded may hold more than it should.
    artifact = Path(download["with"]["path"].replace("${{ runner.temp }}", str(tmp_path / "temp")))
    for name in ("models/model.onnx", "table.md", "registry/__main__.py", "sitecustomize.py"):
        (artifact / name).parent.mkdir(parents=True, exist_ok=True)
        (artifact / name).write_text(name)

    checkout = tmp_path / "checkout"
    checkout.mkdir()
    environment = {"RUNNER_TEMP": str(tmp_path / "temp"), "PATH": os.environ["PATH"]}
    subprocess.run(["bash", "-e", "-c", take["run"]], cwd=checkout, env=environment, check=True)

    taken = [path for path in checkout.rglob("*") if path.is_file()]
    assert {str(path.relative_to(checkout)) for path in taken} == {"models/model.onnx", "table.md"}


def test_an_index_of_packages_reaches_the_jobs_that_install_pytorch_and_no_other() -> None:
    told, installing = set(), set()
    for path in WORKFLOWS:
        workflow = _load(path.name)
        for name, job in workflow["jobs"].items():
            if "PIP_EXTRA_INDEX_URL" in {**workflow.get("env", {}), **job.get("env", {})}:
                told.add(f"{path.stem}.{name}")
            if any("make " in step.get("run", "") for step in job["steps"]):
                installing.add(f"{path.stem}.{name}")
    assert told == installing


def test_no_action_but_those_of_github_and_aws_meets_credentials() -> None:
    strangers = [
        step["uses"]
        for path in WORKFLOWS
        for job in _load(path.name)["jobs"].values()
        if job.get("permissions", {}).get("id-token") == "write"
        for step in job["steps"]
        if not step.get("uses", "actions/").startswith(("actions/", "aws-actions/"))
    ]
    assert strangers == []


@pytest.mark.parametrize("job", ["scan", "release"])
def test_an_image_that_is_not_the_one_that_was_built_is_neither_scanned_nor_released(
    tmp_path: Path, job: str
) -> None:
    jobs = _load("build_docker_image.yaml")["jobs"]
    (save,) = [step for step in jobs["build"]["steps"] if step.get("id") == "save"]
    (load,) = [step for step in jobs[job]["steps"] if step.get("name", "").startswith("Load")]
    assert "build" in jobs[job]["needs"]
    assert load["env"] == {"SHA256": "${{ needs.build.outputs.sha256 }}"}
    assert jobs["build"]["outputs"] == {"sha256": "${{ steps.save.outputs.sha256 }}"}

    docker = tmp_path / "docker"
    docker.write_text('case "$1" in save) echo layers > "$4" ;; load) cat "$3" > loaded ;; esac\n')
    docker.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "RUNNER_TEMP": str(tmp_path),
    }

    def run(step: dict[str, Any], folder: Path, **settings: str) -> int:
        folder.mkdir(exist_ok=True)
        command = ["bash", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(
            command, cwd=folder, env=environment | settings, capture_output=True, check=False
        ).returncode

    image = tmp_path / "image"
    assert run(save, image) == 0
    sha256 = (tmp_path / "output").read_text().strip().removeprefix("sha256=")

    assert run(load, tmp_path / "good", SHA256=sha256) == 0
    assert (tmp_path / "good/loaded").read_text() == "layers\n"

    (image / "image.tar").write_text("other layers\n")
    assert run(load, tmp_path / "bad", SHA256=sha256) != 0
    assert not (tmp_path / "bad/loaded").exists()


def test_what_is_released_was_scanned() -> None:
    jobs = _load("build_docker_image.yaml")["jobs"]
    scans = [name for name, job in jobs.items() if "anchore/scan-action@" in str(job["steps"])]
    assert scans == ["scan"]
    assert jobs["scan"]["permissions"] == {}
    assert set(jobs["release"]["needs"]) == {"build", "scan"}

    # A job whose condition is its own runs although what it needs has failed.
    assert "if" not in jobs["release"]


def test_a_branch_on_which_no_model_could_be_pushed_is_refused_before_it_trains() -> None:
    """By hand: the training role is for train.yaml as it is on main."""
    first = _load("train.yaml")["jobs"]["due"]["steps"][0]
    assert first["if"] == "github.ref != 'refs/heads/main'"

    command = ["bash", "-e", "-c", first["run"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("::error::start it on main")


@pytest.mark.parametrize(("actions", "outcome"), [("", "skipped"), ("true", "failed")])
@pytest.mark.parametrize(
    "reason", ["no models/model.onnx: run `make train`", "Ray is not installed: run `make tools`"]
)
def test_what_a_job_has_made_cannot_be_missing(
    monkeypatch: pytest.MonkeyPatch, reason: str, actions: str, outcome: str
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", actions)
    report = pytest.TestReport("test", ("", 0, ""), {}, "skipped", ("test.py", 1, reason), "call")

    hook = pytest_runtest_makereport()
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)
    assert report.outcome == outcome


def test_the_jobs_whose_tests_need_the_model_download_it() -> None:
    for job in _load("ci.yaml")["jobs"].values():
        runs = [step.get("run", "") for step in job["steps"]]
        if {"make test-slow", "make test-containers"}.intersection(runs):
            (download,) = [
                step["with"]
                for step in job["steps"]
                if "download-artifact@" in step.get("uses", "")
            ]
            assert download == {"name": "model", "path": "models"}


def test_without_an_aws_account_neither_a_push_nor_the_calendar_ends_in_red() -> None:
    build = _load("build_docker_image.yaml")["jobs"]["build"]
    due = _load("train.yaml")["jobs"]["due"]
    assert "(github.event_name != 'push' || vars.USE_AWS == 'true')" in build["if"]
    assert due["if"] == "github.event_name != 'schedule' || vars.USE_AWS == 'true'"


def test_a_run_that_waits_to_train_does_not_give_way_to_a_later_one() -> None:
    assert _load("train.yaml")["concurrency"] == {
        "group": "train",
        "cancel-in-progress": False,
        "queue": "max",
    }


def test_every_choice_of_an_experiment_is_one() -> None:
    workflow = _load("train.yaml")

    # YAML reads the key `on` as true.
    choice = workflow[True]["workflow_dispatch"]["inputs"]["experiment"]
    experiments = {path.stem for path in (ROOT / "configs/experiment").glob("*.yaml")}
    assert {choice["default"], *choice["options"]} <= experiments

    # The calendar and the drift check choose none.
    (step,) = (s for s in workflow["jobs"]["train"]["steps"] if s.get("name") == "Train")
    assert step["env"]["EXPERIMENT"] == "${{ inputs.experiment || 'default' }}"
    assert "default" in experiments


def test_the_decision_to_retrain_knows_the_steps_that_refuse_a_model() -> None:
    """By their names: one it misses lets every drift check train the refused model again."""
    decision = (ROOT / ".github/retraining_is_due.sh").read_text()
    known = re.search(r"IN\((.+?)\)", decision)
    assert known

    steps = [step.get("name") for step in _load("train.yaml")["jobs"]["train"]["steps"]]
    trained = steps.index("Train") + 1
    refusing = [name for name in steps[trained:] if name]
    assert json.loads(f"[{known[1]}]") == refusing


def test_dependabot_proposes_all_python_packages_together() -> None:
    listed = ["git", "ls-files", "*requirements*.txt", "constraints.txt", "infra/lock_*.txt"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    folders = {f"/{Path(name).parent}".removesuffix(".") for name in files.splitlines()}

    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    (pip,) = [entry for entry in updates if entry["package-ecosystem"] == "pip"]
    assert set(pip["directories"]) == folders
    assert len(pip["groups"]) == 1


def test_no_workflow_knows_a_key() -> None:
    secrets = {
        name for path in WORKFLOWS for name in re.findall(r"secrets\.(\w+)", path.read_text())
    }
    assert secrets <= {"WANDB_API_KEY"}
