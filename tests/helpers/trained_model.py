"""A test that lacks the model or a tool is skipped, but not where a job has made them."""

import os
from collections.abc import Generator

import pytest

# What the reasons of such skips name.
NEEDED = ("model.onnx", "make tools", "requirements_dev.txt")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail in GitHub Actions that is skipped for want of what its job has made."""
    report = yield
    lacks_something = report.skipped and any(name in str(report.longrepr) for name in NEEDED)
    if lacks_something and os.environ.get("GITHUB_ACTIONS"):
        report.outcome = "failed"
    return report
