"""For all tests: reports can go from process to process, what shares a factory stays in one, and Ctrl-C is heard."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run that a shell has put in the background. What is tested would not hear Ctrl-C either.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reports travel as UTF-8, and names that are not UTF-8 are what many tests are about."""
    report = yield
    report.sections = [(name, _printable(content)) for name, content in report.sections]
    if report.longrepr is not None and (told := str(report.longrepr)) != _printable(told):
        report.longrepr = _printable(told)
    return report


def pytest_collection_finish(session: pytest.Session) -> None:
    """A pytest that pytest-xdist does not know would scatter the tests of a group, and say nothing."""
    if getattr(session.config.option, "dist", "no") == "loadgroup" and os.environ.get("PYTEST_XDIST_WORKER"):
        for item in session.items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
                raise pytest.UsageError(f"pytest-xdist did not see the group of {item.nodeid}: which pytest is this?")


def _printable(content: str) -> str:
    return content.encode("utf-8", "backslashreplace").decode()
