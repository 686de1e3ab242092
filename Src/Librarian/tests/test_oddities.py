"""What nobody can file has its row as long as it is there: unreadable folders, links, FIFOs."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from Src.Factory.status import gather
from Src.Librarian.file_watcher import InboxWatcher
from Src.Librarian.heartbeat import Conditions
from Src.Librarian.holding import HeldFiles
from Src.Librarian.importer import Importer
from Src.Librarian.retry_policy import RetryPolicy
from Src.Librarian.service import InboxService
from Src.Librarian.tally import Tally
from Src.Librarian.tests.test_file_watcher import OurClock
from Src.Librarian.watch.exposure import EXPOSED, root_serves_others
from Src.Library.held_files import HeldFilesTable, ask_for_retry
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.promise import ledger_rows

SAMPLE = Path(__file__).parent / "samples" / "Canon_40D.jpg"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def settings(factory_settings: Settings) -> Settings:
    factory_settings.inbox.mkdir(parents=True, exist_ok=True)
    return replace(factory_settings, readers=1, stability_delay=0.0, min_file_age=0.0)


def rows(settings: Settings) -> dict[str, str]:
    found = ledger_rows(settings, "SELECT original_path, state FROM inbox_files")
    return {row["original_path"]: row["state"] for row in found}


def ingest(settings: Settings) -> Tally:
    database = Database(settings)
    try:
        return InboxService(settings, database, once=True).run()
    finally:
        database.close()


def imported(settings: Settings, source: Path) -> Tally:
    database = Database(settings)
    try:
        return Importer(settings, database, [source]).run()
    finally:
        database.close()


def watcher(inbox: Path) -> InboxWatcher:
    return InboxWatcher(
        inbox, stability_delay=0.0, min_file_age=0.0, scan_interval=60.0, mode="polling", clock=OurClock()
    )


@pytest.mark.slow
class TestInTheInbox:
    def test_links_and_fifos_have_rows_until_they_have_gone(self, settings: Settings, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (settings.inbox / "album").symlink_to(tmp_path / "elsewhere")
        (settings.inbox / "a").mkdir()
        (settings.inbox / "a" / "photo.jpg").symlink_to(SAMPLE)
        os.mkfifo(settings.inbox / "fifo.jpg")
        assert ingest(settings).failed == 0
        assert rows(settings) == {"album": "link", "a/photo.jpg": "link", "fifo.jpg": "special"}
        (first,) = ledger_rows(settings, "SELECT first_seen_at FROM inbox_files WHERE original_path = 'album'")

        (settings.inbox / "fifo.jpg").unlink()
        (settings.inbox / "a" / "photo.jpg").unlink()
        (settings.inbox / "a" / "photo.jpg").write_bytes(SAMPLE.read_bytes())
        assert ingest(settings).new == 1
        assert rows(settings) == {"album": "link"}
        assert ledger_rows(settings, "SELECT first_seen_at FROM inbox_files") == [first], "it is the same row"

    def test_a_running_librarian_notices_within_seconds(self, settings: Settings) -> None:
        database = Database(settings)
        database.ensure_ready()
        watching = watcher(settings.inbox)
        held_files = HeldFiles(HeldFilesTable(database), watching, RetryPolicy(3, 1.0, 1.0))
        (settings.inbox / "link.jpg").symlink_to(SAMPLE)
        assert watching.odd() is None, "nothing is forgotten before everything was looked at"
        watching.start()
        watching.scan()
        held_files.note_odd(watching.odd() or [])
        assert rows(settings) == {"link.jpg": "link"} and held_files.count("link") == 1
        (settings.inbox / "link.jpg").unlink()
        (settings.inbox / "link.jpg").write_bytes(SAMPLE.read_bytes())
        held_files.note_odd(watching.odd() or [])  # without a scan
        assert rows(settings) == {} and held_files.count("link") == 0
        assert [file.original_path for file in watching.ready(0.0)] == ["link.jpg"]
        database.close()

    def test_status_tells_them_and_what_to_do(self, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
        (settings.inbox / "link.jpg").symlink_to(SAMPLE)
        os.mkfifo(settings.inbox / "fifo.jpg")
        found = gather(settings)["inbox"]  # also before a Librarian has run
        assert (found["links"], found["special"], found["unreadable"]) == (1, 1, 0)
        ingest(settings)
        found = gather(settings)["inbox"]
        assert (found["links"], found["special"], found["waiting"]) == (1, 1, 0)
        assert {(one["path"], one["state"]) for one in found["problems"]} == {
            ("link.jpg", "link"),
            ("fifo.jpg", "special"),
        }


@pytest.mark.parametrize("mode", [0o000, 0o444], ids=oct)
def test_an_unreadable_folder_is_known_until_it_can_be_read(
    mode: int, open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    with unprivileged():
        closed = open_folder / "closed"
        closed.mkdir()
        (closed / "a.jpg").write_bytes(SAMPLE.read_bytes())
        watching = watcher(open_folder)
        watching.start()
        assert [file.original_path for file in watching.ready(0.0)] == ["closed/a.jpg"]
        (file,) = [*watching._in_hand]
        watching._in_hand.clear()
        assert watching.hold_path(
            "closed/a.jpg", SAMPLE.stat().st_size, os.lstat(file).st_mtime_ns, os.lstat(file).st_ino, None
        )
        closed.chmod(mode)
        watching.scan()
        assert [(one.path, one.kind) for one in watching.odd() or []] == [("closed", "unreadable")]
        assert watching.is_held("closed/a.jpg"), "what cannot be looked at is not gone"
        assert [one.path for one in watching.odd() or []] == ["closed"], "asked again, it is still so"
        closed.chmod(0o755)
        assert watching.odd() == [] and watching.is_held("closed/a.jpg")


@pytest.mark.slow
class TestInAnImport:
    def test_they_have_rows_until_the_next_import_finds_them_no_more(self, settings: Settings, tmp_path: Path) -> None:
        source = tmp_path / "card"
        (source / "DCIM").mkdir(parents=True)
        (source / "DCIM" / "a.jpg").write_bytes(SAMPLE.read_bytes())
        (source / "DCIM" / "link.jpg").symlink_to(SAMPLE)
        (source / "all").symlink_to("DCIM")
        other = tmp_path / "card2"
        other.mkdir()
        (other / "link.jpg").symlink_to(SAMPLE)
        assert imported(settings, source).new == 1
        imported(settings, other)
        assert rows(settings) == {
            f"{source}/DCIM/link.jpg": "link",
            f"{source}/all": "link",
            f"{other}/link.jpg": "link",
        }
        ingest(settings)
        assert len(rows(settings)) == 3, "the Librarian of the inbox leaves them alone"
        (source / "all").unlink()
        imported(settings, source)
        assert rows(settings) == {f"{source}/DCIM/link.jpg": "link", f"{other}/link.jpg": "link"}
        assert {one["path"] for one in gather(settings)["inbox"]["problems"]} == set(rows(settings))

        database = Database(settings)
        assert ask_for_retry(database) == 0
        database.close()
        assert rows(settings) == {}

    def test_an_import_that_was_stopped_forgets_nothing(self, settings: Settings, tmp_path: Path) -> None:
        source = tmp_path / "card"
        source.mkdir()
        (source / "link.jpg").symlink_to(SAMPLE)
        imported(settings, source)
        database = Database(settings)
        importer = Importer(settings, database, [source])
        importer.stop()
        importer.run()
        database.close()
        assert rows(settings) == {f"{source}/link.jpg": "link"}


class TestRootAndOthers:
    @as_root
    @pytest.mark.parametrize("way", ["owner", "mode", "folder"])
    def test_root_must_not_serve_an_inbox_that_others_write_to(self, way: str, tmp_path: Path) -> None:
        inbox = tmp_path / "inbox"
        (inbox / "phone").mkdir(parents=True)
        for path in (inbox, inbox / "phone"):
            path.chmod(0o755)
        assert not root_serves_others(inbox)
        match way:
            case "owner":
                os.chown(inbox, 1000, 1000)
            case "mode":
                inbox.chmod(0o775)
            case "folder":
                os.chown(inbox / "phone", 1000, 1000)
        assert root_serves_others(inbox)
        assert not root_serves_others(tmp_path / "gone")

    def test_a_user_may(self, open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]) -> None:
        with unprivileged():
            open_folder.chmod(0o777)
            assert not root_serves_others(open_folder)

    def test_it_is_a_warning(self) -> None:
        assert Conditions("watching", is_exposed=True).warnings == [EXPOSED]
        assert Conditions("watching", unreadable=2).status == "WARNING"
        assert Conditions("watching", links=2).status == "OK"
