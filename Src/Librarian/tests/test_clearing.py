"""Only what was filed is removed, and only while it is that."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from Src.Librarian import clearing, orphans
from Src.Librarian.clearing import Cleared, clear
from Src.Librarian.incoming import FileState, IncomingFile
from Src.Librarian.orphans import bring_back
from Src.Librarian.tests.conftest import PATIENCE, WaitFor, somebody_waits_for_our_lease

OLD_NS = 1_000_000_000_000_000_000


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kept.jpg"
    path.write_bytes(b"a photo")
    return path


@pytest.fixture
def incoming(tmp_path: Path, kept: Path) -> IncomingFile:
    """A second copy of it, on its own inode."""
    path = tmp_path / "incoming.jpg"
    path.write_bytes(b"a photo")
    os.utime(path, ns=(OLD_NS, OLD_NS))
    return IncomingFile(str(path), path.name, FileState.of(os.lstat(path)))


def cleared(file: IncomingFile, kept: Path) -> Cleared:
    return clear(file, str(kept))


def test_the_copy_of_a_kept_file_is_removed(incoming: IncomingFile, kept: Path) -> None:
    assert cleared(incoming, kept) == "gone"
    assert not os.path.lexists(incoming.path) and kept.exists()
    assert cleared(incoming, kept) == "gone"  # by another hand, as it were


def test_a_hard_link_of_the_original_is_removed_though_our_own_link_changed_its_ctime(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"a photo")
    file = IncomingFile(str(path), path.name, FileState.of(os.lstat(path)))
    (tmp_path / "vault").mkdir()
    os.link(path, tmp_path / "vault" / "a.jpg")
    os.chmod(path, 0o444)
    assert cleared(file, tmp_path / "vault" / "a.jpg") == "gone"
    assert os.listdir(tmp_path / "vault") == ["a.jpg"]


def rewrite(path: Path) -> None:
    """As a tag editor does that restores the time: same size, same mtime."""
    before = os.lstat(path).st_ctime_ns
    while os.lstat(path).st_ctime_ns == before:  # the clock of the filesystem goes on in steps
        with open(path, "r+b") as file:
            file.write(b"NEW one")
        os.utime(path, ns=(OLD_NS, OLD_NS))


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(b"another")
    path.with_name("new").rename(path)


def grow(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def become_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("change", [rewrite, replace, grow, become_a_link])
def test_what_was_changed_after_it_was_read_stays(
    incoming: IncomingFile, kept: Path, change: Callable[[Path], None]
) -> None:
    change(Path(incoming.path))
    assert cleared(incoming, kept) == "not_now"
    assert os.path.lexists(incoming.path)


def test_what_is_being_written_to_stays(incoming: IncomingFile, kept: Path) -> None:
    with open(incoming.path, "r+b"):
        assert cleared(incoming, kept) == "not_now"
    assert cleared(incoming, kept) == "gone"


def test_a_writer_who_comes_while_it_is_looked_at_is_noticed(
    incoming: IncomingFile, kept: Path, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    look = clearing._are_one_entry
    writer = threading.Thread(target=grow, args=(Path(incoming.path),))

    def slow_look(*args: object) -> bool:
        writer.start()
        wait_for(somebody_waits_for_our_lease)
        return look(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(clearing, "_are_one_entry", slow_look)
    assert cleared(incoming, kept) == "not_now"
    writer.join()
    assert Path(incoming.path).read_bytes() == b"a photomore"


@pytest.mark.parametrize("taken", [False, True])
def test_what_is_opened_in_the_moment_of_its_removal_comes_back(
    incoming: IncomingFile, kept: Path, taken: bool, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    """The kernel holds the writer at its opening, gives it a file without a name, and what it writes was lost."""
    monkeypatch.setattr(orphans, "LONGEST", 600.0)
    path = Path(incoming.path)
    path.chmod(0o640)
    incoming = incoming._replace(state=FileState.of(os.lstat(path)))
    closing = threading.Event()
    content = b"a photo" + b"more" * 300_000

    def write() -> None:
        with open(path, "r+b") as file:
            file.write(content[:100])
            closing.wait(PATIENCE)
            file.write(content[100:])

    writer = threading.Thread(target=write)
    unlink = os.unlink

    def slow_unlink(name: str, **more: Any) -> None:
        monkeypatch.setattr(os, "unlink", unlink)
        writer.start()
        wait_for(somebody_waits_for_our_lease)
        unlink(name, **more)

    monkeypatch.setattr(os, "unlink", slow_unlink)
    assert cleared(incoming, kept) == "gone"
    assert not path.exists()
    if taken:
        path.write_bytes(b"the next")
    closing.set()
    back = path.with_name("incoming_1.jpg") if taken else path
    wait_for(back.exists)
    writer.join()
    wait_for(lambda: not any(thread.name == "orphan" for thread in threading.enumerate()))
    assert back.read_bytes() == content
    assert os.lstat(back).st_mode & 0o777 == 0o640
    assert {one.name for one in path.parent.iterdir()} == {"kept.jpg", "incoming.jpg", back.name}
    assert not taken or path.read_bytes() == b"the next"
    assert kept.read_bytes() == b"a photo"


def test_what_cannot_come_back_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    orphan = tmp_path / "a.jpg"
    orphan.write_bytes(b"a photo")
    fd = os.open(orphan, os.O_RDONLY)
    orphan.unlink()
    bring_back(fd, str(tmp_path / "gone" / "a.jpg")).join()
    assert f"{tmp_path}/gone/a.jpg: what a program wrote while it was removed is lost: No such file" in caplog.text
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_the_longest_name_that_is_taken_again_comes_back_too_and_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / f"{'x' * 251}.jpg"
    path.write_bytes(b"a photo")
    fd = os.open(path, os.O_RDONLY)
    path.unlink()
    path.write_bytes(b"the next")
    bring_back(fd, str(path)).join()
    assert path.read_bytes() == b"the next"
    assert [one.read_bytes() for one in tmp_path.iterdir() if one != path] == [b"a photo"]
    assert (tmp_path / f"{'x' * 249}_1.jpg").exists()


def test_a_writer_that_does_not_end_is_not_waited_for_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "LONGEST", 0.1)
    path = tmp_path / "a.jpg"
    with open(path, "wb", buffering=0) as writer:
        writer.write(b"a photo")
        fd = os.open(path, os.O_RDONLY)
        path.unlink()
        bring_back(fd, str(path)).join()
    assert path.read_bytes() == b"a photo"
    assert "is still written to" in caplog.text


@pytest.mark.parametrize("damage", [Path.unlink, grow])
def test_nothing_is_removed_while_the_original_is_not_there_as_recorded(
    incoming: IncomingFile, kept: Path, damage: Callable[[Path], None]
) -> None:
    damage(kept)
    assert cleared(incoming, kept) == "not_now"
    assert os.path.exists(incoming.path)


def test_the_original_itself_by_another_way_stays(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path)
    path = str(tmp_path / "way" / "kept.jpg")
    assert cleared(IncomingFile(path, "kept.jpg", FileState.of(os.lstat(path))), kept) == "stays"
    os.link(kept, tmp_path / "second.jpg")  # so that its link count says nothing
    assert cleared(IncomingFile(path, "kept.jpg", FileState.of(os.lstat(path))), kept) == "stays"
    assert kept.exists()
