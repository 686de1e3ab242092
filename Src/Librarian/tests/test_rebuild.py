"""`rebuild --missing`: what stands in the vault gets its row, and nothing in the vault is changed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import CursorResult, text, true

from Src.Librarian import rebuild as module
from Src.Librarian.passage import LedgerEntry
from Src.Librarian.rebuild import Rebuild, Rebuilt
from Src.Librarian.service import InboxService
from Src.Librarian.tally import Tally
from Src.Library.belonging import Belonging, WrongLedger
from Src.Library.overlay import albums, changes
from Src.Library.overlay.changes import Decision, carry_out
from Src.Shared.database import Database
from Src.Shared.ledger_text import to_ledger
from Src.Shared.settings import Settings
from Src.Shared.vault_marker import read_marker
from Src.Testing.promise import assert_promise_kept, ledger_rows, sources_in, vault_files
from Src.Testing.roles import as_service

SAMPLES = Path(__file__).parent / "samples"
CANON = (SAMPLES / "Canon_40D.jpg").read_bytes()
DAY = "Originals/2008/2008-05-30"
EMPTIED = "TRUNCATE media_assets, ingest_events, vault, inbox_files, companions, original_looks, original_findings"


def photo(number: int) -> bytes:
    return CANON + b"%08d" % number


@dataclass
class Bench:
    """A factory with a real ledger and real readers."""

    settings: Settings
    database: Database

    def put(self, path: str, content: bytes) -> Path:
        target = self.settings.storage / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o444)
        return target

    def drop(self, name: str, content: bytes) -> None:
        self.settings.inbox.mkdir(parents=True, exist_ok=True)
        (self.settings.inbox / name).write_bytes(content)

    def ingest(self) -> Tally:
        return InboxService(self.settings, self.database, once=True).run()

    def rebuild(self, **options: Any) -> Rebuilt:
        return Rebuild(self.settings, self.database, **options).run()

    def sql(self, statement: str) -> list[Any]:
        """As the ledger's owner: tests do to it what the Librarian may not."""
        with closing(Database(self.settings)) as owner, owner.session() as session:
            answer = cast("CursorResult[Any]", session.execute(text(statement)))
            return list(answer.all()) if answer.returns_rows else []

    def rows(self) -> dict[str, str]:
        """Path -> hash."""
        return dict(self.sql("SELECT final_path, file_hash FROM media_assets"))


@pytest.fixture
def bench(factory_settings: Settings) -> Iterator[Bench]:
    settings = replace(factory_settings, readers=1, batch_size=4)
    database = Database(as_service(settings, "factory"))
    yield Bench(settings, database)
    database.close()


def state_of(bench: Bench) -> dict[str, tuple[str, int]]:
    """Everything in the vault: content and time."""
    return {
        path: (sha256, os.lstat(bench.settings.storage / path).st_mtime_ns)
        for path, sha256 in vault_files(bench.settings).items()
    }


def listed(bench: Bench, done: Rebuilt, kind: str) -> list[str]:
    files: list[dict[str, str]] = getattr(done, kind).files
    assert len(files) == getattr(done, kind).count
    return sorted(one["path"] for one in files)


def test_a_lost_ledger_comes_back_with_every_row(bench: Bench) -> None:
    names = ("Canon_40D.jpg", "DNG.dng", "Pentax.avi", "QuickTime.heic", "PNG.png", "GIF.gif")
    for name in names:
        bench.drop(name, (SAMPLES / name).read_bytes())
    hostile = os.fsdecode(b"caf\xe9\\ [x].jpg")
    bench.drop(hostile, photo(1))
    assert bench.ingest().new == 7
    columns = (
        "file_hash, file_size, final_path, media_kind, mime_type, width, height, duration_seconds, captured_at, "
        "captured_at_offset, date_source, location, camera_make, camera_model, rating, has_errors, original_name"
    )
    before = sorted(bench.sql(f"SELECT {columns} FROM media_assets"), key=str)
    vault, marker = state_of(bench), read_marker(bench.settings.originals)
    bench.sql(EMPTIED)

    bench.drop("again.jpg", photo(1))
    with pytest.raises(WrongLedger, match="rebuild --missing"):
        bench.ingest()
    assert (state_of(bench), bench.rows()) == (vault, {}), "nothing is filed"

    done = bench.rebuild()
    assert (done.filed, done.from_nothing, done.complete) == (7, True, True)
    assert sorted(bench.sql(f"SELECT {columns} FROM media_assets"), key=str) == before
    assert (state_of(bench), read_marker(bench.settings.originals)) == (vault, marker)
    events = bench.sql("SELECT fate, source, original_path, final_path FROM ingest_events")
    assert {event[:2] for event in events} == {("rebuilt", "vault")}
    assert {event[2] for event in events} == {event[3] for event in events} == set(bench.rows())
    assert f"{DAY}/{to_ledger(hostile)}" in bench.rows()

    tally = bench.ingest()
    assert (tally.new, tally.duplicates) == (0, 1)
    assert state_of(bench) == vault


def test_a_second_run_does_nothing(bench: Bench) -> None:
    bench.drop("a.jpg", photo(1))
    bench.ingest()
    bench.put(f"{DAY}/b.jpg", photo(2))
    assert bench.rebuild().filed == 1
    rows, events = bench.rows(), bench.sql("SELECT * FROM ingest_events")
    done = bench.rebuild()
    assert (done.filed, done.files, done.from_nothing) == (0, 2, False)
    assert (bench.rows(), bench.sql("SELECT * FROM ingest_events")) == (rows, events)


def test_a_dry_run_changes_nothing(bench: Bench) -> None:
    bench.drop("a.jpg", photo(1))
    bench.ingest()
    bench.put(f"{DAY}/b.jpg", photo(2)).chmod(0o644)
    bench.put(f"{DAY}/b_1.jpg", photo(2))
    bench.sql(EMPTIED)
    done = bench.rebuild(dry_run=True)
    assert (done.filed, done.twice.count, done.from_nothing) == (2, 1, True)
    assert bench.rows() == {} and bench.sql("SELECT * FROM vault") == []
    assert stat.S_IMODE((bench.settings.storage / f"{DAY}/b.jpg").stat().st_mode) == 0o644
    with pytest.raises(WrongLedger):
        bench.ingest()


@pytest.mark.parametrize("at", ["records", "gone", "rebuilt"])
def test_what_is_cut_off_is_done_by_the_next_run(bench: Bench, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And until then nothing is filed: what stands in the vault already would be filed a second time."""
    for number in range(10):
        bench.put(f"{DAY}/{number}.jpg", photo(number))
    vault = state_of(bench)

    class Killed(BaseException):
        pass

    with monkeypatch.context() as cut:
        if at == "records":
            record = Rebuild._record

            def cut_off(self: Rebuild, media: Any) -> None:
                record(self, media[:1])
                raise Killed

            cut.setattr(Rebuild, "_record", cut_off)
        else:

            def die(*_: object) -> None:
                raise Killed

            cut.setattr(Rebuild if at == "gone" else Belonging, "_list_gone" if at == "gone" else "rebuilt", die)
        with pytest.raises(Killed):
            bench.rebuild()
    bench.drop("copy of 9.jpg", photo(9))
    bench.drop("new.jpg", photo(11))
    with pytest.raises(WrongLedger, match="come to its end"):
        bench.ingest()
    assert state_of(bench) == vault
    done = bench.rebuild()
    assert done.from_nothing and len(bench.rows()) == 10
    tally = bench.ingest()
    assert (tally.new, tally.duplicates) == (1, 1)
    assert len(vault_files(bench.settings)) == 11


def test_stopped_it_says_so_and_goes_on_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        bench.put(f"{DAY}/{number}.jpg", photo(number))
    record = Rebuild._record

    def stopped(self: Rebuild, media: Any) -> None:
        record(self, media[:3])
        self.stop()

    with monkeypatch.context() as early:
        early.setattr(Rebuild, "_record", stopped)
        done = bench.rebuild()
    assert not done.complete and 0 < done.filed <= 3
    with pytest.raises(WrongLedger):
        bench.ingest()
    assert bench.rebuild().filed == 10 - done.filed


def test_the_folder_counts_whatever_the_date(bench: Bench) -> None:
    bench.put("Originals/1999/1999-12-31/a.jpg", photo(1))
    done = bench.rebuild()
    assert listed(bench, done, "other_day") == ["Originals/1999/1999-12-31/a.jpg"]
    [(path, captured_at)] = bench.sql("SELECT final_path, captured_at FROM media_assets")
    assert (path, captured_at.date().isoformat()) == ("Originals/1999/1999-12-31/a.jpg", "2008-05-30")
    [(message,)] = bench.sql("SELECT message FROM ingest_events")
    assert "it states 2008-05-30 (exif:DateTimeOriginal), and stays in its folder" in message


def test_what_is_no_original_is_told_and_left(bench: Bench, tmp_path: Path) -> None:
    bench.drop("a.jpg", photo(1))
    bench.ingest()
    bench.put(f"{DAY}/a_1.jpg", photo(1))  # twice
    bench.put(f"{DAY}/b.jpg", photo(2))
    bench.put(f"{DAY}/c.jpg", photo(2))  # twice within one batch
    bench.put(f"{DAY}/notes.txt", b"text")
    bench.put(f"{DAY}/.factory-copy-123-0", photo(3))
    bench.put(f"{DAY}/reserved.jpg", b"")
    bench.put(f"{DAY}/.hidden.jpg", photo(4))
    bench.put("Originals/album/x.jpg", photo(5))
    bench.put("Originals/2008/y.jpg", photo(6))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "z.jpg").write_bytes(photo(7))
    (bench.settings.originals / "2008" / "2008-06-01").symlink_to(tmp_path / "outside")
    (bench.settings.storage / DAY / "link.jpg").symlink_to(tmp_path / "outside" / "z.jpg")
    os.mkfifo(bench.settings.storage / DAY / "fifo.jpg")
    before = state_of(bench)
    done = bench.rebuild()
    assert done.filed == 1 and done.files == 5
    assert listed(bench, done, "twice") == [f"{DAY}/a_1.jpg", f"{DAY}/c.jpg"]
    assert listed(bench, done, "not_media") == [f"{DAY}/notes.txt"]
    assert listed(bench, done, "temporary") == [f"{DAY}/.factory-copy-123-0", f"{DAY}/reserved.jpg"]
    assert listed(bench, done, "unknown") == [
        "Originals/2008/2008-05-30/.hidden.jpg",
        "Originals/2008/2008-05-30/fifo.jpg",
        "Originals/2008/2008-05-30/link.jpg",
        "Originals/2008/2008-06-01",
        "Originals/2008/y.jpg",
        "Originals/album/x.jpg",
    ]
    assert set(bench.rows()) == {f"{DAY}/a.jpg", f"{DAY}/b.jpg"}
    assert state_of(bench) == before


def test_rows_without_a_file_are_listed_and_one_that_was_moved_is_found(bench: Bench) -> None:
    bench.drop("a.jpg", photo(1))
    bench.drop("b.jpg", photo(2))
    bench.ingest()
    (bench.settings.storage / DAY / "a.jpg").unlink()
    (bench.settings.storage / DAY / "b.jpg").rename(bench.settings.storage / DAY / "by hand.jpg")
    done = bench.rebuild()
    assert listed(bench, done, "gone") == [f"{DAY}/a.jpg"]
    assert (done.filed, done.moved) == (1, 1)
    assert set(bench.rows()) == {f"{DAY}/a.jpg", f"{DAY}/by hand.jpg"}


def test_an_unreadable_file_and_a_refused_row_hold_up_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        bench.put(f"{DAY}/{number}.jpg", photo(number))
    entry = module._entry

    def of_no_kind(found: Any, gone: Any) -> LedgerEntry:
        made = entry(found, gone)
        if found.file.name == "1.jpg":
            assert made.asset is not None
            made.asset["file_size"] = 2**70
        return made

    monkeypatch.setattr(module, "_entry", of_no_kind)
    done = bench.rebuild()
    assert listed(bench, done, "failed") == [f"{DAY}/1.jpg"]
    assert (done.filed, len(bench.rows())) == (2, 2)


def test_what_it_files_is_read_only_from_then_on(bench: Bench) -> None:
    path = bench.put(f"{DAY}/a.jpg", photo(1))
    path.chmod(0o664)
    bench.rebuild()
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_a_file_that_is_in_the_inbox_too_is_filed_once(bench: Bench) -> None:
    """As after a kill between placing and recording, and then the loss of the ledger."""
    sources = []
    for number in range(3):
        bench.drop(f"{number}.jpg", photo(number))
    sources = sources_in(bench.settings.inbox, bench.settings.inbox)
    bench.ingest()
    bench.sql(EMPTIED)
    bench.drop("2.jpg", photo(2))
    os.unlink(bench.settings.storage / DAY / "2.jpg")
    os.link(bench.settings.inbox / "2.jpg", bench.settings.storage / DAY / "2.jpg")
    bench.rebuild()
    tally = bench.ingest()
    assert (tally.new, tally.failed) == (0, 0) and tally.duplicates >= 1
    assert not list(bench.settings.inbox.iterdir())
    assert len(vault_files(bench.settings)) == len(sources)
    assert {row["file_hash"] for row in ledger_rows(bench.settings, "SELECT file_hash FROM media_assets")} == {
        source.sha256 for source in sources
    }


def test_the_journal_settles_what_was_filed_while_the_ledger_was_away(bench: Bench, tmp_path: Path) -> None:
    """A duplicate that came meanwhile stands in the vault twice; the older copy gets the row, the newer one goes."""
    bench.drop("a.jpg", photo(1))
    bench.ingest()
    away = replace(bench.settings, database_url="postgresql+psycopg2://x@127.0.0.1:1/x")
    bench.drop("copy.jpg", photo(1))
    bench.drop("b.jpg", photo(2))
    database = Database(away)
    InboxService(away, database, once=True).run()
    database.close()
    assert len(vault_files(bench.settings)) == 3
    bench.sql(EMPTIED)
    with pytest.raises(WrongLedger):
        bench.ingest()
    assert bench.rows() == {}, "no entry is replayed into a ledger that is not the vault's"
    done = bench.rebuild()
    assert (done.filed, done.replayed) == (1, 2)
    assert set(bench.rows()) == {f"{DAY}/a.jpg", f"{DAY}/b.jpg"} == set(vault_files(bench.settings))


def test_a_whole_factory_keeps_its_promise_beside_it(bench: Bench) -> None:
    for number in range(5):
        bench.drop(f"{number}.jpg", photo(number))
    sources = sources_in(bench.settings.inbox, bench.settings.inbox)
    bench.ingest()
    assert bench.rebuild().filed == 0
    assert_promise_kept(bench.settings, sources)


def test_no_vault_no_rebuild(bench: Bench) -> None:
    bench.drop("a.jpg", photo(1))
    bench.ingest()
    shutil.move(bench.settings.originals, bench.settings.data / "away")
    bench.settings.originals.mkdir()
    with pytest.raises(Exception, match="mount the disk"):
        bench.rebuild()
    assert len(bench.rows()) == 1


OVERLAY = "acts, overlay_events, asset_tags, albums, album_items"
DECIDED = (
    "SELECT file_hash, rating, title, is_hidden, rotation, location, (SELECT string_agg(tag, ',') FROM asset_tags "
    "WHERE asset_id = media_assets.id), (SELECT string_agg(name || position, ',') FROM album_items JOIN albums "
    "ON albums.id = album_id WHERE asset_id = media_assets.id) FROM media_assets ORDER BY 1"
)


def decide(bench: Bench, *decisions: Decision) -> None:
    for decision in decisions:
        with bench.database.session() as session:
            assert carry_out(session, decision, true(), who="ada").changed


def test_what_people_have_decided_comes_back_with_the_ledger(bench: Bench) -> None:
    for number in range(3):
        bench.drop(f"{number}.jpg", photo(number))
    bench.ingest()
    decide(bench, changes.rate(4), changes.tag(["Oma"], remove=False), changes.title("x"), albums.add("Sommer"))
    decide(bench, changes.place(-33.8, 151.2), changes.hide(off=False), changes.rotate(90))
    bench.ingest()
    [lines] = (bench.settings.storage / "Overlay").glob("*/*.jsonl")
    with lines.open("ab") as file:
        file.write(b"cut off")
    before = bench.sql(DECIDED)
    assert len(before) == 3
    bench.sql(f"{EMPTIED}, {OVERLAY}")

    done = bench.rebuild()

    assert (done.complete, done.filed, done.decided) == (True, 3, 22)
    assert [one["path"] for one in done.undecided.files] == [f"{lines.relative_to(bench.settings.storage)}:30"]
    assert bench.sql(DECIDED) == before
    assert (bench.rebuild().decided, bench.sql(DECIDED)) == (0, before)


def test_a_row_that_was_lost_alone_gets_its_decisions_back(bench: Bench) -> None:
    for number in range(2):
        bench.drop(f"{number}.jpg", photo(number))
    bench.ingest()
    decide(bench, changes.rate(4), changes.tag(["Oma"], remove=False))
    before = bench.sql(DECIDED)
    bench.sql("DELETE FROM media_assets WHERE original_name = '1.jpg'")
    assert bench.rebuild().filed == 1
    assert bench.sql(DECIDED) == before
