"""For all tests: what they report can go from process to process."""

from __future__ import annotations

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reports travel as UTF-8, and names that are not UTF-8 are what many tests are about."""
    report = yield
    report.sections = [(name, _printable(content)) for name, content in report.sections]
    if report.longrepr is not None and (told := str(report.longrepr)) != _printable(told):
        report.longrepr = _printable(told)
    return report


def _printable(content: str) -> str:
    return content.encode("utf-8", "backslashreplace").decode()
