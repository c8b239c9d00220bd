"""Chapter 9: pin the images of others by digest.

    python -m infra.digests         # or `make digests`

A tag may be moved to other content by whoever owns it; a digest is the content. Each reference
NAME:TAG gets the digest that its registry has for the tag now, and one that is pinned already gets
it anew. Run it again to take the security updates that were published under the same tag.
"""

import argparse
import re
from pathlib import Path

from commands.run import run_command
from errors import DeployError
from infra.image import docker

_DIGEST = "sha256:[0-9a-f]{64}"
_TAG = rf"(?P<tag>[\w.-]+)(?P<pin>(?:@{_DIGEST})?)"

REFERENCES = {
    "Dockerfile": re.compile(rf"^ARG BASE=(?P<name>\S+?):{_TAG}$", re.MULTILINE),
    # The digest is a part of the default: with another ELASTIC_VERSION it would be the wrong one.
    "docker-compose.yml": re.compile(
        rf"^ +image: (?P<name>\S+?):\$\{{ELASTIC_VERSION:-{_TAG}\}}$", re.MULTILINE
    ),
}
"""How each file names an image of somebody else."""


def pin(text: str, reference: re.Pattern[str]) -> str:
    """Return a file's text with a digest after each tag.

    Raises:
        DeployError: A registry cannot be reached or does not know the tag, or there is no
            reference in the text.
    """

    def with_digest(match: re.Match[str]) -> str:
        digest = _look_up(f"{match['name']}:{match['tag']}")
        before, after = text[match.start() : match.end("tag")], text[match.end("pin") : match.end()]
        return f"{before}@{digest}{after}"

    pinned, count = reference.subn(with_digest, text)
    if count == 0:
        raise DeployError(f"no image to pin: nothing looks like {reference.pattern}")
    return pinned


def _look_up(name: str) -> str:
    """Return the digest of NAME:TAG, that of the index where there is one per processor."""
    inspect = ("buildx", "imagetools", "inspect", name, "--format", "{{.Manifest.Digest}}")
    try:
        digest = docker(*inspect)
    except DeployError as error:
        raise DeployError(
            f"no digest for {name}, so no file was changed: {error};"
            " this needs Docker's buildx and a network in which the image can be pulled"
        ) from None

    if re.fullmatch(_DIGEST, digest) is None:
        raise DeployError(f"docker gave {digest!r} for the digest of {name}, not sha256:...")

    print(f"{name}@{digest}")
    return digest


def main() -> None:
    """Pin the references of all files, or of none if a registry does not answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1])
    folder = parser.parse_args().folder

    pinned = {
        folder / name: pin((folder / name).read_text("utf-8"), reference)
        for name, reference in REFERENCES.items()
    }
    for path, text in pinned.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    run_command(main)
