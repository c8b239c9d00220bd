"""Run DVC, with its many lines of error as one that says what to do.

``model-store`` in .dvc/config has no bucket: MODEL_STORE_URL names it, or
``dvc remote modify --local model-store url s3://BUCKET/dvc``.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from errors import StoreError

UNNAMED = "s3://NAME-YOUR-BUCKET/dvc"
"""The URL in .dvc/config. No bucket can have this name: S3 allows no capitals."""

# What DVC and boto3 print, as a regular expression, and what to do about it. Text that none of them
# matches is still reported: the first error that DVC printed (see _explain).
_CAUSES = {
    r"Unable to locate credentials|NoCredentials": (
        "no AWS credentials: `aws sso login` or set AWS_PROFILE"
    ),
    r"ExpiredToken|token.*expired": (
        "the AWS credentials have expired: sign in again with `aws sso login`"
    ),
    r"Forbidden|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|\(403\)": (
        "remote {remote!r} refuses these credentials: set AWS_PROFILE to one that may use it"
    ),
    r"NoSuchBucket|bucket does not exist": (
        "remote {remote!r} names no existing bucket: check its URL"
    ),
    r"Could not connect|EndpointConnection|Connect(ion)? (timeout|refused)|Name or service not": (
        "remote {remote!r} cannot be reached: check its URL, AWS_ENDPOINT_URL and the network"
    ),
    # For DVC, an object with another digest than its name says is missing too.
    r"neither locally nor on remote|missing-files": (
        "remote {remote!r} does not hold this model, or another file in its place: "
        "check its URL, bring an earlier version of the object back, or push again"
    ),
    r"is going to be removed|unsaved|ConfirmRemove": (
        "models/model.onnx is not the pointer's model and was never pushed: "
        "push it, or move it away first"
    ),
    r"remote.*(doesn't exist|not found)|no remote": (
        "there is no remote {remote!r}: see .dvc/config"
    ),
    r"not installed|requires .*dvc.*\[|No module named": (
        "remote {remote!r} needs a package more: {reason}"
    ),
    r"Unable to acquire lock": "another DVC command is running here: wait for it",
}


def name_remote(root: Path, remote: str) -> None:
    """Give ``model-store`` the URL in MODEL_STORE_URL, on this machine only.

    Raises:
        StoreError: It has no URL yet and MODEL_STORE_URL is not set.
    """
    if remote != "model-store":
        return

    configured = dvc(root, remote, "remote", "list").split()
    url = os.environ.get("MODEL_STORE_URL")
    if url and url not in configured:
        dvc(root, remote, "remote", "modify", "--local", remote, "url", url)
    elif UNNAMED in configured:
        raise StoreError(
            "remote 'model-store' has no bucket yet: set MODEL_STORE_URL=s3://BUCKET/dvc, "
            "or use the folder on this machine with REMOTE=local"
        )


def dvc(root: Path, remote: str, *arguments: str) -> str:
    """Run one DVC command and return what it printed.

    Args:
        root: The checkout, in which it runs.
        remote: The remote that it uses, for the error message.
        arguments: The command and its arguments.

    Raises:
        StoreError: The command failed.
    """
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}

    # DVC's client of S3 reads AWS_DEFAULT_REGION only.
    if region := os.environ.get("AWS_REGION"):
        environment["AWS_DEFAULT_REGION"] = region

    # As a module of this Python, so that it is the version that is installed with the project.
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StoreError(_explain(done.stderr or done.stdout, remote))
    return done.stdout


def _explain(output: str, remote: str) -> str:
    """Return one line for what a failed DVC command printed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines or ["no reason given"])[0].removeprefix("unexpected error - ")

    for pattern, meaning in _CAUSES.items():
        if re.search(pattern, output, re.IGNORECASE):
            return meaning.format(remote=remote, reason=reason)
    return f"dvc: {reason}"
