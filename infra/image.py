"""Push a local Docker image to the stack's registry and learn its digest.

The tag is COMMIT-IMAGE (twelve digits each): tags are immutable, so the same image is never pushed twice and
another image of the same commit gets a tag of its own.
"""

import base64
import os
import shutil
import subprocess
import tempfile
from typing import Any

from errors import DeployError
from infra.aws import client, one_line_errors


def push(image: str, repository: str, registry: str | None = None) -> str:
    """Push ``image`` to the ECR ``repository`` (its URI); return REPOSITORY@sha256:...

    ``registry``: another HOST:PORT under which the same registry is reached (an emulator's).
    """
    host, _, name = repository.partition("/")
    tag = f"{_git('rev-parse', '--short=12', 'HEAD')}-{_image_id(image)}"
    uri = f"{registry or host}/{name}"
    if (digest := _digest(name, tag)) is None:
        _upload(image, f"{uri}:{tag}", registry or host)
        digest = _digest(name, tag)
    if digest is None:
        raise DeployError(f"{uri}:{tag} was pushed, but the registry does not know it: try again")
    return f"{uri}@{digest}"


def _image_id(image: str) -> str:
    found = _docker("image", "inspect", "--format", "{{.Id}}", image)
    return found.removeprefix("sha256:")[:12]


def _digest(name: str, tag: str) -> str | None:
    with one_line_errors():
        found = client("ecr").batch_get_image(repositoryName=name, imageIds=[{"imageTag": tag}])[
            "images"
        ]
    return str(found[0]["imageId"]["imageDigest"]) if found else None


def _upload(image: str, target: str, host: str) -> None:
    """Tag and push, with a login that lives in a folder of its own and goes with it."""
    with one_line_errors():
        grant: dict[str, Any] = client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(grant["authorizationToken"]).decode().partition(":")
    endpoint = _docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    with tempfile.TemporaryDirectory() as config:
        environment = {
            "DOCKER_HOST": os.environ.get("DOCKER_HOST", endpoint),
            "DOCKER_CONFIG": config,
        }
        _docker(
            "login", "--username", user, "--password-stdin", host, stdin=password, **environment
        )
        _docker("tag", image, target, **environment)
        try:
            _docker("push", "--quiet", target, **environment)
        finally:
            _docker("rmi", "--no-prune", target, **environment)


def _docker(*arguments: str, stdin: str | None = None, **environment: str) -> str:
    if shutil.which("docker") is None:
        raise DeployError("docker is not installed: an image is built and pushed with it")
    return _run(["docker", *arguments], stdin, environment)


def _git(*arguments: str) -> str:
    return _run(["git", *arguments], None, {})


def _run(command: list[str], stdin: str | None, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        input=stdin,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DeployError(f"`{' '.join(command[:2])}` failed: {reason}")
    return done.stdout.strip()
