"""Placing: complete or not at all, never over anything, and nothing left behind. On real filesystems."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from Src.Librarian.passage import IncomingFile, Placed, StillChanging
from Src.Librarian.place import copying, incoming_sync, placing
from Src.Librarian.place.copying import NameTaken, NotPlaced, ReadTrouble
from Src.Librarian.place.placing import Placer, Wanted
from Src.Librarian.place.sync_way import SyncWay
from Src.Library import vault as vault_module
from Src.Library.vault import Vault
from Src.Library.vault_folder import VaultFolder
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.disk.beneath import link_open_file
from Src.Shared.disk.files import FileState, NotARegularFile
from Src.Shared.disk.syncing import syncfs
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.patience import PATIENCE
from Src.Testing.surroundings import SmallFilesystem, WaitFor, somebody_waits_for_our_lease

DAY, OTHER_DAY = "Originals/2023/2023-12-25", "Originals/2024/2024-01-01"
OLD_NS = 1_000_000_000_123_456_789
ODD_NAMES = [
    "x" * 251 + ".jpg",
    "日" * 85,
    "a\nb.jpg",
    'it\'s "quoted" `$(x)`.jpg',
    "-rf",
    "--help.jpg",
    "\u202egpj.exe.jpg",
    "שלום.jpg",
    "foto\udcff\udcfe.jpg",
]

MakePlacer = Callable[[Path], tuple[Vault, Placer]]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def placer_in() -> Iterator[MakePlacer]:
    placers: list[Placer] = []

    def make(folder: Path) -> tuple[Vault, Placer]:
        vault = Vault(folder / "Storage")
        vault.create()
        vault.state.mkdir(exist_ok=True)
        placers.append(Placer(vault, threads=2))
        return vault, placers[-1]

    yield make
    for placer in placers:
        placer.close()


@pytest.fixture(params=["linked", "copied"])
def either(request: pytest.FixtureRequest, tmp_path: Path, placer_in: MakePlacer) -> tuple[Vault, Placer]:
    """A vault on the inbox's filesystem, and one on another."""
    if request.param == "linked":
        return placer_in(tmp_path)
    other: Path = request.getfixturevalue("other_filesystem")
    return placer_in(other)


def wanted(
    path: Path, name: str | None = None, folder: str = DAY, *, may_link: bool = True, only_name: bool = False
) -> Wanted:
    file = IncomingFile(str(path), path.name, FileState.of(os.lstat(path)))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wanted(file, sha256, folder, name or path.name, may_link, only_name)


def put(folder: Path, name: str, content: bytes = b"a photo", mode: int = 0o640) -> Path:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, ns=(OLD_NS, OLD_NS))
    return path


def ok(answer: Placed | NotPlaced) -> Placed:
    assert isinstance(answer, Placed), answer
    return answer


def files_in(vault: Vault) -> dict[str, bytes]:
    """Every regular file of the originals but the marker, hidden ones and temporary ones too."""
    return {
        str(path.relative_to(vault.originals)): path.read_bytes()
        for path in vault.originals.rglob("*")
        if not path.is_dir() and path.name != ".photo-factory-vault"
    }


def notes_in(vault: Vault) -> list[Path]:
    return list((vault.state / "copying").glob("*"))


# How it gets there


def test_on_one_filesystem_the_vaults_file_is_the_very_same_inode(
    tmp_path: Path, inbox: Path, placer_in: MakePlacer
) -> None:
    vault, placer = placer_in(tmp_path)
    path = put(inbox, "a.jpg")
    placed = ok(placer.place([wanted(path)])[0])
    assert placed.final_path == f"{DAY}/a.jpg" and placed.created
    assert os.path.samefile(vault.storage / placed.final_path, path)
    assert os.lstat(path).st_nlink == 2 and not notes_in(vault)


def test_on_two_filesystems_it_is_copied_and_nothing_else_is_left(
    inbox: Path, other_filesystem: Path, placer_in: MakePlacer
) -> None:
    vault, placer = placer_in(other_filesystem)
    content = os.urandom(3 * 1024 * 1024 + 17)
    placed = ok(placer.place([wanted(put(inbox, "a.jpg", content))])[0])
    assert files_in(vault) == {"2023/2023-12-25/a.jpg": content}
    assert os.lstat(vault.storage / placed.final_path).st_nlink == 1
    assert (inbox / "a.jpg").read_bytes() == content and not notes_in(vault)


def test_what_may_not_be_linked_is_copied_on_one_filesystem_too(
    tmp_path: Path, inbox: Path, placer_in: MakePlacer
) -> None:
    vault, placer = placer_in(tmp_path)
    path = put(inbox, "a.jpg")
    placed = ok(placer.place([wanted(path, may_link=False)])[0])
    assert not os.path.samefile(vault.storage / placed.final_path, path)
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o640, "the source is as it was"


# What may be linked


def assert_copied(vault: Vault, placed: Placed, path: Path) -> None:
    """The original is nobody else's, and the incoming file is as it was."""
    kept = vault.storage / placed.final_path
    assert not os.path.samefile(kept, path)
    assert os.lstat(kept).st_nlink == 1 and stat.S_IMODE(os.lstat(kept).st_mode) & 0o222 == 0
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o640
    assert kept.read_bytes() == path.read_bytes()


def test_a_file_with_another_name_outside_is_copied(tmp_path: Path, inbox: Path, placer_in: MakePlacer) -> None:
    """As `cp -al` leaves it: else the outside file would turn read-only, and its owner could change the original."""
    vault, placer = placer_in(tmp_path)
    outside = put(tmp_path, "outside.jpg")
    os.link(outside, inbox / "a.jpg")
    placed = ok(placer.place([wanted(inbox / "a.jpg")])[0])
    assert_copied(vault, placed, outside)
    outside.write_bytes(b"edited")
    assert (vault.storage / placed.final_path).read_bytes() == b"a photo"


def test_a_file_that_gets_another_name_at_the_very_moment_of_linking_is_copied(
    tmp_path: Path, inbox: Path, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = placer_in(tmp_path)
    path = put(inbox, "a.jpg")
    one, link = wanted(path), link_open_file

    def late(*of_what: Any) -> None:
        os.link(path, tmp_path / "outside.jpg")
        link(*of_what)

    monkeypatch.setattr(placing, "link_open_file", late)
    assert isinstance(placer.place([one])[0], StillChanging)
    monkeypatch.undo()
    assert files_in(vault) == {}
    assert_copied(vault, ok(placer.place([wanted(path)])[0]), path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_another_owners_file_is_copied_also_by_root(tmp_path: Path, inbox: Path, placer_in: MakePlacer) -> None:
    vault, placer = placer_in(tmp_path)
    path = put(inbox, "a.jpg")
    os.chown(path, 10001, 10001)
    placed = ok(placer.place([wanted(path)])[0])
    assert_copied(vault, placed, path)
    assert os.lstat(vault.storage / placed.final_path).st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
def test_where_the_kernel_gives_no_lease_a_file_is_copied(
    open_folder: Path,
    unprivileged: Callable[[], AbstractContextManager[None]],
    placer_in: MakePlacer,
) -> None:
    path = put(open_folder, "a.jpg", mode=0o644)
    os.chown(path, 10001, 10001)
    with unprivileged():
        vault, placer = placer_in(open_folder)
        placed = ok(placer.place([wanted(path)])[0])
        kept = vault.storage / placed.final_path
        assert not os.path.samefile(kept, path) and kept.read_bytes() == b"a photo"
        assert os.lstat(kept).st_nlink == 1
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o644


def test_our_own_file_is_copied_too_where_the_kernel_gives_no_lease(
    tmp_path: Path, inbox: Path, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = placer_in(tmp_path)
    path = put(inbox, "a.jpg")
    real = fcntl.fcntl

    def refuse(fd: int, command: int, argument: Any = 0) -> Any:
        if command == fcntl.F_SETLEASE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(fd, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert_copied(vault, ok(placer.place([wanted(path)])[0]), path)


@pytest.mark.parametrize("answer", ["refused", "ignored"])
def test_what_does_not_become_read_only_is_copied(
    answer: str, tmp_path: Path, inbox: Path, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = placer_in(tmp_path)
    path = put(inbox, "a.jpg")
    chmod = os.chmod

    def refuse(what: Any, mode: int, **more: Any) -> None:
        if not isinstance(what, int):
            chmod(what, mode, **more)
        elif answer == "refused":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chmod", refuse)
    assert isinstance(placer.place([wanted(path)])[0], StillChanging)  # our own link has changed it
    assert files_in(vault) == {}
    assert_copied(vault, ok(placer.place([wanted(path)])[0]), path)
    assert list(files_in(vault)) == ["2023/2023-12-25/a.jpg"]


def test_a_mapped_writer_whom_nobody_sees_is_noticed_where_blocks_are_shared(
    small_filesystem: SmallFilesystem, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a lease the state of a file does not prove its bytes: a clone is read before it is believed."""
    disk = small_filesystem("btrfs", 320)
    vault, placer = placer_in(disk)
    path = put(disk, "a.jpg")
    one = wanted(path)
    other_bytes = Wanted(one.file, hashlib.sha256(b"what was read").hexdigest(), DAY, "a.jpg", True)
    real = fcntl.fcntl

    def refuse(fd: int, command: int, argument: Any = 0) -> Any:
        if command == fcntl.F_SETLEASE:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(fd, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    assert isinstance(placer.place([other_bytes])[0], StillChanging)
    assert files_in(vault) == {}
    assert ok(placer.place([one])[0]).created


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_where_the_filesystem_shares_blocks_a_copy_shares_them(
    kind: str, small_filesystem: SmallFilesystem, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_filesystem(kind, 320)
    vault, placer = placer_in(disk)
    content = os.urandom(1 << 20)
    path = put(disk, "a.jpg", content)
    monkeypatch.setattr(copying, "_copy_bytes", lambda *_: pytest.fail("copied byte by byte"))
    placed = ok(placer.place([wanted(path, may_link=False)])[0])
    kept = vault.storage / placed.final_path
    assert kept.read_bytes() == content and not os.path.samefile(kept, path)
    with open(path, "r+b") as file:  # the owner edits his file: the original stays
        file.write(b"edited")
    assert kept.read_bytes() == content
    assert os.lstat(kept).st_mtime_ns == OLD_NS


def test_without_hard_links_a_file_is_copied_and_never_over_another(
    inbox: Path, small_filesystem: SmallFilesystem, placer_in: MakePlacer
) -> None:
    vault, placer = placer_in(small_filesystem("exfat-fuse", 20))
    (vault.folder(DAY).path / "a.jpg").write_bytes(b"already there")
    answers = placer.place([wanted(put(inbox, "a.jpg", b"one")), wanted(put(inbox, "A.JPG", b"two"), "A.jpg")])
    assert [ok(one).final_path for one in answers] == [f"{DAY}/a_1.jpg", f"{DAY}/A_2.jpg"]
    assert files_in(vault) == {
        "2023/2023-12-25/a.jpg": b"already there",
        "2023/2023-12-25/a_1.jpg": b"one",
        "2023/2023-12-25/A_2.jpg": b"two",
    }


def test_within_a_filesystem_without_hard_links_a_file_is_copied(
    small_filesystem: SmallFilesystem, placer_in: MakePlacer
) -> None:
    disk = small_filesystem("exfat-fuse", 20)
    vault, placer = placer_in(disk)
    path = put(disk, "a.jpg", b"one")
    assert ok(placer.place([wanted(path)])[0]).final_path == f"{DAY}/a.jpg"
    assert files_in(vault) == {"2023/2023-12-25/a.jpg": b"one"} and path.read_bytes() == b"one"


@pytest.mark.parametrize(
    ("name", "kept"), [("12:30.jpg", "12_30.jpg"), ("a\nb.jpg", "a_b.jpg"), ("foto\udcff.jpg", "foto_.jpg")]
)
def test_a_name_that_the_filesystem_refuses_gets_its_nearest_and_is_found_again_there(
    name: str, kept: str, inbox: Path, small_filesystem: SmallFilesystem, placer_in: MakePlacer
) -> None:
    vault, placer = placer_in(small_filesystem("exfat-fuse", 20))
    path = put(inbox, "x", b"one")
    assert ok(placer.place([wanted(path, name)])[0]).final_path == f"{DAY}/{kept}"
    again = ok(placer.place([wanted(path, name)])[0])  # cut off before it was recorded
    assert again.final_path == f"{DAY}/{kept}" and not again.created
    assert files_in(vault) == {f"2023/2023-12-25/{kept}": b"one"}


def test_where_syncfs_is_not_enough_every_file_and_folder_is_synced_before_the_answer(
    inbox: Path, small_filesystem: SmallFilesystem, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = placer_in(small_filesystem("exfat-fuse", 20))
    synced: list[str] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), vault.storage))
        fsync(fd)

    ok(placer.place([wanted(put(inbox, "before.jpg", b"0"))])[0])  # found standing: a run that was cut off
    monkeypatch.setattr(os, "fsync", noted)
    answers = placer.place([wanted(put(inbox, name, name.encode())) for name in ("a.jpg", "b.jpg")])
    answers += placer.place([wanted(inbox / "before.jpg")])
    assert [ok(one).created for one in answers] == [True, True, False]
    copies = [name for name in synced if ".factory-copy-" in name]
    assert len(copies) == 2, "the copies, while they were open"
    assert f"{DAY}/before.jpg" in synced
    last_copy = max(synced.index(name) for name in copies)
    assert {DAY, "Originals/2023", "Originals"} <= set(synced[last_copy:]), "their names come after them"


def test_on_an_old_kernel_every_file_and_folder_is_synced_wherever_it_is(
    inbox: Path, either: tuple[Vault, Placer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 5.8 `syncfs` does not say that the disk refused."""
    vault, placer = either
    here = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((here[0], here[1], "5.4.0-1", here[3], here[4])))
    synced: list[str] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    placed = ok(placer.place([wanted(put(inbox, "a.jpg", b"a"))])[0])
    assert str(inbox / "a.jpg") in synced, "what whoever put it there may not have done"
    inodes = {os.stat(path).st_ino for path in synced if os.path.exists(path)}
    by_copy = [path for path in synced if ".factory-copy-" in path]
    assert by_copy or os.stat(vault.storage / placed.final_path).st_ino in inodes
    assert {str(vault.storage / DAY), str(vault.originals)} <= set(synced)


def test_file_by_file_all_is_synced_that_a_batch_needs_and_nothing_of_others(
    inbox: Path, either: tuple[Vault, Placer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way beside a program that writes much: bytes of both before names, folders after them."""
    vault, placer = either
    monkeypatch.setattr(SyncWay, "is_syncfs", lambda *_: False)
    for module in (incoming_sync, vault_module):
        monkeypatch.setattr(module, "syncfs", lambda _: pytest.fail("it waits for others"))
    synced: list[tuple[int, int]] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        status = os.fstat(fd)
        synced.append((status.st_ino, len(files_in(vault))))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    paths = [put(inbox, name, name.encode()) for name in ("a.jpg", "b.jpg")]
    placed = [ok(one) for one in placer.place([wanted(path) for path in paths])]
    for path, one in zip(paths, placed, strict=True):
        assert (path.stat().st_ino, 0) in synced, "the incoming file, before any name"
        assert any(inode == one.inode for inode, _ in synced), "its place"
    assert (inbox.stat().st_ino, 0) in synced
    for folder in (vault.storage / DAY, vault.originals / "2023", vault.originals):
        assert (folder.stat().st_ino, 2) in synced, "after the last name"


def test_no_name_comes_to_disk_before_its_bytes_and_those_of_the_incoming_file(
    inbox: Path, either: tuple[Vault, Placer], monkeypatch: pytest.MonkeyPatch
) -> None:
    _vault, placer = either
    happened: list[str] = []
    link, open_ = os.link, os.open

    def noted_sync(fd: int) -> None:
        happened.append("inbox synced" if os.fstat(fd).st_dev == os.stat(inbox).st_dev else "vault synced")
        syncfs(fd)

    def noted_link(source: Any, target: Any, **more: Any) -> None:
        happened.append("named")
        link(source, target, **more)

    def noted_open(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_EXCL:
            happened.append("copied")
        return open_(path, flags, *more, **named)

    monkeypatch.setattr(incoming_sync, "syncfs", noted_sync)
    monkeypatch.setattr(vault_module, "syncfs", noted_sync)
    monkeypatch.setattr(os, "link", noted_link)
    monkeypatch.setattr(os, "open", noted_open)
    ok(placer.place([wanted(put(inbox, "a.jpg"))])[0])
    if "copied" in happened:
        # (first it tries to link)
        assert happened == ["inbox synced", "named", "copied", "vault synced", "named", "vault synced"]
    else:
        assert happened == ["inbox synced", "named", "inbox synced"], "which is the vault's filesystem, too"


def test_a_sync_that_fails_takes_the_batch_back(
    inbox: Path, small_filesystem: SmallFilesystem, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = placer_in(small_filesystem("exfat-fuse", 20))
    vault.folder(DAY)
    fsync = os.fsync

    def failing(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}") == str(vault.storage / DAY):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(VaultTrouble, match="input/output error"):
        placer.place([wanted(put(inbox, "a.jpg"))])
    assert files_in(vault) == {}
    monkeypatch.undo()
    assert ok(placer.place([wanted(inbox / "a.jpg")])[0]).final_path == f"{DAY}/a.jpg"


def test_a_local_filesystem_is_not_synced_file_by_file(
    inbox: Path, tmp_path: Path, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, placer = placer_in(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda fd: pytest.fail("a sync for a file"))
    assert isinstance(placer.place([wanted(put(inbox, "a.jpg"))])[0], Placed)


# What it looks like there


def test_times_are_kept_and_the_original_is_read_only(inbox: Path, either: tuple[Vault, Placer]) -> None:
    vault, placer = either
    for name, mode, kept in (("a.jpg", 0o664, 0o444), ("b.jpg", 0o600, 0o400), ("c.jpg", 0o6777, 0o555)):
        placed = ok(placer.place([wanted(put(inbox, name, name.encode(), mode))])[0])
        status = os.lstat(vault.storage / placed.final_path)
        assert (status.st_mtime_ns, oct(stat.S_IMODE(status.st_mode))) == (OLD_NS, oct(kept))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_is_kept_to_the_byte_and_its_second_fits(
    name: str, inbox: Path, either: tuple[Vault, Placer]
) -> None:
    vault, placer = either
    first, second = put(inbox, name, b"one"), put(inbox, "other", b"two")
    answers = [ok(one) for one in placer.place([wanted(first), wanted(second, name)])]
    assert answers[0].name == name
    found = os.listdir(os.fsencode(vault.storage / DAY))
    assert sorted(found) == sorted(os.fsencode(one.name) for one in answers)
    assert (vault.storage / answers[1].final_path).read_bytes() == b"two"


def test_files_of_one_name_get_numbers_and_nothing_is_written_over(inbox: Path, either: tuple[Vault, Placer]) -> None:
    vault, placer = either
    (vault.folder(DAY).path / "A.JPG").write_bytes(b"somebody's")
    batch = [wanted(put(inbox, f"{number}.jpg", b"%d" % number), "a.jpg") for number in range(3)]
    batch.append(wanted(put(inbox, "there.jpg", b"there"), "a.jpg", OTHER_DAY))
    names = [ok(one).final_path for one in placer.place(batch)]
    assert names == [f"{DAY}/a_1.jpg", f"{DAY}/a_2.jpg", f"{DAY}/a_3.jpg", f"{OTHER_DAY}/a.jpg"]
    assert files_in(vault) == {
        "2023/2023-12-25/A.JPG": b"somebody's",
        "2023/2023-12-25/a_1.jpg": b"0",
        "2023/2023-12-25/a_2.jpg": b"1",
        "2023/2023-12-25/a_3.jpg": b"2",
        "2024/2024-01-01/a.jpg": b"there",
    }


def test_a_name_taken_between_the_choice_and_the_link_is_not_written_over(
    inbox: Path, either: tuple[Vault, Placer], monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = either
    link = os.link

    def late(source: Any, target: Any, **more: Any) -> None:
        if os.path.basename(target) == "a.jpg":
            (vault.storage / DAY / "a.jpg").write_bytes(b"theirs")
        link(source, target, **more)

    monkeypatch.setattr(os, "link", late)
    assert ok(placer.place([wanted(put(inbox, "a.jpg", b"ours"))])[0]).final_path == f"{DAY}/a_1.jpg"
    assert files_in(vault) == {"2023/2023-12-25/a.jpg": b"theirs", "2023/2023-12-25/a_1.jpg": b"ours"}


def test_a_folder_is_listed_once_a_batch_and_not_for_every_file(
    inbox: Path, either: tuple[Vault, Placer], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, placer = either
    batch = [wanted(put(inbox, f"{number}.jpg", b"%d" % number)) for number in range(30)]
    times = 0
    refresh = VaultFolder.refresh

    def counted(folder: VaultFolder) -> None:
        nonlocal times
        times += 1
        refresh(folder)

    monkeypatch.setattr(VaultFolder, "refresh", counted)
    placer.place(batch)
    assert times == 1


# A run that was cut off


def test_what_a_run_that_was_cut_off_has_placed_is_found_there(inbox: Path, either: tuple[Vault, Placer]) -> None:
    vault, placer = either
    first, other = put(inbox, "a.jpg", b"one"), put(inbox, "b.jpg", b"two")
    before = [ok(one) for one in placer.place([wanted(first), wanted(other, "a.jpg")])]
    again = Placer(Vault(vault.storage), 1)
    after = [ok(one) for one in again.place([wanted(first), wanted(other, "a.jpg")])]
    again.take_back(after)
    again.close()
    assert [one.final_path for one in after] == [one.final_path for one in before]
    assert not any(one.created for one in after)
    assert sorted(files_in(vault).values()) == [b"one", b"two"], "what stood there before stays"


KILLED = """
import os, sys
from pathlib import Path
from Src.Librarian.place import copying
from Src.Librarian.place import placing
from Src.Librarian.tests.test_placing import wanted
from Src.Library.vault import Vault
from Src.Shared.disk import naming
storage, moment = Path(sys.argv[1]), sys.argv[2]
def pause(*_, **__):
    print("now", flush=True)
    sys.stdin.read()
if moment == "copying":
    copying._copy_bytes = lambda source, target, interrupted: (os.write(target, b"half"), pause())
elif moment == "copied":
    os.utime = pause
elif moment == "named":
    link = os.link
    os.link = lambda *a, **k: (link(*a, **k), pause())
elif moment == "reserved":
    def refuse(*_, **__): raise PermissionError(1, "no links here")
    os.link = refuse
    naming._libc.renameat2 = lambda *_: (naming.ctypes.set_errno(22), -1)[1]
    os.replace = pause
placer = placing.Placer(Vault(storage), 1)
placer.place([wanted(Path(sys.argv[3]), may_link=False)])
"""


@pytest.mark.parametrize("moment", ["copying", "copied", "named", "reserved"])
def test_a_kill_in_the_middle_of_a_copy_leaves_nothing_half_done(
    moment: str, inbox: Path, tmp_path: Path, placer_in: MakePlacer
) -> None:
    vault, placer = placer_in(tmp_path)
    (vault.folder(DAY).path / "theirs.jpg").write_bytes(b"theirs")
    (vault.folder(DAY).path / ".factory-copy-of-a-friend").write_bytes(b"not ours")
    path = put(inbox, "a.jpg", b"all of it")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(vault.storage), moment, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
    assert notes_in(vault), "the note that a crash needs"
    whole = {"2023/2023-12-25/a.jpg": b"all of it"} if moment == "named" else {}
    theirs = {"2023/2023-12-25/theirs.jpg": b"theirs", "2023/2023-12-25/.factory-copy-of-a-friend": b"not ours"}
    assert len(files_in(vault)) > len(theirs | whole), "something is left to clean up"
    placer.clean_up()
    assert files_in(vault) == theirs | whole and not notes_in(vault)
    assert ok(placer.place([wanted(path, may_link=False)])[0]).final_path == f"{DAY}/a.jpg"


def test_a_torn_note_is_no_obstacle(tmp_path: Path, placer_in: MakePlacer) -> None:
    vault, placer = placer_in(tmp_path)
    (vault.state / "copying").mkdir()
    (vault.state / "copying" / "abc.json").write_text('{"folders": ["Origi')
    (vault.state / "copying" / "def.json").write_text(f'{{"folders": ["{DAY}"]}}')  # a folder that is gone
    placer.clean_up()
    assert notes_in(vault) == []


def test_a_clean_up_that_is_not_possible_is_trouble_and_forgets_nothing(
    small_filesystem: SmallFilesystem, placer_in: MakePlacer
) -> None:
    disk = small_filesystem("tmpfs", 4)
    vault, placer = placer_in(disk)
    (vault.folder(DAY).path / ".factory-copy-abc-0").write_bytes(b"half")
    (vault.state / "copying").mkdir()
    (vault.state / "copying" / "abc.json").write_text(f'{{"folders": ["{DAY}"]}}')
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(VaultTrouble, match="read-only"):
        placer.clean_up()
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    placer.clean_up()
    assert files_in(vault) == {} and not notes_in(vault)


# The file changes under our hands


def grow(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def replace(path: Path) -> None:
    other = path.with_name(path.name + ".other")
    other.write_bytes(b"another photo")
    os.utime(other, ns=(OLD_NS, OLD_NS))
    other.replace(path)


def become(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


CHANGES: dict[str, tuple[Callable[[Path], None], type[Exception]]] = {
    "grows": (grow, StillChanging),
    "shrinks": (lambda path: os.truncate(path, 3), StillChanging),
    "vanishes": (Path.unlink, FileNotFoundError),
    "is replaced": (replace, StillChanging),
    "becomes a symlink": (become(lambda path: path.symlink_to("/etc/passwd")), NotARegularFile),
    "becomes a FIFO": (become(os.mkfifo), NotARegularFile),
    "becomes a folder": (become(Path.mkdir), NotARegularFile),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_before_it_is_placed_leaves_nothing_in_the_vault(
    change: str, inbox: Path, either: tuple[Vault, Placer], wait_for: WaitFor
) -> None:
    vault, placer = either
    path, calm = put(inbox, "a.jpg"), put(inbox, "calm.jpg", b"calm")
    one = wanted(path)
    wait_for(lambda: tick(inbox, one.file.state.ctime_ns))
    action, answer = CHANGES[change]
    action(path)
    answers = placer.place([one, wanted(calm)])
    assert type(answers[0]) is answer
    assert isinstance(answers[1], Placed) and files_in(vault) == {"2023/2023-12-25/calm.jpg": b"calm"}


def tick(folder: Path, since: int) -> bool:
    """Whether the clock of the filesystem has gone on."""
    (folder / ".tick").write_bytes(b"")
    return os.lstat(folder / ".tick").st_ctime_ns > since


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_at_the_very_moment_of_linking_leaves_nothing_in_the_vault(
    change: str,
    inbox: Path,
    tmp_path: Path,
    placer_in: MakePlacer,
    monkeypatch: pytest.MonkeyPatch,
    wait_for: WaitFor,
) -> None:
    vault, placer = placer_in(tmp_path)
    path = put(inbox, "a.jpg")
    one, link = wanted(path), os.link
    changing = threading.Thread(target=CHANGES[change][0], args=(path,))

    def late(source: Any, target: Any, **more: Any) -> None:
        monkeypatch.undo()
        changing.start()
        wait_for(lambda: not changing.is_alive() or somebody_waits_for_our_lease())
        link(source, target, **more)

    monkeypatch.setattr(os, "link", late)
    wanted_answer = FileNotFoundError if change == "vanishes" else StillChanging
    assert type(placer.place([one])[0]) is wanted_answer
    changing.join()
    assert [path for path in vault.originals.rglob("*") if not path.is_dir()] == [
        vault.originals / ".photo-factory-vault"
    ], "not even a symlink or a FIFO"
    if change == "becomes a symlink":
        assert stat.S_IMODE(os.stat("/etc/passwd").st_mode) & 0o200
    if change in ("grows", "shrinks"):
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o640, "its mode is given back"
    if change != "vanishes":
        assert os.path.lexists(path)


@pytest.mark.parametrize("same_size_and_mtime", [True, False])
def test_a_writer_who_comes_at_the_very_moment_of_linking_waits_and_is_noticed(
    inbox: Path,
    tmp_path: Path,
    placer_in: MakePlacer,
    monkeypatch: pytest.MonkeyPatch,
    wait_for: WaitFor,
    same_size_and_mtime: bool,
) -> None:
    """Else the vault could hold the new bytes under the fingerprint of the old ones."""
    vault, placer = placer_in(tmp_path)
    path = put(inbox, "a.jpg", b"old bytes")
    one, link = wanted(path), os.link

    def rewrite() -> None:
        with open(path, "r+b") as file:
            file.write(b"new bytes")
        if same_size_and_mtime:
            os.utime(path, ns=(OLD_NS, OLD_NS))

    writer = threading.Thread(target=rewrite)

    def late(source: Any, target: Any, **more: Any) -> None:
        writer.start()
        wait_for(somebody_waits_for_our_lease)
        link(source, target, **more)

    monkeypatch.setattr(os, "link", late)
    assert isinstance(placer.place([one])[0], StillChanging)
    writer.join()
    assert files_in(vault) == {} and path.read_bytes() == b"new bytes"
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o640


@pytest.mark.parametrize("change", ["grows", "shrinks", "is replaced", "vanishes", "is opened for writing"])
def test_a_file_that_changes_while_it_is_copied_leaves_nothing_in_the_vault(
    change: str,
    inbox: Path,
    other_filesystem: Path,
    placer_in: MakePlacer,
    monkeypatch: pytest.MonkeyPatch,
    wait_for: WaitFor,
) -> None:
    vault, placer = placer_in(other_filesystem)
    path = put(inbox, "a.jpg", os.urandom(3 << 20))
    one, readv, opened = wanted(path), os.readv, []
    wait_for(lambda: tick(inbox, one.file.state.ctime_ns))

    def late(fd: int, buffers: Any) -> int:
        monkeypatch.undo()
        count = readv(fd, buffers)
        if change == "is opened for writing":
            opened.append(os.open(path, os.O_WRONLY))
        else:
            CHANGES[change][0](path)
        return count

    monkeypatch.setattr(os, "readv", late)
    answer = placer.place([one])[0]
    for fd in opened:
        os.close(fd)
    assert isinstance(answer, StillChanging), answer
    assert files_in(vault) == {} and not notes_in(vault)


def test_a_file_that_is_open_for_writing_waits(inbox: Path, either: tuple[Vault, Placer]) -> None:
    vault, placer = either
    path = put(inbox, "a.jpg")
    one = wanted(path)
    with open(path, "r+b"):
        assert isinstance(placer.place([one])[0], StillChanging)
    assert files_in(vault) == {}
    assert isinstance(placer.place([one])[0], Placed)


def test_a_file_that_may_not_be_read_any_more_says_so_and_the_others_are_placed(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]], placer_in: MakePlacer
) -> None:
    with unprivileged():
        vault, placer = placer_in(open_folder)
        (open_folder / "inbox").mkdir()
        secret, calm = put(open_folder / "inbox", "a.jpg"), put(open_folder / "inbox", "calm.jpg", b"calm")
        one = wanted(secret)
        secret.chmod(0)
        answers = placer.place([one, wanted(calm)])
        assert isinstance(answers[0], ReadTrouble) and str(answers[0]) == "cannot be read: Permission denied"
        assert files_in(vault) == {"2023/2023-12-25/calm.jpg": b"calm"}


def test_a_disk_that_cannot_be_read_is_the_files_trouble_alone(
    inbox: Path, other_filesystem: Path, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = placer_in(other_filesystem)
    bad, good = wanted(put(inbox, "bad.jpg", b"bad")), wanted(put(inbox, "good.jpg", b"good"))
    readv = os.readv

    def broken(fd: int, buffers: Any) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("bad.jpg"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return readv(fd, buffers)

    monkeypatch.setattr(os, "readv", broken)
    answers = placer.place([bad, good])
    assert isinstance(answers[0], ReadTrouble) and "Input/output error" in str(answers[0])
    assert isinstance(answers[1], Placed) and files_in(vault) == {"2023/2023-12-25/good.jpg": b"good"}


def test_a_copy_that_is_not_what_was_fingerprinted_is_not_placed(
    inbox: Path, other_filesystem: Path, placer_in: MakePlacer
) -> None:
    vault, placer = placer_in(other_filesystem)
    one = wanted(put(inbox, "a.jpg"))
    other_bytes = Wanted(one.file, hashlib.sha256(b"else").hexdigest(), DAY, "a.jpg", True)
    answer = placer.place([other_bytes])[0]
    assert isinstance(answer, ReadTrouble) and "two readings" in str(answer)
    assert files_in(vault) == {}


# The vault is in trouble


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_is_trouble_nothing_stays_and_work_goes_on_when_there_is_room(
    kind: str, inbox: Path, small_filesystem: SmallFilesystem, placer_in: MakePlacer
) -> None:
    vault, placer = placer_in(small_filesystem(kind, 12))
    filler = vault.storage / "filler"
    filler.write_bytes(bytes(4 << 20))
    size = 400 << 10  # small for this disk: a large one would wait for room alone
    batch = [wanted(put(inbox, f"{number}.jpg", os.urandom(size))) for number in range(25)]
    with pytest.raises(VaultTrouble, match="the disk is full"):
        placer.place(batch)
    assert files_in(vault) == {} and not notes_in(vault)
    assert all(Path(one.file.path).stat().st_size == size for one in batch)
    filler.unlink()
    assert all(isinstance(one, Placed) for one in placer.place(batch[:20]))
    assert len(files_in(vault)) == 20


def test_a_disk_too_full_for_a_folder_is_trouble(
    inbox: Path, small_filesystem: SmallFilesystem, placer_in: MakePlacer
) -> None:
    disk = small_filesystem("tmpfs", 1)
    vault, placer = placer_in(disk)
    with open(disk / "filler", "wb") as file, pytest.raises(OSError, match="No space left"):
        file.write(bytes(2 << 20))
    subprocess.run(["mount", "-o", "remount,nr_inodes=8", str(disk)], check=False)
    with pytest.raises(VaultTrouble, match="the disk is full"):
        placer.place([wanted(put(inbox, f"{number}.jpg", b"%d" % number * 5000)) for number in range(9)])
    assert files_in(vault) == {}


def test_a_vault_that_became_read_only_is_trouble(
    inbox: Path, small_filesystem: SmallFilesystem, placer_in: MakePlacer
) -> None:
    disk = small_filesystem("tmpfs", 4)
    vault, placer = placer_in(disk)
    here, there = put(disk, "linked.jpg"), put(inbox, "copied.jpg")
    batch = [wanted(here), wanted(there)]
    vault.folder(DAY)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for one in batch:
        with pytest.raises(VaultTrouble, match="read-only"):
            placer.place([one])
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert all(isinstance(answer, Placed) for answer in placer.place(batch))


def test_a_vault_that_goes_away_is_trouble_and_the_file_is_not_taken_for_gone(
    inbox: Path, either: tuple[Vault, Placer], monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = either
    one, standing = wanted(put(inbox, "a.jpg")), VaultFolder.standing

    def goes_away(folder: VaultFolder, *more: Any, **named: Any) -> Any:
        vault.originals.rename(vault.storage / "elsewhere")
        return standing(folder, *more, **named)

    def batch() -> None:
        placer.place([one])
        vault.check()  # as the Librarian does, for a link goes into the very folder that was there

    monkeypatch.setattr(VaultFolder, "standing", goes_away)
    with pytest.raises(VaultTrouble):
        batch()
    assert not vault.originals.exists() and Path(one.file.path).read_bytes() == b"a photo"


def test_a_write_error_is_trouble_and_nothing_of_the_batch_stays(
    inbox: Path, other_filesystem: Path, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = placer_in(other_filesystem)
    linked = put(other_filesystem, "linked.jpg", b"linked")
    batch = [wanted(linked), *(wanted(put(inbox, f"{at}.jpg", b"%d" % at)) for at in range(5))]
    write = os.write

    def broken(fd: int, data: Any) -> int:
        if bytes(data) == b"3":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(fd, data)

    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(VaultTrouble, match="input/output error; check the disk"):
        placer.place(batch)
    assert files_in(vault) == {} and not notes_in(vault)
    assert os.lstat(linked).st_nlink == 1 and stat.S_IMODE(os.lstat(linked).st_mode) == 0o640
    monkeypatch.undo()
    batch[0] = wanted(linked)  # linking has touched it: it is to be read again
    assert [ok(one).name for one in placer.place(batch)] == ["linked.jpg", *(f"{at}.jpg" for at in range(5))]


def test_a_file_too_large_for_the_vaults_filesystem_does_not_hold_up_the_others(
    inbox: Path, other_filesystem: Path, placer_in: MakePlacer
) -> None:
    vault, placer = placer_in(other_filesystem)
    huge, small = wanted(put(inbox, "huge.jpg", bytes(2 << 20))), wanted(put(inbox, "small.jpg", b"small"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))  # as FAT32 answers at 4 GiB
    try:
        answers = placer.place([huge, small])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(answers[0], ReadTrouble) and "too large" in str(answers[0])
    assert isinstance(answers[1], Placed) and files_in(vault) == {"2023/2023-12-25/small.jpg": b"small"}


def test_a_filesystem_that_keeps_no_such_time_does_not_hold_up_the_file(
    inbox: Path, other_filesystem: Path, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = placer_in(other_filesystem)
    one = wanted(put(inbox, "a.jpg"))

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "utime", refuse)
    assert isinstance(placer.place([one])[0], Placed)
    assert len(files_in(vault)) == 1


def test_where_links_are_forbidden_a_file_is_copied(
    inbox: Path, tmp_path: Path, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, placer = placer_in(tmp_path)
    one = wanted(put(inbox, "a.jpg"))

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    placed = ok(placer.place([one])[0])
    assert os.lstat(vault.storage / placed.final_path).st_nlink == 1
    assert files_in(vault) == {"2023/2023-12-25/a.jpg": b"a photo"}


def test_a_link_that_cannot_be_looked_at_is_not_taken_for_one_that_was_refused(
    inbox: Path, tmp_path: Path, placer_in: MakePlacer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the file would be copied beside its link."""
    vault, placer = placer_in(tmp_path)
    file = put(inbox, "a.jpg")
    look = os.lstat

    def refused(path: str | Path, **more: Any) -> os.stat_result:
        if more.get("dir_fd") == vault.folder(DAY).fd:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return look(path, **more)

    monkeypatch.setattr(os, "lstat", refused)
    with pytest.raises(VaultTrouble, match="look at"):
        placer.place([wanted(file)])
    monkeypatch.undo()
    assert len(files_in(vault)) == 1
    placed = ok(placer.place([wanted(file)])[0])
    assert (placed.name, placed.created, len(files_in(vault))) == ("a.jpg", False, 1)


def test_an_interrupted_copy_is_given_up_at_once_and_undone(
    inbox: Path,
    other_filesystem: Path,
    placer_in: MakePlacer,
    wait_for: WaitFor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vault, placer = placer_in(other_filesystem)
    linked = put(other_filesystem, "linked.jpg", b"linked")
    huge = inbox / "huge.jpg"
    with open(huge, "wb") as file:
        file.truncate(1 << 40)  # a hole of 1 TiB
    endless = Wanted(IncomingFile(str(huge), "huge.jpg", FileState.of(os.lstat(huge))), "0" * 64, DAY, "h.jpg", True)
    trouble: list[Exception] = []
    go_on, chunks, readv = threading.Event(), itertools.count(), os.readv

    def slow(fd: int, buffers: Any) -> int:  # else it would fill the other filesystem, which is memory
        if os.fstat(fd).st_size != 1 << 40 or not (number := next(chunks)):
            return readv(fd, buffers)
        go_on.wait(PATIENCE)
        return readv(fd, buffers) if number < 3 else 0

    monkeypatch.setattr(os, "readv", slow)

    def place() -> None:
        try:
            placer.place([wanted(linked), endless])
        except VaultTrouble as error:
            trouble.append(error)

    thread = threading.Thread(target=place)
    thread.start()
    try:
        wait_for(lambda: any((vault.storage / DAY).glob(".factory-copy-*")), what="the copy's beginning")
    finally:
        placer.interrupt()
        go_on.set()
        thread.join(PATIENCE)
    assert not thread.is_alive() and len(trouble) == 1
    assert files_in(vault) == {} and not notes_in(vault) and os.lstat(linked).st_nlink == 1


# Taking back


def test_taking_back_removes_only_what_was_created_and_the_name_is_free_again(
    inbox: Path, either: tuple[Vault, Placer]
) -> None:
    vault, placer = either
    kept, path = put(inbox, "kept.jpg", b"kept"), put(inbox, "a.jpg")
    ok(placer.place([wanted(kept)])[0])
    placed = ok(placer.place([wanted(path)])[0])
    placer.take_back([placed])
    assert files_in(vault) == {"2023/2023-12-25/kept.jpg": b"kept"}
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o640 and path.read_bytes() == b"a photo"
    assert ok(placer.place([wanted(path)])[0]).final_path == f"{DAY}/a.jpg"


def test_taking_back_leaves_what_stands_there_instead(inbox: Path, either: tuple[Vault, Placer]) -> None:
    vault, placer = either
    placed = ok(placer.place([wanted(put(inbox, "a.jpg"))])[0])
    kept = vault.storage / placed.final_path
    kept.rename(kept.with_name("moved by a person.jpg"))
    kept.write_bytes(b"theirs")
    placer.take_back([placed])
    assert files_in(vault) == {
        "2023/2023-12-25/a.jpg": b"theirs",
        "2023/2023-12-25/moved by a person.jpg": b"a photo",
    }


def test_taking_back_keeps_the_last_name_of_a_file(inbox: Path, tmp_path: Path, placer_in: MakePlacer) -> None:
    vault, placer = placer_in(tmp_path)
    path = put(inbox, "a.jpg")
    placed = ok(placer.place([wanted(path)])[0])
    path.unlink()  # by another hand
    placer.take_back([placed])
    assert files_in(vault) == {"2023/2023-12-25/a.jpg": b"a photo"}


def test_where_only_one_name_will_do_it_gets_that_or_none(
    inbox: Path, either: tuple[Vault, Placer], tmp_path: Path
) -> None:
    vault, placer = either

    def place(path: Path, name: str) -> Placed | NotPlaced:
        with vault.lock():
            return placer.place([wanted(path, name, only_name=True)])[0]

    first, same, other = put(inbox, "1.AAE"), put(inbox, "2.AAE"), put(inbox, "3.AAE", b"other bytes")
    assert ok(place(first, "a.AAE")).final_path == f"{DAY}/a.AAE"
    assert ok(place(same, "a_1.AAE")).created, "equal bytes under another number are another file"
    again = ok(place(put(inbox, "4.AAE"), "a.AAE"))
    assert not again.created, "by a run that was killed"
    assert isinstance(place(other, "a.AAE"), NameTaken)
    assert isinstance(place(other, "A.aae"), NameTaken), "Windows takes these for one name"
    assert sorted(files_in(vault)) == [f"{DAY.partition('/')[2]}/a.AAE", f"{DAY.partition('/')[2]}/a_1.AAE"]
