"""A name is given in one step, and never one that is taken."""

from __future__ import annotations

import os

import pytest

from Src.Shared.disk.naming import rename_unless_taken
from Src.Testing.surroundings import SmallFilesystem


@pytest.mark.parametrize("kind", ["ext4", "exfat-fuse"])  # one that can spare, and one that must reserve
def test_a_rename_never_replaces(kind: str, small_filesystem: SmallFilesystem) -> None:
    folder = small_filesystem(kind, 20)
    (folder / "new").write_bytes(b"new")
    (folder / "taken").write_bytes(b"taken")
    with pytest.raises(FileExistsError):
        rename_unless_taken(folder / "new", folder / "taken")
    assert (folder / "taken").read_bytes() == b"taken"
    rename_unless_taken(folder / "new", folder / "free")
    assert (folder / "free").read_bytes() == b"new" and not (folder / "new").exists()


def test_a_rename_that_fails_leaves_no_reserved_name(small_filesystem: SmallFilesystem) -> None:
    folder = small_filesystem("exfat-fuse", 20)
    (folder / "source").mkdir()  # cannot be renamed over a file
    with pytest.raises(NotADirectoryError):
        rename_unless_taken(folder / "source", folder / "target")
    assert os.listdir(folder) == ["source"]
