"""XMP files beside originals and the Librarian: it writes them between photos, notices other programs, rebuilds."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from Src.Factory import decide, take_back, xmp
from Src.Factory.rebuild import run_rebuild
from Src.Librarian.service import InboxService
from Src.Librarian.tests.test_sidecars import CANON, Factory
from Src.Librarian.tests.test_sidecars import xmp as xmp_of
from Src.Media.capture_date import Stamp
from Src.Media.tests.xmp_made import MADE
from Src.Media.xmp_sidecar import Said, read_sidecar
from Src.Media.xmp_writing import Changes, written
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.settings import Settings
from Src.Testing.promise import ledger_rows
from Src.Testing.roles import as_service

WaitFor = Callable[..., None]
DAY = Path("Originals/2008/2008-05-30")

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


@pytest.fixture
def factory(factory_settings: Settings) -> Iterator[Factory]:
    factory = Factory(factory_settings)
    factory.settings.inbox.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        factory.drop(f"{number}.jpg", CANON + b"%d" % number)
    factory.ingest()
    yield factory
    factory.assert_vault_right()


def command(factory: Factory) -> Settings:
    return as_service(factory.settings, "factory")


def rate(factory: Factory, selection: str, stars: int) -> None:
    assert (
        decide.rate(command(factory), selection=selection, rating=str(stars), as_json=True, dry_run=False)
        == ExitCode.WELL
    )


def run_xmp(factory: Factory) -> int:
    return xmp.xmp(command(factory), as_json=True, dry_run=False)


def said(factory: Factory, name: str) -> Said:
    return read_sidecar((factory.settings.storage / DAY / name).read_bytes())


def edit(path: Path, content: bytes) -> None:
    """As another program writes a file, whose clock is an hour ahead.

    So its time is later than that of all decisions here, and the file need not rest before it is looked at.
    """
    path.chmod(0o640)
    path.write_bytes(content)
    os.utime(path, (time.time() + 3600,) * 2)


@contextmanager
def librarian(factory: Factory, settings: Settings) -> Iterator[None]:
    """The service, as it runs day and night."""
    with closing(Database(as_service(settings, "librarian"))) as database:
        service = InboxService(as_service(settings, "librarian"), database)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            yield
        finally:
            service.stop()
            thread.join()


def test_a_command_writes_what_is_little_at_once(factory: Factory) -> None:
    rate(factory, "name:0.jpg", 4)
    assert said(factory, "0.jpg.xmp") == Said(rating=4)
    assert not (factory.settings.storage / DAY / "1.jpg.xmp").exists()
    assert take_back.undo(command(factory), operation=None, since=None, as_json=True, dry_run=False) == ExitCode.WELL
    assert said(factory, "0.jpg.xmp") == Said()


def test_the_librarian_writes_and_notices(factory: Factory, wait_for: WaitFor) -> None:
    quiet = replace(factory.settings, xmp_files=False)
    assert decide.rate(command(Factory(quiet)), selection="*", rating="2", as_json=True, dry_run=False) == ExitCode.WELL
    path = factory.settings.storage / DAY / "1.jpg.xmp"
    assert not path.exists(), "it is turned off"
    with librarian(factory, factory.settings):
        wait_for(lambda: path.exists() and said(factory, "1.jpg.xmp").rating == 2)
        wait_for(lambda: not _waiting(factory))
    edit(path, written(path.read_bytes(), Changes(rating=5, title="theirs")))
    with librarian(factory, factory.settings):
        wait_for(lambda: factory.photos()["1.jpg"]["rating"] == 5)
    assert factory.photos()["1.jpg"]["title"] == "theirs"
    assert [act["who"] for act in _acts(factory)][-1].endswith("(XMP file)")
    mirrored = b"".join(one.read_bytes() for one in (factory.settings.storage / "Overlay").glob("*/*.jsonl"))
    run_xmp(factory)
    mirrored = b"".join(one.read_bytes() for one in (factory.settings.storage / "Overlay").glob("*/*.jsonl"))
    assert b'"theirs"' in mirrored


def test_what_came_in_comes_again_and_is_known(factory: Factory) -> None:
    factory.drop("b.jpg", CANON + b"b")
    factory.drop("b.xmp", MADE["lightroom"])
    factory.ingest()
    rate(factory, "name:b.jpg", 1)
    assert said(factory, "b.xmp").rating == 1
    factory.drop("b.jpg", CANON + b"b")
    factory.drop("b.xmp", MADE["lightroom"])
    factory.ingest()
    assert not list(factory.settings.inbox.glob("*.*")), "the same came in before, and is kept for ever"
    assert said(factory, "b.xmp").rating == 1
    assert factory.photos()["b.jpg"]["rating"] == 1


def test_a_date_of_another_program_moves_the_photo(factory: Factory) -> None:
    rate(factory, "name:0.jpg", 4)
    path = factory.settings.storage / DAY / "0.jpg.xmp"
    taken = Stamp(datetime(2011, 2, 3, 4, 5, 6), None)
    edited = written(path.read_bytes(), Changes(taken=taken))
    edit(path, edited)
    assert run_xmp(factory) == ExitCode.WELL
    assert factory.photos()["0.jpg"]["final_path"] == "Originals/2011/2011-02-03/0.jpg"
    assert not path.exists()
    moved = factory.settings.storage / "Originals/2011/2011-02-03/0.jpg.xmp"
    assert read_sidecar(moved.read_bytes()).rating == 4
    assert run_xmp(factory) == ExitCode.WELL
    assert factory.photos()["0.jpg"]["final_path"] == "Originals/2011/2011-02-03/0.jpg"


def test_a_lost_ledger_is_made_anew_with_what_files_and_lines_say(factory: Factory) -> None:
    rate(factory, "name:0.jpg", 4)
    factory.drop("b.jpg", CANON + b"b")
    factory.drop("b.xmp", xmp_of(xmp_Rating="3"))
    factory.ingest()
    decide.title(command(factory), selection="name:b.jpg", text="ours", as_json=True, dry_run=False)
    before = {name: (row["rating"], row["title"], row["captured_at"]) for name, row in factory.photos().items()}
    files = {one.name: one.read_bytes() for one in (factory.settings.storage / DAY).glob("*.xmp")}
    assert set(files) == {"0.jpg.xmp", "b.xmp"}
    with closing(Database(factory.settings)) as database, database.session() as session:
        tables = "media_assets, companions, acts, overlay_events, ingest_events, asset_tags, asset_relations"
        session.execute(text(f"TRUNCATE {tables}"))
    assert run_rebuild(command(factory), missing=True, dry_run=False, as_json=True) == ExitCode.WELL
    after = {name: (row["rating"], row["title"], row["captured_at"]) for name, row in factory.photos().items()}
    assert after == before
    assert run_xmp(factory) == ExitCode.WELL
    assert {one.name: one.read_bytes() for one in (factory.settings.storage / DAY).glob("*.xmp")} == files
    assert {act["who"] for act in _acts(factory)} == {act["who"] for act in _acts(factory) if "XMP" not in act["who"]}
    rate(factory, "name:b.jpg", 1)
    assert said(factory, "b.xmp") == Said(rating=1, title="ours")


def _waiting(factory: Factory) -> list[Any]:
    return ledger_rows(factory.settings, "SELECT FROM overlay_events WHERE NOT is_in_xmp")


def _acts(factory: Factory) -> list[dict[str, Any]]:
    return ledger_rows(factory.settings, "SELECT * FROM acts ORDER BY happened_at, id")
