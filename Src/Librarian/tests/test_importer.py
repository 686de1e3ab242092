"""The first big import: the source is never written to, a second run goes on where the first stopped."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table
from sqlalchemy.orm import Session

from Src.Librarian import librarian
from Src.Librarian.importer import Importer
from Src.Librarian.passage import Account, IncomingFile, LedgerEntry
from Src.Librarian.place.placing import Placer
from Src.Librarian.read.reader_pool import ReaderPool
from Src.Librarian.record import statements
from Src.Librarian.record.recorder import Recorder, Rejected
from Src.Librarian.sources import SourceError
from Src.Librarian.tally import Tally
from Src.Library import tree
from Src.Shared.database import Database
from Src.Shared.disk.beneath import open_beneath
from Src.Shared.settings import Settings
from Src.Shared.vault_marker import MARKER
from Src.Testing.promise import (
    Source,
    assert_promise_kept,
    ledger_rows,
    sha256_of_file,
    sources_in,
    vault_files,
)
from Src.Testing.roles import as_service
from Src.Testing.surroundings import SmallFilesystem

SAMPLES = Path(__file__).parent / "samples"
CANON = (SAMPLES / "Canon_40D.jpg").read_bytes()
DAY = "Originals/2008/2008-05-30"


def photo(number: int = 0) -> bytes:
    return CANON + b"%08d" % number


class Bench:
    """A factory, a folder to import from, and a record of which files were read."""

    def __init__(self, settings: Settings, source: Path) -> None:
        self.settings = replace(settings, readers=1)
        self.source = source
        self.read: list[str] = []

    def put(self, name: str | bytes, content: bytes) -> Path:
        path = self.source / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def run(self, *sources: Path, move: bool = False, **options: Any) -> Tally:
        self.read.clear()
        database = Database(as_service(self.settings, "factory"))
        try:
            return Importer(self.settings, database, sources or [self.source], move=move, **options).run()
        finally:
            database.close()

    def fates(self) -> list[str]:
        rows = ledger_rows(self.settings, "SELECT fate FROM ingest_events ORDER BY happened_at")
        return [row["fate"] for row in rows]

    def check(self, sources: list[Source]) -> None:
        assert_promise_kept(self.settings, sources)


@pytest.fixture
def bench(factory_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    source = tmp_path / "source"
    source.mkdir()
    bench = Bench(factory_settings, source)
    put = ReaderPool.put

    def noting_put(self: ReaderPool, files: list[IncomingFile]) -> None:
        bench.read += [os.path.basename(file.path) for file in files]
        put(self, files)

    monkeypatch.setattr(ReaderPool, "put", noting_put)
    return bench


def all_about(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Everything about every file and folder that a reader must leave as it was; atime is the reader's own."""
    return {
        str(path): (
            at.st_mode,
            at.st_ino,
            at.st_nlink,
            at.st_uid,
            at.st_gid,
            at.st_size,
            at.st_mtime_ns,
            at.st_ctime_ns,
        )
        for path in (folder, *sorted(folder.rglob("*")))
        for at in [path.lstat()]
    }


def test_a_copying_import_never_writes_to_the_source(bench: Bench) -> None:
    for sample in SAMPLES.iterdir():
        shutil.copy2(sample, bench.source)
    bench.put("deep/er/a.jpg", photo(1))
    bench.put("deep/twin.jpg", photo(1))
    bench.put("read only/b.jpg", photo(2)).parent.chmod(0o555)
    (bench.source / "link.jpg").symlink_to("Canon_40D.jpg")
    os.link(bench.source / "Canon_40D.jpg", bench.source / "hard link.jpg")
    before = all_about(bench.source)
    wanted = [one for one in sources_in(bench.source) if not one.original_path.endswith(".md")]
    tally = bench.run()
    assert all_about(bench.source) == before
    assert (tally.new, tally.duplicates, tally.not_media, tally.failed) == (len(wanted) - 2, 2, 1, 0)
    bench.check(wanted)

    bench.run()
    assert all_about(bench.source) == before


def test_the_vault_shares_no_file_with_the_source(bench: Bench) -> None:
    path = bench.put("a.jpg", photo())
    bench.run()
    with open(path, "r+b") as file:  # its owner edits it
        file.write(b"changed")
    assert (bench.settings.storage / DAY / "a.jpg").read_bytes() == photo()


def test_a_second_run_finds_nothing_new_and_reads_nothing(bench: Bench) -> None:
    for number in range(5):
        bench.put(f"{number}.jpg", photo(number // 2))
    bench.put("notes.txt", b"text")
    assert bench.run().new == 3
    assert len(bench.read) == 6
    events = bench.fates()
    tally = bench.run()
    assert (tally.new, tally.duplicates, tally.not_media) == (0, 5, 1)
    assert bench.read == []
    assert bench.fates() == events
    bench.check([one for one in sources_in(bench.source) if one.original_path.endswith(".jpg")])


def test_a_changed_file_is_read_again(bench: Bench) -> None:
    changed, touched = bench.put("a.jpg", photo(1)), bench.put("b.jpg", photo(2))
    before = sources_in(bench.source)
    bench.run()
    changed.write_bytes(photo(10))
    os.utime(touched)
    tally = bench.run()
    assert sorted(bench.read) == ["a.jpg", "b.jpg"]
    assert (tally.new, tally.duplicates) == (1, 1)
    bench.check(sorted({*before, *sources_in(bench.source)}))


def test_a_file_gone_from_the_vault_is_restored_by_the_second_run(bench: Bench) -> None:
    for number in range(3):
        bench.put(f"{number}.jpg", photo(number))
    bench.run()
    (bench.settings.storage / DAY / "1.jpg").unlink()
    tally = bench.run()
    assert bench.read == ["1.jpg"]
    assert (tally.restored, tally.duplicates, tally.new) == (1, 2, 0)
    bench.check(sources_in(bench.source))


def test_a_move_removes_only_what_is_filed(bench: Bench) -> None:
    for number in range(4):
        bench.put(f"{number}.jpg", photo(number // 2))
    bench.put("notes.txt", b"text")
    bench.put(".hidden.jpg", photo(9))
    (bench.source / "link.jpg").symlink_to("0.jpg")
    wanted = [
        one for one in sources_in(bench.source) if one.original_path.endswith(("0.jpg", "1.jpg", "2.jpg", "3.jpg"))
    ]
    tally = bench.run(move=True)
    assert (tally.new, tally.duplicates, tally.not_media) == (2, 2, 1)
    assert sorted(os.listdir(bench.source)) == [".hidden.jpg", "link.jpg", "notes.txt"]
    bench.check(wanted)


def test_a_move_of_a_file_whose_path_belonged_to_a_gone_original_removes_it_too(bench: Bench) -> None:
    bench.put("a.jpg", photo(1))
    bench.run(move=True)
    (bench.settings.storage / DAY / "a.jpg").unlink()
    bench.put("a.jpg", photo(2))
    bench.run(move=True)
    assert os.listdir(bench.source) == []
    assert list(vault_files(bench.settings)) == [f"{DAY}/a_1.jpg"]


def test_a_move_spares_a_file_that_was_replaced_after_it_was_filed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.put("a.jpg", photo(1))
    newer = bench.source.parent / "newer"
    newer.write_bytes(photo(2))  # of the same size
    wanted = [*sources_in(bench.source), Source(str(path), sha256_of_file(newer))]
    record = Recorder.record

    def record_then_replace(self: Recorder, entries: list[LedgerEntry]) -> list[LedgerEntry | Rejected]:
        recorded = record(self, entries)
        newer.rename(path)
        return recorded

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record", record_then_replace)
        bench.run(move=True)
    assert path.read_bytes() == photo(2)
    bench.run(move=True)
    assert not path.exists()
    bench.check(wanted)


@pytest.mark.parametrize("move", [False, True], ids=["copied", "linked"])
def test_what_was_moved_aside_and_could_not_be_recorded_is_taken_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, move: bool
) -> None:
    bench.put("a.jpg", photo(1))
    bench.run(move=True)
    (bench.settings.storage / DAY / "a.jpg").unlink()
    path = bench.put("a.jpg", photo(2))
    path.chmod(0o640)
    placed_at: list[list[str]] = []

    insert = statements.insert_new

    def refuse(session: Session, table: Table, rows: list[Any]) -> set[uuid.UUID]:
        if table.name == "media_assets" and rows:
            placed_at.append(list(vault_files(bench.settings)))
            raise RuntimeError("a defect")
        return insert(session, table, rows)

    with monkeypatch.context() as patch:
        patch.setattr(statements, "insert_new", refuse)
        assert bench.run(move=move).failed == 1
    assert placed_at == [[f"{DAY}/a_1.jpg"]], "its own name belongs to one that has gone"
    assert vault_files(bench.settings) == {}
    assert path.read_bytes() == photo(2) and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert bench.run(move=move).new == 1
    assert list(vault_files(bench.settings)) == [f"{DAY}/a_1.jpg"]


# -- which sources ----------------------------------------------------------------------------------------------


def test_hidden_junk_is_passed_over_and_what_is_no_media_is_counted(bench: Bench) -> None:
    for junk in (".DS_Store", "._a.jpg", "Thumbs.db", "desktop.ini", "a.jpg.part", "@eaDir/a.jpg", ".stfolder/a.jpg"):
        bench.put(junk, photo(1))
    bench.put("a.jpg", photo(2))
    bench.put("report.pdf", b"%PDF-1.4\n")
    bench.put("empty.jpg", b"")
    tally = bench.run()
    assert (tally.new, tally.not_media, tally.failed) == (1, 2, 0)
    assert sorted(bench.read) == ["a.jpg", "empty.jpg", "report.pdf"]


def test_single_files_are_imported_also_hidden_ones_and_by_a_link(bench: Bench) -> None:
    one, hidden = bench.put("one.jpg", photo(1)), bench.put(".hidden.jpg", photo(2))
    bench.put("other.jpg", photo(3))
    link = bench.source / "link.jpg"
    link.symlink_to(one)
    assert bench.run(one, hidden, link).files == 2
    assert sorted(vault_files(bench.settings)) == [f"{DAY}/.hidden.jpg", f"{DAY}/one.jpg"]


@pytest.mark.parametrize("move", [False, True])
def test_overlapping_sources_are_imported_once(bench: Bench, move: bool) -> None:
    inner = bench.put("inner/a.jpg", photo(1))
    bench.put("b.jpg", photo(2))
    wanted = sources_in(bench.source)
    tally = bench.run(inner, inner.parent, bench.source, bench.source / "inner" / "..", move=move)
    assert (tally.new, tally.duplicates) == (2, 0)
    bench.check(wanted)


def test_names_that_are_no_utf8_are_known_again(bench: Bench) -> None:
    for number, name in enumerate((b"caf\xe9.jpg", b"back\\slash.jpg", b"\\xe9.jpg", b"new\nline.jpg")):
        bench.put(name, photo(number))
    assert bench.run().new == 4
    assert bench.run().new == 0
    assert bench.read == []
    bench.check(sources_in(bench.source))


def test_a_source_that_is_not_there_is_refused(bench: Bench) -> None:
    fifo = bench.source / "fifo"
    os.mkfifo(fifo)
    for source in (bench.source / "missing", fifo, bench.source / ("x" * 300)):
        with pytest.raises(SourceError, match=r"^[^\n]+$"):
            bench.run(source)


def own_folders(settings: Settings) -> list[Path]:
    """What is the factory's own, and what holds some of that."""
    return [
        settings.storage,
        settings.originals,
        settings.storage / "Derivatives",
        settings.inbox,
        settings.inbox / "phone",
        settings.db_data,
        settings.run,
        settings.data,
        settings.data.parent,
        Path("/"),
    ]


@pytest.mark.parametrize("way", ["path", "link", "bind mount"])
@pytest.mark.parametrize("move", [False, True], ids=["copy", "move"])
def test_the_factorys_own_folders_are_refused_before_anything_is_read(bench: Bench, way: str, move: bool) -> None:
    bench.put("a.jpg", photo())
    bench.run()
    for at, own in enumerate(own_folders(bench.settings)):
        if not own.exists():
            own.mkdir(parents=True)
        source = bench.source.parent.parent / f"{bench.source.parent.name} other {at}"
        if way == "link":
            source.symlink_to(own)
        mounted = bound(own, source) if way == "bind mount" else nullcontext()
        with mounted, pytest.raises(SourceError, match=r"(is part of|holds) (the|FACTORY_DATA)[^\n]*$"):
            bench.run(own if way == "path" else source, move=move)
        assert bench.read == []
        if source.is_symlink():
            source.unlink()
        elif source.exists():
            source.rmdir()
    assert (bench.settings.storage / DAY / "a.jpg").exists()


def test_a_part_of_the_vault_or_a_folder_beside_its_parts_is_told_apart(bench: Bench) -> None:
    bench.put("a.jpg", photo())
    bench.run()
    for source in (bench.settings.storage / DAY, bench.settings.storage / DAY / "a.jpg"):
        with pytest.raises(SourceError, match="is part of the vault's storage"):
            bench.run(source, move=True)
    beside = bench.settings.data / "old photos"
    beside.mkdir()
    (beside / "b.jpg").write_bytes(photo(1))
    wanted = [*sources_in(bench.source), *sources_in(beside)]
    assert bench.run(beside).new == 1
    bench.check(wanted)


def test_a_mount_of_the_factorys_parts_below_a_source_is_refused(bench: Bench) -> None:
    bench.put("a.jpg", photo())
    bench.run()
    mirror = bench.source.parent / "mirror"
    for part in ("Storage", f"Storage/{DAY}", ""):
        with bound(bench.settings.data / part, mirror / "in"), pytest.raises(SourceError, match="holds"):
            bench.run(mirror)
        (mirror / "in").rmdir()
        mirror.rmdir()


@contextmanager
def bound(what: Path, where: Path) -> Iterator[None]:
    """A bind mount."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    if what.is_dir():
        where.mkdir(parents=True)
    else:
        where.touch()
    subprocess.run(["mount", "--bind", str(what), str(where)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(where)], check=True)


@pytest.mark.parametrize("part", ["", "Originals", "Originals/2008", DAY])
@pytest.mark.parametrize("within", [False, True], ids=["itself", "in a folder"])
def test_the_vault_seen_through_another_mount_loses_nothing(bench: Bench, part: str, within: bool) -> None:
    """Even where another link makes a file look as if the vault's were not its only name."""
    bench.put("a.jpg", photo(1))
    bench.put("b.jpg", photo(2))
    wanted = sources_in(bench.source)
    bench.run()
    before = vault_files(bench.settings)
    link = bench.settings.data / "a link of somebody's"
    os.link(bench.settings.storage / DAY / "a.jpg", link)
    mirror = bench.source.parent / "mirror"
    with bound(bench.settings.storage / part, mirror / "in"), suppress(SourceError):
        bench.run(mirror if within else mirror / "in", move=True)
    assert vault_files(bench.settings) == before
    link.unlink()
    bench.check(wanted)


# -- what fails -------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_counted_as_failed_and_the_others_are_imported(bench: Bench) -> None:
    unreadable = Path("/sys/bus/cpu/drivers_probe")  # the kernel lets nobody read it, not even root
    if not unreadable.exists():
        pytest.skip("this kernel has no such file")
    bench.put("a.jpg", photo())
    wanted = sources_in(bench.source)
    with bound(unreadable, bench.source / "b.jpg"):
        tally = bench.run()
        assert (tally.new, tally.failed) == (1, 1)
        (row,) = ledger_rows(bench.settings, "SELECT * FROM ingest_events WHERE fate = 'failed'")
        assert (row["original_name"], row["source"]) == ("b.jpg", "import")
        assert "cannot be read" in row["message"]
        assert bench.run().failed == 1  # it is tried again
    bench.check(wanted)


def test_a_file_that_keeps_changing_fails_and_is_imported_when_it_is_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = bench.put("growing.jpg", photo())
    bench.put("a.jpg", photo(1))
    put = ReaderPool.put

    def put_then_grow(self: ReaderPool, files: list[IncomingFile]) -> None:
        with open(growing, "ab") as file:
            file.write(b"more")
        put(self, files)

    with monkeypatch.context() as patch:
        patch.setattr(ReaderPool, "put", put_then_grow)
        tally = bench.run()
    assert (tally.new, tally.failed) == (1, 1)
    assert (
        "written to"
        in ledger_rows(bench.settings, "SELECT message FROM ingest_events WHERE fate = 'failed'")[0]["message"]
    )
    assert bench.run().new == 1
    bench.check(sources_in(bench.source))


def test_a_file_that_vanishes_is_counted_as_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = bench.put("gone.jpg", photo())
    put = ReaderPool.put

    def remove_then_put(self: ReaderPool, files: list[IncomingFile]) -> None:
        gone.unlink(missing_ok=True)
        put(self, files)

    monkeypatch.setattr(ReaderPool, "put", remove_then_put)
    assert bench.run().failed == 1
    assert vault_files(bench.settings) == {}


# -- interrupted ------------------------------------------------------------------------------------------------


def test_an_import_that_is_stopped_goes_on_in_the_second_run(bench: Bench) -> None:
    bench.settings = replace(bench.settings, batch_size=4)
    for number in range(40):
        bench.put(f"{number}.jpg", photo(number))
    database = Database(bench.settings)

    def stop_at_the_first(account: Account) -> None:
        if account.fate == "new":
            importer.stop()

    importer = Importer(bench.settings, database, [bench.source], told=stop_at_the_first)
    first = importer.run()
    database.close()
    assert 0 < first.new < 40
    assert len(vault_files(bench.settings)) == first.new
    second = bench.run()
    assert (second.new, second.duplicates) == (40 - first.new, first.new)
    assert len(bench.read) == second.new
    bench.check(sources_in(bench.source))


def test_a_stop_in_a_long_copy_undoes_it_and_is_no_error(
    bench: Bench, small_filesystem: SmallFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_filesystem("tmpfs", 32)
    bench.settings = replace(bench.settings, storage=disk / "Storage")
    with open(bench.put("video.jpg", photo()), "r+b") as big:
        big.truncate(16 << 20)
    database = Database(bench.settings)
    importer = Importer(bench.settings, database, [bench.source])

    readv = os.readv

    def stopped_meanwhile(fd: int, buffers: Any) -> int:
        if list(disk.rglob(".factory-copy-*")):
            importer.stop()
        return readv(fd, buffers)

    with monkeypatch.context() as patch:
        patch.setattr(os, "readv", stopped_meanwhile)
        assert importer.run().files == 0
    database.close()
    assert vault_files(bench.settings) == {}
    assert not list(disk.rglob(".factory-copy-*"))


class Killed(BaseException):
    """As by kill -9."""


CUTS: list[tuple[Any, str]] = [
    (librarian, "decide"),
    (Placer, "place"),
    (Recorder, "record"),
    (librarian, "remove_sources"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), CUTS, ids=[name for _, name in CUTS])
def test_a_move_killed_between_any_two_stages_is_completed_by_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool
) -> None:
    for number in range(4):
        bench.put(f"{number}.jpg", photo(number // 2))
    wanted = sources_in(bench.source)
    real: Callable[..., Any] = getattr(owner, name)
    calls = itertools.count()

    def cut_off(*args: Any, **named: Any) -> Any:
        if not after and not next(calls):
            raise Killed
        answer = real(*args, **named)
        if after and not next(calls):
            raise Killed
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, cut_off)
        patch.setattr(Placer, "take_back", lambda *_: None)  # a killed process undoes nothing
        with pytest.raises(Killed):
            bench.run(move=True)
    bench.run(move=True)
    assert os.listdir(bench.source) == []
    bench.check(wanted)


def test_a_move_never_empties_a_vault_of_whatever_factory(bench: Bench) -> None:
    other = bench.put("Originals/2008/2008-05-30/a.jpg", photo())
    (bench.source / "Originals" / MARKER).touch()

    with pytest.raises(SourceError, match="part of a vault"):
        bench.run(bench.source / "Originals" / "2008", move=True)
    assert bench.run(move=True).files == 0  # it lies within the source: passed over
    assert other.read_bytes() == photo()

    assert bench.run().new == 1  # to copy from one is fine


def test_a_folder_that_cannot_be_read_counts_as_a_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put("a.jpg", photo(1))
    bench.put("closed/b.jpg", photo(2))

    def refusing(root: int, relative: str, flags: int) -> int:
        if relative == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), relative)
        return open_beneath(root, relative, flags)

    monkeypatch.setattr(tree, "open_beneath", refusing)  # root may read everything
    tally = bench.run()
    assert (tally.new, tally.failed) == (1, 1)
