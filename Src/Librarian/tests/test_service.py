"""The Librarian as a service: real files, real readers, a real ledger, and what goes wrong around them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from psycopg2.errors import ObjectInUse
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from Src.Factory.show_status import show_status
from Src.Librarian import manifests_between
from Src.Librarian.heartbeat import Conditions, LibrarianHeartbeat
from Src.Librarian.holding import HeldFiles
from Src.Librarian.passage import LedgerEntry, Outcome
from Src.Librarian.record.recorder import Recorder, Rejected
from Src.Librarian.service import AnotherLibrarian, InboxService
from Src.Librarian.tally import Tally
from Src.Librarian.tests.test_reader_pool import reader_processes
from Src.Librarian.watch.clock import Clock, Now
from Src.Library.belonging import WrongLedger
from Src.Library.held_files import ask_for_retry
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.heartbeat_service import HeartbeatService
from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.postmaster import read_postmaster
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Shared.vault_marker import change_marker
from Src.Testing.patience import PATIENCE, wait_until
from Src.Testing.promise import (
    Source,
    assert_promise_kept,
    files_below,
    ledger_rows,
    sha256_of_file,
    sources_in,
    vault_files,
)
from Src.Testing.roles import as_service
from Src.Testing.surroundings import PATIENT, SmallFilesystem, WaitFor

SAMPLES = Path(__file__).parent / "samples"
CANON = (SAMPLES / "Canon_40D.jpg").read_bytes()
CANON_DAY = "Originals/2008/2008-05-30"


def photo(number: int = 0) -> bytes:
    """A real photo, each number with other bytes and the same date."""
    return CANON + b"%08d" % number


class Beats(LibrarianHeartbeat):
    """The real heartbeat; what it said last can be asked."""

    last: Conditions | None = None

    def report(self, conditions: Conditions) -> None:
        self.last = conditions
        super().report(conditions)


class Factory:
    """One factory, and what was dropped into its inbox."""

    def __init__(self, settings: Settings, wait_for: WaitFor) -> None:
        self.settings = replace(settings, readers=1)
        self.first_ledger, self.as_owner = settings.database_url, False
        self.wait_for = wait_for
        self.sources: list[Source] = []
        self._numbers = itertools.count()

    def drop(self, name: str | bytes, content: bytes, *, counts: bool = True) -> Path:
        """Puts a complete file into the inbox, by rename."""
        path = self.settings.inbox / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.settings.data / f".arriving-{next(self._numbers)}"
        beside.write_bytes(content)
        if counts:
            self.sources.append(Source(os.fsdecode(name), sha256_of_file(beside)))
        beside.rename(path)
        return path

    def of_service(self, service: str) -> Settings:
        """As the service's own role. As the owner where the ledger is another, empty one, which only that may make
        ready."""
        if self.as_owner or self.settings.database_url != self.first_ledger:
            return self.settings
        return as_service(self.settings, service)

    def ingest(self) -> Tally:
        """One pass through the inbox."""
        database = Database(self.of_service("factory"))
        try:
            return InboxService(self.settings, database, once=True).run()
        finally:
            database.close()

    @contextmanager
    def serving(self) -> Iterator[Serving]:
        serving = Serving(self.of_service("librarian"))
        try:
            serving.thread.start()
            yield serving
        finally:
            serving.service.stop()
            serving.thread.join(PATIENCE)
            alive = serving.thread.is_alive()
            serving.end()
            assert not alive, "the service does not stop"
        assert serving.error is None, serving.error

    def in_inbox(self) -> list[Path]:
        """Photos that wait in the inbox. (Those that are filed and kept aside stand in a hidden folder.)"""
        return [
            path
            for path in files_below(self.settings.inbox)  # while the service removes folders
            if path.suffix == ".jpg" and path.parent.name != ".factory-leaving"
        ]

    def filed(self, count: int) -> Callable[[], bool]:
        """Whether so many originals have their row and the inbox is done with them."""
        return lambda: not self.in_inbox() and len(self.sql("SELECT 1 FROM media_assets")) == count

    def sql(self, query: str) -> list[dict[str, Any]]:
        return ledger_rows(self.settings, query)

    def execute(self, statement: str) -> None:
        assert self.settings.database_url is not None
        engine = create_engine(self.settings.database_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def fates(self) -> list[str]:
        return [row["fate"] for row in self.sql("SELECT fate FROM ingest_events ORDER BY happened_at")]

    def check(self, **options: Any) -> None:
        assert_promise_kept(self.settings, self.sources, **options)


class Serving:
    """A running service."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings, service="librarian")
        self.beating = HeartbeatService(self.database, "librarian", settings.heartbeat_interval)
        self.beats = Beats(self.beating)
        self.service = InboxService(settings, self.database, heartbeat=self.beats)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.beating.start()
        try:
            self.service.run()
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self.beating.stop()
        self.database.close()

    @property
    def status(self) -> str:
        return self.beats.last.status if self.beats.last is not None else ""

    @property
    def trouble(self) -> str:
        return (self.beats.last.trouble or "") if self.beats.last is not None else ""

    @property
    def message(self) -> str:
        return (self.beats.last.message or "") if self.beats.last is not None else ""

    def is_watching(self) -> bool:
        return self.beats.last is not None and self.beats.last.task == "watching"

    def is_in_trouble(self, about: str) -> Callable[[], bool]:
        return lambda: self.status == "ERROR" and about in self.trouble


@pytest.fixture
def factory(factory_settings: Settings, wait_for: WaitFor) -> Factory:
    return Factory(factory_settings, wait_for)


# -- one pass ---------------------------------------------------------------------------------------------------


def test_every_kind_of_sample_is_filed(factory: Factory) -> None:
    for sample in SAMPLES.iterdir():
        if sample.suffix != ".md":
            factory.drop(f"camera/{sample.name}", sample.read_bytes())
    tally = factory.ingest()
    assert (tally.new, tally.failed, tally.not_media) == (len(factory.sources), 0, 0)
    factory.check()


def test_duplicates_in_a_batch_across_batches_and_over_runs_are_dropped(factory: Factory) -> None:
    factory.settings = replace(factory.settings, batch_size=4)
    for number in range(12):
        factory.drop(f"{number}.jpg", photo(number % 5))
    tally = factory.ingest()
    assert (tally.new, tally.duplicates) == (5, 7)
    factory.drop("again.jpg", photo(3))
    assert factory.ingest().duplicates == 1
    assert Counter(factory.fates()) == {"ingested": 5, "duplicate": 8}
    factory.check()


def test_an_original_that_has_gone_from_the_vault_is_restored_by_a_newcomer(factory: Factory) -> None:
    factory.settings = replace(factory.settings, leaving_grace=0.0)  # else the inbox file itself comes back
    factory.drop("a.jpg", photo())
    factory.ingest()
    (factory.settings.storage / CANON_DAY / "a.jpg").unlink()
    factory.drop("b.jpg", photo())
    factory.drop("c.jpg", photo())
    tally = factory.ingest()
    assert (tally.restored, tally.duplicates) == (1, 1)
    assert list(vault_files(factory.settings)) == [f"{CANON_DAY}/a.jpg"]
    factory.check()


def test_the_path_of_an_original_that_has_gone_is_never_used_again(factory: Factory) -> None:
    factory.settings = replace(factory.settings, leaving_grace=0.0)  # else the inbox file itself comes back
    factory.drop("a.jpg", photo(1))
    factory.ingest()
    (factory.settings.storage / CANON_DAY / "a.jpg").unlink()
    # Both are complete at the first look, and so read in one go, by their names.
    factory.settings = replace(factory.settings, stability_delay=0.0, min_file_age=0.0)
    factory.drop("a.jpg", photo(2))
    factory.drop("twin.jpg", photo(2))
    tally = factory.ingest()
    assert (tally.new, tally.duplicates) == (1, 1)
    assert factory.fates() == ["ingested", "ingested", "duplicate"]  # and no failure: it is cleared at once
    assert list(vault_files(factory.settings)) == [f"{CANON_DAY}/a_1.jpg"]
    factory.check(lost_from_vault=[factory.sources[0].sha256])


def test_names_that_collide_are_numbered(factory: Factory) -> None:
    twins = ["a.jpg", "A.JPG", "1/a.jpg", "é.jpg", "2/" + unicodedata.normalize("NFD", "é.jpg"), "3/É.jpg"]
    for number, name in enumerate(twins):
        factory.drop(name, photo(number))
    assert factory.ingest().new == len(twins)
    factory.check()  # no two names are one for Windows or macOS


def test_hostile_names_come_through_unharmed(factory: Factory) -> None:
    names: list[str | bytes] = [
        *(b"caf\xe9.jpg", b"\xff\xfe.jpg", b"new\nline.jpg", b"-delete_original.jpg", b"back\\slash \\xe9.jpg"),
        *("'; DROP TABLE media_assets; --.jpg", '"quoted".jpg', "%s %(x)s {0}.jpg", " spaces .jpg"),
        *("\u202egnp.exe.jpg", "صورة.jpg", "写真" * 41 + ".jpg", "x" * 251 + ".jpg", "no ending", "a:b?.jpg"),
    ]
    for number, name in enumerate(names):
        factory.drop(name, photo(number))
    assert factory.ingest().new == len(names)
    assert {os.path.basename(path) for path in vault_files(factory.settings)} == {os.fsdecode(name) for name in names}
    factory.check()


def test_a_broken_photo_is_filed_with_the_reason(factory: Factory) -> None:
    factory.drop("broken.jpg", (SAMPLES / "DSCN0010.jpg").read_bytes()[:3000])
    assert factory.ingest().new == 1
    (row,) = factory.sql("SELECT has_errors, error_message FROM media_assets")
    assert row["has_errors"] and row["error_message"]
    factory.check()


def test_a_running_librarian_reports_who_has_read_the_photos(
    factory: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.settings = replace(factory.settings, heartbeat_interval=0.2)

    def status(*, as_json: bool) -> str:
        assert show_status(factory.settings, as_json=as_json, quiet=False, readers=True) == ExitCode.WELL
        return capsys.readouterr().out

    with factory.serving():
        factory.drop("a.jpg", CANON)
        factory.drop("b.jpg", CANON + bytes(60) + b"SEFT")
        factory.drop("c.jxl", (SAMPLES / "JXL.jxl").read_bytes())
        expected = {
            "JXL": {"fast": 0, "handed_over": {"no fast reader of this kind": 1}},
            "JPEG": {"fast": 1, "handed_over": {"trailer SEFT of odd form": 1}},
        }
        factory.wait_for(lambda: json.loads(status(as_json=True))["readings"] == expected)
        told = status(as_json=False)
    assert "3 files, 33.3% of them by fast readers, 2 with ExifTool" in told
    assert re.search(r"^JPEG +2 +1 \(50.0%\) +1", told, re.MULTILINE)
    assert re.search(r"1 +JXL +no fast reader of this kind", told)
    assert json.loads(status(as_json=True)) == {"as_of": None, "readings": {}}
    assert "No Librarian runs" in status(as_json=False)


def test_a_running_librarian_keeps_the_signed_lists_up_to_date(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests_between, "_INTERVAL", 0.1)
    listed = factory.settings.storage / "Manifests" / "2008" / "2008-05-30.sha256"
    with factory.serving() as serving:
        for number in range(2):
            factory.drop(f"{number}.jpg", photo(number))
            factory.wait_for(lambda: listed.exists() and f"/{number}.jpg" in listed.read_text())  # noqa: B023
        assert serving.beats.last is not None
        assert serving.beats.last.manifests_trouble is None
        listed.write_text("another's")
        factory.drop("2.jpg", photo(2))
        factory.wait_for(lambda: "signed lists" in serving.message)
    assert listed.read_text() == "another's"
    factory.check()


def test_what_is_no_media_stays_and_is_reported_once_also_over_restarts(factory: Factory) -> None:
    notes = factory.drop("notes.jpg", b"just text", counts=False)
    empty = factory.drop("empty.jpg", b"", counts=False)
    before = notes.stat()
    assert factory.ingest().not_media == 2
    assert factory.ingest().not_media == 2  # they are there, so they are counted; they get no second event
    with factory.serving() as serving:
        factory.wait_for(serving.is_watching)
        factory.drop("a.jpg", photo())
        factory.wait_for(lambda: factory.sql("SELECT 1 FROM media_assets"))
    rows = factory.sql("SELECT message FROM ingest_events WHERE fate = 'not_media'")
    assert sorted(row["message"] for row in rows) == ["empty", "not a photo or video by its content"]
    after = notes.stat()
    assert notes.read_bytes() == b"just text" and empty.exists()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)
    factory.check()


def test_links_and_special_files_are_left_alone(factory: Factory) -> None:
    factory.drop("a.jpg", photo())
    outside = factory.settings.data / "outside.jpg"
    outside.write_bytes(photo(1))
    link = factory.settings.inbox / "link.jpg"
    link.symlink_to(outside)
    os.mkfifo(factory.settings.inbox / "fifo.jpg")
    folder_link = factory.settings.inbox / "folder"
    folder_link.symlink_to(factory.settings.data)
    assert factory.ingest().files == 1
    assert link.is_symlink() and outside.read_bytes() == photo(1) and folder_link.is_symlink()
    assert (factory.settings.inbox / "fifo.jpg").is_fifo()
    factory.check()


def test_one_pass_prunes_folders_that_it_emptied(factory: Factory) -> None:
    factory.drop("2024/May/trip/a.jpg", photo())
    factory.drop("2024/June/b.jpg", photo(1))
    factory.drop("notes/readme.txt", b"text", counts=False)
    (factory.settings.inbox / ".stfolder").mkdir()
    factory.ingest()
    assert sorted(os.listdir(factory.settings.inbox)) == [".stfolder", "notes"]
    factory.check()


def test_a_file_whose_date_is_beyond_all_reason_is_filed_too(factory: Factory) -> None:
    """Its mtime in nanoseconds does not fit into the ledger's 8 bytes."""
    for name, content in (("a.jpg", (SAMPLES / "PaintTool_sample.jpg").read_bytes()), ("notes.txt", b"text")):
        path = factory.drop(name, content, counts=name == "a.jpg")
        os.utime(path, ns=(0, 2**63 + 10**9))
        if path.stat().st_mtime_ns < 2**63:
            pytest.skip("this filesystem has no such times")
    tally = factory.ingest()
    assert (tally.new, tally.not_media, tally.failed) == (1, 1, 0)
    factory.check()


# -- failing files ----------------------------------------------------------------------------------------------

REFUSE_BAD = "ALTER TABLE media_assets ADD CONSTRAINT no_bad CHECK (original_name <> 'bad.jpg')"
ALLOW_BAD = "ALTER TABLE media_assets DROP CONSTRAINT no_bad"


def test_a_failing_file_is_tried_again_with_back_off_until_it_is_a_dead_letter_and_a_person_asks(
    factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    factory.settings = replace(factory.settings, retry_attempts=3, retry_first_delay=0.2, retry_max_delay=9.0)
    factory.drop("good.jpg", photo(1))
    factory.ingest()
    factory.execute(REFUSE_BAD)
    bad = factory.drop("bad.jpg", photo(2))
    factory.drop("other.jpg", photo(3))
    with factory.serving() as serving:
        factory.wait_for(lambda: "dead_letter" in factory.fates())
        failures = factory.sql("SELECT * FROM ingest_events WHERE attempts IS NOT NULL ORDER BY happened_at")
        assert [(one["fate"], one["attempts"]) for one in failures] == [
            ("failed", 1),
            ("failed", 2),
            ("dead_letter", 3),
        ]
        said = re.findall(r"attempt (\d), next try in (\S+) s", caplog.text)
        assert said == [("1", "0.2"), ("2", "0.4")]
        for one, delay in zip(failures[:2], (0.2, 0.4), strict=True):  # the row is made a moment after the reckoning
            told = (one["next_try_at"] - one["happened_at"]).total_seconds()
            assert delay - PATIENCE < told <= delay
        for one, following in pairwise(failures):  # the machine's clock may be set meanwhile
            assert one["next_try_at"] <= following["happened_at"] + timedelta(seconds=PATIENCE)
        assert failures[2]["next_try_at"] is None and "refuses" in failures[2]["message"]
        assert bad.read_bytes() == photo(2)
        assert f"{CANON_DAY}/bad.jpg" not in vault_files(factory.settings)
        factory.wait_for(lambda: serving.status == "WARNING")
        assert serving.beats.last is not None and serving.beats.last.dead_letters == 1

        factory.execute(ALLOW_BAD)
        assert ask_for_retry(serving.database) == 1
        factory.wait_for(factory.filed(3))
        factory.wait_for(lambda: not factory.sql("SELECT 1 FROM inbox_files"))
        factory.wait_for(lambda: serving.status == "OK")
    factory.check()


def test_attempts_are_remembered_over_a_restart(factory: Factory) -> None:
    factory.settings = replace(factory.settings, retry_attempts=2, retry_first_delay=0.0, retry_max_delay=0.0)
    factory.ingest()
    factory.execute(REFUSE_BAD)
    factory.drop("bad.jpg", photo(), counts=False)
    assert factory.ingest().failed >= 1
    factory.wait_for(lambda: factory.ingest().failed == 0)
    assert factory.fates() == ["failed", "dead_letter"]
    assert factory.ingest().failed == 0  # it waits for a person


def test_a_failing_file_that_a_person_removes_is_forgotten(factory: Factory) -> None:
    factory.settings = replace(factory.settings, retry_first_delay=3600.0)
    factory.ingest()
    factory.execute(REFUSE_BAD)
    bad = factory.drop("bad.jpg", photo(), counts=False)
    with factory.serving():
        factory.wait_for(lambda: factory.sql("SELECT 1 FROM inbox_files WHERE state = 'failing'"))
        bad.unlink()
        factory.wait_for(lambda: not factory.sql("SELECT 1 FROM inbox_files"))
    assert factory.fates() == ["failed"]


# -- trouble with the vault or the inbox -----------------------------------------------------------------------


def test_a_vault_that_is_not_mounted_is_an_error_and_work_resumes_by_itself(factory: Factory) -> None:
    factory.drop("a.jpg", photo(1))
    originals, elsewhere = factory.settings.originals, factory.settings.data / "elsewhere"
    with factory.serving() as serving:
        factory.wait_for(factory.filed(1))
        originals.rename(elsewhere)
        originals.mkdir()  # the empty mount point
        factory.wait_for(serving.is_in_trouble("marker file"))  # before any file comes
        factory.drop("b.jpg", photo(2))
        # (What met the vault just as it went away may have said so in other words, for a moment.)
        query = "SELECT 1 FROM system_status WHERE status = 'ERROR' AND message LIKE '%mount the disk%'"
        factory.wait_for(lambda: factory.sql(query))
        assert not list(originals.iterdir()) and (factory.settings.inbox / "b.jpg").exists()
        originals.rmdir()
        elsewhere.rename(originals)
        factory.wait_for(factory.filed(2))
        factory.wait_for(lambda: serving.status == "OK")
    factory.check()


def test_at_a_start_an_empty_mount_point_is_not_taken_for_a_new_vault(factory: Factory) -> None:
    factory.drop("a.jpg", photo(1))
    factory.ingest()
    originals, elsewhere = factory.settings.originals, factory.settings.data / "elsewhere"
    originals.rename(elsewhere)
    factory.drop("b.jpg", photo(2))
    with pytest.raises(VaultTrouble, match="marker file"):
        factory.ingest()
    with factory.serving() as serving:
        factory.wait_for(serving.is_in_trouble("marker file"))
        assert not originals.exists()
        elsewhere.rename(originals)
        factory.wait_for(factory.filed(2))
    factory.check()


def test_a_full_disk_is_an_error_and_work_resumes_when_there_is_space(
    factory: Factory, small_filesystem: SmallFilesystem
) -> None:
    disk = small_filesystem("tmpfs", 2)
    factory.settings = replace(factory.settings, storage=disk / "Storage")
    factory.drop("a.jpg", photo(1))
    with factory.serving() as serving:
        factory.wait_for(factory.filed(1))
        filler = disk / "filler"
        with open(filler, "wb", buffering=0) as file, suppress(OSError):  # the service writes lists there meanwhile
            while file.write(bytes(4096)):
                pass
        os.truncate(filler, max(0, filler.stat().st_size - 4096))
        factory.drop("b.jpg", photo(2))
        factory.wait_for(serving.is_in_trouble("disk is full"))
        assert (factory.settings.inbox / "b.jpg").read_bytes() == photo(2)
        assert not list(factory.settings.originals.rglob("b*"))  # (a copy that is tried again has a hidden name)
        filler.unlink()
        factory.wait_for(factory.filed(2))
    factory.check()


def test_a_read_only_vault_is_an_error_and_work_resumes(factory: Factory, small_filesystem: SmallFilesystem) -> None:
    disk = small_filesystem("tmpfs", 2)
    factory.settings = replace(factory.settings, storage=disk / "Storage")
    factory.drop("a.jpg", photo(1))
    with factory.serving() as serving:
        factory.wait_for(factory.filed(1))
        remount = ["mount", "-o", "remount,ro", str(disk)]  # refused while a file there is being written
        factory.wait_for(lambda: subprocess.run(remount, capture_output=True, check=False).returncode == 0)
        factory.drop("b.jpg", photo(2))
        factory.wait_for(serving.is_in_trouble("read-only"))
        assert (factory.settings.inbox / "b.jpg").read_bytes() == photo(2)
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        factory.wait_for(factory.filed(2))
    factory.check()


def test_an_inbox_that_goes_and_comes_back(factory: Factory) -> None:
    with factory.serving() as serving:
        factory.wait_for(serving.is_watching)
        away = factory.settings.data / "away"
        factory.settings.inbox.rename(away)
        factory.wait_for(serving.is_in_trouble("inbox"))
        away.rename(factory.settings.inbox)
        factory.drop("a.jpg", photo())
        factory.wait_for(factory.filed(1))
    factory.check()


def test_an_inbox_that_cannot_be_used_at_the_start_is_waited_for(factory: Factory) -> None:
    in_the_way = factory.settings.data
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("a file where the factory's folder should be")
    with factory.serving() as serving:
        factory.wait_for(serving.is_in_trouble("inbox"))
        in_the_way.unlink()
        factory.wait_for(serving.is_watching)
        factory.drop("a.jpg", photo())
        factory.wait_for(factory.filed(1))
    factory.check()


# -- the ledger away --------------------------------------------------------------------------------------------


class OwnLedger:
    """A PostgreSQL that may be killed. The service only knows its address and does not start it."""

    def __init__(self, folder: Path) -> None:
        self._cluster = folder / "18"
        self.server = EmbeddedPostgres(folder, limits=PATIENT)
        self.url = self.server.ensure_running()

    def kill(self) -> None:
        postmaster = read_postmaster(self._cluster)
        assert postmaster is not None
        os.kill(postmaster.pid, signal.SIGKILL)
        with open(self._cluster.parent / "server.lock") as lock:  # the last of its processes has let go of it
            fcntl.flock(lock, fcntl.LOCK_EX)

    def start(self) -> None:
        assert self.server.ensure_running() == self.url


@pytest.fixture
def own_ledger(postgres_folder: Path) -> Iterator[OwnLedger]:
    ledger = OwnLedger(postgres_folder / "db")
    yield ledger
    ledger.server.ensure_running()
    ledger.server.release()


def test_a_ledger_killed_in_the_middle_holds_nothing_up_and_has_every_row_once_on_its_return(
    factory: Factory, own_ledger: OwnLedger
) -> None:
    factory.settings = replace(factory.settings, database_url=own_ledger.url)
    factory.drop("a.jpg", photo(1))
    with factory.serving() as serving:
        factory.wait_for(factory.filed(1))
        own_ledger.kill()
        for number in range(2, 6):
            factory.drop(f"{number}.jpg", photo(number))
        factory.drop("twin.jpg", photo(2))  # its first is known to the journal alone
        factory.drop("old.jpg", photo(1))  # its first is known to the ledger alone
        factory.wait_for(lambda: not factory.in_inbox())
        factory.wait_for(lambda: serving.status == "WARNING")
        assert serving.beats.last is not None and "recorded later" in " ".join(serving.beats.last.warnings)
        assert list((factory.settings.state / "journal").iterdir())
        own_ledger.start()
        factory.wait_for(lambda: not list((factory.settings.state / "journal").iterdir()))
        factory.wait_for(lambda: serving.status == "OK")
    assert Counter(factory.fates()) == {"ingested": 5, "duplicate": 2}
    factory.check()

    # At the start of an existing vault: the same.
    own_ledger.kill()
    factory.drop("b.jpg", photo(7))
    factory.drop("notes.txt", b"text", counts=False)
    with factory.serving() as serving:
        factory.wait_for(lambda: not factory.in_inbox())
        factory.wait_for(lambda: serving.status == "WARNING")
        own_ledger.start()
        factory.wait_for(lambda: not list((factory.settings.state / "journal").iterdir()))
        factory.wait_for(lambda: factory.sql("SELECT 1 FROM inbox_files"))
    factory.check()


def test_what_a_replay_drops_as_a_duplicate_does_not_come_back(factory: Factory, own_ledger: OwnLedger) -> None:
    factory.settings = replace(factory.settings, database_url=own_ledger.url)
    factory.drop("a.jpg", photo(1))
    factory.ingest()
    own_ledger.kill()
    factory.drop("old.jpg", photo(1))  # its first is known to the ledger alone
    factory.ingest()
    own_ledger.start()
    factory.ingest()
    own_ledger.kill()  # then nobody knows where the original stands
    factory.ingest()
    own_ledger.start()
    factory.ingest()
    assert factory.fates() == ["ingested", "duplicate"]
    factory.check()


def test_while_the_ledger_is_away_no_new_vault_is_made(factory: Factory, own_ledger: OwnLedger) -> None:
    factory.settings = replace(factory.settings, database_url=own_ledger.url)
    own_ledger.kill()
    factory.drop("a.jpg", photo())
    with factory.serving() as serving:
        factory.wait_for(serving.is_in_trouble("database cannot be reached"))
        assert not factory.settings.originals.exists()
        own_ledger.start()
        factory.wait_for(factory.filed(1))
    factory.check()


def test_a_full_vault_beside_an_empty_ledger_gets_no_file(factory: Factory, own_ledger: OwnLedger) -> None:
    """After the loss of the database: it would be taken for a new factory's, and every photo filed a second time."""
    factory.drop("a.jpg", photo(1))
    factory.ingest()
    filed = vault_files(factory.settings)
    factory.settings = replace(factory.settings, database_url=own_ledger.url)
    again = factory.drop("again.jpg", photo(1))
    with pytest.raises(WrongLedger, match="rebuild --missing") as refused:
        factory.ingest()
    assert "\n" not in str(refused.value)
    with factory.serving() as serving:
        factory.wait_for(lambda: serving.status == "ERROR")
        factory.wait_for(
            lambda: factory.sql("SELECT 1 FROM system_status WHERE status = 'ERROR' AND message LIKE '%rebuild%'")
        )
    assert again.exists()
    assert vault_files(factory.settings) == filed
    assert factory.sql("SELECT * FROM media_assets") == factory.sql("SELECT * FROM ingest_events") == []


def test_a_ledger_that_is_exchanged_while_it_works_gets_nothing_and_its_own_is_welcome(factory: Factory) -> None:
    own, factory.as_owner = factory.settings, True
    factory.drop("a.jpg", photo(1))
    factory.ingest()
    with factory.serving() as serving:
        factory.wait_for(lambda: serving.status == "OK")
        ledger = make_url(str(own.database_url)).database
        hidden = f"{ledger}_hidden"
        rename_databases(own, (ledger, hidden))
        run_outside(own, f'CREATE DATABASE "{ledger}"')
        factory.drop("again.jpg", photo(1), counts=False)
        factory.drop("b.jpg", photo(2), counts=False)
        factory.wait_for(lambda: serving.status == "ERROR")
        rename_databases(own, (ledger, f"{ledger}_other"), (hidden, ledger))
        factory.wait_for(lambda: serving.status == "OK")
        factory.wait_for(factory.filed(2))
        run_outside(own, f'DROP DATABASE "{ledger}_other"')
    assert len(vault_files(own)) == 2


def test_an_empty_ledger_that_comes_late_to_an_empty_vault_is_made_ready_first(
    factory: Factory, own_ledger: OwnLedger
) -> None:
    factory.settings.inbox.mkdir(parents=True)
    factory.ingest()
    own_ledger.kill()
    factory.settings = replace(factory.settings, database_url=own_ledger.url)
    factory.drop("notes.txt", b"text", counts=False)
    with factory.serving() as serving:
        factory.wait_for(lambda: serving.status == "WARNING")
        own_ledger.start()
        factory.wait_for(lambda: serving.status == "OK")
        factory.wait_for(lambda: factory.sql("SELECT 1 FROM inbox_files"))


def test_an_empty_ledger_that_comes_late_to_a_full_vault_gets_nothing(factory: Factory, own_ledger: OwnLedger) -> None:
    """What was filed while it was away waits in the journal."""
    factory.drop("a.jpg", photo(1))
    factory.ingest()
    own_ledger.kill()
    factory.settings = replace(factory.settings, database_url=own_ledger.url)
    late = factory.drop("late.jpg", photo(2))
    with factory.serving() as serving:
        factory.wait_for(lambda: not late.exists())
        own_ledger.start()
        factory.wait_for(lambda: serving.status == "ERROR")
    assert factory.sql("SELECT * FROM media_assets") == []
    assert list((factory.settings.state / "journal").glob("*.jsonl"))


def test_a_second_kind_of_ledger_that_is_away_is_not_waited_for_with_the_journal(factory: Factory) -> None:
    factory.drop("a.jpg", photo(1))
    factory.ingest()
    change_marker(factory.settings.originals, lambda marker: replace(marker, ledger="stack"))
    factory.settings = replace(factory.settings, database_url="postgresql+psycopg2://nobody@127.0.0.1:1/none")
    b = factory.drop("b.jpg", photo(2))
    with pytest.raises(WrongLedger, match="docker compose up -d"):
        factory.ingest()
    assert b.exists()


def rename_databases(settings: Settings, *renames: tuple[str | None, str | None]) -> None:
    """What a person does to a server from outside: no connection survives it."""
    for old, new in renames:
        run_outside(settings, f'ALTER DATABASE "{old}" ALLOW_CONNECTIONS false')
        wait_until(partial(_is_renamed, settings, old, new), what="the last connection goes")
        run_outside(settings, f'ALTER DATABASE "{new}" ALLOW_CONNECTIONS true')


def _is_renamed(settings: Settings, old: str | None, new: str | None) -> bool:
    """Not yet where somebody was just connecting when no more connections were allowed."""
    try:
        run_outside(
            settings,
            f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{old}'",
            f'ALTER DATABASE "{old}" RENAME TO "{new}"',
        )
    except OperationalError as error:
        if not isinstance(error.orig, ObjectInUse):
            raise
        return False
    return True


def run_outside(settings: Settings, *statements: str) -> None:
    engine = create_engine(make_url(str(settings.database_url)).set(database="postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()


# -- one Librarian per inbox, and its end ----------------------------------------------------------------------


@contextmanager
def own_process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The service as the runner and the container start it; killed in the end."""
    assert settings.database_url is not None
    environment = {
        **os.environ,
        "FACTORY_DATA": str(settings.data),
        "DATABASE_URL": settings.database_url,
        "TZ": str(settings.zone),
        "READERS": "1",
        "SCAN_INTERVAL": "1",
        "METADATA_TIME_LIMIT": str(PATIENCE),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "Src.Librarian"],
        cwd=PROJECT_ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_second_librarian_waits_and_takes_over_when_the_first_is_killed(factory: Factory, tmp_path: Path) -> None:
    settings = factory.settings
    with own_process(settings) as first:
        factory.wait_for(lambda: settings.originals.exists())
        factory.drop("a.jpg", photo(1))
        factory.wait_for(factory.filed(1))
        with pytest.raises(AnotherLibrarian):
            factory.ingest()
        with factory.serving() as serving:
            factory.drop("b.jpg", photo(2))
            factory.wait_for(factory.filed(2))
            assert not serving.is_watching() and serving.service.tally.files == 0
            os.killpg(first.pid, signal.SIGKILL)
            factory.drop("c.jpg", photo(3))
            factory.wait_for(factory.filed(3))
            factory.wait_for(lambda: serving.service.tally.new == 1)
    factory.check()


def test_a_worker_of_the_running_service_loads_nothing_of_the_ledger(factory: Factory) -> None:
    with own_process(factory.settings) as service:
        factory.wait_for(lambda: factory.settings.originals.exists())
        factory.drop("a.jpg", photo(1))
        factory.wait_for(factory.filed(1))
        running = psutil.Process(service.pid)
        readers = [psutil.Process(pid) for pid in reader_processes(service.pid)]
        loaded = {os.path.basename(one.path) for reader in readers for one in reader.memory_maps()}
        assert any(name.startswith("libmagic") for name in loaded), "a reader is there, ready to read"
        of_the_service = {os.path.basename(one.path) for one in running.memory_maps()}
        # psycopg2's and one of SQLAlchemy's: the service has them, so the names are right.
        ledger = {name for name in of_the_service if name.startswith(("_psycopg.", "_result_cy."))}
        assert len(ledger) == 2 and not loaded & ledger


def test_a_stop_in_the_middle_leaves_nothing_half_done(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    factory.settings = replace(factory.settings, batch_size=8)
    for number in range(120):
        factory.drop(f"{number % 7}/{number}.jpg", photo(number // 2))
    database = Database(factory.settings)
    service = InboxService(factory.settings, database)
    record, batches = Recorder.record, itertools.count(1)

    def stopped_meanwhile(self: Recorder, entries: list[LedgerEntry]) -> list[LedgerEntry | Rejected]:
        if next(batches) == 2:  # of this batch all is placed, and nothing recorded
            service.stop()
        return record(self, entries)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record", stopped_meanwhile)
        tally = service.run()
    database.close()
    # It has ended; whatever is in the vault has its row.
    rows = {row["final_path"] for row in factory.sql("SELECT final_path FROM media_assets")}
    assert rows == set(vault_files(factory.settings))
    assert 0 < tally.files < 120
    rest = factory.ingest()
    assert rest.files + tally.files == 120
    factory.check()


def test_a_stop_in_a_long_copy_undoes_it_and_is_no_error(
    factory: Factory, small_filesystem: SmallFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_filesystem("tmpfs", 32)
    factory.settings = replace(factory.settings, storage=disk / "Storage")
    with open(factory.drop("video.jpg", photo()), "r+b") as big:
        big.truncate(16 << 20)
    factory.sources = sources_in(factory.settings.inbox, factory.settings.inbox)
    database = Database(factory.settings)
    service = InboxService(factory.settings, database, once=True)

    readv = os.readv

    def stopped_meanwhile(fd: int, buffers: Any) -> int:
        if list(disk.rglob(".factory-copy-*")):
            service.stop()
        return readv(fd, buffers)

    with monkeypatch.context() as patch:
        patch.setattr(os, "readv", stopped_meanwhile)
        tally = service.run()
    database.close()
    assert tally.files == 0
    assert vault_files(factory.settings) == {}
    assert not list(disk.rglob(".factory-copy-*"))
    assert factory.ingest().new == 1
    factory.check()


# -- files that are not complete --------------------------------------------------------------------------------


class ClockAhead(Clock):
    """The real clocks, which a test sets ahead."""

    ahead = 0.0

    def now(self) -> Now:
        steady, wall = super().now()
        return Now(steady + self.ahead, wall + self.ahead)


def test_a_file_that_grows_is_filed_only_when_it_is_complete(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ClockAhead()
    monkeypatch.setattr("Src.Librarian.file_watcher.Clock", lambda: clock)
    factory.settings = replace(factory.settings, stability_delay=3600.0)
    whole = (SAMPLES / "DSCN0010.jpg").read_bytes()
    growing = factory.settings.inbox / "growing.jpg"
    with factory.serving() as serving:
        factory.wait_for(serving.is_watching)
        parts = [whole[at : at + 20_000] for at in range(0, len(whole), 20_000)]
        for number, part in enumerate(parts):
            with open(growing, "ab") as file:
                file.write(part)
            factory.drop(f"{number}.jpg", photo(number))  # others pass by meanwhile
            factory.wait_for(lambda number=number: len(factory.sql("SELECT 1 FROM media_assets")) > number)
        factory.sources.append(Source("growing.jpg", sha256_of_file(growing)))
        clock.ahead = 3600.0
        factory.wait_for(factory.filed(len(parts) + 1))
    factory.check()


def test_a_file_that_is_open_for_writing_elsewhere_is_never_filed_half(factory: Factory) -> None:
    whole = (SAMPLES / "DSCN0010.jpg").read_bytes()
    held = factory.settings.inbox / "held.jpg"
    with factory.serving() as serving:
        factory.wait_for(serving.is_watching)
        with open(held, "wb", buffering=0) as file:
            file.write(whole[:50_000])
            quiet_since = held.stat().st_ctime
            for number in itertools.count():  # others pass by, for many times the delay
                factory.drop(f"{number}.jpg", photo(number))
                factory.wait_for(lambda number=number: len(factory.sql("SELECT 1 FROM media_assets")) > number)
                newest = factory.sql("SELECT max(ingested_at) AS at FROM media_assets")[0]["at"].timestamp()
                if newest - quiet_since > 8 * factory.settings.stability_delay:
                    break
            assert held.read_bytes() == whole[:50_000]
            file.write(whole[50_000:])
        factory.sources.append(Source("held.jpg", sha256_of_file(held)))
        factory.wait_for(factory.filed(number + 2))
    factory.check()


def test_a_file_that_is_replaced_while_in_hand_is_not_lost(factory: Factory) -> None:
    """The same name again and again, faster than it is filed: each content that stayed is there."""
    with factory.serving() as serving:
        factory.wait_for(serving.is_watching)
        for number in range(20):
            factory.drop("same.jpg", photo(number), counts=False)
        last = f"SELECT 1 FROM media_assets WHERE file_hash = '{hashlib.sha256(photo(19)).hexdigest()}'"
        # A newcomer may be taken away for a moment in the place of the one before it, and comes back.
        factory.wait_for(lambda: not factory.in_inbox() and bool(factory.sql(last)))
    assert hashlib.sha256(photo(19)).hexdigest() in vault_files(factory.settings).values()
    factory.sources = [Source("same.jpg", sha256) for sha256 in vault_files(factory.settings).values()]
    factory.check()


def test_the_inbox_and_the_vault_may_be_on_two_filesystems(factory: Factory, other_filesystem: Path) -> None:
    factory.settings = replace(factory.settings, storage=other_filesystem / "Storage")
    for number in range(6):
        factory.drop(f"{number}.jpg", photo(number // 2))
    assert factory.ingest().new == 3
    factory.check()
    shutil.rmtree(factory.settings.storage)


def test_a_filed_file_is_not_removed_under_somebody_who_has_just_opened_it(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = factory.drop("a.jpg", photo())
    writers: list[int] = []
    seen: list[tuple[str, bool, bool]] = []
    record, note = Recorder.record, HeldFiles.note_outcomes

    def opened_meanwhile(self: Recorder, entries: list[LedgerEntry]) -> list[LedgerEntry | Rejected]:
        if not seen:
            writers.append(os.open(path, os.O_WRONLY))
        return record(self, entries)

    def looked_at(self: HeldFiles, outcomes: Sequence[Outcome]) -> list[LedgerEntry]:
        seen.extend((one.result, one.cleared, path.exists()) for one in outcomes)
        while writers:
            os.close(writers.pop())
        return note(self, outcomes)

    monkeypatch.setattr(Recorder, "record", opened_meanwhile)
    monkeypatch.setattr(HeldFiles, "note_outcomes", looked_at)
    factory.ingest()

    assert seen == [("new", False, True), ("duplicate", True, False)]
    factory.check()


def test_a_librarian_that_waits_for_another_leaves_the_heartbeat_to_that_one(factory: Factory) -> None:
    with factory.serving() as first:
        factory.wait_for(lambda: first.beats.last is not None and first.beats.last.task == "watching")
        waiting = HeartbeatService(first.database, "waiting", 0.1)
        second = InboxService(factory.settings, first.database, heartbeat=LibrarianHeartbeat(waiting))
        thread = threading.Thread(target=second.run)
        thread.start()
        # Time enough for it to have said something, if it did: the first one beats meanwhile.
        beats = "SELECT 1 FROM system_status_history WHERE service_name = 'librarian'"
        before = len(factory.sql(beats))
        factory.wait_for(lambda: len(factory.sql(beats)) >= before + 2)
        second.stop()
        thread.join(PATIENCE)
        waiting.stop()
        assert not thread.is_alive()
        assert factory.sql("SELECT 1 FROM system_status WHERE service_name = 'waiting'") == []


def test_what_a_killed_run_has_left_holds_up_nothing_where_it_cannot_be_removed(
    factory: Factory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    factory.drop("comes first.jpg", photo(2))
    factory.ingest()
    placed = factory.drop("placed.jpg", photo(2))
    left = factory.settings.storage / CANON_DAY / placed.name
    os.link(placed, left)  # the state that a kill leaves

    def failing(one: Path, other: Path) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(one))

    monkeypatch.setattr("Src.Librarian.leftovers.is_one_entry", failing)
    tally = factory.ingest()

    assert (tally.new, tally.duplicates, tally.failed) == (0, 1, 0)
    assert left.exists() and "cannot be removed" in caplog.text
    assert not factory.in_inbox()
