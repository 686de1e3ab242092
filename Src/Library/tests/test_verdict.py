"""Does a kept original live? By its bytes, whatever stands at its path and whatever the kernel refuses."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from Src.Library import verdict as verdict_module
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Gone, Living, Question, Rotten, Unknown
from Src.Shared.disk.files import FileState, sha256_of
from Src.Testing.patience import PATIENCE
from Src.Testing.surroundings import SmallFilesystem, open_below

DAY = "Originals/2023/2023-12-25"
PHOTO = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(PHOTO).hexdigest()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "Storage")
    vault.create()
    put(vault)
    return vault


def put(vault: Vault, content: bytes = PHOTO, name: str = "a.jpg") -> Path:
    with vault.lock():  # and nothing stays open
        path = vault.folder(DAY).path / name
    path.write_bytes(content)
    return path


def flip(path: Path, at: int = 1000) -> None:
    """One bit, and no time and no size: as a disk does it."""
    before = path.stat()
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # that clock goes on in steps
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptor of each reading from now on."""
    read: list[int] = []

    def reading(fd: int, between: Callable[[], None]) -> str:
        read.append(fd)
        return sha256_of(fd, between)

    monkeypatch.setattr(verdict_module, "sha256_of", reading)
    return read


def ask(vault: Vault, name: str = "a.jpg") -> object:
    return vault.verdict(f"{DAY}/{name}", SHA256, len(PHOTO))


def test_the_very_bytes_are_living(vault: Vault) -> None:
    assert ask(vault) == Living(FileState.of(os.stat(vault.storage / DAY / "a.jpg")))


def test_nothing_there_is_gone(vault: Vault) -> None:
    assert ask(vault, "b.jpg") == Gone()
    assert vault.verdict("Originals/1999/1999-01-01/a.jpg", SHA256, 1) == Gone()


def test_one_bit_is_enough_to_be_rotten(vault: Vault) -> None:
    path = vault.storage / DAY / "a.jpg"
    flip(path)
    found = ask(vault)
    assert isinstance(found, Rotten) and found.reason == "its bytes are not those that were filed"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != SHA256
    assert found.state == FileState.of(path.stat())


@pytest.mark.parametrize("content", [b"", PHOTO[:-1], PHOTO + b"\0"])
def test_another_size_is_rotten_and_said(vault: Vault, content: bytes) -> None:
    put(vault, content)
    found = ask(vault)
    assert isinstance(found, Rotten) and found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.reason.endswith(f"it has {len(content):,} bytes instead of {len(PHOTO):,}")


def test_a_row_that_states_another_size_is_not_confirmed(vault: Vault) -> None:
    assert isinstance(vault.verdict(f"{DAY}/a.jpg", SHA256, len(PHOTO) + 1), Rotten)


@pytest.mark.parametrize("kind", ["symbolic link", "folder", "FIFO", "socket"])
def test_what_is_no_regular_file_is_rotten_and_never_opened(vault: Vault, kind: str, tmp_path: Path) -> None:
    path = vault.storage / DAY / "a.jpg"
    path.rename(tmp_path / "a.jpg")
    match kind:
        case "symbolic link":
            path.symlink_to(tmp_path / "a.jpg")
        case "folder":
            path.mkdir()
        case "FIFO":
            os.mkfifo(path)
        case _:
            with socket.socket(socket.AF_UNIX) as server:
                here = os.open(path.parent, os.O_RDONLY)
                server.bind(f"/proc/self/fd/{here}/a.jpg")
                os.close(here)
    found = ask(vault)
    assert isinstance(found, Rotten) and found.sha256 == ""
    assert found.reason == f"a {kind} stands in its place"


def test_a_folder_that_is_a_link_is_not_followed(vault: Vault, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (vault.storage / DAY).rename(outside)
    (vault.storage / DAY).symlink_to(outside)
    found = ask(vault)
    assert isinstance(found, Unknown) and "a symbolic link stands on the way" in found.reason


def test_the_root_itself_may_be_a_link(vault: Vault, tmp_path: Path) -> None:
    vault.originals.rename(tmp_path / "disk")
    vault.originals.symlink_to(tmp_path / "disk")
    assert isinstance(ask(vault), Living)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "Originals/../x", f"{DAY}/../a.jpg", ""])
def test_a_path_that_is_none_of_an_original_is_never_followed(vault: Vault, path: str) -> None:
    found = vault.verdict(path, SHA256, len(PHOTO))
    assert isinstance(found, Unknown) and "no path of an original" in found.reason


def test_a_hash_that_is_none_confirms_nothing(vault: Vault) -> None:
    assert isinstance(vault.verdict(f"{DAY}/a.jpg", SHA256.upper(), len(PHOTO)), Unknown)


def test_a_refusal_says_nothing_about_the_bytes(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    vault = Vault(open_folder / "Storage")
    vault.create()
    path = put(vault)
    path.chmod(0)
    with unprivileged():
        found = ask(vault)
        assert isinstance(found, Unknown) and "Permission denied" in found.reason
    path.chmod(0o444)
    path.parent.chmod(0)
    with unprivileged():
        found = ask(vault)
        assert isinstance(found, Unknown) and "Permission denied" in found.reason
    path.parent.chmod(0o755)


def test_a_vault_that_is_not_there_is_trouble_and_nothing_is_gone(vault: Vault) -> None:
    vault.originals.rename(vault.storage / "elsewhere")
    with pytest.raises(VaultTrouble, match="look into the vault"):
        ask(vault)
    with pytest.raises(VaultTrouble, match="look into the vault"):
        vault.verdicts([Question(f"{DAY}/a.jpg", SHA256, len(PHOTO))], 2)


def test_what_the_disk_does_not_give_back_is_rotten(small_filesystem: SmallFilesystem) -> None:
    """btrfs knows that a block is not what was written, and answers EIO."""
    folder = small_filesystem("btrfs", 128)
    vault = Vault(folder / "Storage")
    vault.create()
    path = put(vault, PHOTO)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    _damage_on_disk(folder)
    with open(path, "rb") as file, pytest.raises(OSError, match="Input/output error"):
        file.read()

    found = ask(vault)
    assert isinstance(found, Rotten) and found.sha256 == ""
    assert found.reason == "it cannot be read (Input/output error)"


def _damage_on_disk(folder: Path) -> None:
    """Flips a byte of each copy of the photo that the disk below a mounted folder has."""
    device = subprocess.run(
        ["findmnt", "-no", "SOURCE", str(folder)], check=True, capture_output=True, text=True
    ).stdout.strip()
    image = Path(f"/sys/block/{device.removeprefix('/dev/')}/loop/backing_file").read_text().strip()
    with open(image, "r+b") as file:
        content, at = file.read(), -1
        while (at := content.find(PHOTO[:4096], at + 1)) >= 0:
            file.seek(at + 100)
            file.write(b"!")


def test_a_reading_that_memory_spoiled_is_made_again(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    readings = [hashlib.sha256(b"spoiled").hexdigest(), SHA256]
    monkeypatch.setattr(verdict_module, "sha256_of", lambda fd, between: readings.pop(0))
    assert isinstance(ask(vault), Living)
    assert "two readings" in caplog.text


def test_what_was_read_is_remembered_while_nothing_about_it_changes(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict_module, "_SETTLED_NS", 0)
    read = counted(monkeypatch)
    assert ask(vault) == ask(vault)
    assert len(read) == 1
    path = vault.storage / DAY / "a.jpg"
    flip(path)  # size and mtime as before
    assert isinstance(ask(vault), Rotten)
    os.replace(put(vault, PHOTO, "b.jpg"), path)  # another inode
    assert isinstance(ask(vault), Living)
    before = len(read)
    monkeypatch.setattr(verdict_module, "_REMEMBERED", 0.0)
    assert isinstance(ask(vault), Living)
    assert len(read) == before + 1, "what was read long ago is read again"


def test_what_has_just_been_written_is_not_remembered(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second change within a tick of the filesystem's clock would not show."""
    monkeypatch.setattr(verdict_module, "_SETTLED_NS", 3_600_000_000_000)
    read = counted(monkeypatch)
    assert ask(vault) == ask(vault)
    assert len(read) == 2


def test_a_file_that_changes_while_it_is_read_cannot_be_judged(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    path = vault.storage / DAY / "a.jpg"

    def written_to_meanwhile(fd: int, between: Callable[[], None]) -> str:
        with open(path, "ab") as file:
            file.write(b"more")
        return sha256_of(fd, between)

    monkeypatch.setattr(verdict_module, "sha256_of", written_to_meanwhile)
    assert ask(vault) == Unknown(f"{DAY}/a.jpg is being changed")


def test_many_are_read_in_several_threads_each_once_and_answered_in_order(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(vault, PHOTO[:-1] + b"!", "b.jpg")
    asked = [Question(f"{DAY}/{name}.jpg", SHA256, len(PHOTO)) for name in "abcab"]
    together = threading.Barrier(2, timeout=PATIENCE)
    read: list[int] = []

    def one_of_two(fd: int, between: Callable[[], None]) -> str:
        read.append(fd)
        if len(read) <= 2:
            together.wait()
        return sha256_of(fd, between)

    monkeypatch.setattr(verdict_module, "sha256_of", one_of_two)
    found = vault.verdicts(asked, 2)
    assert [type(one) for one in found] == [Living, Rotten, Gone, Living, Rotten]
    assert vault.verdicts([], 2) == []
    assert open_below(vault.storage) == []


def test_a_long_reading_is_given_up_when_the_process_is_to_end(vault: Vault) -> None:
    vault.interrupt()
    with pytest.raises(VaultTrouble, match="stopped while a kept original was read"):
        ask(vault)
    with pytest.raises(VaultTrouble, match="stopped"):
        vault.verdicts([Question(f"{DAY}/a.jpg", SHA256, len(PHOTO))] * 3, 2)
    assert open_below(vault.storage) == []
