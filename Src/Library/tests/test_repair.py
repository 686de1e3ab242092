"""Putting right what is wrong: by good bytes from elsewhere, whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from Src.Library.custody.item import Item
from Src.Library.custody.repair import good_bytes, putting_right, staging
from Src.Library.custody.repair.good_bytes import BytesByHash, Fetched, FolderOfBytes, GoOn, SourceTrouble
from Src.Library.custody.repair.putting_right import Repairer
from Src.Library.custody.repair.repairs import Repair
from Src.Library.custody.repair.staging import Staging
from Src.Library.custody.verified import Verified
from Src.Library.custody.verify import Plan, Verify
from Src.Library.damaged import CannotMoveAside
from Src.Library.tests.spoiling import a_link, flip_a_bit
from Src.Library.tests.verify_bench import COUNT, FULL, QUICK, Bench, filled
from Src.Library.vault import Vault
from Src.Library.vault_folder import VaultFolder
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Unknown
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState
from Src.Shared.disk.locks import lock_now
from Src.Shared.ledger_text import to_ledger
from Src.Shared.settings import Settings


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> Bench:
    """A vault that was verified once, so its times are known."""
    bench = filled(factory_settings, database)
    assert bench.verify().is_well
    return bench


@pytest.fixture
def mirror(bench: Bench, tmp_path: Path) -> Path:
    """The vault as it was, on another disk: as a tool copied it that keeps no times."""
    mirror = tmp_path / "mirror"
    shutil.copytree(bench.settings.originals, mirror, copy_function=shutil.copyfile)
    return mirror


def other_names(mirror: Path) -> Path:
    """All of it in one folder, under names that say nothing, between files of the same sizes."""
    flat = mirror.with_name("flat")
    flat.mkdir()
    for number, path in enumerate(sorted(mirror.rglob("*.jpg"))):
        (flat / f"recovered_{number}").write_bytes(path.read_bytes())
        (flat / f"garbage_{number}").write_bytes(bytes(path.stat().st_size))
    return flat


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def longer(path: Path) -> None:
    path.chmod(0o640)
    path.write_bytes(path.read_bytes() + b"x")
    path.chmod(0o440)


def a_day_that_is_gone(path: Path) -> None:
    shutil.rmtree(path.parent)


def restored(bench: Bench, source: Path, plan: Plan = FULL) -> Verified:
    return bench.verify(plan, repair=Repair(FolderOfBytes(source)))


def contents(bench: Bench) -> dict[str, str]:
    return {path: hashlib.sha256((bench.settings.storage / path).read_bytes()).hexdigest() for path in bench.paths}


def aside(bench: Bench) -> list[Path]:
    return list((bench.settings.storage / ".factory" / "damaged").glob("*/*"))


def under_way(bench: Bench) -> list[str]:
    folder = bench.settings.storage / ".factory" / "restoring"
    return os.listdir(folder) if folder.is_dir() else []


def events(bench: Bench) -> list[tuple[str, ...]]:
    return [tuple(row) for row in bench.sql("SELECT final_path, fate, message FROM ingest_events ORDER BY final_path")]


CHANGES: list[tuple[int, Callable[[Path], None]]] = [
    *((0, flip_a_bit), (1, longer), (2, a_link), (3, a_folder), (4, Path.unlink)),
    *((5, lambda path: path.chmod(0o646)), (COUNT - 1, a_day_that_is_gone)),
]


@pytest.mark.parametrize("plan", [FULL, QUICK, Plan("sample", sample=COUNT), Plan("budget", budget=300.0)])
@pytest.mark.parametrize("names", ["the same", "others"])
def test_what_is_wrong_is_right_again(bench: Bench, mirror: Path, plan: Plan, names: str) -> None:
    was = contents(bench)
    states = {path: FileState.of((bench.settings.storage / path).stat()) for path in bench.paths}
    rows = bench.sql("SELECT id, file_hash, final_path, ingested_at FROM media_assets ORDER BY id")
    for number, change in CHANGES:
        change(bench.at(number))
    wrong = bench.verify(plan)
    assert wrong.restored == []
    names_ = {*wrong.missing, *wrong.changed, *wrong.mode}
    done = restored(bench, mirror if names == "the same" else other_names(mirror), plan)
    assert (done.is_well, set(done.restored), done.ok, done.checked) == (True, names_, COUNT, COUNT), done.why
    assert contents(bench) == was
    for path in bench.paths:
        status = (bench.settings.storage / path).stat()
        assert (status.st_mtime_ns, status.st_mode & 0o622) == (states[path].mtime_ns, 0o400), path
    assert bench.findings() == {}
    assert bench.sql("SELECT id, file_hash, final_path, ingested_at FROM media_assets ORDER BY id") == rows
    assert bench.sql("SELECT count(*) FROM media_assets WHERE verified_at IS NULL")[0][0] == 0
    kept = {bench.paths[number] for number in range(4)}
    assert set(done.kept_aside) == kept
    assert {str(path.relative_to(bench.settings.storage)) for path in aside(bench)} == set(done.kept_aside.values())
    told = {path: fate for path, fate, _ in events(bench)}
    assert told == {to_ledger(path): "restored" for path in names_ if path != bench.paths[5]}
    assert under_way(bench) == []
    for again in (QUICK, FULL):
        assert bench.verify(again).is_well
        assert bench.verify(again).touched == []


def test_nothing_is_put_right_unasked(bench: Bench, mirror: Path) -> None:
    flip_a_bit(bench.at(1))
    bench.at(2).unlink()
    bench.at(3).rename(bench.at(3).with_name("renamed.jpg"))
    done = bench.verify()
    assert (done.changed, sorted(done.missing)) == ([bench.paths[1]], sorted([bench.paths[2], bench.paths[3]]))
    done = bench.verify(repair=Repair())
    assert (done.restored, len(done.moved), done.moved_back, aside(bench)) == ([], 1, {}, [])
    assert not bench.at(2).exists()


def test_only_the_right_bytes_are_good(bench: Bench, tmp_path: Path, mirror: Path) -> None:
    """A source may have anything: other bytes under the name, links, a FIFO, what cannot be read."""
    flip_a_bit(bench.at(1))
    bench.at(2).unlink()
    bad = (bench.at(1).read_bytes(), bench.at(1).stat())
    source = tmp_path / "source"
    shutil.copytree(bench.settings.originals, source)  # the flipped bit too
    size = (mirror / bench.at(2).relative_to(bench.settings.originals)).stat().st_size
    for name, content in (("a", bytes(size)), (bench.at(2).name, b"x" * size), ("empty", b"")):
        (source / name).write_bytes(content)
    (source / "link").symlink_to(mirror / bench.at(2).relative_to(bench.settings.originals))
    (source / "linked").symlink_to(mirror)
    (source / "up").symlink_to("..")
    (source / "round").symlink_to(".")
    os.mkfifo(source / "fifo")
    done = restored(bench, source)
    assert (done.changed, done.missing, done.restored) == ([bench.paths[1]], [bench.paths[2]], [])
    assert "has no file with its bytes" in done.why[bench.paths[2]]
    assert (bench.at(1).read_bytes(), bench.at(1).stat().st_ino) == (bad[0], bad[1].st_ino)
    assert (aside(bench), under_way(bench), events(bench)) == ([], [], [])


@pytest.mark.parametrize("how", ["swapped for a FIFO", "swapped for a link", "cut", "other bytes", "unreadable"])
def test_what_changes_after_it_was_found_is_not_believed(
    bench: Bench, mirror: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    bench.at(2).unlink()
    good = mirror / bench.at(2).relative_to(bench.settings.originals)
    looked = FolderOfBytes.look

    def look(self: FolderOfBytes, wanted: Any, go_on: GoOn) -> None:
        looked(self, wanted, go_on)
        kept = good.rename(mirror.parent / "kept")
        if how == "swapped for a FIFO":
            os.mkfifo(good)
        elif how == "swapped for a link":
            good.symlink_to(kept)
        elif how == "cut":
            good.write_bytes(kept.read_bytes()[:-1])
        else:
            good.write_bytes(bytes(kept.stat().st_size))

    def refuses(fd: int, *_: Any) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(FolderOfBytes, "look", look)
    if how == "unreadable":
        monkeypatch.setattr(good_bytes, "_read", refuses)
    done = restored(bench, mirror)
    if how in ("unreadable", "swapped for a link"):
        assert "that could be read; " in done.why[bench.paths[2]]
        assert "could not be looked at or read" in done.trouble
    assert (done.missing, done.restored, under_way(bench)) == ([bench.paths[2]], [], [])
    assert not bench.at(2).exists()


class Lying:
    """A source that gives other bytes than it says."""

    name = "a copy"
    trouble = ""

    def __init__(self, content: bytes, then: Callable[[], None] = lambda: None) -> None:
        self._content, self._then = content, then

    def look(self, wanted: Iterable[Item], go_on: GoOn) -> None:
        pass

    def fetch(self, item: Item, into: int, go_on: GoOn) -> Fetched | None:
        os.write(into, self._content)
        self._then()
        return Fetched("s3://bucket/x")


def test_a_source_is_never_believed(bench: Bench) -> None:
    flip_a_bit(bench.at(1))
    before = bench.at(1).read_bytes()
    for content in (before, b"", b"x" * 70_000):
        done = bench.verify(repair=Repair(Lying(content)))
        assert (done.changed, done.restored, bench.at(1).read_bytes()) == ([bench.paths[1]], [], before)
        assert "other bytes" in done.why[bench.paths[1]]
    assert (aside(bench), under_way(bench)) == ([], [])


class _NotThere(Exception):
    pass


class _Away(Exception):
    pass


def test_a_source_that_is_asked_by_hash(bench: Bench) -> None:
    """As a copy elsewhere is."""
    good = {hashlib.sha256(bench.at(1).read_bytes()).hexdigest(): bench.at(1).read_bytes()}
    was = FileState.of(bench.at(1).stat())
    for number in (1, 2):
        bench.at(number).unlink()

    def fetch(sha256: str, into: int) -> int:
        if sha256 not in good:
            raise _NotThere(f"nothing has {sha256}")
        return os.write(into, good[sha256])

    def away(sha256: str, into: int) -> int:
        raise _Away("it is not plugged in")

    def full(sha256: str, into: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for refusal, words in ((away, "not plugged in"), (full, "disk is full")):
        done = bench.verify(repair=Repair(BytesByHash("offsite", refusal, has_none=_NotThere, trouble=_Away)))
        assert (done.missing, done.is_complete) == (bench.paths[1:3], False), "what was found is still known"
        assert all(words in said for said in (done.trouble, *map(done.why.__getitem__, done.missing)))
    done = bench.verify(repair=Repair(BytesByHash("offsite", fetch, has_none=_NotThere, trouble=_Away)))
    assert (done.restored, done.missing) == ([bench.paths[1]], [bench.paths[2]])
    assert "could be read; nothing has" in done.why[bench.paths[2]]
    status = bench.at(1).stat()
    assert (status.st_mtime_ns, status.st_mode & 0o777) == (was.mtime_ns, 0o440)


def test_what_comes_meanwhile_stays(bench: Bench) -> None:
    """The file is put right, or its place taken, by somebody else while the bytes are fetched."""
    good = bench.at(1).read_bytes()

    def another() -> None:
        bench.at(1).write_bytes(b"somebody's")

    def in_capitals() -> None:
        bench.at(1).with_name(bench.at(1).name.upper()).write_bytes(b"somebody's")

    def moved() -> None:
        bench.sql("UPDATE media_assets SET final_path = final_path || 'x' WHERE final_path = :p", p=bench.paths[1])

    def the_good_one() -> None:
        bench.at(1).write_bytes(good)

    bench.at(1).unlink()
    done = bench.verify(repair=Repair(Lying(good, the_good_one)))
    assert (done.restored, bench.at(1).read_bytes(), events(bench)) == ([bench.paths[1]], good, [])
    bench.at(1).unlink()
    done = bench.verify(repair=Repair(Lying(good, in_capitals)))
    assert (done.restored, done.missing) == ([], [bench.paths[1]])
    assert "capitals" in done.why[bench.paths[1]]
    bench.at(1).with_name(bench.at(1).name.upper()).unlink()
    done = bench.verify(repair=Repair(Lying(good, another)))
    assert (done.restored, bench.at(1).read_bytes()) == ([bench.paths[1]], good)
    assert [path.read_bytes() for path in aside(bench)] == [b"somebody's"]
    bench.at(1).unlink()
    done = bench.verify(repair=Repair(Lying(good, moved)))
    assert (done.restored, bench.at(1).exists()) == ([], False)


class Killed(BaseException):
    pass


STEPS = [
    *((FolderOfBytes, "fetch", True), (Vault, "put_away", False), (Vault, "put_away", True)),
    *((Vault, "take_free_place", False), (Vault, "take_free_place", True), (Repairer, "_tell", True)),
]


@pytest.mark.parametrize(("where", "name", "after"), STEPS)
def test_killed_at_any_step_the_next_run_ends_right(
    bench: Bench, mirror: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, after: bool
) -> None:
    was = contents(bench)
    flip_a_bit(bench.at(1))
    real = getattr(where, name)

    def killed(*given: Any) -> Any:
        if after:
            real(*given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, name, killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # a kill cleans up nothing
        with pytest.raises(Killed):
            restored(bench, mirror)
    standing = bench.at(1).read_bytes() if bench.at(1).exists() else None
    assert standing is None or len(standing) == bench.at(1).stat().st_size, "whole or not at all"
    (bench.settings.storage / ".factory" / "restoring").mkdir(exist_ok=True)
    (bench.settings.storage / ".factory" / "restoring" / "x.part").write_bytes(b"half")
    done = restored(bench, mirror)
    assert (done.is_well, contents(bench), under_way(bench)) == (True, was, []), done.why
    assert [(path, fate) for path, fate, _ in events(bench)] == [(bench.paths[1], "restored")]
    assert len(aside(bench)) == 1, "what stood there is never lost"
    assert bench.findings() == {}


def test_what_cannot_be_looked_at_after_a_kill_keeps_its_note(
    bench: Bench, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal says nothing of what was done: its event is written when the place can be looked at."""
    flip_a_bit(bench.at(1))

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Repairer, "_tell", killed)
        with pytest.raises(Killed):
            restored(bench, mirror)
    with monkeypatch.context() as patch:
        patch.setattr(Vault, "verdict", lambda *_: Unknown("it cannot be read: Permission denied"))
        restored(bench, mirror)
    assert events(bench) == []
    assert restored(bench, mirror).is_well
    assert [(path, fate) for path, fate, _ in events(bench)] == [(bench.paths[1], "restored")]


def test_a_full_disk_changes_nothing(bench: Bench, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip_a_bit(bench.at(1))

    def full(*_: Any) -> None:
        raise VaultTrouble.from_os(OSError(errno.ENOSPC, "No space left on device"), "write")

    bad = bench.at(1).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(good_bytes, "_write", full)
        done = restored(bench, mirror)
    assert (done.changed, done.is_complete) == ([bench.paths[1]], False)
    assert "the disk is full" in done.trouble
    assert (bench.at(1).read_bytes(), aside(bench), under_way(bench)) == (bad, [], [])
    assert restored(bench, mirror).is_well


def test_where_the_originals_are_on_a_filesystem_of_their_own(
    bench: Bench, mirror: Path, other_filesystem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename does not leave one, so what is under way and what is kept aside are there too, and no strangers. And
    what is bad keeps its place until the good bytes are there."""
    originals = bench.settings.originals
    shutil.copytree(originals, other_filesystem / "Originals", copy_function=shutil.copy2)
    originals.rename(originals.with_name("before"))
    originals.symlink_to(other_filesystem / "Originals")
    flip_a_bit(bench.at(1))
    bench.at(1).chmod(0o400)
    bench.at(2).unlink()
    steps: list[str] = []
    real_fetch, real_aside = FolderOfBytes.fetch, Vault.put_away

    def fetch(self: FolderOfBytes, item: Item, *given: Any) -> Fetched | None:
        steps.append("fetch")
        return real_fetch(self, item, *given)

    def away(self: Vault, *given: Any) -> str:
        steps.append("put away")
        return real_aside(self, *given)

    monkeypatch.setattr(FolderOfBytes, "fetch", fetch)
    monkeypatch.setattr(Vault, "put_away", away)
    done = restored(bench, mirror)
    assert (done.is_well, len(done.restored)) == (True, 2), done.why
    assert steps == ["fetch", "fetch", "put away", "fetch"]
    assert stat.S_IMODE(bench.at(1).stat().st_mode) == 0o400, "the mode that was there"
    assert any("bytes are not those" in message for _, _, message in events(bench)), "the damage is not forgotten"
    assert done.kept_aside[bench.paths[1]].startswith("Originals/.damaged/")
    assert under_way(bench) == []
    assert bench.verify().is_well, "what was kept aside is no stranger"


@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.EACCES])
def test_a_folder_that_takes_nothing_keeps_nobody_else_waiting(
    bench: Bench, mirror: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    """As a year's folder on a disk of its own."""
    day = bench.at(1).parent
    inode = day.stat().st_ino
    other = next(number for number in range(COUNT) if bench.at(number).parent != day)
    for number in (1, other):
        flip_a_bit(bench.at(number))
    bad = bench.at(1).read_bytes()
    refresh = VaultFolder.refresh

    def refused(self: VaultFolder) -> None:
        if self.path == day:
            try:
                raise OSError(refusal, os.strerror(refusal))
            except OSError as error:
                raise VaultTrouble.from_os(error, "use the folder") from error
        refresh(self)

    if refusal == errno.EXDEV:
        monkeypatch.setattr(putting_right, "is_one_mount", lambda _, folder: os.fstat(folder).st_ino != inode)
    else:
        monkeypatch.setattr(VaultFolder, "refresh", refused)
    done = restored(bench, mirror)
    assert (done.restored, done.changed, done.is_complete) == ([bench.paths[other]], [bench.paths[1]], True)
    assert "it was not put right" in done.why[bench.paths[1]]
    assert (bench.at(1).read_bytes(), len(aside(bench)), under_way(bench)) == (bad, 1, [])


def test_a_year_whose_disk_is_away_gets_nothing(bench: Bench, mirror: Path) -> None:
    """Its mount point is an empty folder. Where the folder has gone too, nothing was mounted there."""
    [year] = {bench.at(number).parents[1] for number in range(COUNT)}
    year.rename(bench.settings.storage / "disk")
    year.mkdir()
    for done in (restored(bench, mirror), accepted(bench)):
        assert (len(done.missing), done.restored, list(year.iterdir())) == (COUNT, [], [])
    assert "is its disk mounted?" in restored(bench, mirror).why[bench.paths[1]]
    year.rmdir()
    assert restored(bench, mirror).is_well


def test_what_an_act_is_moving_stays(bench: Bench, mirror: Path) -> None:
    """A killed run of a removal has moved the file, and its rows are still to be changed."""
    for number in (1, 2, 3):
        bench.at(number).unlink()
    for hash_of, path in ((1, 1), (4, 2)):  # of a hash; of a path
        bench.sql(
            "INSERT INTO file_moves (id, act_id, file_hash, file_size, from_path, to_path) "
            "SELECT gen_random_uuid(), gen_random_uuid(), file_hash, 1, :path, replace(:path, 'Originals/', 'Trash/') "
            "FROM media_assets WHERE final_path = :hash_of",
            hash_of=bench.paths[hash_of],
            path=bench.paths[path],
        )
    done = restored(bench, mirror)
    assert (done.missing, done.restored) == (bench.paths[1:3], [bench.paths[3]])
    assert all("an act that moves it" in done.why[path] for path in done.missing)
    bench.sql("DELETE FROM file_moves")
    assert restored(bench, mirror).is_well


def test_nothing_is_noted_of_what_was_not_done(bench: Bench, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an original that comes back by another way would have an event that says it was restored."""
    good = bench.at(1).read_bytes()
    flip_a_bit(bench.at(1))

    def refuses(*_: Any) -> str:
        raise CannotMoveAside("it is busy")

    def killed(*_: Any) -> str:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "put_away", refuses)
        done = restored(bench, mirror)
    assert (done.changed, under_way(bench)) == ([bench.paths[1]], [])
    assert "it is busy" in done.why[bench.paths[1]]
    with monkeypatch.context() as patch:
        patch.setattr(Vault, "put_away", killed)
        with pytest.raises(Killed):
            restored(bench, mirror)
    assert len(under_way(bench)) == 1
    bench.at(1).chmod(0o640)
    bench.at(1).write_bytes(good)
    bench.at(1).chmod(0o440)
    bench.at(2).unlink()
    assert restored(bench, mirror).is_well
    assert ([path for path, _, _ in events(bench)], under_way(bench)) == ([bench.paths[2]], [])


def test_what_belongs_to_an_original_is_restored_too(bench: Bench, tmp_path: Path) -> None:
    aae = bench.beside(1, "IMG_0001.AAE", "aae", b"<plist>1</plist>")
    xmp = bench.beside(3, "IMG_0003.jpg.xmp", "xmp", b"<x:xmpmeta/>")
    (tmp_path / "disk").mkdir()
    for path in (aae, xmp):
        shutil.copy(path, tmp_path / "disk" / path.name)
        path.unlink()
    done = restored(bench, tmp_path / "disk")
    names = [str(path.relative_to(bench.settings.storage)) for path in (aae, xmp)]
    assert (done.restored, done.missing) == ([names[0]], [names[1]])
    assert "programs write into it" in done.why[names[1]]
    assert aae.read_bytes() == b"<plist>1</plist>"
    assert [(path, fate) for path, fate, _ in events(bench)] == [(names[0], "companion")]


def test_a_stop_leaves_what_is_right_and_goes_on(bench: Bench, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        bench.at(number).unlink()
    verify = Verify(bench.settings, bench.database, FULL, repair=Repair(FolderOfBytes(mirror)))
    fetched = FolderOfBytes.fetch

    def fetch(*given: Any) -> Fetched | None:
        answer = fetched(*given)
        verify.stop()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(FolderOfBytes, "fetch", fetch)
        done = verify.run()
    assert (done.is_complete, done.is_well, under_way(bench)) == (False, False, [])
    assert bench.verify().missing == [path for path in bench.paths[1:4] if not (bench.settings.storage / path).exists()]
    assert restored(bench, mirror).is_well


def test_a_source_that_is_none(bench: Bench, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(SourceTrouble):
            FolderOfBytes(path)
    source = FolderOfBytes(mirror)
    mirror.rename(tmp_path / "away")
    mirror.mkdir()
    bench.at(1).unlink()
    done = bench.verify(repair=Repair(source))  # its disk was unplugged, and another folder stands there
    assert (done.missing, done.is_complete, bool(done.trouble)) == ([bench.paths[1]], False, True)
    assert bench.verify().missing == [bench.paths[1]]


def test_a_staged_file_of_a_living_run_stays(bench: Bench) -> None:
    staging = Staging(bench.settings.storage)
    with staging.new() as staged:
        Staging(bench.settings.storage).clean_up()
        assert under_way(bench) == [staged.name]
    assert under_way(bench) == []


def test_a_file_that_another_run_removes_before_it_is_locked_is_made_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = lock_now, []

    def lock(fd: int) -> bool:
        calls.append(fd)
        if len(calls) == 1:
            Path(os.readlink(f"/proc/self/fd/{fd}")).unlink()
        return len(calls) != 2 and real(fd)

    monkeypatch.setattr(staging, "lock_now", lock)
    with Staging(bench.settings.storage).new() as staged:
        assert staged.is_there()
        assert len(calls) == 3


# What was moved by hand


def accepted(bench: Bench, plan: Plan = FULL) -> Verified:
    return bench.verify(plan, repair=Repair(accepts_moves=True))


@pytest.mark.parametrize("plan", [FULL, QUICK])
def test_what_was_moved_goes_back(bench: Bench, plan: Plan) -> None:
    """Also a new name in its own day: what belongs to it keeps its name, and no path is used twice (promise 1)."""
    was = contents(bench)
    away = {
        1: bench.at(COUNT - 1).with_name("in another day.jpg"),
        2: bench.settings.originals / "loose.jpg",
        3: bench.settings.originals / "an album" / "x" / bench.at(3).name,
        4: bench.at(4).with_name(bench.at(4).name.upper()),
        6: bench.at(6).with_name("Grandma.jpg"),
    }
    bench.beside(4, "IMG_0004.AAE", "aae", b"<plist>1</plist>")
    for number, path in away.items():
        path.parent.mkdir(exist_ok=True, parents=True)
        bench.at(number).rename(path)
    away[1].chmod(0o644)
    done = accepted(bench, plan)
    names = {number: str(path.relative_to(bench.settings.storage)) for number, path in away.items()}
    assert done.moved_back == {bench.paths[number]: names[number] for number in away}
    assert (done.is_well, done.moved, done.ok) == (True, {}, COUNT + 1), done.why
    assert contents(bench) == was
    assert bench.at(1).stat().st_mode & 0o222 == 0
    for again in (QUICK, FULL):
        assert bench.verify(again).is_well
    assert bench.findings() == {}


def test_a_move_is_not_accepted_where_anything_has_changed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    other = bench.at(COUNT - 1).with_name("elsewhere.jpg")
    real = Repairer.accept_move

    def meanwhile(change: Callable[[], None]) -> Verified:
        bench.at(1).rename(other)

        def accept(self: Repairer, item: Item, standing: str) -> Any:
            change()
            return real(self, item, standing)

        with monkeypatch.context() as patch:
            patch.setattr(Repairer, "accept_move", accept)
            return accepted(bench)

    def taken() -> None:
        bench.at(1).write_bytes(b"somebody's")

    done = meanwhile(taken)
    assert (done.moved_back, bench.at(1).read_bytes()) == ({}, b"somebody's")
    assert "stands in its place again" in done.why[bench.paths[1]]
    os.replace(other, bench.at(1))

    good = bench.at(1).read_bytes()

    def changed() -> None:
        other.chmod(0o640)
        other.write_bytes(b"x" * len(good))

    done = meanwhile(changed)
    assert (done.moved_back, done.missing) == ({}, [bench.paths[1]])
    assert "other bytes by now" in done.why[bench.paths[1]]
    other.write_bytes(good)
    assert accepted(bench).is_well
