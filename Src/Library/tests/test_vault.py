"""The vault: names, what stands where, the marker, the lock, durability."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from Src.Library import vault_folder
from Src.Library.original_path import NotAnOriginal
from Src.Library.vault import Vault
from Src.Library.vault_folder import name_key, numbered_names, portable_name
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.settings import PROJECT_ROOT
from Src.Shared.vault_marker import MARKER
from Src.Testing.surroundings import SmallFilesystem, WaitFor, open_below

DAY = "Originals/2023/2023-12-25"

# As os.fsdecode gives them: any text without / and NUL, and bytes that are no UTF-8 as surrogates.
CHARACTERS = st.characters(exclude_characters="/\0", exclude_categories=["Cs"]) | st.integers(0xDC80, 0xDCFF).map(chr)
NAMES = (
    st.text(CHARACTERS, min_size=1, max_size=255)
    .filter(lambda name: len(os.fsencode(name)) <= 255 and name not in (".", ".."))
    .map(lambda name: os.fsdecode(os.fsencode(name)))
)
LONG_NAMES = st.builds(
    lambda some, stem, ending: (some + stem * 255, ending),
    st.text(CHARACTERS, max_size=4),
    CHARACTERS,
    st.sampled_from(["", ".jpg", ".JPEG", ".äöü", ".sixteen_bytes_ab"]),
).map(lambda parts: _fitting(*parts))


def _fitting(stem: str, ending: str) -> str:
    while len(os.fsencode(stem + ending)) > 255:
        stem = stem[:-1]
    return os.fsdecode(os.fsencode(stem + ending))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "Storage")
    vault.create()
    return vault


# Names


@given(NAMES | LONG_NAMES)
@example("a" * 249 + "_1.jpg")
@example("." + "a" * 254)
@example("..jpg")
def test_numbered_names_are_valid_distinct_and_fit(name: str) -> None:
    names = list(itertools.islice(numbered_names(name), 120))
    assert names[0] == name
    assert len(set(names)) == len(names)
    for one in names:
        assert 0 < len(os.fsencode(one)) <= 255
        assert os.fsdecode(os.fsencode(one)) == one
        assert "/" not in one and "\0" not in one and one not in (".", "..")


@given(LONG_NAMES)
def test_a_numbered_name_keeps_the_ending_and_is_cut_at_a_character(name: str) -> None:
    stem, dot, ending = name.rpartition(".")
    if not stem or len(os.fsencode(ending)) > 16:
        stem, dot, ending = name, "", ""
    for number, one in zip(range(1, 12), itertools.islice(numbered_names(name), 1, None), strict=False):
        kept, _, last = one[: len(one) - len(dot + ending)].rpartition("_")
        assert one.endswith(dot + ending) and stem.startswith(kept) and number <= int(last) <= number + 1
        room = 255 - len(os.fsencode(f"_{last}{dot}{ending}"))
        assert kept == stem or len(os.fsencode(stem[: len(kept) + 1])) > room, "cut further than needed"


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("IMG_1.jpg", "IMG_1_1.jpg"),
        ("no ending", "no ending_1"),
        (".hidden", ".hidden_1"),
        ("a.tar.gz", "a.tar_1.gz"),
        ("2023.12.25 Christmas at home", "2023.12.25 Christmas at home_1"),
        ("photo.", "photo_1."),
    ],
)
def test_the_number_stands_before_the_ending(name: str, second: str) -> None:
    assert list(itertools.islice(numbered_names(name), 2)) == [name, second]


@given(NAMES)
@example("α\u0345\u0301")  # its marks stand in another order in each form
def test_names_that_differ_in_case_or_unicode_form_or_trailing_dots_are_one(name: str) -> None:
    key = name_key(name)
    assert key
    for form in ("NFC", "NFD"):
        assert name_key(unicodedata.normalize(form, name)) == key
        assert name_key(unicodedata.normalize(form, unicodedata.normalize("NFD", name).casefold())) == key
    if name.rstrip(". "):
        assert name_key(name + "..") == name_key(name + " ") == key


@given(st.text("abcdefghijklmnopqrstuvwxyzäöüßñéåøžšđ0123456789_-", min_size=1), st.sampled_from(["jpg", "heic"]))
def test_names_in_capitals_are_the_same(stem: str, ending: str) -> None:
    assert name_key(f"{stem}.{ending}") == name_key(f"{stem}.{ending}".upper())


@pytest.mark.parametrize(("one", "other"), [("a.jpg", "b.jpg"), ("a.jpg", "a.jpeg"), ("a_1.jpg", "a.jpg"), (".", "..")])
def test_other_names_are_other_names(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


@given(NAMES)
def test_a_portable_name_is_one_that_all_filesystems_take_and_stays_one(name: str) -> None:
    portable = portable_name(name)
    assert 0 < len(portable.encode()) <= 140
    assert not set(portable) & set('<>:"/\\|?*') and min(portable) >= " "
    assert portable_name(portable) == portable


def test_an_ordinary_name_is_portable_as_it_is() -> None:
    assert portable_name("Füße & Hände (1).jpg") == "Füße & Hände (1).jpg"


# What stands in a folder. Another vault than the one that is asked makes it: what comes into a folder within one tick
# of an old kernel's clock does not show.


def test_a_name_is_taken_by_its_twins_in_case_and_unicode_form(vault: Vault) -> None:
    folder = Vault(vault.storage).folder(DAY)
    for name in ("Café.JPG", "b.jpg."):
        (folder.path / name).write_bytes(b"x")
    folder = vault.folder(DAY)
    assert folder.holder(unicodedata.normalize("NFD", "café.jpg")) == "Café.JPG"
    assert folder.holder("B.JPG") == "b.jpg."
    assert folder.holder("cafe.jpg") is None

    def put(target: str) -> None:
        Path(target).write_bytes(b"new")

    assert folder.first_free("CAFÉ.jpg", put) == "CAFÉ_1.jpg"


def test_a_hundred_thousand_long_names_of_a_day_fit_in_memory(vault: Vault) -> None:
    folder = vault.folder("2024/2024-12-24")
    names = [f"📷{'x' * 200}{number:06d}.jpg" for number in range(2000)]
    tracemalloc.start()
    try:
        for inode, name in enumerate(names, 2**40):
            folder.add(f"{name} "[:-1], inode)  # a name of its own, as a file has it that goes on
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / 2000 < 600, "bytes for each"
    assert folder.name_of(2**40 + 7) == folder.holder(names[7].upper()) == names[7]


def test_a_name_taken_by_somebody_else_just_now_is_passed_over(vault: Vault) -> None:
    folder = vault.folder(DAY)

    def put(target: str) -> None:
        if target.endswith("/a.jpg"):
            Path(target).write_bytes(b"theirs")  # between the choice and the link
        os.link(vault.originals / MARKER, target)

    assert folder.first_free("a.jpg", put) == "a_1.jpg"
    assert (folder.path / "a.jpg").read_bytes() == b"theirs"
    assert folder.holder("A.JPG") == "a.jpg"


def test_a_change_by_another_hand_is_seen(vault: Vault, wait_for: WaitFor) -> None:
    folder = vault.folder(DAY)
    before = os.stat(folder.path).st_mtime_ns
    assert folder.holder("a.jpg") is None

    def happens() -> bool:  # a folder's time ticks every few milliseconds only
        (folder.path / "a.jpg").unlink(missing_ok=True)
        (folder.path / "a.jpg").write_bytes(b"x")
        return os.stat(folder.path).st_mtime_ns > before

    wait_for(happens)
    assert vault.folder(DAY).holder("A.jpg") == "a.jpg"


def test_the_same_bytes_are_found_under_any_number_of_the_name(vault: Vault) -> None:
    path = Vault(vault.storage).folder(DAY).path
    (path / "a.jpg").write_bytes(b"one")
    (path / "A_1.jpg").write_bytes(b"two")
    (path / "a_3.jpg").write_bytes(b"beyond a gap")
    folder = vault.folder(DAY)
    assert folder.standing("a.jpg", 3, sha256(b"two")) == ("A_1.jpg", os.stat(path / "A_1.jpg").st_ino)
    assert folder.standing("a.jpg", 3, sha256(b"six")) is None
    assert folder.standing("a.jpg", 4, sha256(b"two")) is None


@pytest.mark.parametrize(
    "name",
    ["a.jpg", "IMG_0001.jpg", "no ending", "é" * 125 + ".jpg", "😀" * 60 + ".jpeg", "A.b.c_7.JPG", "🎉" * 63 + "_9"],
)
def test_what_stands_behind_a_gap_of_the_numbers_is_found(vault: Vault, name: str) -> None:
    """As after a kill, when what stood before it was a duplicate, and was taken away."""
    path = Vault(vault.storage).folder(DAY).path
    names = list(itertools.islice(numbered_names(name), 12))
    for taken in (*names[:2], names[4], names[11]):
        (path / taken).write_bytes(taken.encode()[-9:])
    folder = vault.folder(DAY)

    def standing(taken: str) -> str | None:
        content = taken.encode()[-9:]
        found = folder.standing(name, len(content), sha256(content))
        return None if found is None else found[0]

    assert standing(names[4]) == names[4]
    assert standing(names[11]) == names[11]
    folder.remove(names[11], os.stat(path / names[11]).st_ino)
    (path / names[11]).unlink()
    assert standing(names[11]) is None
    assert folder.first_free(name, lambda target: open(target, "xb").close()) == names[2]


def test_long_names_that_begin_alike_do_not_hide_each_other_behind_a_gap(vault: Vault) -> None:
    path = Vault(vault.storage).folder(DAY).path
    for who in ("Anna", "Zoe"):
        (path / f"{'a long beginning ' * 8}{who}_3.jpg").write_bytes(who.encode())
    folder = vault.folder(DAY)
    for who in ("Anna", "Zoe"):
        name = f"{'a long beginning ' * 8}{who}.jpg"
        found = folder.standing(name, len(who), sha256(who.encode()))
        assert found is not None and found[0].endswith(f"{who}_3.jpg")


def test_the_same_bytes_are_found_under_the_portable_name(vault: Vault) -> None:
    path = Vault(vault.storage).folder(DAY).path
    (path / "12_30_00.jpg").write_bytes(b"one")
    found = vault.folder(DAY).standing("12:30:00.jpg", 3, sha256(b"one"))
    assert found is not None and found[0] == "12_30_00.jpg"


def test_what_cannot_be_read_is_not_taken_for_the_same(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Vault(vault.storage).folder(DAY).path
    (path / "a.jpg").write_bytes(b"one")
    (path / "a_1.jpg").symlink_to(path / "a.jpg")

    def broken(fd: int, buffers: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "readv", broken)
    assert vault.folder(DAY).standing("a.jpg", 3, sha256(b"one")) is None


@pytest.mark.parametrize(
    "name",
    ["a\nb.jpg", "'\"`$(rm).jpg", "-rf.jpg", "\u202egpj.exe", "foto\udcff\udc80.jpg", "x" * 251 + ".jpg", "ａ　b.jpg"],
)
def test_odd_names_are_kept_to_the_byte(vault: Vault, name: str) -> None:
    folder = vault.folder(DAY)
    assert folder.first_free(name, lambda target: os.close(os.open(target, os.O_CREAT | os.O_EXCL))) == name
    assert os.fsencode(name) in os.listdir(os.fsencode(folder.path))
    second = folder.first_free(name, lambda target: os.close(os.open(target, os.O_CREAT | os.O_EXCL)))
    assert second != name and len(os.fsencode(second)) <= 255


def test_a_kept_original_seems_to_be_there_where_a_regular_file_of_its_size_stands(vault: Vault) -> None:
    path = Vault(vault.storage).folder(DAY).path
    (path / "a.jpg").write_bytes(b"one")
    (path / "link.jpg").symlink_to(path / "a.jpg")
    (path / "folder.jpg").mkdir()
    assert vault.looks_kept(f"{DAY}/a.jpg", 3)
    assert not vault.looks_kept(f"{DAY}/a.jpg", 4)
    assert not vault.looks_kept(f"{DAY}/gone.jpg", 3)
    assert not vault.looks_kept(f"{DAY}/link.jpg", os.lstat(path / "link.jpg").st_size)
    assert not vault.looks_kept(f"{DAY}/folder.jpg", os.stat(path / "folder.jpg").st_size)
    other = "Originals/1999/1999-01-01/a.jpg"
    asked = [
        (f"{DAY}/link.jpg", 3),
        (f"{DAY}/a.jpg", 3),
        (other, 3),
        (f"{DAY}/a.jpg", 4),
        (f"{DAY}/gone.jpg", 3),
        (other, 3),
    ]
    assert vault.look_kept(asked) == [False, True, False, False, False, False]


def test_what_stands_behind_a_link_is_not_kept(vault: Vault, tmp_path: Path) -> None:
    (Vault(vault.storage).folder(DAY).path / "a.jpg").write_bytes(b"one")
    day = vault.storage / DAY
    day.rename(tmp_path / "outside")
    day.symlink_to(tmp_path / "outside")
    assert not vault.looks_kept(f"{DAY}/a.jpg", 3)
    assert vault.look_kept([(f"{DAY}/a.jpg", 3)]) == [False]
    with pytest.raises(NotAnOriginal):
        vault.looks_kept("../outside/a.jpg", 3)
    with pytest.raises(NotAnOriginal):
        vault.look_kept([("../outside/a.jpg", 3)])


def test_a_vault_that_cannot_be_looked_into_is_trouble_and_not_a_missing_file(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    vault = Vault(open_folder / "Storage")
    vault.create()
    (Vault(vault.storage).folder(DAY).path / "a.jpg").write_bytes(b"one")
    vault.originals.chmod(0)
    with unprivileged():
        for ask in (
            vault.check,
            vault.is_marked,
            lambda: vault.looks_kept(f"{DAY}/a.jpg", 3),
            lambda: vault.look_kept([(f"{DAY}/a.jpg", 3)]),
            lambda: vault.folder(DAY),
        ):
            with pytest.raises(VaultTrouble, match="permission denied"):
                ask()
    vault.originals.chmod(0o755)


def test_content_that_was_moved_is_found_again(vault: Vault) -> None:
    path = Vault(vault.storage).folder(DAY).path
    (path / "a.jpg").write_bytes(b"one")
    assert vault.find(f"{DAY}/a.jpg", "a.jpg", 3, sha256(b"one")) == f"{DAY}/a.jpg"
    (path / "a.jpg").rename(path / "a_1.jpg")
    (path / "a.jpg").write_bytes(b"else")
    assert vault.find(f"{DAY}/a.jpg", "a.jpg", 3, sha256(b"one")) == f"{DAY}/a_1.jpg"
    assert vault.find(f"{DAY}/a.jpg", "a.jpg", 3, sha256(b"two")) is None


def test_moving_aside_takes_the_next_name_that_is_free_and_not_refused(vault: Vault) -> None:
    path = Vault(vault.storage).folder(DAY).path
    (path / "a.jpg").write_bytes(b"one")
    (path / "a_1.jpg").write_bytes(b"other")
    refused = {"a_2.jpg"}
    assert vault.move_aside(f"{DAY}/a.jpg", "a.jpg", refused) == f"{DAY}/a_3.jpg"
    assert (path / "a_3.jpg").read_bytes() == b"one" and not (path / "a.jpg").exists()
    assert (path / "a_1.jpg").read_bytes() == b"other"
    folder = vault.folder(DAY)
    assert folder.holder("a_3.jpg") == "a_3.jpg" and folder.holder("a.jpg") is None


def test_moving_aside_is_durable_before_the_new_name_is_told(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Vault(vault.storage).folder(DAY).path
    (path / "a.jpg").write_bytes(b"one")
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    vault.move_aside(f"{DAY}/a.jpg", "a.jpg", set())
    assert synced == [str(path)]


def test_moving_aside_what_has_gone_is_trouble(vault: Vault) -> None:
    with pytest.raises(VaultTrouble):
        vault.move_aside(f"{DAY}/gone.jpg", "gone.jpg", set())


# Renaming without replacing


def test_an_unrecorded_file_gets_a_name_durably_that_nothing_has(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Vault(vault.storage).folder(DAY).path
    (path / "a.jpg").write_bytes(b"one")
    (path / "a_1.jpg").write_bytes(b"other")
    assert not vault.rename_unrecorded(f"{DAY}/a.jpg", "a_1.jpg")
    assert not vault.rename_unrecorded(f"{DAY}/a.jpg", "a" * 300)
    assert not vault.rename_unrecorded(f"{DAY}/gone.jpg", "b.jpg")
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    assert vault.rename_unrecorded(f"{DAY}/a.jpg", "a_2.jpg")
    assert synced == [str(path)]
    assert {one.name: one.read_bytes() for one in path.iterdir()} == {"a_1.jpg": b"other", "a_2.jpg": b"one"}
    folder = vault.folder(DAY)
    assert folder.holder("a_2.jpg") == "a_2.jpg" and folder.holder("a.jpg") is None


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.EROFS, errno.EIO])
def test_an_unrecorded_file_keeps_a_name_that_cannot_be_changed(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """`chattr +i`, a sticky folder: the batch goes on, this one too, under the name that it has."""
    path = Vault(vault.storage).folder(DAY).path
    (path / "a.jpg").write_bytes(b"one")

    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("Src.Library.vault.rename_unless_taken", refused)
        assert not vault.rename_unrecorded(f"{DAY}/a.jpg", "a_2.jpg")
    assert os.strerror(code) in caplog.text
    assert vault.folder(DAY).holder("a.jpg") == "a.jpg"
    monkeypatch.setattr("Src.Library.vault.fsync", refused)
    with pytest.raises(VaultTrouble):
        vault.rename_unrecorded(f"{DAY}/a.jpg", "a_2.jpg")
    assert vault.folder(DAY).holder("a_2.jpg") == "a_2.jpg", "it has the name, though perhaps not on disk"


# Marker, lock, durability


def test_an_empty_mount_point_is_not_a_vault(small_filesystem: SmallFilesystem, tmp_path: Path) -> None:
    disk = small_filesystem("tmpfs", 1)
    storage = tmp_path / "Storage"
    storage.mkdir()
    subprocess.run(["mount", "--bind", str(disk), str(storage)], check=True)
    vault = Vault(storage)
    vault.create()
    vault.check()
    with vault.lock():
        vault.folder(DAY)
    subprocess.run(["umount", str(storage)], check=True)
    assert not vault.is_marked()
    with pytest.raises(VaultTrouble, match=r"marker file \.photo-factory-vault is missing"):
        vault.check()
    with pytest.raises(VaultTrouble):
        vault.folder(DAY)
    assert list(storage.iterdir()) == [], "nothing is made where the disk should be"


def test_a_vault_is_marked_once_made_and_made_again_without_harm(vault: Vault) -> None:
    (Vault(vault.storage).folder(DAY).path / "a.jpg").write_bytes(b"one")
    vault.create()
    vault.check()
    assert vault.looks_kept(f"{DAY}/a.jpg", 3)


def test_the_folder_of_a_day_has_four_digits_for_its_year(vault: Vault) -> None:
    assert vault.day_folder(date(2023, 12, 25)) == DAY
    assert vault.day_folder(date(1826, 1, 2)) == "Originals/1826/1826-01-02"


HOLDER = """
import sys, time
from pathlib import Path
from Src.Library.vault import Vault
with Vault(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    time.sleep(600)
"""


def test_only_one_process_has_the_lock_and_a_killed_one_frees_it(vault: Vault) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(vault.storage)], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT
    )
    with first:
        assert first.stdout is not None and first.stdout.readline() == "locked\n"
        fd = os.open(vault.state / "vault.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first.send_signal(signal.SIGKILL)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.close(fd)
    with vault.lock():
        pass


def test_a_lock_that_cannot_be_had_is_trouble(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VaultTrouble), Vault(tmp_path / "nowhere").lock():
        pass

    def no_locks(fd: int, operation: int) -> None:  # as some network shares answer
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(VaultTrouble, match="lock the vault"), vault.lock():
        pass
    assert open_below(tmp_path) == []


def test_what_was_written_is_on_disk_when_the_block_ends(
    small_filesystem: SmallFilesystem, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    disk = small_filesystem("ext4", 40)
    vault = Vault(disk / "Storage")
    vault.create()
    with vault.durably():
        path = vault.folder(DAY).path / "a.jpg"
        wait_for(lambda: path.write_bytes(os.urandom(1 << 20)) and dirty(disk))  # the kernel may sync at any time
    assert not dirty(disk)


def dirty(disk: Path) -> bool:
    """Whether blocks of the files below are still to be given a place on the device, asked of ext4 itself."""
    device = os.stat(disk).st_dev
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
    return int(Path(f"/sys/fs/ext4/{name}/delayed_allocation_blocks").read_text()) > 0


def test_a_sync_that_fails_is_trouble(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def syncfs(self, fd: int) -> int:
            ctypes.set_errno(errno.EIO)
            return -1

    monkeypatch.setattr("Src.Shared.disk.syncing._libc", Failing())
    with pytest.raises(VaultTrouble, match="input/output error; check the disk"), vault.durably():
        pass


def test_a_vault_that_is_not_there_is_trouble_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(VaultTrouble), Vault(tmp_path / "nowhere").durably():
        pytest.fail("the block must not run")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "input/output error"),
        (errno.ENODEV, "No such device"),
    ],
)
def test_trouble_says_in_one_line_what_to_do(code: int, says: str) -> None:
    message = str(VaultTrouble.from_os(OSError(code, os.strerror(code)), "write there"))
    assert message.startswith("cannot write there: ") and says in message and "\n" not in message


def test_thousands_of_one_name_are_not_read_again_for_each_newcomer(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = vault.folder(DAY)
    read: list[str] = []
    inode_and_hash = vault_folder._inode_and_hash

    def noted(folder: int, name: str) -> tuple[int, str]:
        read.append(name)
        return inode_and_hash(folder, name)

    def place(content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        assert folder.standing("IMG_1.jpg", len(content), sha256) is None

        def put(target: str) -> None:
            Path(target).write_bytes(content)

        name = folder.first_free("IMG_1.jpg", put)
        folder.add(name, os.lstat(folder.at(name)).st_ino, sha256)
        return name

    monkeypatch.setattr(vault_folder, "_inode_and_hash", noted)
    names = [place(b"%05d" % number) for number in range(300)]
    assert names == ["IMG_1.jpg", *(f"IMG_1_{number}.jpg" for number in range(1, 300))]
    assert len(read) <= 4, "those of equal size and known content are not"
    read.clear()
    found = folder.standing("IMG_1.jpg", 5, hashlib.sha256(b"00123").hexdigest())
    assert found == ("IMG_1_123.jpg", os.lstat(folder.at("IMG_1_123.jpg")).st_ino)
    assert "IMG_1_123.jpg" in read, "what is found is read again"
    folder.remove("IMG_1_7.jpg", 0)
    os.unlink(folder.at("IMG_1_7.jpg"))
    assert place(b"newer") == "IMG_1_7.jpg"
    assert vault.folder(DAY).standing("img_1.JPG", 5, hashlib.sha256(b"00299").hexdigest()) is not None
