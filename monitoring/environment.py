"""Write .env: the passwords and keys that docker compose needs, random, alphanumeric, readable by you alone.

    python -m monitoring.environment           # `make env`; a value that is there already stays

docker-compose.yml reads them; nothing else does. Deleting .env locks you out of data that is already there:
remove the volumes with it (docker compose down --volumes).
"""

import argparse
import os
import secrets
import string
from pathlib import Path

from commands.run import run_command

ALPHABET = (
    string.ascii_letters + string.digits
)  # what no shell, URL or YAML file reads in its own way
NAMES = {
    "ELASTIC_PASSWORD": "administrator `elastic`: Kibana's login",
    "KIBANA_SYSTEM_PASSWORD": "what Kibana itself logs in with",
    "WRITER_PASSWORD": "what Filebeat logs in with; may only create documents in cwl-*",
    "KIBANA_SECURITY_KEY": "encrypts sessions",
    "KIBANA_OBJECTS_KEY": "encrypts rules and connectors; must stay the same for them to work",
    "KIBANA_REPORTING_KEY": "encrypts reports",
}
LENGTH = 32  # Kibana asks for at least 32 characters of its keys


def write(path: Path) -> list[str]:
    """Add to `path` the names it lacks; return them."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    present = {line.partition("=")[0].strip() for line in text.splitlines()}
    missing = [name for name in NAMES if name not in present]
    lines = [f"# {NAMES[name]}\n{name}={_random()}\n" for name in missing]
    if missing:
        separator = "" if not text or text.endswith("\n") else "\n"
        with open(
            path, "a", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
        ) as file:
            file.write(separator + "".join(lines))
        path.chmod(0o600)
    return missing


def _random() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def main() -> None:
    """The command: see the module's docstring."""
    parser = argparse.ArgumentParser(description="Write the passwords that docker compose needs.")
    parser.add_argument("path", nargs="?", type=Path, default=Path(".env"))
    path = parser.parse_args().path
    added = write(path)
    print(f"{path}: {'added ' + ', '.join(added) if added else 'complete'}")


if __name__ == "__main__":
    run_command(main)
