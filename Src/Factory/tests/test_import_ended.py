"""An import that the vault's disk ends: what it says, and that a second one goes on."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from Src.Factory.batch import run_import
from Src.Shared.errors import ExitCode
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.surroundings import SmallFilesystem

CANON = (PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples" / "Canon_40D.jpg").read_bytes()


def test_a_full_disk_ends_it_with_what_was_done_and_the_next_one_goes_on(
    factory_settings: Settings, small_filesystem: SmallFilesystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = small_filesystem("tmpfs", 4)
    settings = replace(factory_settings, storage=disk / "Storage", readers=1, batch_size=40)
    source = tmp_path / "source"
    source.mkdir()
    for number in range(300):  # some have room, and not all
        (source / f"{number:03}.jpg").write_bytes(CANON + b"%03d" % number + os.urandom(15_000))

    def imported() -> int:
        return run_import(settings, sources=[str(source)], move=False, as_json=True)

    assert imported() == ExitCode.FOUND
    said = capsys.readouterr()
    ended = json.loads(said.out)
    assert 0 < ended["new"] == ended["entries"] < 300
    assert "the disk is full" in ended["trouble"] and "the disk is full" in said.err
    placed = {path.name for path in settings.originals.rglob("*.jpg")}
    for path in source.iterdir():
        if path.name not in placed:
            path.unlink()
    assert imported() == ExitCode.WELL
    again = json.loads(capsys.readouterr().out)
    assert (again["new"] + ended["new"], again["duplicates"]) == (len(placed), ended["new"])
    assert "trouble" not in again
