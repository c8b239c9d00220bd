"""Chapter 9: the forwarder (monitoring/forwarder.py) as a zip file that Lambda runs.

    python -m infra.forwarder_zip forwarder.zip     # write it here
    python -m infra.forwarder_zip s3://BUCKET       # upload it; prints the key for the stack

It holds this project's code only: the forwarder needs the standard library, and Lambda's Python
brings botocore. The same code gives the same bytes and the same key, so that a stack whose
forwarder has not changed stays as it is. ``make deploy`` uploads it; the stack uses it if it
collects predictions (ElasticsearchUrl or SearchDomain).
"""

import argparse
import hashlib
import io
import zipfile
from pathlib import Path

from commands.run import run_command
from infra.aws import aws_errors, client

ROOT = Path(__file__).parents[1]
FILES = (
    "errors.py",
    "monitoring/__init__.py",
    "monitoring/dead_letters.py",
    "monitoring/delivery.py",
    "monitoring/elastic.py",
    "monitoring/forwarder.py",
    "monitoring/log_events.py",
    "monitoring/log_messages.py",
    "monitoring/signers.py",
)


def build() -> bytes:
    """Return the zip file's bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            # A ZipInfo made from a name alone is of 1980: the date of a checkout changes nothing.
            entry = zipfile.ZipInfo(name)

            # Lambda runs the code as a user of its own, who must be able to read it.
            entry.external_attr = 0o644 << 16

            archive.writestr(entry, (ROOT / name).read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def upload(bucket: str) -> str:
    """Put the zip file into a bucket; return its key, which names its whole digest.

    Raises:
        DeployError: AWS refused.
    """
    body = build()
    key = f"forwarder/{hashlib.sha256(body).hexdigest()}.zip"

    # Always: an object that is there under this name may be somebody else's code.
    with aws_errors():
        client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return key


def main() -> None:
    """Write or upload the zip file, as the argument says."""
    parser = argparse.ArgumentParser(description="The forwarder as a zip that Lambda runs.")
    parser.add_argument("target", help="a file, or s3://BUCKET")
    target = parser.parse_args().target

    if target.startswith("s3://"):
        print(upload(target.removeprefix("s3://").partition("/")[0]))
    else:
        Path(target).write_bytes(build())
        print(f"wrote {target}")


if __name__ == "__main__":
    run_command(main)
