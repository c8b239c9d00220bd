"""Run DVC, with its many lines of error as one that says what to do.

`model-store` in .dvc/config has no bucket: it is named by MODEL_STORE_URL, or with
`dvc remote modify --local model-store url s3://BUCKET/dvc`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from errors import ColaError

UNNAMED = "s3://NAME-YOUR-BUCKET/dvc"  # capitals: no bucket can have this name
_NAME_IT = (
    "remote 'model-store' has no bucket yet: set MODEL_STORE_URL=s3://BUCKET/dvc, or use the folder on this "
    "machine with REMOTE=local"
)
_CAUSES = {
    r"Unable to locate credentials|NoCredentials": "no AWS credentials: `aws sso login` or set AWS_PROFILE",
    r"ExpiredToken|token.*expired": "the AWS credentials have expired: sign in again with `aws sso login`",
    r"Forbidden|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|\(403\)": (
        "remote {remote!r} refuses these credentials: set AWS_PROFILE to one that may use it"
    ),
    r"NoSuchBucket|bucket does not exist": "remote {remote!r} names no existing bucket: check its URL",
    r"Could not connect|EndpointConnection|Connect(ion)? (timeout|refused)|Name or service not known": (
        "remote {remote!r} cannot be reached: check its URL, AWS_ENDPOINT_URL and the network"
    ),
    r"neither locally nor on remote|missing-files": (
        "remote {remote!r} does not hold this model: check its URL, or push again from where it was made"
    ),
    r"is going to be removed|unsaved|ConfirmRemove": (
        "models/model.onnx is not the pointer's model and was never pushed: push it, or move it away first"
    ),
    r"remote.*(doesn't exist|not found)|no remote": "there is no remote {remote!r}: see .dvc/config",
    r"not installed|requires .*dvc.*\[|No module named": "remote {remote!r} needs a package more: {reason}",
    r"Unable to acquire lock": "another DVC command is running here: wait for it",
}


class StoreError(ColaError):
    """The model store, or DVC, did not do what was asked; the message says what mends it."""


def name_remote(root: Path, remote: str) -> None:
    """Give `model-store` the URL in MODEL_STORE_URL, on this machine only; StoreError if it has none."""
    if remote != "model-store":
        return
    known = dvc(root, remote, "remote", "list").split()
    url = os.environ.get("MODEL_STORE_URL")
    if url and url not in known:
        dvc(root, remote, "remote", "modify", "--local", remote, "url", url)
    elif UNNAMED in known:
        raise StoreError(_NAME_IT)


def dvc(root: Path, remote: str, *arguments: str) -> str:
    """Run one DVC command in ``root`` and return what it printed; raise StoreError if it fails."""
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StoreError(_explain(done.stderr or done.stdout, remote))
    return done.stdout


def _explain(output: str, remote: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines or ["no reason given"])[0].removeprefix("unexpected error - ")
    for pattern, meaning in _CAUSES.items():
        if re.search(pattern, output, re.IGNORECASE):
            return meaning.format(remote=remote, reason=reason)
    return f"dvc: {reason}"
