"""Which filesystem a folder is on, asked of real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from Src.Shared.disk import filesystem
from Src.Shared.disk.filesystem import filesystem_type, sends_events, syncs_by_syncfs
from Src.Testing.surroundings import SmallFilesystem


@pytest.mark.parametrize("kind", ["tmpfs", "ext4", "xfs", "btrfs"])
def test_a_local_filesystem_is_known_by_its_name_sends_events_and_syncs(
    kind: str, small_filesystem: SmallFilesystem
) -> None:
    folder = small_filesystem(kind, 320 if kind == "xfs" else 120)
    assert filesystem_type(folder) == kind
    assert sends_events(folder) and syncs_by_syncfs(folder)


def test_a_btrfs_subvolume_is_found_by_its_path_even_with_a_space_in_it(small_filesystem: SmallFilesystem) -> None:
    outer = small_filesystem("tmpfs", 200)
    image, place = outer / "image", outer / "my \\ photos\t"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(120 << 20)
    if (
        shutil.which("btrfs") is None
        or subprocess.run(["mkfs.btrfs", "-q", str(image)], capture_output=True).returncode
    ):
        pytest.skip("no btrfs tools here")
    if subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True).returncode:
        pytest.skip("no btrfs in this kernel")
    try:
        subprocess.run(["btrfs", "subvolume", "create", str(place / "sub")], check=True, capture_output=True)
        assert os.stat(place / "sub").st_dev != os.stat(place).st_dev
        assert filesystem_type(place / "sub") == "btrfs"
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_program_behind_the_filesystem_does_not_hear_of_syncfs(small_filesystem: SmallFilesystem) -> None:
    folder = small_filesystem("exfat-fuse", 20)
    assert filesystem_type(folder).startswith("fuse")
    assert not syncs_by_syncfs(folder)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs", "fuse", "vboxsf"])
def test_where_others_write_behind_our_kernel_no_events_are_expected(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "filesystem_type", lambda folder: kind)  # no such mount can be had here
    assert not sends_events(tmp_path)


@pytest.mark.parametrize(("kind", "enough"), [("nfs4", True), ("ceph", True), ("cifs", False), ("fuse.sshfs", False)])
def test_files_are_synced_one_by_one_where_syncfs_ends_in_our_kernel(
    kind: str, enough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "filesystem_type", lambda folder: kind)
    assert syncs_by_syncfs(tmp_path) is enough


def test_a_folder_that_is_not_there_has_no_type_and_counts_as_local(tmp_path: Path) -> None:
    assert filesystem_type(tmp_path / "gone") == ""
    assert sends_events(tmp_path / "gone")


def test_the_root_and_an_open_file_are_told_too() -> None:
    assert filesystem_type(Path("/")) != ""
    fd = os.open("/", os.O_RDONLY)
    try:
        assert filesystem_type(Path(f"/proc/self/fd/{fd}")) == filesystem_type(Path("/"))
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("release", "enough"),
    [("4.19.0-26-amd64", False), ("5.4.0-200-generic", False), ("5.7.19", False), ("5.8.0", True), ("6.1.0-18", True)],
)
def test_on_kernels_that_report_no_write_error_by_syncfs_each_file_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, enough: bool
) -> None:
    here = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((here[0], here[1], release, here[3], here[4])))
    assert syncs_by_syncfs(tmp_path) == enough
