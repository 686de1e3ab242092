"""Files that stay in the inbox: held at the real watcher, remembered in the real ledger."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from Src.Librarian.file_watcher import InboxWatcher
from Src.Librarian.holding import HeldFiles
from Src.Librarian.passage import IncomingFile, LedgerEntry, Outcome, Result
from Src.Librarian.retry_policy import RetryPolicy
from Src.Librarian.watch.clock import Now
from Src.Library.held_files import HeldFile, HeldFilesTable, ask_for_retry
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState
from Src.Shared.settings import Settings
from Src.Testing.surroundings import WaitFor

HOUR = 3600.0  # far more than any test takes: what is to be tried again then is not yet due by the real clock


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.steady = 1000.0

    def now(self) -> Now:
        return Now(self.steady, datetime.now(UTC).timestamp())


class Bench:
    def __init__(self, settings: Settings, database: Database) -> None:
        settings.inbox.mkdir(parents=True, exist_ok=True)
        self.inbox = settings.inbox
        self.database = database
        self.ready = True
        self.clock = HandClock()
        self.restart()

    def restart(self) -> None:
        """Everything that was in memory is forgotten."""
        self.watcher = InboxWatcher(
            self.inbox,
            stability_delay=0.0,
            min_file_age=0.0,
            scan_interval=0.1,
            mode="polling",
            clock=self.clock,  # type: ignore[arg-type]
        )
        self.table = HeldFilesTable(self.database, lambda: self.ready)
        self.held_files = HeldFiles(self.table, self.watcher, RetryPolicy(3, HOUR, 100 * HOUR))

    def offered(self) -> list[str]:
        """What the watcher gives out now."""
        return sorted(file.original_path for file in self.take())

    def take(self) -> list[IncomingFile]:
        self.watcher.scan()
        return self.watcher.ready(0.0)

    def take_one(self) -> IncomingFile:
        (file,) = self.take()
        return file

    def note(self, file: IncomingFile, result: Result, *, cleared: bool = False) -> list[LedgerEntry]:
        return self.held_files.note_outcomes([Outcome(file, result, reason="a reason", cleared=cleared)])

    def rows(self) -> dict[str, HeldFile]:
        loaded = HeldFilesTable(self.database).load()
        assert loaded is not None
        return {held.original_path: held for held in loaded}

    def counts(self) -> tuple[int, int, int]:
        count = self.held_files.count
        return count("failing"), count("dead_letter"), count("not_media")


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> Bench:
    return Bench(factory_settings, database)


def test_a_failing_file_is_held_for_its_delay_then_offered_again(bench: Bench) -> None:
    (bench.inbox / "a.jpg").write_bytes(b"content")
    (entry,) = bench.note(bench.take_one(), "failed")
    assert (entry.event["fate"], entry.event["attempts"], entry.event["message"]) == ("failed", 1, "a reason")
    assert bench.counts() == (1, 0, 0)
    assert (bench.rows()["a.jpg"].state, bench.rows()["a.jpg"].attempts) == ("failing", 1)
    bench.clock.steady += HOUR - 0.1
    assert bench.offered() == []
    bench.clock.steady += 0.2
    (entry,) = bench.note(bench.take_one(), "failed")
    assert entry.event["attempts"] == 2
    bench.clock.steady += 2 * HOUR - 0.1  # twice as long
    assert bench.offered() == []
    bench.clock.steady += 0.2
    (entry,) = bench.note(bench.take_one(), "failed")
    assert (entry.event["fate"], entry.event["attempts"], entry.event["next_try_at"]) == ("dead_letter", 3, None)
    assert bench.counts() == (0, 1, 0)
    bench.clock.steady += 1e6
    assert bench.offered() == []


@pytest.mark.parametrize("result", ["failed", "not_media"])
def test_a_link_that_we_made_and_took_back_is_no_reason_to_try_again(
    bench: Bench, result: Result, wait_for: WaitFor
) -> None:
    path = bench.inbox / "a.jpg"
    path.write_bytes(b"content")
    file = bench.take_one()

    def linked_and_taken_back() -> bool:  # ctime ticks every few milliseconds only
        os.link(path, bench.inbox.parent / "placed")
        (bench.inbox.parent / "placed").unlink()
        return path.stat().st_ctime_ns != file.state.ctime_ns

    wait_for(linked_and_taken_back)
    bench.note(file, result)
    assert bench.offered() == []


def test_a_held_file_that_changes_is_offered_at_once_and_begins_anew(bench: Bench) -> None:
    path = bench.inbox / "a.jpg"
    path.write_bytes(b"content")
    bench.note(bench.take_one(), "not_media")
    assert bench.counts() == (0, 0, 1)
    path.write_bytes(b"other content")
    assert bench.note(bench.take_one(), "new", cleared=True) == []
    assert bench.counts() == (0, 0, 0)
    assert bench.rows() == {}


def test_after_a_restart_what_stays_is_held_as_before(bench: Bench) -> None:
    for name in ("dead.jpg", "failing.jpg", "notes.txt"):
        (bench.inbox / name).write_bytes(b"content")
    dead, failing, notes = sorted(bench.take(), key=lambda file: file.original_path)
    for _ in range(3):
        bench.note(dead, "failed")
    bench.note(failing, "failed")
    bench.note(notes, "not_media")
    bench.restart()
    assert bench.held_files.load()
    assert bench.counts() == (1, 1, 1)
    assert bench.offered() == []
    bench.clock.steady += HOUR + 0.1
    file = bench.take_one()
    assert file.original_path == "failing.jpg"
    (entry,) = bench.note(file, "failed")
    assert entry.event["attempts"] == 2


def test_after_a_restart_what_is_gone_or_changed_meanwhile_is_forgotten(bench: Bench) -> None:
    for name in ("changed.jpg", "gone.jpg"):
        (bench.inbox / name).write_bytes(b"content")
    for file in bench.take():
        bench.note(file, "failed")
    bench.restart()
    (bench.inbox / "gone.jpg").unlink()
    (bench.inbox / "changed.jpg").write_bytes(b"other content")
    bench.held_files.load()
    assert bench.rows() == {}
    assert bench.offered() == ["changed.jpg"]


def test_a_retry_that_a_person_asks_for_is_taken_up_while_running(bench: Bench) -> None:
    (bench.inbox / "a.jpg").write_bytes(b"content")
    file = bench.take_one()
    for _ in range(3):
        bench.note(file, "failed")
    assert bench.offered() == []
    assert ask_for_retry(bench.database) == 1
    bench.held_files.load()
    assert bench.counts() == (1, 0, 0)
    bench.clock.steady += 1.0
    (entry,) = bench.note(bench.take_one(), "failed")
    assert entry.event["attempts"] == 1


def test_a_file_that_a_person_removes_is_forgotten(bench: Bench) -> None:
    path = bench.inbox / "a.jpg"
    path.write_bytes(b"content")
    bench.note(bench.take_one(), "failed")
    bench.held_files.drop_missing()
    assert list(bench.rows()) == ["a.jpg"]
    path.unlink()
    bench.watcher.scan()
    bench.held_files.drop_missing()
    assert bench.rows() == {} and bench.counts() == (0, 0, 0)


def test_while_the_ledger_is_away_all_goes_on_in_memory_and_is_written_later(bench: Bench) -> None:
    for name in ("a.jpg", "b.jpg"):
        (bench.inbox / name).write_bytes(b"content")
    first, second = sorted(bench.take(), key=lambda file: file.original_path)
    bench.ready = False
    assert not bench.held_files.load()
    bench.note(first, "failed")
    bench.note(second, "not_media")
    assert bench.counts() == (1, 0, 1) and bench.rows() == {}
    (bench.inbox / "b.jpg").unlink()
    bench.watcher.scan()
    bench.held_files.drop_missing()
    bench.ready = True
    bench.held_files.save()
    assert list(bench.rows()) == ["a.jpg"]


def test_what_the_ledger_has_not_heard_yet_is_not_overruled_by_it(bench: Bench) -> None:
    path = bench.inbox / "a.jpg"
    path.write_bytes(b"content")
    file = bench.take_one()
    bench.note(file, "failed")
    bench.ready = False
    bench.note(file, "failed")
    bench.ready = True
    bench.held_files.load()
    assert bench.rows()["a.jpg"].attempts == 2


def test_a_file_that_is_filed_but_cannot_be_removed_fails_and_is_told(bench: Bench) -> None:
    (bench.inbox / "a.jpg").write_bytes(b"content")
    (entry,) = bench.note(bench.take_one(), "new", cleared=False)
    assert "cannot be removed" in (entry.event["message"] or "")
    assert bench.counts() == (1, 0, 0)


def test_a_file_that_was_replaced_while_it_was_filed_is_read_next(bench: Bench) -> None:
    path = bench.inbox / "a.jpg"
    path.write_bytes(b"content")
    file = bench.take_one()
    path.unlink()
    path.write_bytes(b"newer content")
    assert bench.note(file, "new", cleared=False) == []
    assert bench.offered() == ["a.jpg"]


def test_a_changing_file_is_given_back_and_a_gone_one_let_go(bench: Bench) -> None:
    for name in ("a.jpg", "b.jpg"):
        (bench.inbox / name).write_bytes(b"content")
    changing, gone = sorted(bench.take(), key=lambda file: file.original_path)
    (bench.inbox / "b.jpg").unlink()
    assert bench.note(changing, "changing") == bench.note(gone, "gone") == []
    assert bench.offered() == ["a.jpg"]
    assert bench.rows() == {}


def test_a_number_that_no_ledger_holds_does_not_end_the_service(bench: Bench) -> None:
    path = bench.inbox / "a.jpg"
    path.write_bytes(b"content")
    file = bench.take_one()
    strange = file._replace(state=FileState(7, 2**70, 1, 2**64 - 1, 1))
    bench.note(strange, "failed")
    assert bench.counts() == (1, 0, 0) and list(bench.rows()) == ["a.jpg"]
