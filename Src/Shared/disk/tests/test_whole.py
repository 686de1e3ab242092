"""Whether a folder is all of a disk, by a made-up /sys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from Src.Shared.disk import whole
from Src.Shared.disk.mounts import Mount
from Src.Shared.disk.whole import Whole, whole_disk


def test_all_of_a_disk_and_who_else_is_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices, blocks = tmp_path / "devices", tmp_path / "blocks"
    blocks.mkdir()

    def device(
        name: str, minor: int, *, partition: bool = False, slave: str = "", kind: str = "", loop: bool = False
    ) -> None:
        node = devices / name
        node.mkdir(parents=True)
        (blocks / f"8:{minor}").symlink_to(node)
        if partition:
            (node / "partition").touch()
        if loop:
            (node / "loop").mkdir()
        if slave:
            (node / "slaves").mkdir()
            (node / "slaves" / "x").symlink_to(devices / slave)
            (devices / slave / "holders").mkdir(exist_ok=True)
            (devices / slave / "holders" / node.name).symlink_to(node)
            (node / "dm").mkdir()
            (node / "dm" / "uuid").write_text(f"{kind}-1234\n")

    device("sda", 0)
    device("sda/sda1", 1, partition=True)
    device("sdb", 16)  # two partitions
    device("sdb/sdb1", 17, partition=True)
    device("sdb/sdb2", 18, partition=True)
    device("sdc", 32)  # none
    device("sdd", 48)
    device("sdd/sdd1", 49, partition=True)
    device("dm-0", 64, slave="sdd/sdd1", kind="CRYPT-LUKS2")  # all of it, encrypted
    device("sde", 96)
    device("sde/sde1", 97, partition=True)
    device("dm-1", 98, slave="sde/sde1", kind="LVM")  # the only volume that is active
    device("loop0", 80, loop=True)
    minors = {"one": 1, "half": 17, "rest": 18, "bare": 32, "dark": 64, "loop": 80, "bound": 1, "share": 99, "over": 32}
    minors["volume"] = 98
    for name in minors:
        (tmp_path / name).mkdir()
    (tmp_path / "over" / "inner").mkdir()
    numbers = {str(tmp_path / name): os.makedev(8, minor) for name, minor in minors.items()}
    numbers[str(tmp_path / "over" / "inner")] = os.makedev(8, 18)
    mounted = [
        Mount(f"8:{minor}", "/x" if name == "bound" else "/", str(tmp_path / name)) for name, minor in minors.items()
    ]
    mounted.append(Mount("8:18", "/", str(tmp_path / "over" / "inner")))
    monkeypatch.setattr(whole, "_BLOCKS", blocks)
    monkeypatch.setattr(whole, "mounts", lambda: mounted)
    monkeypatch.setattr(whole, "_device", lambda folder: numbers.get(str(folder)))

    def of(name: str, *others: str) -> Whole:
        return whole_disk(tmp_path / name, [tmp_path / other for other in others])

    assert of("one", "bare", "half") == (True, False)
    assert of("one", "bound") == (True, True)
    assert of("bare", "one") == (True, False)
    assert of("dark", "one") == (True, False)
    assert of("volume", "one") == (False, False), "its group may have others"
    assert of("half", "rest") == (False, True), "another part of the same disk"
    assert of("bound", "bare") == (False, False), "one folder of a disk"
    assert of("one", "share") == (True, None)
    assert of("share", "one") == of("loop", "one") == (False, None)
    assert of("share", "share") == (False, True)
    assert of("over", "one") == (False, False), "what it hides nobody sees"
    assert of("half", "over") == (False, True), "by what is mounted in that"
    assert of("one", "bare", "elsewhere") == (True, None), "as a database's folder that another container has"
    assert of("one/none", "half") == (False, None)
