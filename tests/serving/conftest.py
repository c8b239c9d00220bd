"""Fixtures of the serving tests."""

import shutil

import pytest

from tests.helpers.paths import ROOT


@pytest.fixture(scope="session")
def emulator() -> str:
    """AWS's runtime interface emulator: on PATH, or in the package that `make tools` installs."""
    pytest.importorskip("awslambdaric", reason="awslambdaric is not installed")
    if found := shutil.which("aws-lambda-rie"):
        return found

    pattern = ".venv-sam/lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64"
    for program in ROOT.glob(pattern):
        program.chmod(0o755)
        return str(program)
    pytest.skip("no aws-lambda-rie on PATH: run `make tools`")
