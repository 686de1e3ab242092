"""ExifTool itself, to ask what is in a file: one process for many calls. Its start takes longer than what it is asked.

By hand, and not by PyExifTool: the dashboard's image, whose build runs tests too, does not have that.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

_STATUS, _READY = "{status ${status}}", "{ready1}"


class PlainExifTool:
    """As one calls it in a shell, without a configuration."""

    def __init__(self, process: subprocess.Popen[str], complaints: IO[str]) -> None:
        self._process, self._complaints = process, complaints

    def run(self, *arguments: str | Path) -> str:
        """What a call prints. One that ends with an error fails the test."""
        assert self._process.stdin is not None and self._process.stdout is not None
        lines = [*map(str, arguments), "-echo3", _STATUS, "-execute1"]
        assert not any("\n" in line for line in lines), "an argument is a line"
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()
        said = ""
        while not said.endswith(f"{_READY}\n"):
            line = self._process.stdout.readline()
            assert line, f"exiftool {arguments} has ended: {self._complained()}"
            said += line
        printed, _, status = said.removesuffix(f"{_READY}\n").rpartition(_STATUS.partition("$")[0])
        assert status == "0}\n", f"exiftool {arguments}: {self._complained()}"
        return printed

    def _complained(self) -> str:
        self._complaints.seek(0)
        return self._complaints.read()


@contextmanager
def running() -> Iterator[PlainExifTool]:
    """A process of its own."""
    command = ["exiftool", "-config", "", "-stay_open", "True", "-@", "-"]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=complaints, text=True, encoding="utf-8", errors="surrogateescape"
        ) as process,
    ):
        try:
            yield PlainExifTool(process, complaints)
        finally:
            process.communicate("-stay_open\nFalse\n")


@pytest.fixture(scope="module")
def plain_exiftool() -> Iterator[PlainExifTool]:
    """One for all tests of a module."""
    with running() as tool:
        yield tool
