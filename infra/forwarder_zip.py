"""The forwarder as a zip that Lambda runs: standard library only, botocore comes with Lambda's Python.

    python -m infra.forwarder_zip forwarder.zip             # write it here
    python -m infra.forwarder_zip s3://BUCKET               # upload it; prints the key for the stack

The same code gives the same bytes and the same key, so that a stack whose forwarder has not changed stays as
it is. `make deploy` uploads it when the stack collects predictions (ElasticsearchUrl or SearchDomain).
"""

import argparse
import hashlib
import io
import zipfile
from pathlib import Path

from commands.run import run_command

ROOT = Path(__file__).parents[1]
FILES = (
    "errors.py",
    "monitoring/__init__.py",
    "monitoring/delivery.py",
    "monitoring/elastic.py",
    "monitoring/forwarder.py",
)


def build() -> bytes:
    """The zip's bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            entry = zipfile.ZipInfo(name)  # its date is fixed, 1980
            entry.external_attr = 0o644 << 16  # readable by Lambda's user
            archive.writestr(entry, (ROOT / name).read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def upload(bucket: str) -> str:
    """Put the zip into `bucket` unless it is there; return its key."""
    from infra.aws import client, one_line_errors

    body = build()
    key = f"forwarder/{hashlib.sha256(body).hexdigest()[:12]}.zip"
    with one_line_errors():
        s3 = client("s3")
        if not s3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount"):
            s3.put_object(Bucket=bucket, Key=key, Body=body)
    return key


def main() -> None:
    """The command: see the module's docstring."""
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
