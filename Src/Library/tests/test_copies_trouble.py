"""Copies under wrong clocks, strange files, long logs and a ledger that moves on: nothing wrong counts or goes."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from Src.Library.belonging import Belonging
from Src.Library.custody.copies import place, wanted
from Src.Library.custody.copies.dumps import Dump
from Src.Library.custody.copies.opening import open_copy
from Src.Library.custody.copies.place import has_own_disk, is_this_machine
from Src.Library.custody.copies.rows import copies_of
from Src.Library.custody.copies.spool import spooled
from Src.Library.custody.copies.storage_files import begins_with
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused, NotThere
from Src.Library.file_acts import FileActs
from Src.Library.selection.selection import read_selection
from Src.Library.tests.copies_bench import CopyBench, Wrapped, files_below, flip_keeping_time
from Src.Library.trash import in_trash
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.disk.whole import Whole
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import fill

COUNT = 4
LOG = "Overlay/2024/2024-07.jsonl"


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> CopyBench:
    vault = Vault(factory_settings.storage)
    hashes = fill(vault, database, COUNT, step=timedelta(hours=7))
    Belonging(factory_settings, vault).establish(database)
    (factory_settings.storage / LOG).parent.mkdir(parents=True)
    (factory_settings.storage / LOG).write_bytes(b'{"one": 1}\n' * 9)
    return CopyBench(factory_settings, database, hashes)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "disk"


@pytest.fixture
def copied(bench: CopyBench, disk: Path) -> CopyBench:
    bench.add("disk", disk)
    assert bench.run("disk").is_well
    return bench


def test_no_row_outlives_its_copy(copied: CopyBench) -> None:
    copied.sql("DELETE FROM copies")
    assert copied.sql("SELECT count(*) FROM copied_files") == [(0,)]
    with pytest.raises(IntegrityError):
        copied.sql(
            "INSERT INTO copied_files (copy_id, path, file_hash, file_size, stamp, there_since, read_back_at) "
            "VALUES (gen_random_uuid(), 'x', repeat('0', 64), 1, '', now(), now())"
        )


def test_the_trash_asks_for_the_copies_of_today(copied: CopyBench) -> None:
    """Not for those that there were when something was removed; and what comes back has today's flag."""
    file_acts = FileActs(Vault(copied.settings.storage), copied.database, copied.settings.zone)

    def do(kind: str) -> None:
        with file_acts.session() as session:
            act = file_acts.begin(session, kind, "ada", copied.hashes[:1], {})
        with file_acts.turn():
            *_, _ = file_acts.steps(act.id)

    def has_copy() -> list[bool]:
        meant = read_selection("*", copied.settings.zone, datetime.now(UTC))
        with copied.sessions() as session:
            return [bool(list(row)[-1]) for row in session.execute(in_trash(meant))]

    do("remove")
    assert has_copy() == [True]
    copied.rows.remove(copied.row("disk").id)
    assert has_copy() == [False]
    do("restore")
    assert copied.flags() == (0, 0)


def test_what_is_no_other_disk_does_not_count(copied: CopyBench, monkeypatch: pytest.MonkeyPatch) -> None:
    row = copied.row("disk")
    since = datetime.now(UTC) - timedelta(days=1)
    for others, answer in ((True, False), (None, False), (False, True)):
        monkeypatch.setattr(place, "whole_disk", lambda *_, others=others: Whole(False, others))
        copied.run("disk")
        assert copied.row("disk").has_own_disk is answer
        with copied.sessions() as session:
            assert copies_of(session, copied.hashes[:1], since) == ({copied.hashes[0]: 1} if answer else {})
    for kind, target, expected in (
        ("sftp", "sftp://me@localhost:2222/copy", False),
        ("sftp", "sftp://me@127.0.0.2/copy", False),
        ("sftp", "sftp://[::1]/copy", False),
        ("sftp", "sftp://me@192.0.2.1/copy", True),
        ("s3", "s3://bucket", True),
    ):
        assert has_own_disk(copied.settings, row._replace(kind=kind, target=target)) is expected, target
    assert is_this_machine("no-such-host.invalid")


def test_what_is_noted_in_the_future_says_nothing(copied: CopyBench) -> None:
    copied.sql("UPDATE copies SET has_own_disk = true")
    copied.sql("UPDATE copied_files SET read_back_at = now() + interval '3 years'")
    with copied.sessions() as session:
        assert copies_of(session, copied.hashes, datetime.now(UTC) - timedelta(days=1)) == {}
    assert copied.run("disk").reread >= COUNT
    assert copied.sql("SELECT count(*) FROM copied_files WHERE read_back_at > now()") == [(0,)]


def test_a_ledger_from_a_backup_counts_nothing_before_it_is_read(copied: CopyBench, disk: Path) -> None:
    copied.sql("UPDATE copies SET has_own_disk = true")
    copied.sql("UPDATE copied_files SET read_back_at = to_timestamp(0), stamp = ''")
    copied.sql("UPDATE media_assets SET is_backed_up = false, backed_up_at = NULL")
    row = copied.row("disk")
    copied.rows.set_all_flags()
    assert copied.sql("SELECT count(*) FROM media_assets WHERE is_backed_up") == [(0,)]
    assert copied.rows.counts(row.id).originals == 0
    (disk / copied.original(1)).unlink()
    flip_keeping_time(disk / copied.original(2))
    done = copied.run("disk")
    assert (set(done.wrong), done.there) == ({copied.original(1), copied.original(2)}, COUNT)
    assert copied.counted_wrongly("disk", disk) == []


@pytest.mark.parametrize("error", [OSError(errno.EIO, "x"), FileRefused("x"), NotThere()])
@pytest.mark.parametrize("step", ["check_here", "files"])
def test_whatever_the_copy_answers_is_said(copied: CopyBench, disk: Path, error: Exception, step: str) -> None:
    class Failing(Wrapped):
        def __getattr__(self, name: str) -> Any:
            if name == step:
                raise error
            return super().__getattr__(name)

    done = copied.run("disk", wrap=lambda one: Failing(one))
    assert done.trouble is not None or (isinstance(error, FileRefused) and step == "files"), done
    assert copied.counted_wrongly("disk", disk) == []


def test_a_link_in_place_of_a_folder_has_nothing_that_counts(copied: CopyBench, disk: Path, tmp_path: Path) -> None:
    (disk / "Originals").rename(tmp_path / "away")
    (disk / "Originals").symlink_to(tmp_path / "away")
    done = copied.run("disk")
    assert (done.there, copied.flags(), len(done.failed)) == (0, (0, 0), COUNT)


def test_one_file_that_is_refused_keeps_no_other_away(bench: CopyBench, disk: Path) -> None:
    bench.add("disk", disk)
    (disk / bench.original(0)).mkdir(parents=True)  # where a file is to be
    done = bench.run("disk")
    assert (set(done.failed), done.there, done.trouble) == ({bench.original(0)}, COUNT - 1, None)
    with open_copy(bench.settings, bench.sessions, bench.row("disk")) as target:
        target.put("z" * 300, [b"whose name the disk refuses at the end"])
        target.put("other", [b"other"])
        target.settle()
    assert (disk / "other").read_bytes() == b"other"
    assert not [one for one in files_below(disk) if "factory-part" in one]


def test_what_says_most_comes_first(bench: CopyBench, disk: Path, tmp_path: Path) -> None:
    bench.add("disk", disk)
    (tmp_path / "photo-factory-2026-01-01T000000Z.dump").write_bytes(b"dump")
    dump = Dump(tmp_path / "photo-factory-2026-01-01T000000Z.dump", {})

    class Full(Wrapped):
        def put(self, path: str, pieces: Any, *, replaces: bool = False) -> None:
            if path.startswith("Originals/"):
                raise CopyTrouble("full")
            self.inner.put(path, pieces, replaces=replaces)

    done = bench.run("disk", wrap=lambda one: Full(one), dump=dump)
    assert done.trouble == "full" and done.database is not None
    assert {LOG, "README.txt", done.database} <= files_below(disk).keys()


def test_a_bad_dump_makes_no_good_one_needless(bench: CopyBench, disk: Path, tmp_path: Path) -> None:
    bench.add("disk", disk)
    names = [f"photo-factory-2025-01-{day:02}T{hour:02}0000Z.dump" for day in (1, 2) for hour in (1, 2)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
        done = bench.run("disk", dump=Dump(tmp_path / name, {}))
        assert done.database == f"Database/{name}"
    assert {one for one in files_below(disk) if one.endswith(".dump")} == {
        f"Database/{names[1]}",
        f"Database/{names[3]}",
    }
    last = tmp_path / "photo-factory-2025-01-02T030000Z.dump"
    last.write_bytes(b"last")

    class Rotting(Wrapped):
        def put(self, path: str, pieces: Any, *, replaces: bool = False) -> None:
            wrong = [b"rotten"] if path.endswith(".dump") else pieces
            self.inner.put(path, wrong, replaces=replaces)

    done = bench.run("disk", wrap=lambda one: Rotting(one), dump=Dump(last, {}))
    assert set(done.failed) == {f"Database/{last.name}"} and done.database is None
    there = files_below(disk)
    assert f"Database/{names[3]}" in there and f"Database/{last.name}" not in there
    assert [one for one in there if one.startswith("Damaged/") and one.endswith(last.name)]
    # One that rots later, and whose row a former ledger did not have: it neither stays in the way nor lets another go.
    bench.sql("DELETE FROM copied_files WHERE path LIKE 'Database/%'")
    flip_keeping_time(disk / "Database" / names[3])
    done = bench.run("disk", dump=Dump(last, {}))
    assert set(done.wrong) == {f"Database/{names[3]}"} and done.database == f"Database/{last.name}"
    left = {one for one in files_below(disk) if one.startswith("Database/") and one.endswith(".dump")}
    assert left == {f"Database/{names[1]}", f"Database/{last.name}"}


def test_a_long_log_is_copied_as_long_as_it_was(copied: CopyBench, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "LONGEST_KEPT", 20)
    log = copied.settings.storage / LOG
    with open(log, "ab") as file:
        file.write(b'{"two": 2}\n' * 9)
    taken = log.read_bytes()

    class Growing(Wrapped):
        def put(self, path: str, pieces: Any, *, replaces: bool = False) -> None:
            if path == LOG and log.read_bytes() == taken:
                with open(log, "ab") as file:
                    file.write(b'{"three": 3}\n')
                self.inner.put(path, pieces, replaces=replaces)
                self.inner.settle()
                assert (disk / LOG).read_bytes() == taken
                return
            self.inner.put(path, pieces, replaces=replaces)

    done = copied.run("disk", wrap=lambda one: Growing(one))
    assert (done.failed, done.wrong, (disk / LOG).read_bytes()) == ({}, {}, log.read_bytes()), (
        "and once more at the end"
    )
    assert not (disk / "Earlier").exists()
    log.write_bytes(b"x" * 200)
    assert copied.run("disk").failed == {}
    assert [one for one in files_below(disk) if one.startswith("Earlier/") and one.endswith(LOG)]


def test_begins_with() -> None:
    whole = [b"ab", b"", b"cdef", b"g"]
    for start in ([], [b"a"], [b"abc", b"d"], [b"abcdefg"]):
        assert begins_with(iter(whole), start)
    for start in ([b"b"], [b"ab", b"x"], [b"abcdefgh"]):
        assert not begins_with(iter(whole), start)


def test_keys_in_a_bucket_hold_no_control_characters() -> None:
    pytest.importorskip("obstore")  # the stack has none
    from Src.Library.custody.copies import s3

    for name in ("a\nb\x7f\x85.jpg", "100%0A.jpg", os.fsdecode(b"\xff\\x"), "写真.jpg"):
        key = s3._key(name)
        assert key.isprintable() and s3._path(key) == name
    assert s3._key("a\nb") == "a%0Ab"


def test_no_room_here_is_said_of_here(tmp_path: Path) -> None:
    with pytest.raises(CopyTrouble, match="no room there: No space"), spooled(tmp_path, 10):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(CopyTrouble, match="gone"), spooled(tmp_path / "gone" / "x", 10) as file:
        file.write(bytes(100))
