"""The journal: what `append` has accepted is there after any crash, and what it has not accepted does not count."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from Src.Librarian.passage import IncomingFile, Inspected, LedgerEntry
from Src.Librarian.record import journal as module
from Src.Librarian.record import ledger_entry
from Src.Librarian.record.journal import Journal
from Src.Library.vault_trouble import VaultTrouble
from Src.Media.kinds import KINDS
from Src.Media.metadata import Metadata
from Src.Shared.disk.files import FileState
from Src.Testing.surroundings import SmallFilesystem

ABOUT = Metadata(
    datetime(2020, 1, 1), None, "mtime", "second", None, None, None, None, None, None, None, None, None, None
)


def entry(number: int, name: str = "a.jpg") -> LedgerEntry:
    file = IncomingFile(f"/inbox/{name}", name, FileState(number, 1, 1, 1, 1))
    return ledger_entry.ingested(
        Inspected(file, f"{number:064x}", KINDS["JPEG"], ABOUT), f"Originals/2020/2020-01-01/{name}"
    )


def all_of(journal: Journal) -> list[LedgerEntry]:
    return [one for segment in journal.segments() for one in journal.entries(segment)]


def known(journal: Journal, numbers: Sequence[int]) -> list[int]:
    found = journal.known([f"{number:064x}" for number in numbers])
    return sorted(int(sha256, 16) for sha256 in found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal"


def test_there_is_nothing_before_the_first_entry(folder: Path) -> None:
    journal = Journal(folder)
    assert journal.segments() == [] and journal.known(["0" * 64]) == {}
    assert not folder.exists()


def test_entries_are_there_for_the_next_process_in_their_order(folder: Path) -> None:
    written = [entry(number, f"caf\udce9 \n\\ {number}.jpg") for number in range(5)]
    first = Journal(folder)
    first.append(written[:2])
    first.append(written[2:])
    assert len(first.segments()) == 1
    assert all_of(Journal(folder)) == written


def test_entries_are_on_disk_before_append_returns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[int, int]] = []
    fsync = os.fsync

    def noting(fd: int) -> None:
        fsync(fd)
        synced.append((os.fstat(fd).st_ino, os.fstat(fd).st_size))

    monkeypatch.setattr(os, "fsync", noting)
    journal = Journal(folder)
    for number in range(2):
        journal.append([entry(number)])
        (segment,) = journal.segments()
        at = segment.stat()
        assert synced[-1] == (at.st_ino, at.st_size)
    assert folder.stat().st_ino in [inode for inode, _ in synced]  # the name too


def test_each_process_writes_a_segment_of_its_own(folder: Path) -> None:
    one, other = Journal(folder), Journal(folder)
    one.append([entry(1)])
    other.append([entry(2)])
    one.append([entry(3)])
    assert len(one.segments()) == 2
    assert sorted(known(Journal(folder), range(5))) == [1, 2, 3]
    assert known(one, range(5)) == known(other, range(5)) == [1, 2, 3]


def test_the_index_grows_with_what_others_write_and_shrinks_with_what_is_replayed(folder: Path) -> None:
    reader, writer = Journal(folder), Journal(folder)
    writer.append([entry(1)])
    assert known(reader, range(9)) == [1]
    writer.append([entry(2), entry(3)])
    assert known(reader, range(9)) == [1, 2, 3]
    Journal(folder).remove(writer.segments()[0])
    assert known(reader, range(9)) == []
    writer.append([entry(4)])  # its segment is gone: a new one
    assert known(reader, range(9)) == [4]


def test_the_index_reads_each_entry_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = Journal(folder), Journal(folder)
    parsed = 0
    from_json = ledger_entry.from_json

    def counting(value: dict[str, Any]) -> LedgerEntry:
        nonlocal parsed
        parsed += 1
        return from_json(value)

    monkeypatch.setattr(module, "from_json", counting)
    for number in range(10):
        writer.append([entry(number)])
        assert known(reader, [number]) == [number]
    assert parsed == 10


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_torn_last_line_does_not_count_and_harms_nothing(folder: Path, cut: int) -> None:
    writer = Journal(folder)
    writer.append([entry(1), entry(2)])
    (segment,) = writer.segments()
    os.truncate(segment, segment.stat().st_size - cut)
    after = Journal(folder)
    assert all_of(after) == [next(after.entries(segment))]
    assert known(after, range(9)) == [1]
    after.append([entry(3)])  # never behind a torn line
    assert len(after.segments()) == 2
    assert known(after, range(9)) == [1, 3]
    after.remove(segment)
    assert os.listdir(folder) == [after.segments()[0].name]  # torn is not damaged: nothing to keep


def test_a_damaged_line_costs_itself_alone_and_is_kept_for_a_person(folder: Path) -> None:
    writer = Journal(folder)
    writer.append([entry(1), entry(2), entry(3)])
    (segment,) = writer.segments()
    lines = segment.read_bytes().splitlines(keepends=True)
    for damaged in (b"\xff\xfe\n", b"{}\n", b"[]\n", b"null\n", b'{"event": 5, "asset": null}\n', b"\0" * 50 + b"\n"):
        segment.write_bytes(lines[0] + damaged + lines[2])
        after = Journal(folder)
        assert known(after, range(9)) == [1, 3]
        assert [one.event["file_size"] for one in all_of(after)] == [1, 3]
    after.remove(segment)
    assert after.segments() == []
    (kept,) = folder.iterdir()
    assert kept.suffix == ".damaged" and damaged in kept.read_bytes()


def test_a_removed_segment_is_gone_and_the_next_entry_makes_a_new_one(folder: Path) -> None:
    journal = Journal(folder)
    journal.append([entry(1)])
    (segment,) = journal.segments()
    journal.remove(segment)
    assert list(folder.iterdir()) == []
    journal.append([entry(2)])
    assert all_of(journal)[0].event["file_size"] == 2
    assert journal.segments() != [segment]


def test_a_rejected_entry_is_kept_for_a_person_and_is_no_segment(folder: Path) -> None:
    journal = Journal(folder)
    journal.append([entry(1)])
    journal.keep_rejected(entry(1), "a reason")
    journal.keep_rejected(entry(2), "another")
    assert len((folder / "rejected.json-lines").read_text().splitlines()) == 2
    assert len(journal.segments()) == 1


def test_a_full_disk_is_trouble_and_no_part_of_the_batch_counts(small_filesystem: SmallFilesystem) -> None:
    disk = small_filesystem("tmpfs", 1)
    folder = disk / "state" / "journal"
    journal = Journal(folder)
    journal.append([entry(0)])
    filler = disk / "filler"
    filler.write_bytes(b"\0" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 8192))
    batch = [entry(number) for number in range(1, 40)]  # more than the 8 KiB that are left
    for _ in range(2):
        with pytest.raises(VaultTrouble, match="disk is full"):
            journal.append(batch)
        assert known(Journal(folder), range(100)) == known(journal, range(100)) == [0]
    filler.unlink()
    journal.append(batch)
    assert known(Journal(folder), range(100)) == list(range(40))
    assert [one.event["file_size"] for one in all_of(Journal(folder))] == list(range(40))


def test_a_file_size_limit_in_the_middle_of_a_line_leaves_no_part_of_it(folder: Path) -> None:
    """Another way in which a write ends early, for any user and filesystem."""
    journal = Journal(folder)
    journal.append([entry(0)])
    (segment,) = journal.segments()
    size = segment.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
    try:
        with pytest.raises(VaultTrouble):
            journal.append([entry(1)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert segment.stat().st_size == size
    journal.append([entry(2)])
    assert known(Journal(folder), range(9)) == [0, 2]


def test_a_place_where_nothing_can_be_made_is_trouble() -> None:
    folder = Path("/proc/sys/photo-factory")
    with pytest.raises(VaultTrouble):
        Journal(folder).append([entry(1)])
