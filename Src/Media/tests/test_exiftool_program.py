"""Which ExifTool is here: missing, too old, or used; one sentence says what to do."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from Src.Media.exiftool_program import exiftool_here, refusal_of
from Src.Media.unread import unread_here

_MOMENTS = itertools.count(1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, says: str) -> None:
    tool = folder / "exiftool"
    tool.unlink(missing_ok=True)
    tool.write_text(f"#!/bin/sh\necho {says}\n")
    tool.chmod(0o755)
    moment = 10**18 + next(_MOMENTS)
    os.utime(tool, ns=(moment, moment))  # it is another one, however soon after the last it was written


def test_none_is_missing(folder: Path) -> None:
    here = exiftool_here(trust_any_version=False)
    assert not here.is_used and here.version is None and "missing" in str(here.problem)


def test_an_old_one_is_not_used_and_the_sentence_says_what_to_do(folder: Path) -> None:
    put(folder, "12.37")
    here = exiftool_here(trust_any_version=False)
    assert not here.is_used and here.version == "12.37"
    assert here.problem == refusal_of("12.37")
    for words in ("12.37", "12.38 or newer", "EXIFTOOL_UNSAFE=1"):
        assert words in str(here.problem)
    assert exiftool_here(trust_any_version=True).is_used


def test_one_that_was_installed_meanwhile_is_seen(folder: Path) -> None:
    put(folder, "12.37")
    assert not exiftool_here(trust_any_version=False).is_used
    put(folder, "13.36")
    here = exiftool_here(trust_any_version=False)
    assert here.is_used and here.version == "13.36"


def test_one_that_does_not_say_is_left_to_the_readers(folder: Path) -> None:
    put(folder, "nonsense")
    here = exiftool_here(trust_any_version=False)
    assert here.is_used and here.version is None


def test_it_is_started_once_for_all_that_is_asked_of_it(folder: Path) -> None:
    tool = folder / "exiftool"
    tool.write_text(
        '#!/bin/sh\necho start >>starts\necho "ExifTool version 13.36"\necho "Optional libraries:"\n'
        'echo "  Archive::Zip   (not installed)"\necho "  Time::Piece   1.34"\n'
    )
    tool.chmod(0o755)
    here = exiftool_here(trust_any_version=False)
    assert here.version == "13.36" and here.missing_modules == {"Archive::Zip"}
    unread_here(trust_any_version=False)
    assert (folder / "starts").read_text() == "start\n"
