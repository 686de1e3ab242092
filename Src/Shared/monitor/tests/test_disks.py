"""Free space: what it means, and disks that are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from Src.Shared.monitor.disks import Disk, drop_same_disk
from Src.Shared.monitor.finding import Finding


def look(folder: Path, warning: float = 10.0, error: float = 2.0) -> Finding:
    return Disk("disk", folder, warning, error).look()["disk"]


@pytest.mark.parametrize(
    ("warning", "error", "state"), [(0, 0, "OK"), (100, 0, "WARNING"), (100, 100, "ERROR"), (0, 100, "ERROR")]
)
def test_thresholds(tmp_path: Path, warning: float, error: float, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)  # others write to it meanwhile
    found = look(tmp_path, warning, error)
    assert found.state == state
    assert found.details["percent_free"] == pytest.approx(100 * disk.f_bavail / disk.f_blocks, abs=0.01)
    if state == "OK":
        assert found.message is None
    else:
        assert found.message is not None and "% free (" in found.message and str(tmp_path) in found.message


def test_a_folder_that_is_not_made_yet_is_on_the_disk_it_will_be_on(tmp_path: Path) -> None:
    assert look(tmp_path / "not" / "yet").details["device"] == tmp_path.stat().st_dev


def test_a_disk_that_cannot_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    found = look(tmp_path / "loop" / "inbox")
    assert found.state == "ERROR"
    assert found.message is not None and "cannot be looked at" in found.message


def test_one_disk_is_told_once(tmp_path: Path) -> None:
    findings = {name: look(tmp_path / name) for name in ("inbox", "vault")} | {"librarian": Finding("OK")}
    assert list(drop_same_disk(findings)) == ["vault", "librarian"]
    findings["inbox"].details["device"] = -1
    assert list(drop_same_disk(findings)) == ["inbox", "vault", "librarian"]
