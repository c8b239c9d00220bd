"""Asks GitHub for a retraining run: ``repository_dispatch`` of type ``drift``.

Reads GITHUB_TOKEN (a token that may write the repository's contents; in Actions a fine-grained one,
since the default token starts no further runs) and GITHUB_API_URL (default https://api.github.com).

Whether a run is due is decided where it would happen, by the workflow train.yaml. What is asked for
twice, by two checks or because an answer was lost, is therefore done once.
"""

import os
import re

from errors import ColaError, ElasticError
from monitoring.elastic import Elastic, JsonObject


def read_token(repository: str) -> str:
    """Return the token with which a repository is asked.

    Raises:
        ColaError: There is none, or the repository is not given as OWNER/REPO.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+/[A-Za-z0-9._-]+", repository):
        raise ColaError(f"--dispatch {repository}: give OWNER/REPO, as in GitHub's own addresses")

    token = os.environ.get("GITHUB_TOKEN")
    if not token:
        raise ColaError("cannot ask for a retraining run: set GITHUB_TOKEN, or drop --dispatch")
    return token


def ask_for_retraining(repository: str, verdict: JsonObject) -> None:
    """Send the verdict to a repository, given as OWNER/REPO.

    Raises:
        ColaError: There is no token, or GitHub refused or did not answer.
    """
    token = read_token(repository)
    github = Elastic(
        os.environ.get("GITHUB_API_URL") or "https://api.github.com",
        lambda method, url, body: {"Authorization": f"Bearer {token}"},
        {"X-GitHub-Api-Version": "2022-11-28"},
    )
    body = {"event_type": "drift", "client_payload": {"drift": verdict}}
    try:
        github.request("POST", f"/repos/{repository}/dispatches", body)
    except ElasticError as error:
        hint = "does GITHUB_TOKEN have write access to the repository's contents?"
        raise ColaError(f"no retraining run: {error}: {hint}") from None
    print(f"asked {repository} for a retraining run; train.yaml there decides whether one is due")
