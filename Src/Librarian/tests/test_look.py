"""The look at all originals: what somebody removes, changes or makes writable by hand is noticed, and nothing else."""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import CursorResult, text

from Src.Librarian import look as module
from Src.Librarian.heartbeat import Conditions
from Src.Librarian.look import OriginalsLook
from Src.Librarian.service import InboxService
from Src.Library.belonging import Belonging
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.patience import PATIENCE
from Src.Testing.roles import as_service
from Src.Testing.surroundings import WaitFor

CANON = (Path(__file__).parent / "samples" / "Canon_40D.jpg").read_bytes()
DAY = "Originals/2008/2008-05-30"


def photo(number: int) -> bytes:
    return CANON + b"%08d" % number


@dataclass
class Bench:
    settings: Settings
    database: Database
    look: OriginalsLook

    def at(self, name: str) -> Path:
        return self.settings.storage / DAY / name

    def ingest(self, *numbers: int) -> None:
        for number in numbers:
            self.settings.inbox.mkdir(parents=True, exist_ok=True)
            (self.settings.inbox / f"{number}.jpg").write_bytes(photo(number))
        InboxService(self.settings, self.database, once=True).run()
        shutil.rmtree(self.settings.state / "leaving")  # what was filed long ago has no other copy there

    def found(self) -> dict[str, str]:
        """Name -> finding, after a look."""
        self.look.look()
        return self.told()

    def told(self) -> dict[str, str]:
        return {
            Path(path).name: finding for path, finding in self.sql("SELECT final_path, finding FROM original_findings")
        }

    def sql(self, statement: str) -> list[Any]:
        """As the ledger's owner: tests do to it what the Librarian may not."""
        with closing(Database(self.settings)) as owner, owner.session() as session:
            answer = cast("CursorResult[Any]", session.execute(text(statement)))
            return list(answer.all()) if answer.returns_rows else []


@pytest.fixture
def bench(factory_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    settings = replace(factory_settings, readers=1, look_delay=0.0)
    monkeypatch.setattr(module, "_REST", 0.0)
    database = Database(as_service(settings, "librarian"))
    vault = Vault(settings.storage)
    belonging = Belonging(settings, vault)
    bench = Bench(settings, database, OriginalsLook(settings, vault, database, belonging))
    bench.ingest(1, 2, 3)
    belonging.establish(database)
    yield bench
    bench.look.stop()
    bench.look.join(PATIENCE)
    database.close()


def shorter(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(photo(9)[:-1])
    path.chmod(0o444)


def other_bytes(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(photo(9))
    path.chmod(0o444)


def a_link(path: Path) -> None:
    path.rename(path.with_name(".elsewhere"))
    path.symlink_to(path.with_name(".elsewhere"))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (Path.unlink, "gone"),
        (shorter, "size"),
        (other_bytes, "content"),
        (a_link, "not_a_file"),
        (a_folder, "not_a_file"),
        (lambda path: path.chmod(0o644), "writable"),
    ],
)
def test_what_a_person_does_is_found_and_is_forgotten_once_it_is_put_right(
    bench: Bench, change: Callable[[Path], None], finding: str
) -> None:
    assert bench.found() == {}
    path = bench.at("2.jpg")
    shutil.copy2(path, bench.settings.data / "backup")
    change(path)
    assert bench.found() == {"2.jpg": finding}
    assert bench.look.findings.counts == {finding: 1}
    assert "2.jpg" in bench.look.findings.sentence
    assert Conditions("watching", findings=bench.look.findings).status == (
        "WARNING" if finding == "writable" else "ERROR"
    )
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    shutil.copy2(bench.settings.data / "backup", path)
    assert bench.found() == {}
    assert bench.look.findings.count == 0
    assert Conditions("watching", findings=bench.look.findings).status == "OK"


def test_a_new_time_on_the_same_bytes_is_no_finding(bench: Bench) -> None:
    os.utime(bench.at("2.jpg"))
    assert bench.found() == {}
    reads: list[str] = []
    read = OriginalsLook._read

    def counted(self: OriginalsLook, name: str, folder: int) -> str:
        reads.append(name)
        return read(self, name, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OriginalsLook, "_read", counted)
        assert bench.found() == {}
        assert reads == [], "it is read once, not each night"
        os.utime(bench.at("2.jpg"))
        os.utime(bench.at("2.jpg"), ns=(0, 0))
        assert bench.found() == {}
        assert reads == ["2.jpg"]


def test_other_bytes_written_before_the_first_look_are_found(bench: Bench) -> None:
    other_bytes(bench.at("1.jpg"))
    assert bench.found() == {"1.jpg": "content"}


def test_a_folder_on_the_way_that_became_a_link_or_went(bench: Bench) -> None:
    bench.at("").rename(bench.settings.data / "moved")
    assert set(bench.found().values()) == {"gone"}
    bench.at("").symlink_to(bench.settings.data / "moved")
    assert set(bench.found().values()) <= {"gone", "not_a_file", "unreadable"}
    assert len(bench.told()) == 3
    bench.at("").unlink()
    (bench.settings.data / "moved").rename(bench.at(""))
    assert bench.found() == {}


def test_a_vault_that_is_not_mounted_has_no_missing_originals(bench: Bench) -> None:
    bench.settings.originals.rename(bench.settings.data / "unmounted")
    with pytest.raises(VaultTrouble):
        bench.look.look()
    bench.settings.originals.mkdir()
    with pytest.raises(VaultTrouble):
        bench.look.look()
    shutil.copy(bench.settings.data / "unmounted" / ".photo-factory-vault", bench.settings.originals)
    marker = bench.settings.originals / ".photo-factory-vault"
    own = marker.read_text()
    marker.write_text(own.replace("vault_id: ", f"vault_id: {uuid.uuid4()}\nvault_id of before: "))
    with pytest.raises(VaultTrouble):
        bench.look.look()
    assert bench.told() == {}


def test_a_vault_that_goes_in_the_middle_has_no_missing_originals(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine = OriginalsLook._examine

    def unmounted(self: OriginalsLook, *arguments: Any) -> Any:
        if bench.settings.originals.exists():
            bench.settings.originals.rename(bench.settings.data / "unmounted")
            (bench.settings.data / "unmounted" / "2008").rename(bench.settings.data / "2008")
        return examine(self, *arguments)

    monkeypatch.setattr(OriginalsLook, "_examine", unmounted)
    with pytest.raises(VaultTrouble):
        bench.look.look()
    assert bench.told() == {}


def test_what_cannot_be_read_is_not_well(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.found()

    def broken(path: str, *arguments: Any, **options: Any) -> os.stat_result:
        if path == "2.jpg":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return (
            os.lstat(path, dir_fd=options.get("dir_fd")) if "dir_fd" in options else real(path, *arguments, **options)
        )

    real = os.stat
    monkeypatch.setattr(os, "stat", broken)
    assert bench.found() == {"2.jpg": "unreadable"}


def test_a_path_that_leads_outside_is_not_followed(bench: Bench) -> None:
    (bench.settings.data / "outside.jpg").write_bytes(photo(2))
    bench.sql("ALTER TABLE media_assets DROP CONSTRAINT ck_media_assets_final_path")
    bench.sql("UPDATE media_assets SET final_path = '../outside.jpg' WHERE final_path LIKE '%/2.jpg'")
    assert bench.found() == {"outside.jpg": "gone"}


def test_one_that_is_filed_again_meanwhile_is_no_finding(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of rows is older than the file's new place."""
    bench.at("2.jpg").unlink()
    examine_all = OriginalsLook._examine_all
    calls: list[int] = []

    def filed_meanwhile(self: OriginalsLook, rows: Any) -> Any:
        calls.append(len(rows))
        if len(calls) == 1:
            seen = examine_all(self, rows)
            bench.ingest(2)
            return seen
        return examine_all(self, rows)

    monkeypatch.setattr(OriginalsLook, "_examine_all", filed_meanwhile)
    assert bench.found() == {}
    assert bench.at("2.jpg").exists()


def test_pages_by_id_see_every_original_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.ingest(*range(4, 12))
    monkeypatch.setattr(module, "_PAGE", 3)
    sizes: list[int] = []
    page = OriginalsLook._page

    def counted(self: OriginalsLook, which: Any) -> Any:
        rows = page(self, which)
        sizes.append(len(rows))
        return rows

    monkeypatch.setattr(OriginalsLook, "_page", counted)
    assert bench.look.look() == 11
    assert sizes == [3, 3, 3, 2]
    [(count,)] = bench.sql("SELECT looked_originals FROM vault WHERE looked_at IS NOT NULL")
    assert count == 11


def test_nothing_is_written_into_a_ledger_that_is_not_the_vaults(bench: Bench) -> None:
    bench.at("2.jpg").unlink()
    bench.sql(f"UPDATE vault SET vault_id = '{uuid.uuid4()}'")
    with pytest.raises(VaultTrouble):
        bench.look.look()
    assert bench.told() == {}


def test_a_finding_goes_with_its_row(bench: Bench) -> None:
    bench.at("2.jpg").unlink()
    assert bench.found() == {"2.jpg": "gone"}
    bench.sql("DELETE FROM media_assets WHERE final_path LIKE '%/2.jpg'")
    assert bench.found() == {}


def test_shortly_after_the_start_and_each_night(bench: Bench, wait_for: WaitFor) -> None:
    clock = [datetime(2024, 3, 31, 1, 30, tzinfo=bench.settings.zone)]  # the night in which an hour is left out
    belonging = bench.look._belonging
    look = OriginalsLook(bench.settings, bench.look._vault, bench.database, belonging, now=lambda: clock[0])
    look.start()

    def found_another_day() -> bool:
        clock[0] += timedelta(days=1)
        return bench.told() == {"1.jpg": "gone"}

    try:
        wait_for(lambda: bench.sql("SELECT 1 FROM vault WHERE looked_at IS NOT NULL"), what="a look after the start")
        bench.at("1.jpg").unlink()
        wait_for(found_another_day, what="a look in the night")
        wait_for(lambda: look.findings.count == 1)
    finally:
        look.stop()
        look.join(PATIENCE)


def test_the_service_tells_of_it_and_goes_on_filing(bench: Bench, wait_for: WaitFor) -> None:
    import threading

    from Src.Librarian.heartbeat import LibrarianHeartbeat
    from Src.Shared.heartbeat_service import HeartbeatService

    bench.at("1.jpg").unlink()
    beats = HeartbeatService(bench.database, "librarian", 1.0)
    service = InboxService(bench.settings, bench.database, heartbeat=LibrarianHeartbeat(beats))
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        wait_for(
            lambda: bench.sql(
                "SELECT 1 FROM system_status WHERE status = 'ERROR' AND message LIKE '1 original is not as%1.jpg%'"
            )
        )
        (bench.settings.inbox / "4.jpg").write_bytes(photo(4))
        wait_for(lambda: bench.at("4.jpg").exists() and not (bench.settings.inbox / "4.jpg").exists())
        (bench.settings.inbox / "1.jpg").write_bytes(photo(1))  # it takes its place again
        wait_for(lambda: bench.at("1.jpg").exists())
    finally:
        began = time.monotonic()
        service.stop()
        thread.join(PATIENCE)
        beats.stop()
        assert not thread.is_alive(), time.monotonic() - began


# As an operation


@pytest.mark.parametrize(("is_same", "looked_at"), [(True, 2), (False, 3)])
def test_a_look_that_was_cut_off_goes_on_after_the_original_it_had_come_to(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, is_same: bool, looked_at: int
) -> None:
    monkeypatch.setattr(module, "_PAGE", 1)
    first = bench.look
    look_at = first._look_at

    def and_stop(rows: Any) -> None:
        look_at(rows)
        first.stop()

    monkeypatch.setattr(first, "_look_at", and_stop)
    first.look()
    rows = bench.sql("SELECT kind, status, done, total, who, checkpoint FROM operations")
    assert [row[:5] for row in rows] == [("look", "paused", 1, 3, "librarian")]
    if not is_same:  # of the name and the content: another file may have come to that name
        bench.sql("UPDATE operations SET checkpoint = jsonb_set(checkpoint, '{sha256}', '\"other\"')")

    again = OriginalsLook(bench.settings, Vault(bench.settings.storage), bench.database, first._belonging)
    seen: list[str] = []
    look_at_again = again._look_at

    def and_note(rows: Any) -> None:
        seen.extend(row.final_path for row in rows)
        look_at_again(rows)

    monkeypatch.setattr(again, "_look_at", and_note)
    assert again.look() == 3
    assert len(seen) == looked_at and (rows[0][5]["path"] in seen) != is_same
    assert bench.sql("SELECT status, done, runs FROM operations") == [("completed", 3, 2)]


@pytest.mark.parametrize("finding", ["content", "unreadable"])
def test_what_a_reading_has_found_only_a_reading_takes_back(bench: Bench, finding: str) -> None:
    """A disk that loses bits changes no time: the look went by that, and took back what `verify` had found."""
    assert bench.found() == {}
    path = bench.at("2.jpg")
    status = path.stat()
    bytes_ = bytearray(path.read_bytes())
    bytes_[-1] ^= 1
    path.chmod(0o640)
    path.write_bytes(bytes_)
    path.chmod(0o440)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert bench.found() == {}, "by its time it is as it was"
    bench.sql(
        "INSERT INTO original_findings (asset_id, finding, final_path, message) "
        f"SELECT id, '{finding}', final_path, 'verified' FROM media_assets WHERE final_path LIKE '%/2.jpg'"
    )
    bench.look.look_again()
    assert bench.told() == {"2.jpg": "content"}
    assert bench.found() == {"2.jpg": "content"}
    bytes_[-1] ^= 1
    path.chmod(0o640)
    path.write_bytes(bytes_)
    path.chmod(0o440)
    bench.look.look_again()
    assert bench.told() == {}
