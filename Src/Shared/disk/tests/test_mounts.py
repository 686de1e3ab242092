"""A folder's place on its filesystem, by a list of mounts."""

from __future__ import annotations

from pathlib import Path

from Src.Shared.disk.mounts import Mount, Place, mounts, place_of, places_at_and_below

# A container's: the host's /home/me/data at /data, all of /home/me for an import, a stick below it.
MOUNTS = [
    Mount("0:50", "/", "/"),
    Mount("8:1", "/home/me/data", "/data"),
    Mount("8:1", "/home/me", "/import/me"),
    Mount("8:17", "/", "/import/me/stick"),
]


def test_a_folder_is_the_same_through_two_mounts() -> None:
    through_one = place_of(Path("/data/Storage"), MOUNTS)
    assert through_one == place_of(Path("/import/me/data/Storage"), MOUNTS) == Place("8:1", "/home/me/data/Storage")
    assert place_of(Path("/data2"), MOUNTS) == Place("0:50", "/data2")
    assert place_of(Path("/import/me/stick/DCIM"), MOUNTS) == Place("8:17", "/DCIM")


def test_the_last_mount_at_a_place_hides_the_others() -> None:
    assert place_of(Path("/data/x"), [*MOUNTS, Mount("8:33", "/", "/data")]) == Place("8:33", "/x")


def test_what_a_walk_may_come_to() -> None:
    assert places_at_and_below(Path("/import"), MOUNTS) == [
        Place("0:50", "/import"),
        Place("8:1", "/home/me"),
        Place("8:17", "/"),
    ]


def test_within() -> None:
    assert Place("8:1", "/a/b").is_within(Place("8:1", "/a"))
    assert Place("8:1", "/a").is_within(Place("8:1", "/"))
    assert not Place("8:1", "/ab").is_within(Place("8:1", "/a"))
    assert not Place("8:2", "/a").is_within(Place("8:1", "/a"))


def test_the_kernels_list_is_read(tmp_path: Path) -> None:
    assert place_of(tmp_path.resolve(), mounts()) is not None
