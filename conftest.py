"""For all tests: reports can go from process to process, what shares a factory stays in one, Ctrl-C is heard, and where
several processes share the tests, the long ones come first."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from Src.Testing.examples import ask_for

STACK = Path(__file__).parent / "Stack"
LONGEST_ID = 1000  # characters of a value in the name of a test

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A run that a shell has put in the background. What is tested would not hear Ctrl-C either.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--examples", type=int, metavar="N", help="examples that each long property-based test tries")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names go from process to process with each report: the content of a file (12 MB, once) is none."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        return f"{argname} of {len(val)}"
    return None


def pytest_configure(config: pytest.Config) -> None:
    ask_for(config.getoption("--examples"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the longest first: else they would be begun last, and all processes but one would wait for them.

    After those that may take longest come those of whole factories, which wait for much of their time: what needs a
    core fits beside them. A test that tries as many examples as somebody asks for has no limit of time.
    """
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items.sort(key=lambda item: (-_time_limit(item), STACK not in item.path.parents))
    if config.getoption("--examples"):
        for item in items:
            item.add_marker(pytest.mark.timeout(0))


def _time_limit(item: pytest.Item) -> float:
    """Seconds that the test itself asks for; 0 where it asks for none."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker is not None else 0.0


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
