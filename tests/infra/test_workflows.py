"""What no linter knows of the workflows: a release starts when anything that is served changes."""

import fnmatch
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))


def _load(name: str) -> dict[object, object]:
    workflow: dict[object, object] = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    return workflow


def _served() -> set[str]:
    """The files that the Dockerfile copies from this folder, but for the model, which the pointer stands for."""
    copies = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    named = {name for copy in copies for name in copy.split() if not name.startswith("models/")}
    return {
        str(path.relative_to(ROOT))
        for name in named
        for path in (ROOT / name, *(ROOT / name).rglob("*"))
        if path.is_file()
    }


def test_a_release_starts_when_anything_served_changes() -> None:
    workflow = _load("build_docker_image.yaml")
    patterns = workflow[True]["push"]["paths"]  # type: ignore[index]  # YAML reads `on` as true
    served = {name for name in _served() if "__pycache__" not in name}
    assert served
    files = {*served, "Dockerfile", ".dockerignore", "dvcfiles/trained_model.dvc"}
    assert {
        name for name in files if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    } == set()


def test_every_action_is_pinned_by_commit_and_says_its_version() -> None:
    uses = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert uses
    assert [
        line
        for line in uses
        if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
    ] == []


def test_no_job_may_write_but_the_one_that_opens_a_pull_request() -> None:
    writers = {}
    for path in WORKFLOWS:
        workflow = _load(path.name)
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():  # type: ignore[attr-defined]
            assert "timeout-minutes" in job
            writes = {
                scope for scope, right in job.get("permissions", {}).items() if right == "write"
            }
            writers |= {f"{path.stem}.{name}": writes} if writes else {}
    assert writers == {
        "build_docker_image.release": {"id-token"},
        "train.train": {"id-token"},
        "train.propose": {"actions", "contents", "pull-requests"},
    }


def test_no_workflow_knows_a_key() -> None:
    secrets = {
        name for path in WORKFLOWS for name in re.findall(r"secrets\.(\w+)", path.read_text())
    }
    assert secrets <= {"WANDB_API_KEY"}
