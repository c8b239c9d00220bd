"""Push a local Docker image to the stack's registry and learn its digest.

The tag is COMMIT-IMAGE (twelve digits each): tags are immutable, so the same image is never pushed
twice, and another image of the same commit gets a tag of its own. A release adds the tag
released-DIGEST, by which the registry's lifecycle policy tells what it must keep.
"""

import base64
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from errors import DeployError
from infra.aws import aws_errors, client


def push(image: str, repository: str, registry: str | None = None) -> str:
    """Push an image unless the registry has it; return it by digest, REPOSITORY@sha256:...

    Args:
        image: The local image's name.
        repository: The URI of the ECR repository.
        registry: Another HOST:PORT under which the same registry is reached (an emulator's).

    Raises:
        DeployError: Docker or the registry refused.
    """
    host, _, name = repository.partition("/")
    uri = f"{registry or host}/{name}"
    tag = f"{_git('rev-parse', '--short=12', 'HEAD')}-{_image_id(image)}"

    # To push a tag that exists is an error: tags are immutable.
    digest = _find_digest(name, tag)
    if digest is None:
        _upload(image, f"{uri}:{tag}", registry or host)
        digest = _find_digest(name, tag)

    if digest is None:
        raise DeployError(f"{uri}:{tag} was pushed, but the registry does not know it: try again")
    return f"{uri}@{digest}"


def mark_released(image: str) -> None:
    """Tag an image of the registry as released, unless it is.

    Args:
        image: The image by digest, REPOSITORY@sha256:...

    Raises:
        DeployError: The registry refused, or does not have the image.
    """
    repository, _, digest = image.partition("@")
    name = repository.partition("/")[2]
    tag = f"released-{digest.removeprefix('sha256:')[:12]}"
    if _find_digest(name, tag) == digest:
        return

    ecr = client("ecr")
    with aws_errors():
        answer = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}])
        if not answer["images"]:
            raise DeployError(f"{image} answers, but the registry does not have it: push it again")

        # Another tag is the same manifest once more.
        manifest = answer["images"][0]["imageManifest"]
        ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag=tag)


def _image_id(image: str) -> str:
    image_id = docker("image", "inspect", "--format", "{{.Id}}", image)
    return image_id.removeprefix("sha256:")[:12]


def _find_digest(name: str, tag: str) -> str | None:
    """Return the digest of a repository's tag, None if there is no such tag."""
    with aws_errors():
        answer = client("ecr").batch_get_image(repositoryName=name, imageIds=[{"imageTag": tag}])
    images = answer["images"]
    return str(images[0]["imageId"]["imageDigest"]) if images else None


def _upload(image: str, target: str, host: str) -> None:
    """Push an image, with a login that is kept in a temporary folder and removed with it."""
    with aws_errors():
        grant = client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(grant["authorizationToken"]).decode().partition(":")

    # A configuration of its own also hides the context that says where Docker listens.
    endpoint = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    with tempfile.TemporaryDirectory() as config:
        environment = {
            "DOCKER_HOST": os.environ.get("DOCKER_HOST", endpoint),
            "DOCKER_CONFIG": config,
        }

        # The password on standard input: a process's arguments are visible to all of the machine.
        login = ("login", "--username", user, "--password-stdin", host)
        docker(*login, stdin=password, environment=environment)

        docker("tag", image, target, environment=environment)
        try:
            docker("push", "--quiet", target, environment=environment)
        finally:
            # Removes the registry's name of the image; the image keeps its own.
            docker("rmi", "--no-prune", target, environment=environment)


def docker(
    *arguments: str, stdin: str | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run Docker's client and return what it printed; ``environment`` adds to this process's.

    Raises:
        DeployError: It is not installed, or failed; the message is the last line that it printed.
    """
    if shutil.which("docker") is None:
        raise DeployError("docker is not installed: images are built, pushed and looked up with it")
    return _run(["docker", *arguments], stdin, environment)


def _git(*arguments: str) -> str:
    return _run(["git", *arguments])


def _run(
    command: Sequence[str],
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program and return what it printed; ``environment`` adds to this process's.

    Raises:
        DeployError: It failed; the message is the last line that it printed.
    """
    done = subprocess.run(
        command,
        input=stdin,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DeployError(f"`{' '.join(command[:2])}` failed: {reason}")
    return done.stdout.strip()
