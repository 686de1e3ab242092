"""The factory's folders are known again through other mounts, those in them too."""

from __future__ import annotations

from pathlib import Path

import pytest

from Src.Library.own_folders import OwnFolders
from Src.Shared.disk.mounts import Mount
from Src.Shared.settings import Settings


def test_a_disk_that_is_mounted_in_the_vault_is_the_vaults(
    factory_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One year's folder is another disk, which is seen by itself as well."""
    year = factory_settings.originals / "2019"
    disk, stick, other = tmp_path / "disk2", tmp_path / "stick", factory_settings.data / "stick"
    for folder in (year, disk / "photos" / "2019-01-01", stick, other):
        folder.mkdir(parents=True, exist_ok=True)
    mounted = [
        Mount("8:1", "/", "/"),
        Mount("8:17", "/photos", str(year)),
        Mount("8:17", "/", str(disk)),
        Mount("8:33", "/", str(other)),
        Mount("8:33", "/", str(stick)),
    ]
    monkeypatch.setattr("Src.Library.own_folders.mounts", lambda: mounted)
    own = OwnFolders(factory_settings)
    for folder in (disk / "photos", disk / "photos" / "2019-01-01"):
        found = own.around(folder)
        assert found is not None and found.path in (factory_settings.storage, factory_settings.originals)
    assert own.around(disk) is None
    assert own.inside(disk) is not None
    assert own.around(stick) is own.inside(stick) is None, "what is mounted beside the vault may be anybody's"
