"""Who may write predictions: a role, and a user and an API key that have only this role."""

import os
from pathlib import Path

from errors import ConfigError, ElasticError
from monitoring.elastic import Elastic, JsonObject
from monitoring.signers import basic
from monitoring.steps import Report, current, ensure

WRITER = "cola_writer"
"""The name of the role and of its user."""

WRITER_ROLE: JsonObject = {
    "cluster": ["monitor"],
    "indices": [{"names": ["cwl-*"], "privileges": ["create_doc", "auto_configure"]}],
}


def provision_security(server: Elastic, report: Report, key_file: Path | None) -> None:
    """Write the writer's role, user and API key, and Kibana's password, each where asked for.

    Args:
        server: Elasticsearch, with an administrator's credentials.
        report: Takes what was done.
        key_file: Where to write an API key. None: make none.

    The environment asks for the rest: WRITER_PASSWORD for the user, KIBANA_SYSTEM_PASSWORD for the
    password that Kibana itself logs in with.

    Raises:
        ConfigError: ``key_file`` cannot be written.
        ElasticError: The server refused one of them.
    """
    writer_password = os.environ.get("WRITER_PASSWORD")
    kibana_password = os.environ.get("KIBANA_SYSTEM_PASSWORD")
    if not (writer_password or kibana_password or key_file):
        return

    path = f"/_security/role/{WRITER}"
    ensure(report, f"role {WRITER}", server, path, WRITER_ROLE, current(server, path, WRITER))

    if writer_password:
        user = {
            "password": writer_password,
            "roles": [WRITER],
            "full_name": "Writes predictions, nothing else",
        }
        _set_password(server, report, WRITER, f"/_security/user/{WRITER}", user)

    if kibana_password:
        path = "/_security/user/kibana_system/_password"
        _set_password(server, report, "kibana_system", path, {"password": kibana_password})

    if key_file:
        _create_key(server, report, key_file)


def _set_password(server: Elastic, report: Report, user: str, path: str, body: JsonObject) -> None:
    """Write a user unless it can log in with its password already.

    Args:
        server: Elasticsearch, with an administrator's credentials.
        report: Takes what was done.
        user: The user's name.
        path: Where to write it.
        body: What to write; ``password`` is the password.
    """
    # No server gives a password back: whether it is the right one is seen by logging in.
    as_user = Elastic(server.url, basic(user, body["password"]))
    try:
        as_user.request("GET", "/_security/_authenticate")
        report.add(f"user {user}", "unchanged")
    except ElasticError as error:
        if error.status != 401:
            raise
        server.request("PUT", path, body)
        report.add(f"user {user}", "written")


def _create_key(server: Elastic, report: Report, path: Path) -> None:
    """Make an API key for the writer's role and write it to a file that only its owner reads.

    Raises:
        ConfigError: The file cannot be made; there is no key then.
        ElasticError: The server refused the key; there is no file then.
    """
    # First the file, never with wider rights: a key that cannot be written stays valid for ever.
    try:
        path.touch(0o600, exist_ok=False)
    except FileExistsError:
        # Elasticsearch shows a key only once: with the file lost, the next run makes another key.
        report.add(f"writer key in {path}", "unchanged")
        return
    except OSError as error:
        raise ConfigError(
            f"--key-file {path}: {error.strerror}: name a file in a folder that you may write to"
        ) from None

    body = {"name": "cola-forwarder", "role_descriptors": {WRITER: WRITER_ROLE}}
    try:
        key = server.request("POST", "/_security/api_key", body)
        path.write_text(key["encoded"] + "\n", encoding="utf-8")
    except BaseException:
        # An empty file would pass for a key at the next run.
        path.unlink()
        raise
    report.add(f"writer key in {path}", "created")
