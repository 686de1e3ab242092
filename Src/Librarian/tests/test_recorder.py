"""Record: a row for every original and a fate for every file, whatever the ledger does meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.engine.interfaces import ExecuteStyle
from sqlalchemy.orm import Session, SessionTransaction

from Src.Librarian.passage import IncomingFile, Inspected, Kept, LedgerEntry
from Src.Librarian.record import ledger_entry, recorder, statements
from Src.Librarian.record.journal import Journal
from Src.Librarian.record.reconciling import Reconciler
from Src.Librarian.record.recorder import Recorder
from Src.Library.damaged import Damaged
from Src.Library.refused_rows import refused_rows
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Unknown, Verdict
from Src.Media.kinds import KINDS
from Src.Media.metadata import Metadata
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.disk.files import FileState
from Src.Shared.settings import Settings
from Src.Testing.promise import Source, assert_promise_kept, ledger_rows, vault_files

DAY = "Originals/2020/2020-01-01"
TAKEN = Metadata(
    captured_at=datetime(2020, 1, 1, 12),
    captured_at_offset=None,
    date_source="mtime",
    date_precision="second",
    latitude=52.5,
    longitude=13.4,
    width=4000,
    height=3000,
    orientation=6,
    duration_seconds=None,
    camera_make="Canon",
    camera_model=None,
    rating=None,
    error=None,
)


class LedgerWithOutages(Database):
    """The real ledger, that can be taken away."""

    away = False

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        self._answer()
        with super().session() as session:
            yield session

    def ensure_ready(self, wait: float = 1.0) -> None:
        self._answer()
        super().ensure_ready(wait)

    def _answer(self) -> None:
        if self.away:
            raise LedgerUnavailable("taken away by the test")


class Bench:
    """One vault, one ledger, and files that stand in the vault as the placer would have left them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = LedgerWithOutages(settings)
        self.vault = Vault(settings.storage)
        self.vault.create()
        settings.inbox.mkdir(parents=True)
        (self.vault.storage / DAY).mkdir(parents=True)
        self.seconds = 0.0
        self.recorder = self.restarted()
        self.sources: list[Source] = []
        self._numbers = itertools.count(1)

    def restarted(self) -> Recorder:
        """A recorder as it is after a restart."""
        self.recorder = Recorder(self.ledger, Journal(self.vault.state / "journal"), self.vault, lambda: self.seconds)
        return self.recorder

    def take_ledger_away(self) -> None:
        self.ledger.away = True

    def bring_ledger_back(self) -> None:
        self.ledger.away = False
        self.seconds += 100  # past every wait

    def incoming(self, content: bytes, name: str) -> tuple[IncomingFile, str]:
        sha256 = hashlib.sha256(content).hexdigest()
        original_path = f"{next(self._numbers)}/{name}"
        self.sources.append(Source(original_path, sha256))
        state = FileState(len(content), 1, 1, 1, 1)
        return IncomingFile(str(self.settings.inbox / original_path), original_path, state), sha256

    def put(self, content: bytes, place: str) -> None:
        path = self.vault.storage / place
        path.write_bytes(content)
        path.chmod(0o400)

    def new(self, content: bytes, name: str, place: str | None = None, metadata: Metadata = TAKEN) -> LedgerEntry:
        place = place or f"{DAY}/{name}"
        self.put(content, place)
        file, sha256 = self.incoming(content, name)
        return ledger_entry.ingested(Inspected(file, sha256, KINDS["JPEG"], metadata), place)

    def restored(self, content: bytes, name: str, place: str) -> LedgerEntry:
        self.put(content, place)
        file, sha256 = self.incoming(content, name)
        return ledger_entry.restored(Inspected(file, sha256, KINDS["JPEG"], TAKEN), place)

    def duplicate(self, content: bytes, name: str, kept: str) -> LedgerEntry:
        file, sha256 = self.incoming(content, name)
        return ledger_entry.duplicate(file, sha256, kept)

    def record(self, *entries: LedgerEntry) -> list[recorder.Rejected]:
        """What the ledger refuses of these."""
        answers = self.recorder.record(entries)
        assert len(answers) == len(entries)
        return [answer for answer in answers if isinstance(answer, recorder.Rejected)]

    def events(self) -> list[dict[str, Any]]:
        return ledger_rows(self.settings, "SELECT * FROM ingest_events ORDER BY happened_at")

    def fates(self) -> list[str]:
        return [row["fate"] for row in self.events()]

    def rows(self) -> dict[str, str]:
        rows = ledger_rows(self.settings, "SELECT final_path, file_hash FROM media_assets")
        return {row["final_path"]: row["file_hash"] for row in rows}

    def journaled(self) -> int:
        journal = Journal(self.vault.state / "journal")
        return sum(1 for segment in journal.segments() for _ in journal.entries(segment))

    def lose(self, place: str) -> None:
        (self.vault.storage / place).unlink()

    def check(self, *lost: bytes) -> None:
        gone = [hashlib.sha256(content).hexdigest() for content in lost]
        assert_promise_kept(self.settings, self.sources, lost_from_vault=gone)


@pytest.fixture
def bench(factory_settings: Settings) -> Iterator[Bench]:
    bench = Bench(factory_settings)
    yield bench
    bench.ledger.close()


def content(number: int) -> bytes:
    return b"a photo, number %04d" % number


# -- the ledger is there ------------------------------------------------------------------------------------


def test_a_new_original_gets_its_row_and_its_event(bench: Bench) -> None:
    assert bench.record(bench.new(content(1), "a.jpg")) == []
    (row,) = ledger_rows(bench.settings, "SELECT * FROM media_assets")
    assert row["final_path"] == f"{DAY}/a.jpg"
    assert row["location"] == {"lat": 52.5, "lon": 13.4}
    assert (row["width"], row["height"], row["camera_make"]) == (4000, 3000, "Canon")
    assert bench.fates() == ["ingested"]
    bench.check()


def test_known_hashes_are_answered_from_the_ledger(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a \\ \udce4.jpg"))
    sha256, other = (hashlib.sha256(content(number)).hexdigest() for number in (1, 2))
    assert bench.recorder.known([sha256, other]) == {sha256: Kept(f"{DAY}/a \\ \udce4.jpg", len(content(1)))}


def test_a_duplicate_adds_an_event_and_no_row(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"), bench.duplicate(content(1), "b.jpg", f"{DAY}/a.jpg"))
    assert bench.fates() == ["ingested", "duplicate"]
    bench.check()


def test_a_restored_original_keeps_its_row_and_the_flags_of_work_done(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"))
    with bench.ledger.session() as session:
        session.execute(text("UPDATE media_assets SET is_thumbnailed = true, verified_at = now()"))
    (before,) = ledger_rows(bench.settings, "SELECT * FROM media_assets")
    bench.lose(f"{DAY}/a.jpg")
    bench.record(bench.restored(content(1), "b.jpg", f"{DAY}/a_1.jpg"))
    (row,) = ledger_rows(bench.settings, "SELECT * FROM media_assets")
    assert (row["id"], row["is_thumbnailed"], row["original_name"]) == (before["id"], True, "a.jpg")
    assert row["final_path"] == f"{DAY}/a_1.jpg"
    assert row["verified_at"] is None  # that was another file
    assert row["ingested_at"] > before["ingested_at"]
    bench.check()


# -- no path is used twice ----------------------------------------------------------------------------------


def test_a_path_that_belongs_to_a_gone_original_is_not_used_again(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"), bench.new(content(2), "a.jpg", f"{DAY}/a_1.jpg"))
    bench.lose(f"{DAY}/a.jpg")
    bench.lose(f"{DAY}/a_1.jpg")
    (recorded,) = bench.recorder.record([bench.new(content(3), "a.jpg")])
    assert bench.rows() == {
        f"{DAY}/{name}": hashlib.sha256(content(number)).hexdigest()
        for number, name in enumerate(("a.jpg", "a_1.jpg", "a_2.jpg"), 1)
    }
    assert bench.events()[-1]["message"] == "renamed to a_2.jpg"
    assert isinstance(recorded, LedgerEntry)
    assert recorded.event["final_path"] == f"{DAY}/a_2.jpg"  # whoever asked learns where it is
    bench.check(content(1), content(2))


def test_a_duplicate_in_the_same_batch_follows_an_original_that_got_another_name(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"))
    bench.lose(f"{DAY}/a.jpg")
    bench.record(bench.new(content(2), "a.jpg"), bench.duplicate(content(2), "b.jpg", f"{DAY}/a.jpg"))
    assert [row["final_path"] for row in bench.events()[1:]] == [f"{DAY}/a_1.jpg"] * 2
    assert bench.events()[-1]["message"] == f"duplicate of {DAY}/a_1.jpg"
    bench.check(content(1))


def test_a_restored_original_does_not_use_the_path_of_another_that_is_gone(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"), bench.new(content(2), "a.jpg", f"{DAY}/a_1.jpg"))
    bench.lose(f"{DAY}/a.jpg")
    bench.lose(f"{DAY}/a_1.jpg")
    assert bench.record(bench.restored(content(1), "a.jpg", f"{DAY}/a_1.jpg")) == []
    assert bench.rows()[f"{DAY}/a.jpg"] == hashlib.sha256(content(1)).hexdigest()
    bench.check(content(2))


def test_a_row_that_came_to_another_path_stays_there_when_the_ledger_is_lost_at_that_moment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.record(bench.new(content(1), "a.jpg"))
    bench.lose(f"{DAY}/a.jpg")
    with lost_at("INSERT INTO ingest_events"):
        bench.record(bench.new(content(2), "a.jpg"))
    assert bench.journaled() == 1
    bench.bring_ledger_back()
    assert bench.recorder.catch_up() == 1
    assert bench.fates() == ["ingested", "ingested"]
    bench.check(content(1))


# -- the ledger away ----------------------------------------------------------------------------------------


def test_while_the_ledger_is_away_entries_wait_in_the_journal_and_are_known(bench: Bench) -> None:
    bench.take_ledger_away()
    bench.record(bench.new(content(1), "a.jpg"))
    sha256 = hashlib.sha256(content(1)).hexdigest()
    assert bench.recorder.away == "taken away by the test"
    assert bench.recorder.known([sha256]) == {sha256: Kept(f"{DAY}/a.jpg", len(content(1)))}
    assert bench.restarted().known([sha256])  # from disk
    assert bench.recorder.has_originals() is None
    bench.bring_ledger_back()
    assert bench.recorder.must_catch_up()
    assert bench.recorder.catch_up() == 1
    assert bench.recorder.away is None
    assert not bench.recorder.must_catch_up()
    bench.check()


def test_the_ledger_is_asked_again_after_1_s_then_less_and_less_often_up_to_60_s(bench: Bench) -> None:
    asked: list[float] = []

    class Absent(LedgerWithOutages):
        def ensure_ready(self, wait: float = 1.0) -> None:
            asked.append(bench.seconds)
            raise LedgerUnavailable("down")

    bench.ledger = Absent(bench.settings)
    bench.restarted()
    while bench.seconds < 400:
        assert not bench.recorder.connect()
        bench.seconds += 0.5
    assert [later - earlier for earlier, later in itertools.pairwise(asked)] == [1, 2, 4, 8, 16, 32] + [60] * 5


def test_a_ledger_lost_in_the_middle_of_a_batch_gets_all_of_it_once(bench: Bench) -> None:
    with lost_at("INSERT INTO ingest_events"):
        bench.record(*(bench.new(content(number), f"{number}.jpg") for number in range(5)))
    assert bench.rows() == {}
    assert bench.journaled() == 5
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    bench.check()


def test_a_commit_whose_answer_was_lost_does_not_count_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Recorder._write

    def write_but_no_answer(self: Recorder, *args: Any, **named: Any) -> Any:
        write(self, *args, **named)
        raise LedgerUnavailable("lost after the commit")

    monkeypatch.setattr(Recorder, "_write", write_but_no_answer)
    bench.record(bench.new(content(1), "a.jpg"), bench.duplicate(content(1), "b.jpg", f"{DAY}/a.jpg"))
    monkeypatch.undo()
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    assert bench.fates() == ["ingested", "duplicate"]
    bench.check()


def test_entries_wait_behind_older_ones_in_the_journal(bench: Bench) -> None:
    bench.take_ledger_away()
    bench.record(bench.new(content(1), "a.jpg"))
    bench.bring_ledger_back()
    bench.record(bench.duplicate(content(1), "b.jpg", f"{DAY}/a.jpg"))
    assert bench.journaled() == 2
    bench.recorder.catch_up()
    assert bench.fates() == ["ingested", "duplicate"]
    bench.check()


def test_a_journal_of_several_processes_and_thousands_of_entries_is_replayed(bench: Bench) -> None:
    bench.take_ledger_away()
    for start in (0, 600):
        bench.restarted().record([bench.new(content(n), f"{n}.jpg") for n in range(start, start + 600)])
    bench.bring_ledger_back()
    assert bench.recorder.catch_up() == 1200
    assert len(bench.rows()) == 1200
    bench.check()


def test_a_full_disk_while_the_ledger_is_away_is_trouble_with_the_vault(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.take_ledger_away()
    (bench.vault.state).mkdir(exist_ok=True)
    (bench.vault.state / "journal").write_text("not a folder")
    with pytest.raises(VaultTrouble):
        bench.record(bench.new(content(1), "a.jpg"))


# -- replay: what has changed meanwhile -----------------------------------------------------------------------


def test_a_journaled_copy_of_a_living_original_is_dropped_and_the_event_says_duplicate(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"))
    bench.take_ledger_away()
    bench.record(
        bench.new(content(1), "a.jpg", f"{DAY}/a_1.jpg"), bench.duplicate(content(1), "c.jpg", f"{DAY}/a_1.jpg")
    )
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    assert list(vault_files(bench.settings)) == [f"{DAY}/a.jpg"]
    assert bench.fates() == ["ingested", "duplicate", "duplicate"]
    assert [row["final_path"] for row in bench.events()] == [f"{DAY}/a.jpg"] * 3
    bench.check()


def test_a_journaled_copy_of_a_dead_original_takes_its_place(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"))
    bench.lose(f"{DAY}/a.jpg")
    bench.take_ledger_away()
    bench.record(bench.new(content(1), "b.jpg"))
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    assert bench.rows() == {f"{DAY}/b.jpg": hashlib.sha256(content(1)).hexdigest()}
    assert bench.fates() == ["ingested", "restored"]
    bench.check()


def test_a_journaled_restoration_of_an_original_that_came_back_meanwhile_is_a_duplicate(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"))
    bench.lose(f"{DAY}/a.jpg")
    with lost_at("INSERT INTO ingest_events"):
        bench.record(bench.restored(content(1), "b.jpg", f"{DAY}/b.jpg"))
    bench.put(content(1), f"{DAY}/a.jpg")  # from somebody's backup
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    assert list(vault_files(bench.settings)) == [f"{DAY}/a.jpg"]
    bench.check()


def test_the_kept_file_is_never_dropped_when_both_paths_are_one_file(bench: Bench) -> None:
    """A folder of the vault reached by two ways, and a third link that makes the file look as if it had another."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a folder a second time")
    bench.record(bench.new(content(1), "a.jpg"))
    again = bench.vault.storage / "Originals/2020/2020-01-02"
    again.mkdir()
    subprocess.run(["mount", "--bind", str(bench.vault.storage / DAY), str(again)], check=True)
    try:
        os.link(bench.vault.storage / DAY / "a.jpg", bench.settings.data / "somebody's link")
        file, sha256 = bench.incoming(content(1), "a.jpg")
        bench.take_ledger_away()
        path = "Originals/2020/2020-01-02/a.jpg"
        bench.record(ledger_entry.ingested(Inspected(file, sha256, KINDS["JPEG"], TAKEN), path))
        bench.bring_ledger_back()
        bench.recorder.catch_up()
    finally:
        subprocess.run(["umount", str(again)], check=True)
    assert bench.fates() == ["ingested", "duplicate"]
    (bench.settings.data / "somebody's link").unlink()
    bench.check()


def test_of_two_links_to_one_original_the_kept_one_stays(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"))
    os.link(bench.vault.storage / DAY / "a.jpg", bench.vault.storage / DAY / "a_1.jpg")
    file, sha256 = bench.incoming(content(1), "a.jpg")
    bench.take_ledger_away()
    bench.record(ledger_entry.ingested(Inspected(file, sha256, KINDS["JPEG"], TAKEN), f"{DAY}/a_1.jpg"))
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    assert list(vault_files(bench.settings)) == [f"{DAY}/a.jpg"]
    bench.check()


def test_no_row_is_made_for_a_journaled_file_that_is_gone_from_the_vault(bench: Bench) -> None:
    bench.take_ledger_away()
    bench.record(bench.new(content(1), "a.jpg"), bench.new(content(2), "b.jpg"))
    bench.lose(f"{DAY}/a.jpg")
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    assert list(bench.rows()) == [f"{DAY}/b.jpg"]
    assert bench.fates() == ["failed", "ingested"]
    assert "gone from the vault" in bench.events()[0]["message"]


def test_a_journaled_path_that_belongs_to_a_gone_original_is_not_used_again(bench: Bench) -> None:
    bench.record(bench.new(content(1), "a.jpg"))
    bench.lose(f"{DAY}/a.jpg")
    bench.take_ledger_away()
    bench.record(bench.new(content(2), "a.jpg"), bench.duplicate(content(2), "b.jpg", f"{DAY}/a.jpg"))
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    assert sorted(bench.rows()) == [f"{DAY}/a.jpg", f"{DAY}/a_1.jpg"]
    bench.check(content(1))


def test_a_journaled_original_whose_path_another_one_took_is_gone_and_the_other_keeps_it(bench: Bench) -> None:
    bench.take_ledger_away()
    bench.record(bench.new(content(1), "a.jpg"))
    bench.lose(f"{DAY}/a.jpg")
    bench.record(bench.new(content(2), "a.jpg"))
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    assert bench.rows() == {f"{DAY}/a.jpg": hashlib.sha256(content(2)).hexdigest()}
    assert bench.fates() == ["failed", "ingested"]
    assert bench.vault.damaged.listed() == []


def test_a_kept_original_that_cannot_be_judged_holds_the_replay_up_and_nothing_is_dropped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.record(bench.new(content(1), "a.jpg"))
    bench.take_ledger_away()
    bench.record(bench.new(content(1), "b.jpg"))
    bench.bring_ledger_back()
    real = Vault.verdict

    def refused(self: Vault, path: str, sha256: str, size: int) -> Verdict:
        return (
            Unknown(f"{path} cannot be read: Permission denied") if "a.jpg" in path else real(self, path, sha256, size)
        )

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "verdict", refused)
        with pytest.raises(VaultTrouble, match="Permission denied"):
            bench.recorder.catch_up()
        assert set(vault_files(bench.settings)) == {f"{DAY}/a.jpg", f"{DAY}/b.jpg"}
        assert bench.journaled() == 1
    bench.recorder.catch_up()
    assert set(vault_files(bench.settings)) == {f"{DAY}/a.jpg"}
    bench.check()


def rot(bench: Bench, place: str) -> None:
    path = bench.vault.storage / place
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    path.chmod(0o400)


ROT_CUTS = [
    *((statements, name) for name in ("insert_new", "kept")),
    *((Vault, name) for name in ("find", "verdict", "put_away", "take_place")),
    (Damaged, "move_aside"),
    *((Reconciler, name) for name in ("_drop", "_restore")),
    (Recorder, "_write"),
    (Journal, "remove"),
    (Session, "execute"),
    (SessionTransaction, "commit"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), ROT_CUTS, ids=[name for _, name in ROT_CUTS])
def test_a_replay_against_rotten_originals_killed_at_any_point_loses_nothing(
    bench: Bench, owner: Any, name: str, after: bool
) -> None:
    """1: kept is rotten. 2: own is rotten, kept lives. 3: new, and rotten. 4: kept and own live."""
    bench.record(*(bench.new(content(number), f"{number}.jpg") for number in (1, 2, 4)))
    bench.take_ledger_away()
    bench.record(
        bench.new(content(1), "1.jpg", f"{DAY}/1_1.jpg"),
        bench.new(content(2), "two.jpg"),
        bench.new(content(3), "3.jpg"),
        bench.new(content(4), "four.jpg"),
    )
    for place in ("1.jpg", "two.jpg", "3.jpg"):
        rot(bench, f"{DAY}/{place}")
    bench.bring_ledger_back()
    kills = 0
    for number in itertools.count():
        with killed_at(owner, name, number, after=after):
            try:
                bench.restarted().catch_up()
                break
            except Killed:
                kills += 1
    assert kills, f"{name} is never called"
    digest = {number: hashlib.sha256(content(number)).hexdigest() for number in (1, 2, 3, 4)}
    rows, files = bench.rows(), vault_files(bench.settings)
    assert set(rows.values()) == set(digest.values())
    assert {sha256: path for path, sha256 in rows.items()}[digest[3]] == f"{DAY}/3.jpg"
    for number in (1, 2, 4):
        assert [files[path] for path, sha256 in rows.items() if sha256 == digest[number]] == [digest[number]]
    assert len(files) == 4, "and nothing without a row"
    assert len(bench.vault.damaged.listed()) == 2
    assert bench.journaled() == 0


# -- replay, cut off anywhere ---------------------------------------------------------------------------------


class Killed(BaseException):
    """As by kill -9: nothing after it is done."""


def journal_of_everything(bench: Bench) -> None:
    """All that a replay can meet: new, duplicate of living and dead, taken path, restored, twins, gone."""
    bench.record(*(bench.new(content(number), f"{number}.jpg") for number in range(1, 5)))
    bench.lose(f"{DAY}/2.jpg")
    bench.lose(f"{DAY}/3.jpg")
    bench.take_ledger_away()
    bench.record(
        bench.new(content(10), "new.jpg"),
        bench.new(content(1), "1.jpg", f"{DAY}/1_1.jpg"),  # duplicate of a living original
        bench.new(content(2), "two.jpg"),  # takes the place of a dead one
    )
    bench.restarted().record(
        [
            bench.new(content(11), "3.jpg"),  # at the path of a dead one
            bench.duplicate(content(11), "twin.jpg", f"{DAY}/3.jpg"),
            bench.duplicate(content(10), "twin.jpg", f"{DAY}/new.jpg"),
        ]
    )
    bench.bring_ledger_back()


def outcome_of(bench: Bench) -> tuple[dict[str, str], dict[str, str], list[tuple[Any, ...]]]:
    told = [(row["fate"], row["original_path"], row["final_path"], row["message"]) for row in bench.events()]
    return bench.rows(), vault_files(bench.settings), told


CUTS = [
    (statements, "insert_new"),
    (statements, "kept"),
    (Vault, "find"),
    (Vault, "verdict"),
    (Vault, "move_aside"),
    (Reconciler, "_drop"),
    (Recorder, "_write"),
    (Journal, "remove"),
    (Session, "execute"),
    (SessionTransaction, "commit"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "name"), CUTS, ids=[name for _, name in CUTS])
def test_a_replay_killed_at_any_point_and_repeated_gives_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool
) -> None:
    journal_of_everything(bench)
    kills = 0
    for number in itertools.count():  # at the first call, at the second, ...
        with killed_at(owner, name, number, after=after):
            try:
                bench.restarted().catch_up()
                break
            except Killed:
                kills += 1
    assert kills, f"{name} is never called"
    rows, files, told = outcome_of(bench)
    digest = {number: hashlib.sha256(content(number)).hexdigest() for number in (1, 2, 3, 4, 10, 11)}
    assert rows == {
        f"{DAY}/1.jpg": digest[1],
        f"{DAY}/two.jpg": digest[2],
        f"{DAY}/3.jpg": digest[3],
        f"{DAY}/4.jpg": digest[4],
        f"{DAY}/new.jpg": digest[10],
        f"{DAY}/3_1.jpg": digest[11],
    }
    assert files == {path: sha256 for path, sha256 in rows.items() if sha256 != digest[3]}
    assert [fate for fate, *_ in told] == ["ingested"] * 4 + [
        *("ingested", "duplicate", "restored"),
        *("ingested", "duplicate", "duplicate"),
    ]
    bench.check(content(3))


@contextlib.contextmanager
def killed_at(owner: Any, name: str, number: int, *, after: bool) -> Iterator[None]:
    real, calls = getattr(owner, name), itertools.count()

    def cut_off(*args: Any, **named: Any) -> Any:
        here = next(calls) == number
        if here and not after:
            raise Killed
        answer = real(*args, **named)
        if here:
            raise Killed
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, cut_off)
        yield


@contextlib.contextmanager
def lost_at(statement: str) -> Iterator[None]:
    """The server ends the connection when it is about to get a statement."""

    def end_connection(connection: Any, cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith(statement):
            event.remove(Engine, "before_cursor_execute", end_connection)
            raise LedgerUnavailable("lost in the middle")

    event.listen(Engine, "before_cursor_execute", end_connection)
    try:
        yield
    finally:
        if event.contains(Engine, "before_cursor_execute", end_connection):
            event.remove(Engine, "before_cursor_execute", end_connection)
            pytest.fail(f"{statement} was never executed")


# -- rows that the ledger refuses -----------------------------------------------------------------------------


def refused(bench: Bench, number: int) -> LedgerEntry:
    return bench.new(content(number), f"{number}.jpg", metadata=TAKEN._replace(captured_at_offset=10**6))


def test_a_row_that_the_ledger_refuses_is_named_and_the_others_go_through(bench: Bench) -> None:
    bad = refused(bench, 2)
    rejected = bench.record(bench.new(content(1), "1.jpg"), bad, bench.new(content(3), "3.jpg"))
    assert [one.entry.event["id"] for one in rejected] == [bad.event["id"]]
    assert "out of range" in rejected[0].reason
    assert sorted(bench.rows()) == [f"{DAY}/1.jpg", f"{DAY}/3.jpg"]
    assert bench.fates() == ["ingested", "ingested"]


def test_a_journaled_row_that_the_ledger_refuses_is_put_aside_and_the_others_go_through(bench: Bench) -> None:
    bench.take_ledger_away()
    bench.record(bench.new(content(1), "1.jpg"), refused(bench, 2), bench.new(content(3), "3.jpg"))
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    assert bench.recorder.away is None
    assert sorted(bench.rows()) == [f"{DAY}/1.jpg", f"{DAY}/3.jpg"]
    assert bench.journaled() == 0
    kept_aside = (bench.vault.state / "journal" / "rejected.json-lines").read_text()
    assert hashlib.sha256(content(2)).hexdigest() in kept_aside
    assert (bench.vault.storage / DAY / "2.jpg").exists()


def test_what_the_ledger_refused_is_tried_again_and_comes_in_once_it_is_taken(bench: Bench) -> None:
    """As after an update that has made room for it."""
    bench.take_ledger_away()
    bench.record(bench.new(content(1), "1.jpg"), bench.new(content(2), "2.jpg"))
    bench.bring_ledger_back()
    with bench.ledger.session() as session:
        session.execute(text("ALTER TABLE media_assets ADD CONSTRAINT no_2 CHECK (original_name <> '2.jpg')"))
    bench.recorder.catch_up()
    assert (sorted(bench.rows()), bench.recorder.rejected) == ([f"{DAY}/1.jpg"], 1)
    [row] = refused_rows(bench.vault.state)
    assert row.path == f"{DAY}/2.jpg" and "no_2" in row.reason

    assert bench.restarted().retry_rejected() == 1
    assert (sorted(bench.rows()), bench.recorder.rejected) == ([f"{DAY}/1.jpg"], 1)
    with bench.ledger.session() as session:
        session.execute(text("ALTER TABLE media_assets DROP CONSTRAINT no_2"))
    assert bench.recorder.retry_rejected() == 1
    assert (sorted(bench.rows()), bench.recorder.rejected) == ([f"{DAY}/1.jpg", f"{DAY}/2.jpg"], 0)
    assert bench.fates() == ["ingested", "ingested"]
    assert (bench.recorder.retry_rejected(), bench.journaled()) == (0, 0)


def test_a_damaged_line_among_what_was_refused_is_kept(bench: Bench) -> None:
    bench.take_ledger_away()
    bench.record(refused(bench, 1))
    bench.bring_ledger_back()
    bench.recorder.catch_up()
    with open(bench.vault.state / "journal" / "rejected.json-lines", "a") as file:
        file.write("{torn")
    assert bench.recorder.rejected == 1
    assert bench.recorder.retry_rejected() == 1
    [damaged] = (bench.vault.state / "journal").glob("*.damaged")
    assert "{torn" in damaged.read_text()


def test_a_disk_that_is_full_during_the_replay_is_trouble_with_the_vault(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.take_ledger_away()
    bench.record(refused(bench, 1))
    bench.bring_ledger_back()
    (bench.vault.state / "journal" / "rejected.json-lines").mkdir()  # cannot be written
    with pytest.raises(VaultTrouble):
        bench.recorder.catch_up()
    assert bench.journaled() == 1


# -- the cost -------------------------------------------------------------------------------------------------


def statements_for(bench: Bench, entries: Sequence[LedgerEntry]) -> int:
    """Round trips to the ledger. psycopg2's executemany makes one for each row."""
    count = 0

    def note(_connection: Any, _cursor: Any, _sql: str, parameters: Any, context: Any, many: bool) -> None:
        nonlocal count
        count += len(parameters) if context.execute_style is ExecuteStyle.EXECUTEMANY else 1

    with_events = bench.ledger._engine
    assert with_events is not None
    event.listen(with_events, "before_cursor_execute", note)
    try:
        assert bench.record(*entries) == []
    finally:
        event.remove(with_events, "before_cursor_execute", note)
    assert count
    return count


@pytest.mark.parametrize("kind", ["new", "duplicate", "restored", "taken path"])
def test_the_number_of_statements_grows_with_batches_not_files(bench: Bench, kind: str) -> None:
    bench.recorder.connect()
    costs = []
    for first, count in ((1000, 10), (2000, 100)):
        numbers = range(first, first + count)
        if kind != "new":
            bench.record(*(bench.new(content(number), f"{number}.jpg") for number in numbers))
        if kind in ("restored", "taken path"):
            for number in numbers:
                bench.lose(f"{DAY}/{number}.jpg")
        costs.append(
            statements_for(
                bench,
                [
                    bench.duplicate(content(number), "b.jpg", f"{DAY}/{number}.jpg")
                    if kind == "duplicate"
                    else bench.restored(content(number), "b.jpg", f"{DAY}/{number}.jpg")
                    if kind == "restored"
                    else bench.new(content(number + (5000 if kind == "taken path" else 0)), f"{number}.jpg")
                    for number in numbers
                ],
            )
        )
    assert costs[0] == costs[1]
    bench.check(*(content(n) for s, c in ((1000, 10), (2000, 100)) for n in range(s, s + c) if kind == "taken path"))
