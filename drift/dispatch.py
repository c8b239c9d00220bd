"""Start a retraining run: GitHub's `repository_dispatch` of type `drift`, at most one a cool-down.

Reads GITHUB_TOKEN (a token that may write the repository's contents; in Actions a fine-grained one, since the
default token starts no further runs) and GITHUB_API_URL (default https://api.github.com).
The time of the last dispatch is claimed before the request is sent, in Elasticsearch (`cola-dispatch`, by
optimistic concurrency) or beside the log file, so that two checks at once cannot fire twice; a request that
fails gives the claim back.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from errors import ColaError, ElasticError
from monitoring.elastic import Elastic

PATH = "/cola-dispatch/_doc/last"


class Cooldown(Protocol):
    """Where the time of the last dispatch is kept."""

    def claim(self, now: datetime, least: timedelta) -> bool:
        """Claim a dispatch at `now`; False if one was claimed less than `least` ago, or just now."""

    def release(self) -> None:
        """Give the claim back."""


class ElasticCooldown:
    """Kept in a document; a second claimant loses by its sequence number."""

    def __init__(self, server: Elastic) -> None:
        self._server = server
        self._before: str | None = None

    def claim(self, now: datetime, least: timedelta) -> bool:
        """See Cooldown."""
        condition = "?op_type=create"
        try:
            there = self._server.request("GET", PATH)
            self._before = there["_source"]["at"]
            condition = f"?if_seq_no={there['_seq_no']}&if_primary_term={there['_primary_term']}"
            if self._before is not None and now - datetime.fromisoformat(self._before) < least:
                return False
        except ElasticError as error:
            if error.status != 404:
                raise
        try:
            self._server.request("PUT", PATH + condition + "&refresh=true", {"at": now.isoformat()})
            return True
        except ElasticError as error:
            if error.status == 409:
                return False
            raise

    def release(self) -> None:
        """See Cooldown."""
        self._server.request("PUT", PATH, {"at": self._before})


class FileCooldown:
    """Kept in a file beside the log; the file's exclusive creation decides between two claimants."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_suffix(".lock")
        self._before: str | None = None

    def claim(self, now: datetime, least: timedelta) -> bool:
        """See Cooldown."""
        try:
            self._lock.touch(exist_ok=False)
        except FileExistsError:
            return False
        try:
            if self._path.exists():
                self._before = self._path.read_text(encoding="utf-8").strip()
                if now - datetime.fromisoformat(self._before) < least:
                    return False
            self._path.write_text(now.isoformat() + "\n", encoding="utf-8")
            return True
        finally:
            self._lock.unlink()

    def release(self) -> None:
        """See Cooldown."""
        if self._before is None:
            self._path.unlink(missing_ok=True)
        else:
            self._path.write_text(self._before + "\n", encoding="utf-8")


def cooldown(server: Elastic | None, log: Path | None) -> Cooldown:
    """The cool-down that belongs to where the predictions come from."""
    if server is not None:
        return ElasticCooldown(server)
    assert log is not None
    return FileCooldown(log.with_suffix(".last_dispatch"))


def send(repository: str, verdict: dict[str, Any], last: Cooldown, least: timedelta) -> bool:
    """Dispatch unless the cool-down has not passed. Returns whether it was sent; raises ColaError if GitHub
    refused."""
    token = os.environ.get("GITHUB_TOKEN")
    if not token:
        raise ColaError("cannot start a retraining run: set GITHUB_TOKEN, or leave --dispatch out")
    if not last.claim(datetime.now(UTC), least):
        print("a retraining run was started less than the cool-down ago: not started again")
        return False
    try:
        _post(repository, token, verdict)
    except BaseException:
        last.release()
        raise
    print(f"started a retraining run in {repository}")
    return True


def _post(repository: str, token: str, verdict: dict[str, Any]) -> None:
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
