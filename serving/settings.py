"""The servers' settings, read from the environment once, at start (docs/07_serve.md has the table).

    MAX_SENTENCES=64 LOG_TEXT=hash python app.py

A value that cannot be used stops the start with one line that names the variable.
"""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from errors import ConfigError
from prediction.cores import available_cores
from serving.explain import MAX_WORDS

# Cores that one event loop keeps busy: HTTP, JSON and the log line of a request take it about a
# fifth of the time that the model takes a core (docs/07_serve.md, "Several processes").
CORES_PER_WORKER = 4

MAX_WORKERS = 256

LOG_TEXT_MODES = ("full", "hash", "none")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True)
class Settings:
    """What can be configured; each field is the variable of the same name in capitals."""

    model_path: Path = Path("models/model.onnx")
    """The model file."""

    host: str = "127.0.0.1"
    """The address to listen on. The default is reached from this machine only."""

    port: int = 8000
    """0 picks a free one."""

    api_key: str = field(default="", repr=False)
    """What clients must send to predict; empty: anybody may. Visible ASCII characters."""

    allowed_hosts: tuple[str, ...] = ()
    """Names that clients may call the service by; ``*`` for any. Empty: any, unless it listens on
    this machine only: then this machine's, so that no web page reaches it by DNS rebinding, under a
    name of its own."""

    workers: int = 1
    """Processes that share the port."""

    threads: int = field(default_factory=available_cores)
    """Threads that predict, in each process."""

    max_sentences: int = 1024
    """Sentences per request."""

    max_characters: int = 10_000
    """Code points per sentence."""

    max_body_bytes: int = 2 * 1024 * 1024
    """Bytes per request body."""

    max_in_flight_bytes: int = 32 * 1024 * 1024
    """Bytes of all request bodies that are held at one time."""

    max_connections: int = 1000
    """Open connections."""

    max_waiting: int = 4096
    """Sentences, over all requests, that may wait for a worker."""

    log_text: str = "full"
    """What a log line says of the text: ``full``, ``hash`` (SHA-256) or ``none``."""

    log_file: Path | None = None
    """A file that gets the log lines too."""

    log_file_mb: int = 50
    """Megabytes at which that file is rotated; three earlier ones are kept."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings. A variable that is set but blank counts as not set.

        Space around a value is no part of it: it may be the line end of a file from Windows.

        Raises:
            ConfigError: A value cannot be used.
        """
        given = {name: value.strip() for name, value in environment.items() if value.strip()}
        cores = available_cores()
        default_workers = min(max(1, cores // CORES_PER_WORKER), MAX_WORKERS)
        workers = _integer(given, "WORKERS", default_workers, 1, MAX_WORKERS)

        settings = cls(
            workers=workers,
            threads=max(1, cores // workers),
            model_path=Path(given.get("MODEL_PATH", str(cls.model_path))),
            host=given.get("HOST", cls.host),
            port=_integer(given, "PORT", cls.port, 0, 65535),
            api_key=given.get("API_KEY", cls.api_key),
            allowed_hosts=tuple(given.get("ALLOWED_HOSTS", "").replace(",", " ").split()),
            max_sentences=_integer(given, "MAX_SENTENCES", cls.max_sentences, 1, 100_000),
            max_characters=_integer(given, "MAX_CHARACTERS", cls.max_characters, 1, 1_000_000),
            max_body_bytes=_integer(given, "MAX_BODY_BYTES", cls.max_body_bytes, 1024, 1 << 30),
            max_in_flight_bytes=_integer(
                given, "MAX_IN_FLIGHT_BYTES", cls.max_in_flight_bytes, 1024, 1 << 32
            ),
            max_connections=_integer(given, "MAX_CONNECTIONS", cls.max_connections, 1, 100_000),
            max_waiting=_integer(given, "MAX_WAITING", cls.max_waiting, 1, 1_000_000),
            log_text=given.get("LOG_TEXT", cls.log_text),
            log_file=Path(given["LOG_FILE"]) if "LOG_FILE" in given else None,
            log_file_mb=_integer(given, "LOG_FILE_MB", cls.log_file_mb, 1, 100_000),
        )
        settings._require_consistency()

        # A key that is there but blank is a mistake that would leave the service open.
        if environment.get("API_KEY") and not settings.api_key:
            raise ConfigError("API_KEY is blank: give a key, or leave the variable out")
        return settings

    def share(self) -> "Settings":
        """Return the settings of one of several workers, each with its part of the limits."""
        return replace(
            self,
            max_connections=math.ceil(self.max_connections / self.workers),
            max_in_flight_bytes=max(self.max_body_bytes, self.max_in_flight_bytes // self.workers),
            max_waiting=max(self.max_sentences, MAX_WORDS + 1, self.max_waiting // self.workers),
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names, in lower case, that clients may call the service by; empty for any."""
        if self.allowed_hosts:
            return () if "*" in self.allowed_hosts else tuple(map(str.lower, self.allowed_hosts))
        return LOOPBACK if self.host.lower() in LOOPBACK else ()

    def _require_consistency(self) -> None:
        if self.log_text not in LOG_TEXT_MODES:
            raise ConfigError(f"LOG_TEXT={self.log_text} is none of {', '.join(LOG_TEXT_MODES)}")

        # What getaddrinfo(3) is not even asked for: "0.0.0..0".
        try:
            self.host.encode("idna")
        except UnicodeError:
            raise ConfigError(f"HOST={self.host} is neither an address nor a name") from None

        if not re.fullmatch(r"[!-~]*", self.api_key):
            message = "API_KEY has characters that no header can carry: use visible ASCII ones"
            raise ConfigError(message)

        if self.max_in_flight_bytes < self.max_body_bytes:
            raise ConfigError(
                f"MAX_IN_FLIGHT_BYTES={self.max_in_flight_bytes} is less than "
                f"MAX_BODY_BYTES={self.max_body_bytes}, so the largest body could never be read"
            )

        if self.max_waiting <= MAX_WORDS:
            raise ConfigError(
                f"MAX_WAITING={self.max_waiting} is not more than the {MAX_WORDS} words that "
                "/explain takes, so the largest explanation could never be queued: raise it"
            )

        if self.max_waiting < self.max_sentences:
            raise ConfigError(
                f"MAX_WAITING={self.max_waiting} is less than MAX_SENTENCES={self.max_sentences}, "
                "so the largest request allowed could never be queued: raise MAX_WAITING"
            )


def _integer(given: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    try:
        value = int(given.get(name, default))
    except ValueError:
        raise ConfigError(f"{name}={given[name]} is not a whole number") from None

    if not low <= value <= high:
        raise ConfigError(f"{name}={value} is out of range: give {low} to {high}")
    return value
