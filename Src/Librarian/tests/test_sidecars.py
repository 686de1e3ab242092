"""A sidecar belongs to one photo, whenever it comes; each step of a late one's move survives a kill."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import true

from Src.Librarian import holding, joining, whose
from Src.Librarian.companion_filing import CompanionFiling
from Src.Librarian.importer import Importer
from Src.Librarian.record import companions
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.service import InboxService
from Src.Librarian.tally import Tally
from Src.Library.overlay import changes
from Src.Library.overlay.changes import carry_out
from Src.Library.vault import Vault
from Src.Media.tests.test_metadata import BERLIN
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.promise import assert_companions_stand, ledger_rows, sha256_of_file, vault_files
from Src.Testing.roles import as_service

CASES = PROJECT_ROOT / "Src" / "Media" / "tests" / "samples" / "sidecars"
SAMPLES = Path(__file__).parent / "samples"
CANON = (SAMPLES / "Canon_40D.jpg").read_bytes()
UNDATED = (CASES / "step1" / "LATE_1.jpg").read_bytes()

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


def xmp(**tags: str) -> bytes:
    said = " ".join(f'{name.replace("_", ":")}="{value}"' for name, value in tags.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        f'xmlns:exif="http://ns.adobe.com/exif/1.0/" {said}/></rdf:RDF></x:xmpmeta>'
    ).encode()


class Factory:
    """A factory, its inbox, and what its ledger says."""

    def __init__(self, settings: Settings) -> None:
        self.settings = replace(settings, readers=1, zone=BERLIN)

    def drop(self, name: str, content: bytes) -> Path:
        path = self.settings.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def ingest(self) -> Tally:
        database = Database(as_service(self.settings, "factory"))
        try:
            return InboxService(self.settings, database, once=True).run()
        finally:
            database.close()

    def photos(self) -> dict[str, Any]:
        """The rows of originals, by the file's original name."""
        return {row["original_name"]: row for row in ledger_rows(self.settings, "SELECT * FROM media_assets")}

    def stays(self) -> dict[str, str]:
        rows = ledger_rows(self.settings, "SELECT original_path, state FROM inbox_files")
        return {row["original_path"]: row["state"] for row in rows}

    def reason(self, path: str) -> str:
        (row,) = ledger_rows(self.settings, f"SELECT last_error FROM inbox_files WHERE original_path = '{path}'")
        return str(row["last_error"])

    def companions(self) -> dict[str, str | None]:
        """Where companions stand, and the original name of whose each is."""
        rows = ledger_rows(
            self.settings,
            "SELECT c.final_path, a.original_name FROM companions c "
            "LEFT JOIN media_assets a ON a.file_hash = c.original_hash WHERE c.filed_at IS NOT NULL",
        )
        return {row["final_path"]: row["original_name"] for row in rows}

    def assert_vault_right(self) -> None:
        """Each row has its file, at its day, and no file is without its row."""
        assert_companions_stand(self.settings)
        rows = ledger_rows(self.settings, "SELECT * FROM media_assets")
        assert {row["final_path"] for row in rows} == set(vault_files(self.settings))
        for row in rows:
            assert sha256_of_file(self.settings.storage / row["final_path"]) == row["file_hash"]
            assert row["final_path"].split("/")[2] == row["captured_at"].date().isoformat()
        assert not ledger_rows(self.settings, "SELECT id FROM companions WHERE moved_from IS NOT NULL")


@pytest.fixture
def factory(factory_settings: Settings) -> Iterator[Factory]:
    factory = Factory(factory_settings)
    factory.settings.inbox.mkdir(parents=True, exist_ok=True)
    yield factory
    factory.assert_vault_right()


def copy_case(factory: Factory, step: str) -> None:
    for path in (CASES / step).iterdir():
        shutil.copyfile(path, factory.settings.inbox / path.name)


def test_a_sidecar_that_was_left_is_not_believed_for_the_next_photos_and_a_late_one_is_joined(factory: Factory) -> None:
    copy_case(factory, "step1")
    tally = factory.ingest()
    assert (tally.new, tally.companions, tally.entries) == (3, 1, 4)
    first = factory.photos()
    assert (first["DSC_0001.JPG"]["rating"], first["DSC_0001.JPG"]["location"]["lat"]) == (
        5,
        pytest.approx(35.667, abs=0.01),
    )
    assert factory.stays() == {}
    assert list(factory.companions().values()) == ["DSC_0001.JPG"]

    factory.drop("DSC_0001.xmp", (CASES / "step1" / "DSC_0001.xmp").read_bytes())  # as if it had been left
    copy_case(factory, "step2")
    tally = factory.ingest()
    assert (tally.new, tally.companions, tally.failed) == (4, 2, 0)
    rows = ledger_rows(factory.settings, "SELECT * FROM media_assets ORDER BY ingested_at")
    later = {row["original_name"]: row for row in rows if row["captured_at"].year >= 2024}
    assert str(later["DSC_0001.MP4"]["captured_at"]) == "2024-07-06 01:02:03"
    for name in ("DSC_0001.JPG", "DSC_0001.MP4"):
        assert (later[name]["location"], later[name]["rating"]) == (None, None)
    (late,) = [row for row in rows if row["original_name"] == "LATE_1.jpg"]
    assert (str(late["captured_at"]), late["date_source"]) == ("1987-06-05 04:03:02", "sidecar:xmp:DateTimeOriginal")
    assert late["final_path"] == "Originals/1987/1987-06-05/LATE_1.jpg"
    recorded = ledger_rows(factory.settings, "SELECT original_path, original_hash, companion_hash FROM companions")
    assert {row["original_path"]: (row["original_hash"], row["companion_hash"]) for row in recorded} == {
        "DSC_0001.xmp": (
            sha256_of_file(CASES / "step1" / "DSC_0001.JPG"),
            sha256_of_file(CASES / "step1" / "DSC_0001.xmp"),
        ),
        "LATE_1.xmp": (sha256_of_file(CASES / "step1" / "LATE_1.jpg"), sha256_of_file(CASES / "step2" / "LATE_1.xmp")),
    }


def test_a_sidecar_waits_for_its_photo_and_then_counts_as_its_companion(factory: Factory) -> None:
    factory.drop("a.xmp", xmp(exif_DateTimeOriginal="1999-01-02T03:04:05", xmp_Rating="3"))
    assert factory.ingest().not_media == 1
    assert factory.stays() == {"a.xmp": "sidecar"}
    assert "has not come" in factory.reason("a.xmp")
    factory.drop("a.jpg", CANON)
    tally = factory.ingest()
    assert (tally.new, tally.companions, tally.not_media, tally.entries) == (1, 1, 0, 2)
    assert factory.photos()["a.jpg"]["rating"] == 3
    assert factory.stays() == {}
    assert factory.companions() == {factory.photos()["a.jpg"]["final_path"].replace(".jpg", ".xmp"): "a.jpg"}


def test_of_raw_photo_picture_and_film_of_one_stem_the_sidecar_is_the_raw_photo_s(factory: Factory) -> None:
    shutil.copyfile(CASES / "step2" / "IMG_0007.DNG", factory.settings.inbox / "b.DNG")
    shutil.copyfile(CASES / "step2" / "DSC_0001.MP4", factory.settings.inbox / "b.MP4")
    factory.drop("b.JPG", CANON)
    factory.drop("b.xmp", xmp(xmp_Rating="4"))
    factory.ingest()
    assert {name: row["rating"] for name, row in factory.photos().items()} == {"b.DNG": 4, "b.JPG": None, "b.MP4": None}


@pytest.mark.parametrize("name", ["c.xmp", "c.jpg.xmp", "c.XMP"])
def test_a_late_sidecar_moves_its_photo_to_its_day_and_its_event_says_from_where(factory: Factory, name: str) -> None:
    factory.drop("c.jpg", CANON)
    factory.ingest()
    before = factory.photos()["c.jpg"]["final_path"]
    factory.drop(name, xmp(exif_DateTimeOriginal="1980-05-06T07:08:09"))
    assert factory.ingest().companions == 1
    assert factory.photos()["c.jpg"]["final_path"] == "Originals/1980/1980-05-06/c.jpg"
    (event,) = ledger_rows(factory.settings, "SELECT * FROM ingest_events WHERE fate = 'companion'")
    assert f"moved from {before}" in event["message"] and "2008-05-30" in event["message"]


def test_a_late_sidecar_says_nothing_about_what_a_person_has_decided(factory: Factory) -> None:
    factory.drop("a.jpg", CANON)
    factory.ingest()
    with closing(Database(as_service(factory.settings, "factory"))) as database, database.session() as session:
        carry_out(session, changes.rate(1), true(), who="ada")
    factory.drop("a.xmp", xmp(xmp_Rating="5", exif_GPSLatitude="33,51.5S", exif_GPSLongitude="151,12.5E"))
    assert factory.ingest().companions == 1
    photo = factory.photos()["a.jpg"]
    assert photo["rating"] == 1
    assert photo["location"]["lat"] == pytest.approx(-33.86, abs=0.01), "about which nobody has decided"


def test_a_weak_date_of_a_late_sidecar_does_not_beat_the_camera_s(factory: Factory) -> None:
    factory.drop("d.jpg", CANON)
    factory.ingest()
    factory.drop("d.xmp", xmp(xmp_CreateDate="1980-05-06T07:08:09", xmp_Rating="2"))
    factory.ingest()
    row = factory.photos()["d.jpg"]
    assert (row["date_source"], row["rating"]) == ("exif:DateTimeOriginal", 2)


def test_the_same_photo_once_more_with_a_sidecar_is_told_by_it(factory: Factory) -> None:
    factory.drop("e.jpg", CANON)
    factory.ingest()
    factory.drop("again/e.jpg", CANON)
    factory.drop("again/e.xmp", xmp(exif_DateTimeOriginal="1981-02-03T04:05:06"))
    tally = factory.ingest()
    assert (tally.duplicates, tally.companions) == (1, 1)
    assert factory.photos()["e.jpg"]["final_path"] == "Originals/1981/1981-02-03/e.jpg"


def test_a_late_sidecar_of_several_photos_of_its_name_is_reported(factory: Factory) -> None:
    for number in range(2):
        factory.drop("f.jpg", CANON + b"%d" % number)
        factory.ingest()
    factory.drop("f.xmp", xmp(exif_DateTimeOriginal="1980-05-06T07:08:09"))
    assert factory.ingest().companions == 0
    assert factory.stays() == {"f.xmp": "sidecar"}
    assert "one of 2 photos" in factory.reason("f.xmp") and "together" in factory.reason("f.xmp")


def test_a_late_sidecar_is_not_joined_to_a_photo_that_has_one_or_came_long_ago(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.drop("g.jpg", CANON)
    factory.drop("g.xmp", xmp(xmp_Rating="1"))
    factory.drop("h.jpg", CANON + b"h")
    factory.ingest()
    factory.drop("g.xmp", xmp(xmp_Rating="5"))
    monkeypatch.setattr(whose, "_LATEST", -whose._LATEST)
    factory.drop("h.xmp", xmp(xmp_Rating="5"))
    factory.ingest()
    assert {name: row["rating"] for name, row in factory.photos().items()} == {"g.jpg": 1, "h.jpg": None}
    (stands,) = (path for path in factory.companions() if path.endswith("/g.xmp"))
    assert f"has one already, {stands}: " in factory.reason("g.xmp")
    assert "copy it over that one" in factory.reason("g.xmp") and "together" in factory.reason("g.xmp")
    assert "more than a day" in factory.reason("h.xmp")


def test_what_is_called_a_sidecar_and_holds_no_xmp_is_not_media(factory: Factory) -> None:
    factory.drop("i.jpg", CANON)
    factory.drop("i.xmp", b"no XMP at all")
    tally = factory.ingest()
    assert (tally.new, tally.not_media, tally.companions) == (1, 1, 0)
    assert factory.stays() == {"i.xmp": "not_media"}


def test_an_import_joins_sidecars_too_and_passes_them_over_the_next_time(factory: Factory, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()

    def run() -> Tally:
        database = Database(as_service(factory.settings, "factory"))
        try:
            return Importer(factory.settings, database, [source]).run()
        finally:
            database.close()

    (source / "IMG.XMP").write_bytes(xmp(xmp_Rating="3"))  # before its photo, by name
    (source / "IMG.jpg").write_bytes(CANON)
    (source / "late.jpg").write_bytes(UNDATED)
    assert (run().new, factory.photos()["IMG.jpg"]["rating"]) == (2, 3)
    (source / "late.xmp").write_bytes(xmp(exif_DateTimeOriginal="1987-06-05T04:03:02"))
    tally = run()
    assert (tally.new, tally.duplicates, tally.companions, tally.entries) == (0, 2, 2, 4)
    assert factory.photos()["late.jpg"]["captured_at"].year == 1987
    count = "SELECT count(*) AS n FROM ingest_events"
    before = ledger_rows(factory.settings, count)
    assert run().companions == 2
    assert ledger_rows(factory.settings, count) == before


class Killed(BaseException):
    """As the process ending there."""


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (Vault, "durably"),
        (CompanionFiling, "link_at"),
        (companions, "join"),
        (companions, "moved"),
        (companions, "left"),
        (joining, "fsync"),
        (os, "unlink"),
    ],
    ids=lambda one: str(one),
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_step_of_a_move_leaves_what_the_next_run_brings_to_its_end(
    factory: Factory, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str, after: bool
) -> None:
    factory.drop("j.jpg", CANON)
    factory.drop("j.AAE", b"moves with its photo")
    factory.ingest()
    factory.drop("j.xmp", xmp(exif_DateTimeOriginal="1980-05-06T07:08:09"))
    real: Callable[..., Any] = getattr(owner, step)
    with monkeypatch.context() as patch:

        def killed(*args: Any, **kwargs: Any) -> Any:
            if after:
                result = real(*args, **kwargs)
                if step == "durably":
                    with result:
                        pass
            raise Killed

        patch.setattr(owner, step, killed)
        with suppress(Killed):
            factory.ingest()
    standing = [path for path in vault_files(factory.settings) if path.endswith("/j.jpg")]
    assert standing  # at each step it stands somewhere, whole
    for path in standing:
        assert sha256_of_file(factory.settings.storage / path) == factory.photos()["j.jpg"]["file_hash"]
    assert factory.photos()["j.jpg"]["final_path"] in standing
    factory.ingest()
    assert vault_files(factory.settings) == {"Originals/1980/1980-05-06/j.jpg": factory.photos()["j.jpg"]["file_hash"]}
    day = "Originals/1980/1980-05-06"
    assert factory.companions() == {f"{day}/j.xmp": "j.jpg", f"{day}/j.AAE": "j.jpg"}
    assert not (factory.settings.inbox / "j.xmp").exists()


def test_where_there_are_no_hard_links_a_late_sidecar_is_reported_and_nothing_moves(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.drop("k.jpg", CANON)
    factory.ingest()

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr(os, "link", refused)
    factory.drop("k.xmp", xmp(exif_DateTimeOriginal="1980-05-06T07:08:09"))
    factory.ingest()
    assert factory.photos()["k.jpg"]["final_path"] == "Originals/2008/2008-05-30/k.jpg"
    assert "cannot be moved" in factory.reason("k.xmp")


def test_while_the_ledger_is_away_no_sidecar_is_believed_and_it_is_joined_when_that_is_back(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.drop("l.jpg", CANON)
    factory.drop("l.xmp", xmp(exif_DateTimeOriginal="1980-05-06T07:08:09"))
    with monkeypatch.context() as away:
        away.setattr(Recorder, "ask", lambda *_: None)
        factory.ingest()
    assert factory.photos()["l.jpg"]["final_path"] == "Originals/2008/2008-05-30/l.jpg"
    (row,) = ledger_rows(factory.settings, "SELECT state, last_error, next_try_at FROM inbox_files")
    assert row["state"] == "sidecar" and "cannot be reached" in row["last_error"] and row["next_try_at"] is not None
    monkeypatch.setattr(holding, "_wait_of", lambda _: 0.0)  # that time has come
    factory.ingest()
    assert factory.photos()["l.jpg"]["final_path"] == "Originals/1980/1980-05-06/l.jpg"
    assert factory.companions() == {"Originals/1980/1980-05-06/l.xmp": "l.jpg"}


def test_whose_a_sidecar_is_waits_in_the_journal_too(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    factory.drop("m.jpg", CANON)
    factory.drop("m.xmp", xmp(exif_DateTimeOriginal="1980-05-06T07:08:09"))

    def gone(*_: object, **__: object) -> None:
        raise LedgerUnavailable("gone just now")

    with monkeypatch.context() as away:
        away.setattr(Recorder, "_write", gone)
        factory.ingest()
    assert factory.photos() == {}
    factory.ingest()
    assert factory.photos()["m.jpg"]["final_path"] == "Originals/1980/1980-05-06/m.jpg"
    (row,) = ledger_rows(factory.settings, "SELECT original_path, original_hash FROM companions")
    assert row == {"original_path": "m.xmp", "original_hash": factory.photos()["m.jpg"]["file_hash"]}
