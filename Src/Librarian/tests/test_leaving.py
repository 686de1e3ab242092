"""A filed inbox file leaves by a rename, and goes for good only after a grace, and only if it is what was filed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from Src.Librarian.clear import clearing, leaving, leaving_notes, returning
from Src.Librarian.clear.clearing import Cleared, Filed
from Src.Librarian.clear.leaving import LeavingFiles
from Src.Librarian.passage import IncomingFile
from Src.Library.leaving import leaving_now
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Unknown
from Src.Shared.disk.beneath import rename_unless_taken_at
from Src.Shared.disk.files import FileState
from Src.Shared.disk.top import Top
from Src.Testing.patience import PATIENCE
from Src.Testing.surroundings import SmallFilesystem, WaitFor, somebody_waits_for_our_lease

DAY = "Originals/2023/2023-12-25"
OLD_NS = 1_000_000_000_000_000_000
GRACE, LONG = 600.0, 14_400.0
PHOTO = b"a photo"
FINE = (os.geteuid() != 0, "only root may be another user")


class Bench:
    """A vault, an inbox, and a clock that goes on when told."""

    def __init__(self, vault: Path, inbox: Path, wait_for: WaitFor) -> None:
        self.vault = Vault(vault / "Storage")
        self.vault.create()
        self.vault.state.mkdir()
        self.inbox = inbox
        self.inbox.mkdir()
        self.now = 1000.0
        self.wait_for = wait_for
        self.disk_warning = 0.0
        self.kept_now: Callable[[str], str | None] = lambda _: None
        self.leaving = self.started()

    def started(self) -> LeavingFiles:
        """As after a restart."""
        files = LeavingFiles(
            self.vault,
            self.inbox,
            grace=GRACE,
            grace_without_lease=LONG,
            disk_warning=self.disk_warning,
            kept_now=lambda sha256: self.kept_now(sha256),
            steady=lambda: self.now,
            wall=lambda: self.now + 1e9,
        )
        files.take_over()
        return files

    def restart(self) -> None:
        self.leaving.close()
        self.leaving = self.started()

    def put(self, name: str = "a.jpg", content: bytes = PHOTO) -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o640)
        os.utime(path, ns=(OLD_NS, OLD_NS))
        return path

    def kept(self, name: str = "a.jpg", content: bytes | Path = PHOTO) -> Path:
        """An original: of these bytes, or another name of an incoming file."""
        path = self.vault.storage / DAY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            os.link(content, path)
        else:
            if path.exists():
                path.chmod(0o644)  # the image's tests are not run by root
            path.write_bytes(content)
        path.chmod(0o444)
        return path

    def filed(self, path: Path, kept: Path, sha256: str = "") -> Filed:
        name = str(path.relative_to(self.inbox))
        file = IncomingFile(str(path), name, FileState.of(os.lstat(path)), below=Top(str(self.inbox), None))
        content = path.read_bytes() if os.access(path, os.R_OK) else PHOTO
        return Filed(file, str(kept.relative_to(self.vault.storage)), sha256 or hashlib.sha256(content).hexdigest())

    def take(self, path: Path, kept: Path) -> Cleared:
        return self.leaving.take([self.filed(path, kept)])[0]

    def after(self, seconds: float) -> None:
        """That much later all that is to be done by then has been done."""
        self.now += seconds
        self.finish()

    def finish(self) -> None:
        def done() -> bool:
            self.leaving.finish()
            return not self.leaving.is_finishing()

        self.wait_for(done, what="what has left the inbox is finished with")

    @property
    def aside(self) -> list[Path]:
        """What is kept aside now."""
        beside_vault = (self.vault.state / "leaving").rglob("*")
        in_inbox = (path for path in self.inbox.rglob("*") if path.parent.name == ".factory-leaving")
        return [
            path
            for path in (*beside_vault, *in_inbox)
            if path.is_file() and path.suffix != ".notes" and path.name != "inbox.json"
        ]

    @property
    def notes(self) -> list[Path]:
        return [*(self.vault.state / "leaving").rglob("*.notes")]

    @property
    def waiting(self) -> dict[str, bytes]:
        """What is in the inbox."""
        return {
            str(path.relative_to(self.inbox)): path.read_bytes()
            for path in self.inbox.rglob("*")
            if path.is_file() and path.parent.name != ".factory-leaving"
        }


@pytest.fixture
def bench(tmp_path: Path, wait_for: WaitFor) -> Iterator[Bench]:
    bench = Bench(tmp_path, tmp_path / "inbox", wait_for)
    yield bench
    bench.leaving.close()


@pytest.fixture(params=["beside the vault", "in the inbox"])
def either(request: pytest.FixtureRequest, tmp_path: Path, wait_for: WaitFor) -> Iterator[Bench]:
    """Vault and inbox on one filesystem, and on two."""
    inbox = tmp_path / "inbox"
    if request.param == "in the inbox":
        inbox = request.getfixturevalue("other_filesystem") / "inbox"
    bench = Bench(tmp_path, inbox, wait_for)
    yield bench
    bench.leaving.close()


# Out of the inbox, and for good


def test_a_linked_file_leaves_at_once_and_its_second_name_goes_after_the_grace(bench: Bench) -> None:
    path = bench.put()
    before = FileState.of(os.lstat(path))
    kept = bench.kept(content=path)
    filed = bench.filed(path, kept)
    filed = filed._replace(file=filed.file._replace(state=before))
    assert bench.leaving.take([filed]) == ["gone"]  # though our own link and chmod have changed its ctime
    assert bench.waiting == {} and os.lstat(kept).st_nlink == 2 and len(bench.aside) == 1
    assert stat.S_IMODE(os.lstat(bench.aside[0].parent).st_mode) == 0o700
    bench.after(GRACE - 1)
    assert os.lstat(kept).st_nlink == 2
    bench.after(1)
    assert os.lstat(kept).st_nlink == 1 and kept.read_bytes() == PHOTO
    assert bench.aside == [] and bench.notes == [] and bench.waiting == {}


def test_a_copied_file_goes_after_the_grace_once_the_kept_one_was_read(either: Bench) -> None:
    path, kept = either.put(), either.kept()
    assert either.take(path, kept) == "gone"
    assert either.waiting == {} and [one.read_bytes() for one in either.aside] == [PHOTO]
    either.after(GRACE - 1)
    assert len(either.aside) == 1
    either.after(1)
    assert either.aside == [] and either.notes == [] and kept.read_bytes() == PHOTO
    assert os.listdir(either.inbox) == [], "not even the hidden folder stays"


def test_a_whole_batch_is_noted_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = 0
    fdatasync = os.fdatasync

    def count(fd: int) -> None:
        nonlocal synced
        synced += 1
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", count)
    batch = [bench.filed(bench.put(f"{n}.jpg"), bench.kept(f"{n}.jpg")) for n in range(40)]
    assert bench.leaving.take(batch) == ["gone"] * 40
    assert synced == 1 and len(bench.notes) == 1 and len(bench.aside) == 40
    bench.after(GRACE)
    assert bench.aside == [] and bench.notes == []


def test_the_longest_and_oddest_names_leave_and_come_back(either: Bench) -> None:
    names = [
        "x" * 251 + ".jpg",
        "日" * 85,
        "a\nb.jpg",
        "foto\udcff\udcfe.jpg",
        "-rf",
        "deep/er/ü.jpg",
        "no ending.",
        ".h",
    ]
    for name in names:
        assert either.take(either.put(name), either.kept()) == "gone"
    either.restart()
    assert either.waiting == {}
    either.kept().unlink()
    either.after(GRACE)
    assert sorted(either.waiting) == sorted(names)


def test_what_is_gone_already_is_gone(bench: Bench) -> None:
    kept = bench.kept()
    filed = [bench.filed(bench.put(), kept), bench.filed(bench.put("folder/b.jpg"), kept)]
    (bench.inbox / "a.jpg").unlink()
    shutil.rmtree(bench.inbox / "folder")
    assert bench.leaving.take(filed) == ["gone", "gone"]
    assert bench.aside == []
    bench.after(GRACE)
    assert bench.notes == []


# Only what was filed, and only while the original is there


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


def become_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [rewrite, replace, grow, become_a_link, become_a_fifo])
def test_what_was_changed_after_it_was_read_stays(bench: Bench, change: Callable[[Path], None]) -> None:
    path = bench.put()
    filed = bench.filed(path, bench.kept())
    change(path)
    assert bench.leaving.take([filed]) == ["not_now"]
    assert os.path.lexists(path) and bench.aside == []


def test_what_is_being_written_to_stays(bench: Bench) -> None:
    path, kept = bench.put(), bench.kept()
    filed = bench.filed(path, kept)
    with open(path, "r+b"):
        assert bench.leaving.take([filed]) == ["not_now"]
    assert bench.leaving.take([filed]) == ["gone"]


@pytest.mark.parametrize("damage", [Path.unlink, grow])
def test_nothing_leaves_while_the_original_is_not_there_as_recorded(
    bench: Bench, damage: Callable[[Path], None]
) -> None:
    path, kept = bench.put(), bench.kept()
    kept.chmod(0o644)
    damage(kept)
    assert bench.take(path, kept) == "not_now"
    assert path.exists()


def test_nothing_leaves_while_the_vault_is_not_there(bench: Bench) -> None:
    path = bench.put()
    filed = bench.filed(path, bench.kept())
    bench.vault.storage.rename(bench.vault.storage.with_name("elsewhere"))
    assert bench.leaving.take([filed]) == ["not_now"]
    assert path.exists() and not bench.vault.storage.exists()


def test_the_original_itself_by_another_way_stays(bench: Bench) -> None:
    """An inbox through which the vault is seen."""
    kept = bench.kept("kept.jpg")
    for more_names in (0, 1):  # so that its link count says nothing
        bench.inbox = bench.vault.storage / DAY
        assert bench.take(kept, kept) == "stays"
        if not more_names:
            os.link(kept, bench.vault.storage / "second.jpg")
    assert kept.exists()


def test_a_writer_who_comes_while_it_is_looked_at_is_noticed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    path, kept = bench.put(), bench.kept()
    filed, look = bench.filed(path, kept), clearing.may_go
    writer = threading.Thread(target=grow, args=(path,))

    def slow_look(*args: Any) -> Any:
        writer.start()
        wait_for(somebody_waits_for_our_lease)
        return look(*args)

    monkeypatch.setattr(leaving, "may_go", slow_look)
    assert bench.leaving.take([filed]) == ["not_now"]
    writer.join()
    assert path.read_bytes() == b"a photomore" and bench.aside == []


@pytest.mark.parametrize("taken", [False, True])
def test_what_is_opened_in_the_moment_in_which_it_leaves_comes_back_before_anybody_writes(
    either: Bench, taken: bool, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    """The kernel holds the writer at its opening until the lease is given back."""
    path, kept = either.put(), either.kept()
    filed, rename = either.filed(path, kept), os.rename
    closing = threading.Event()
    content = PHOTO + b"more" * 300_000

    def write() -> None:
        with open(path, "r+b") as file:
            file.write(content[:100])
            closing.wait(PATIENCE)
            file.write(content[100:])

    writer = threading.Thread(target=write)

    def slow_rename(*args: Any, **more: Any) -> None:
        if not writer.is_alive():
            writer.start()
            wait_for(somebody_waits_for_our_lease)
        rename(*args, **more)
        if taken and not path.exists():
            path.write_bytes(b"the next")

    monkeypatch.setattr(os, "rename", slow_rename)
    assert either.leaving.take([filed]) == ["not_now"]
    closing.set()
    writer.join()
    back = path.with_name("a_1.jpg") if taken else path
    assert either.leaving.came_back() == [str(back)]
    assert back.read_bytes() == content and stat.S_IMODE(os.lstat(back).st_mode) == 0o640
    assert not taken or path.read_bytes() == b"the next"
    assert either.aside == [] and kept.read_bytes() == PHOTO


def test_what_took_its_name_in_the_last_moment_comes_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look and the rename are two system calls."""
    path, kept = bench.put(), bench.kept()
    other = bench.inbox.parent / "other"
    other.write_bytes(b"another photo")
    filed, rename = bench.filed(path, kept), os.rename

    def late(*args: Any, **more: Any) -> None:
        monkeypatch.undo()
        rename(other, path)
        rename(*args, **more)

    monkeypatch.setattr(os, "rename", late)
    assert bench.leaving.take([filed]) == ["not_now"]
    assert bench.waiting == {"a.jpg": b"another photo"} and bench.aside == []


def test_a_file_that_cannot_leave_stays(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]], wait_for: WaitFor
) -> None:
    with unprivileged():
        bench = Bench(open_folder, open_folder / "inbox", wait_for)
        path, kept = bench.put(), bench.kept()
        bench.inbox.chmod(0o500)
        assert bench.take(path, kept) == "stays"
        bench.inbox.chmod(0o700)
        assert path.exists()
        bench.leaving.close()


# After it has left


@pytest.mark.parametrize("change", [rewrite, grow, lambda path: os.truncate(path, 3)])
def test_what_changes_while_it_is_kept_aside_comes_back_within_a_minute(
    either: Bench, change: Callable[[Path], None]
) -> None:
    path = either.put("phone/a.jpg")
    assert either.take(path, either.kept()) == "gone"
    path.parent.rmdir()  # as the service does with empty folders
    either.finish()
    change(either.aside[0])
    content = either.aside[0].read_bytes()
    either.after(61)
    assert either.waiting == {"phone/a.jpg": content} and either.aside == []
    assert either.leaving.came_back() == [str(path)] and either.leaving.came_back() == []
    assert either.notes == []


def test_a_file_of_two_names_leaves_under_both_and_stays_away(either: Bench) -> None:
    """Each rename touches what the other name leads to."""
    first, kept = either.put("a.jpg"), either.kept()
    second = either.inbox / "b.jpg"
    os.link(first, second)
    assert either.take(first, kept) == "gone"
    assert either.take(second, kept) == "gone"
    for _ in range(5):
        either.after(61)
        assert either.waiting == {} and len(either.aside) == 2
    either.after(GRACE)
    either.after(61)
    assert either.aside == [] and either.waiting == {}


def test_what_was_only_touched_stays_away_and_goes(either: Bench) -> None:
    assert either.take(either.put(), either.kept()) == "gone"
    either.finish()
    either.aside[0].chmod(0o600)
    either.after(61)
    assert either.waiting == {} and len(either.aside) == 1
    either.after(GRACE)
    assert either.aside == [] and either.waiting == {}


def test_what_comes_back_is_put_over_nothing(either: Bench) -> None:
    for _ in range(3):
        assert either.take(either.put(), either.kept()) == "gone"
    either.put(content=b"the next")
    shutil.rmtree(either.vault.storage / DAY)
    either.after(GRACE)
    assert either.waiting == {"a.jpg": b"the next", "a_1.jpg": PHOTO, "a_2.jpg": PHOTO, "a_3.jpg": PHOTO}


@pytest.mark.parametrize("obstacle", ["file", "link", "missing"])
def test_where_its_folder_cannot_be_made_again_the_inbox_takes_it(bench: Bench, obstacle: str, tmp_path: Path) -> None:
    path = bench.put("phone/dcim/a.jpg")
    assert bench.take(path, bench.kept()) == "gone"
    shutil.rmtree(bench.inbox / "phone")
    if obstacle == "file":
        (bench.inbox / "phone").write_bytes(b"a file")
    elif obstacle == "link":
        (tmp_path / "outside" / "dcim").mkdir(parents=True)
        (bench.inbox / "phone").symlink_to(tmp_path / "outside")
    bench.kept().unlink()
    bench.after(GRACE)
    back = bench.inbox / ("phone/dcim/a.jpg" if obstacle == "missing" else "a.jpg")
    assert back.read_bytes() == PHOTO
    if obstacle == "link":
        assert os.listdir(tmp_path / "outside" / "dcim") == [], "no link was followed"


@pytest.mark.parametrize("damage", ["gone", "rotten", "shorter", "replaced by a link"])
def test_the_last_copy_stays_where_the_kept_one_is_not_what_was_filed(either: Bench, damage: str) -> None:
    kept = either.kept()
    assert either.take(either.put(), kept) == "gone"
    kept.chmod(0o644)
    if damage == "gone":
        kept.unlink()
    elif damage == "rotten":
        kept.write_bytes(b"A PHOTO")
    elif damage == "shorter":
        kept.write_bytes(b"")
    else:
        kept.rename(kept.with_name("b.jpg"))
        kept.symlink_to("b.jpg")
    either.after(GRACE)
    assert either.waiting == {"a.jpg": PHOTO} and either.aside == []


def test_a_linked_file_comes_back_where_its_original_is_not_in_its_place(bench: Bench) -> None:
    path = bench.put()
    kept = bench.kept(content=path)
    assert bench.take(path, kept) == "gone"
    kept.rename(kept.with_name("moved by a person.jpg"))
    bench.after(GRACE)
    assert bench.waiting == {"a.jpg": PHOTO}
    path.unlink()
    assert bench.kept("b.jpg").exists()


def test_while_the_vault_is_not_there_nothing_is_settled(bench: Bench) -> None:
    assert bench.take(bench.put(), bench.kept()) == "gone"
    marker = bench.vault.originals / ".photo-factory-vault"
    marker.rename(bench.inbox.parent / "marker")
    bench.now += LONG
    bench.leaving.finish()
    assert len(bench.aside) == 1 and bench.waiting == {}
    assert not bench.leaving.is_finishing(), "nobody waits for it"
    (bench.inbox.parent / "marker").rename(marker)
    bench.after(61)
    assert bench.aside == []


def test_while_the_inbox_is_not_there_what_should_come_back_waits(bench: Bench) -> None:
    assert bench.take(bench.put(), bench.kept()) == "gone"
    bench.kept().unlink()
    bench.inbox.rename(bench.inbox.with_name("elsewhere"))
    bench.after(GRACE)
    assert len(bench.aside) == 1 and not bench.inbox.exists()
    bench.inbox.with_name("elsewhere").rename(bench.inbox)
    bench.after(61)
    assert bench.waiting == {"a.jpg": PHOTO}


def test_a_writer_that_holds_it_open_gets_it_back(bench: Bench) -> None:
    """It had been opened without a lease, or by a way that nobody saw."""
    assert bench.take(bench.put(), bench.kept()) == "gone"
    with open(bench.aside[0], "r+b") as writer:
        bench.after(GRACE)
        assert list(bench.waiting) == ["a.jpg"]
        writer.write(b"new one")
    assert bench.waiting == {"a.jpg": b"new one"}


def test_a_long_reading_does_not_hold_up_the_end(bench: Bench) -> None:
    assert bench.take(bench.put(), bench.kept()) == "gone"
    bench.now += GRACE
    bench.vault.interrupt()
    bench.leaving.interrupt()
    bench.finish()
    assert len(bench.aside) == 1 and bench.waiting == {}


# Where the kernel gives no lease


@pytest.fixture
def no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Src.Shared.disk.leases.ReadLease.__init__", refused)


def refused(self: Any, fd: int) -> None:
    self._fd, self._held, self.answer = fd, False, "refused"


def test_without_a_lease_the_grace_is_long(either: Bench, no_lease: None) -> None:
    assert either.take(either.put(), either.kept()) == "gone"
    either.after(LONG - 1)
    assert len(either.aside) == 1
    either.after(1)
    assert either.aside == []


def test_without_a_lease_the_file_itself_is_read_before_it_goes(
    bench: Bench, no_lease: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that has it mapped may change bytes, and no time with them."""
    assert bench.take(bench.put(), bench.kept()) == "gone"
    aside = bench.aside[0]
    aside.write_bytes(b"A PHOTO")
    os.utime(aside, ns=(OLD_NS, OLD_NS))
    bench.after(LONG)
    assert bench.waiting == {"a.jpg": b"A PHOTO"}


def test_a_look_that_cannot_read_does_not_shorten_the_grace(
    bench: Bench, no_lease: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.take(bench.put(), bench.kept()) == "gone"
    before = os.lstat(bench.aside[0]).st_ctime_ns
    while os.lstat(bench.aside[0]).st_ctime_ns == before:  # touched: the next look reads it
        bench.aside[0].chmod(0o600)
    with monkeypatch.context() as patch:
        patch.setattr(bench.vault, "verdict", lambda *_: Unknown("its disk is away"))
        bench.after(61)
    bench.after(61)
    bench.after(LONG - 123)
    assert len(bench.aside) == 1
    bench.after(1 + 61)
    assert (bench.aside, bench.waiting) == ([], {})


@pytest.mark.skipif(FINE[0], reason=FINE[1])
def test_another_users_upload_that_goes_on_while_it_is_kept_aside_is_whole_in_the_inbox_again(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]], wait_for: WaitFor
) -> None:
    """With real users: the Librarian is one, the writer another, and the kernel gives no lease."""
    with unprivileged():
        bench = Bench(open_folder, open_folder / "inbox", wait_for)
    path = bench.put()
    os.chown(path, 10001, 10001)
    path.chmod(0o644)
    with open(path, "ab", buffering=0) as upload:
        with unprivileged():
            assert bench.take(path, bench.kept()) == "gone"
            bench.after(GRACE)
            assert len(bench.aside) == 1, "it is not gone after the short grace"
        upload.write(b" and the rest")
        with unprivileged():
            bench.after(61)
            assert bench.waiting == {"a.jpg": b"a photo and the rest"} and bench.aside == []
        upload.write(b" of it")
    assert path.read_bytes() == b"a photo and the rest of it"
    bench.leaving.close()


# Over a restart


def test_the_next_start_goes_on_where_the_last_has_stopped(either: Bench) -> None:
    assert either.take(either.put("a.jpg"), either.kept("a.jpg")) == "gone"
    assert either.take(either.put("b.jpg"), either.kept("b.jpg")) == "gone"
    either.now += GRACE - 10
    either.restart()
    assert len(either.leaving) == 2 and either.waiting == {}
    either.finish()
    assert len(either.aside) == 2
    either.after(10)
    assert either.aside == [] and either.notes == [] and either.waiting == {}


def test_a_linked_file_goes_after_a_restart_too(bench: Bench) -> None:
    path = bench.put()
    kept = bench.kept(content=path)
    assert bench.take(path, kept) == "gone"
    bench.restart()
    bench.after(GRACE)
    assert bench.aside == [] and os.lstat(kept).st_nlink == 1 and kept.read_bytes() == PHOTO


@pytest.mark.parametrize("change", [rewrite, grow])
def test_what_changed_while_nobody_looked_comes_back_at_the_next_start(
    either: Bench, change: Callable[[Path], None]
) -> None:
    assert either.take(either.put("phone/a.jpg"), either.kept()) == "gone"
    change(either.aside[0])
    content = either.aside[0].read_bytes()
    either.restart()
    either.finish()
    assert either.waiting == {"phone/a.jpg": content}


def test_what_nobody_has_seen_since_it_left_is_read_before_it_goes(
    either: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the rename and the look after it: a writer may have waited for the lease."""
    for name, content in (("same.jpg", PHOTO), ("other.jpg", b"A PHOTO")):
        path, kept = either.put(name), either.kept(name)
        filed = either.filed(path, kept)
        with monkeypatch.context() as patch:
            patch.setattr(leaving_notes.Notes, "confirm", lambda *_: None)
            assert either.leaving.take([filed]) == ["gone"]
        aside = next(one for one in either.aside if one.name.endswith(name))
        aside.write_bytes(content)
        os.utime(aside, ns=(OLD_NS, OLD_NS))
    either.restart()
    either.after(GRACE)
    assert either.waiting == {} and len(either.aside) == 2, "nobody knows of a lease either"
    either.after(LONG - GRACE)
    assert either.waiting == {"other.jpg": b"A PHOTO"} and either.aside == []


def test_what_is_not_known_at_all_comes_back_under_its_name(either: Bench) -> None:
    assert either.take(either.put("phone/a.jpg"), either.kept()) == "gone"
    for note in either.notes:
        note.unlink()
    folder = either.aside[0].parent
    (folder / "a stranger's.jpg").write_bytes(b"who knows")
    either.restart()
    either.finish()
    assert either.waiting == {"a.jpg": PHOTO, "a stranger's.jpg": b"who knows"} and either.aside == []


def test_a_torn_note_is_no_obstacle(bench: Bench) -> None:
    assert bench.take(bench.put(), bench.kept()) == "gone"
    with open(bench.notes[0], "ab") as file:
        file.write(b'{"takes":[["x.0.b.jpg","b.j')
    (bench.notes[0].parent / "empty.notes").write_bytes(b"")
    (bench.notes[0].parent / "other.notes").write_bytes(b'[]\n{"takes":[1]}\n"\n')
    bench.restart()
    bench.after(GRACE)
    assert bench.aside == [] and bench.notes == [] and bench.waiting == {}


def test_where_nothing_can_be_noted_files_leave_all_the_same_and_come_back_at_the_next_start(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: what is not noted is known for as long as this process lives."""

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert bench.take(bench.put("a.jpg"), bench.kept("a.jpg")) == "gone"
        assert bench.take(bench.put("b.jpg"), bench.kept("b.jpg")) == "gone"
    assert len(bench.aside) == 2
    bench.restart()
    bench.finish()
    assert bench.waiting == {"a.jpg": PHOTO, "b.jpg": PHOTO} and bench.aside == []


def test_an_inbox_that_has_moved_since_gets_back_what_was_in_it(bench: Bench) -> None:
    assert bench.take(bench.put("phone/a.jpg"), bench.kept()) == "gone"
    bench.kept().unlink()
    bench.leaving.close()
    bench.inbox.rename(bench.inbox.with_name("new inbox"))
    bench.inbox = bench.inbox.with_name("new inbox")
    bench.leaving = bench.started()
    bench.after(GRACE)
    assert bench.waiting == {"phone/a.jpg": PHOTO}
    assert bench.aside == [] and os.listdir(bench.vault.state / "leaving") == []


def test_what_leaves_another_inbox_is_left_to_its_librarian(bench: Bench, tmp_path: Path) -> None:
    assert bench.take(bench.put(), bench.kept()) == "gone"
    (tmp_path / "other").mkdir()
    other = LeavingFiles(bench.vault, tmp_path / "other", grace=0.0, grace_without_lease=0.0)
    other.take_over()
    other.finish()
    assert len(other) == 0 and len(bench.aside) == 1
    other.close()


def test_an_inbox_that_is_on_another_disk_by_now_gets_a_copy(bench: Bench, other_filesystem: Path) -> None:
    path = bench.put("phone/a.jpg")
    assert bench.take(path, bench.kept()) == "gone"
    bench.kept().unlink()
    bench.leaving.close()
    shutil.rmtree(bench.inbox)
    bench.inbox = other_filesystem / "inbox"
    bench.inbox.mkdir()
    bench.leaving = bench.started()
    with open(bench.aside[0], "r+b"):
        bench.after(GRACE)
        assert bench.waiting == {}, "not while somebody writes to it"
    bench.after(61)
    back = bench.inbox / "phone" / "a.jpg"
    assert back.read_bytes() == PHOTO and os.lstat(back).st_mtime_ns == OLD_NS
    assert bench.aside == [] and os.listdir(back.parent) == ["a.jpg"]


# Disks below the inbox, and full ones


def test_files_on_a_disk_below_the_inbox_leave_into_their_own_folder(
    tmp_path: Path, wait_for: WaitFor, small_filesystem: SmallFilesystem
) -> None:
    bench = Bench(tmp_path, tmp_path / "inbox", wait_for)
    disk = small_filesystem("tmpfs", 4)
    (bench.inbox / "card").mkdir()
    subprocess.run(["mount", "--bind", str(disk), str(bench.inbox / "card")], check=True)
    try:
        first, second = bench.put("card/a.jpg"), bench.put("card/b.jpg")
        assert bench.take(first, bench.kept("a.jpg")) == "gone"
        assert bench.take(second, bench.kept("b.jpg")) == "gone"
        assert {path.parent for path in bench.aside} == {bench.inbox / "card" / ".factory-leaving"}
        bench.kept("b.jpg").unlink()
        bench.restart()
        bench.after(GRACE)
        assert bench.waiting == {"card/b.jpg": PHOTO} and os.listdir(bench.inbox / "card") == ["b.jpg"]
    finally:
        bench.leaving.close()
        subprocess.run(["umount", str(bench.inbox / "card")], check=True)


def test_a_link_in_place_of_the_hidden_folder_leads_nothing_away(
    tmp_path: Path, other_filesystem: Path, wait_for: WaitFor
) -> None:
    bench = Bench(tmp_path, other_filesystem / "inbox", wait_for)
    (other_filesystem / "outside").mkdir()
    (bench.inbox / ".factory-leaving").symlink_to(other_filesystem / "outside")
    path = bench.put()
    assert bench.take(path, bench.kept()) == "stays"
    assert path.exists() and os.listdir(other_filesystem / "outside") == []
    bench.leaving.close()


def test_on_a_disk_that_is_nearly_full_the_oldest_go_first_and_none_unread(
    tmp_path: Path, wait_for: WaitFor, small_filesystem: SmallFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_filesystem("tmpfs", 8)
    bench = Bench(tmp_path, disk / "inbox", wait_for)
    bench.disk_warning = 50.0
    bench.restart()
    for number in range(6):
        content = os.urandom(1 << 20)
        path = bench.put(f"{number}.jpg", content)
        assert bench.take(path, bench.kept(f"{number}.jpg", content)) == "gone"
        bench.now += 1
    rotten = bench.vault.storage / DAY / "0.jpg"
    rotten.chmod(0o644)
    rotten.write_bytes(bytes(1 << 20))
    for _ in range(8):
        bench.after(61)
    assert {path.name.rpartition(".")[0][-1] for path in bench.aside} <= {"3", "4", "5"}
    assert list(bench.waiting) == ["0.jpg"], "its original is not what was filed"
    assert 1 <= len(bench.aside) <= 3, "only as many as must"


# How much it is


def test_what_is_kept_aside_is_counted(either: Bench) -> None:
    state, inbox = either.vault.state, either.inbox
    assert leaving_now(state, inbox) == (0, 0, 0)
    assert either.take(either.put("a.jpg"), either.kept("a.jpg")) == "gone"
    assert leaving_now(state, inbox) == (1, len(PHOTO), len(PHOTO))
    if os.stat(inbox).st_dev == os.stat(state).st_dev:
        path = either.put("b.jpg", b"another photo")
        assert either.take(path, either.kept("b.jpg", path)) == "gone"
        assert leaving_now(state, inbox) == (2, len(PHOTO) + 13, len(PHOTO)), "a second name takes no room"


def test_notes_are_plain_lines_of_json(bench: Bench) -> None:
    """A person can read them."""
    assert bench.take(bench.put(), bench.kept()) == "gone"
    takes, taken = map(json.loads, bench.notes[0].read_text().splitlines())
    assert takes["takes"][0][:4] == [bench.aside[0].name, "a.jpg", f"{DAY}/a.jpg", hashlib.sha256(PHOTO).hexdigest()]
    assert taken["taken"][0][0] == bench.aside[0].name


def test_a_folder_that_is_removed_as_fast_as_it_is_made_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.put("phone/a.jpg")
    assert bench.take(path, bench.kept()) == "gone"
    path.parent.rmdir()
    bench.kept().unlink()
    rename, tries = rename_unless_taken_at, 0

    def late(*args: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            with contextlib.suppress(OSError):
                path.parent.rmdir()
        rename(*args)

    monkeypatch.setattr(returning, "rename_unless_taken_at", late)
    bench.after(GRACE)
    assert bench.waiting == {"phone/a.jpg": PHOTO} and tries == 3


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("is_known", [True, False])
def test_what_is_kept_elsewhere_by_now_does_not_come_back(bench: Bench, restarted: bool, is_known: bool) -> None:
    """A journal's replay drops a second copy, of which the file that left was another name."""
    path, first = bench.put("b.jpg"), bench.kept("first.jpg")
    second = bench.kept("b.jpg", path)
    if is_known:
        bench.kept_now = {hashlib.sha256(PHOTO).hexdigest(): f"{DAY}/first.jpg"}.get
    assert bench.take(path, second) == "gone"
    before = os.lstat(second).st_ctime_ns
    while os.lstat(bench.aside[0]).st_ctime_ns == before:  # the filesystem's clock goes on in steps
        second.unlink(missing_ok=True)
        bench.aside[0].chmod(0o444)
    if restarted:
        bench.restart()
    bench.finish()
    if is_known:
        assert bench.waiting == {} and bench.leaving.came_back() == []
    bench.after(GRACE)
    bench.after(LONG)
    assert bench.aside == [] and first.read_bytes() == PHOTO
    assert bench.waiting == ({} if is_known else {"b.jpg": PHOTO})


@pytest.mark.parametrize("elsewhere", [None, b"rotten"])
def test_what_is_said_to_be_kept_elsewhere_is_looked_at(bench: Bench, elsewhere: bytes | None) -> None:
    path = bench.put()
    kept = bench.kept(content=path)
    bench.kept_now = {hashlib.sha256(PHOTO).hexdigest(): f"{DAY}/other.jpg"}.get
    if elsewhere is not None:
        bench.kept("other.jpg", elsewhere.ljust(len(PHOTO), b"!"))
    assert bench.take(path, kept) == "gone"
    kept.unlink()
    bench.after(GRACE)
    bench.after(LONG)
    assert bench.waiting == {"a.jpg": PHOTO} and bench.aside == []


def test_while_nobody_knows_where_an_original_stands_it_stays_aside_and_others_go(bench: Bench) -> None:
    def away(_: str) -> None:
        raise VaultTrouble("the database is away")

    path, other = bench.put("b.jpg"), bench.put("other.jpg", b"another photo")
    bench.kept("first.jpg")
    second, kept_other = bench.kept("b.jpg", path), bench.kept("other.jpg", b"another photo")
    bench.kept_now = away
    assert (bench.take(path, second), bench.take(other, kept_other)) == ("gone", "gone")
    second.unlink()
    bench.restart()
    for seconds in (0, GRACE, LONG):
        bench.after(seconds)
    assert bench.waiting == {} and len(bench.aside) == 1
    bench.kept_now = {hashlib.sha256(PHOTO).hexdigest(): f"{DAY}/first.jpg"}.get
    bench.after(LONG)
    assert bench.waiting == {} and bench.aside == []
