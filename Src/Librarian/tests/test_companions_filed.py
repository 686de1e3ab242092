"""Companions are filed beside their originals: whenever they come, whatever is killed, and each for one original."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from Src.Librarian import takeout_decisions
from Src.Librarian.clear.leaving import LeavingFiles
from Src.Librarian.companion_filing import CompanionFiling
from Src.Librarian.importer import Importer
from Src.Librarian.kept_sidecars import KeptSidecars
from Src.Librarian.passage import IncomingFile, StillChanging
from Src.Librarian.place.placing import Placer
from Src.Librarian.rebuild import Rebuild
from Src.Librarian.record import companions
from Src.Librarian.tally import Tally
from Src.Librarian.tests.test_sidecars import CANON, CASES, UNDATED, Factory, xmp
from Src.Library.held_files import ask_to_file
from Src.Library.overlay import changes, undo
from Src.Media.places import NOWHERE
from Src.Media.takeout import TakeoutNote
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState
from Src.Shared.models import MediaAsset
from Src.Shared.settings import Settings
from Src.Testing.promise import files_below, ledger_rows, sha256_of_file
from Src.Testing.roles import as_service

SAMPLES = Path(__file__).parent / "samples"
FILM = (CASES / "step2" / "DSC_0001.MP4").read_bytes()
DAY = "Originals/2008/2008-05-30"

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


def photo(number: int) -> bytes:
    return CANON + b"%08d" % number


def takeout(**fields: object) -> bytes:
    return json.dumps({"title": "x.jpg", "photoTakenTime": {"timestamp": "1258375918"}, **fields}).encode()


@pytest.fixture
def factory(factory_settings: Settings) -> Iterator[Factory]:
    factory = Factory(factory_settings)
    factory.settings.inbox.mkdir(parents=True, exist_ok=True)
    yield factory
    factory.assert_vault_right()


def in_inbox(factory: Factory) -> set[str]:
    return {str(path.relative_to(factory.settings.inbox)) for path in files_below(factory.settings.inbox)}


def run_import(factory: Factory, source: Path, **options: Any) -> Tally:
    database = Database(as_service(factory.settings, "factory"))
    try:
        return Importer(factory.settings, database, [source], **options).run()
    finally:
        database.close()


def say_so(factory: Factory, name: str) -> list[str]:
    database = Database(as_service(factory.settings, "factory"))
    try:
        database.ensure_ready()
        return ask_to_file(database, name)
    finally:
        database.close()


def test_every_kind_stands_beside_its_original_and_what_has_none_waits_until_a_person_says_so(factory: Factory) -> None:
    factory.drop("IMG_1.jpg", CANON)
    factory.drop("MVI_1.MP4", FILM)
    beside = {
        "IMG_1.AAE": b"adjusted",
        "IMG_1.WAV": b"spoken",
        "IMG_1.jpg.supplemental-metadata.json": takeout(),
        "MVI_1.THM": photo(1),
        "MVI_1.LRV": FILM + b"small",
        "MVI_1.srt": b"1\n00:00:00,000 --> 00:00:01,000\nF/2.8\n",
    }
    alone = {"ALONE.LRV": FILM + b"alone", "ALONE.AAE": b"alone", "ALONE.jpg.json": takeout()}
    music = {"music.mp3": b"la la", "other.json": b'{"a": 1}', "EMPTY.AAE": b""}
    for name, content in (beside | alone | music).items():
        factory.drop(name, content)
    tally = factory.ingest()
    assert (tally.new, tally.companions, tally.failed, tally.entries) == (2, 6, 0, 14)
    folders = {row["original_name"]: os.path.dirname(row["final_path"]) for row in factory.photos().values()}
    assert set(factory.companions()) == {
        f"{folders['IMG_1.jpg' if name.startswith('IMG') else 'MVI_1.MP4']}/{name}" for name in beside
    }
    for path in factory.companions():
        assert (factory.settings.storage / path).read_bytes() == beside[os.path.basename(path)]
        assert not os.lstat(factory.settings.storage / path).st_mode & 0o222
    assert in_inbox(factory) == {*alone, *music}
    stays = factory.stays()
    assert {name for name, state in stays.items() if state == "sidecar"} == set(alone)
    assert {name for name, state in stays.items() if state == "not_media"} == set(music)

    assert say_so(factory, "music.mp3") == []
    for name in alone:
        assert say_so(factory, name) == [name]
    factory.ingest()
    assert in_inbox(factory) == set(music)
    assert "ALONE.LRV" in factory.photos()
    beside_nothing = {
        os.path.basename(path): original for path, original in factory.companions().items() if "ALONE" in path
    }
    assert beside_nothing == {"ALONE.AAE": None, "ALONE.jpg.json": None}


def test_in_any_order_of_arrival_nothing_is_parted(factory: Factory) -> None:
    """Each stem's files come in an order of their own, over several runs."""
    parts: dict[str, Callable[[int], bytes]] = {
        ".jpg": photo,
        ".AAE": lambda number: b"adjusted %d" % (number % 2),  # equal bytes of several photos
        ".xmp": lambda number: xmp(exif_DateTimeOriginal=f"19{60 + number}-05-06T07:08:09"),
        ".jpg.json": lambda number: takeout(description=str(number)),
        ".MP3": lambda number: b"spoken %d" % number,
    }
    orders = []
    for number in range(16):
        order = list(parts)
        random.Random(number).shuffle(order)
        orders.append(order)
    for step in range(len(parts)):
        for number, order in enumerate(orders):
            factory.drop(f"S{number}{order[step]}", parts[order[step]](number))
        factory.ingest()
    assert in_inbox(factory) == set()
    expected: dict[str, str] = {}
    for number in range(len(orders)):
        day = f"Originals/19{60 + number}/19{60 + number}-05-06"
        assert factory.photos()[f"S{number}.jpg"]["final_path"] == f"{day}/S{number}.jpg"
        expected |= {f"{day}/S{number}{ending}": f"S{number}.jpg" for ending in parts if ending != ".jpg"}
    assert factory.companions() == expected


class Killed(BaseException):
    """As the process ending there."""


def test_a_kill_at_any_step_leaves_nothing_that_the_next_run_does_not_bring_to_its_end(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[Any, str]] = [
        (KeptSidecars, "keep"),
        (CompanionFiling, "_planned"),
        (companions, "intend"),
        (Placer, "place"),
        (companions, "filed"),
        (LeavingFiles, "take"),
    ]
    for number, (owner, step, after) in enumerate((*one, after) for one in steps for after in (False, True)):
        factory.drop(f"K{number}.jpg", photo(number))
        factory.ingest()
        factory.drop(f"K{number}.AAE", b"adjusted")
        factory.drop(f"K{number}.xmp", xmp(xmp_Rating="3"))
        real: Callable[..., Any] = getattr(owner, step)
        with monkeypatch.context() as patch:

            def killed(*args: Any, real: Any = real, after: bool = after, **kwargs: Any) -> Any:
                if after:
                    real(*args, **kwargs)
                raise Killed

            patch.setattr(owner, step, killed)
            with suppress(Killed):
                factory.ingest()
        for name in ("AAE", "xmp"):  # at each step it is somewhere, whole
            places = [factory.settings.inbox, factory.settings.storage]
            assert any(path.name.endswith(f"K{number}.{name}") for place in places for path in files_below(place))
        factory.ingest()
        assert factory.photos()[f"K{number}.jpg"]["rating"] == 3
    count = 2 * len(steps)
    assert factory.companions() == {
        f"{DAY}/K{number}.{ending}": f"K{number}.jpg" for number in range(count) for ending in ("AAE", "xmp")
    }
    assert in_inbox(factory) == set()


def test_equal_companions_of_two_photos_are_two_and_numbers_are_their_photo_s(factory: Factory) -> None:
    for number, folder in enumerate(("a", "b", "c")):
        factory.drop(f"{folder}/IMG_1.jpg", photo(number))
        factory.drop(f"{folder}/IMG_1.AAE", b"the same")
        factory.ingest()
    factory.drop("d/IMG_1.png", (SAMPLES / "PNG.png").read_bytes())
    factory.drop("d/IMG_1.png.xmp", xmp(exif_DateTimeOriginal="2008-05-30T01:02:03"))
    factory.drop("d/IMG_1.AAE", b"the same")  # its stem's name is taken beside it
    factory.ingest()
    assert set(factory.companions()) == {
        *(f"{DAY}/IMG_1{number}.AAE" for number in ("", "_1", "_2")),
        f"{DAY}/IMG_1.png.xmp",
        f"{DAY}/IMG_1.png.AAE",
    }
    assert in_inbox(factory) == set()


def test_what_a_duplicate_brings_with_it_joins_the_original_and_is_dropped_where_the_same_stands(
    factory: Factory,
) -> None:
    factory.drop("A.jpg", CANON)
    factory.drop("A.AAE", b"one")
    factory.ingest()
    factory.drop("again/B.jpg", CANON)
    factory.drop("again/B.AAE", b"one")
    factory.drop("again/B.xmp", xmp(xmp_Rating="4"))
    factory.drop("more/B.jpg", CANON)
    factory.drop("more/B.AAE", b"two")
    factory.ingest()
    assert set(factory.companions()) == {f"{DAY}/A.AAE", f"{DAY}/A.xmp", f"{DAY}/A.jpg.AAE"}
    assert factory.photos()["A.jpg"]["rating"] == 4
    assert in_inbox(factory) == set()
    kept = factory.settings.storage / "Overlay" / "Sidecars"
    assert [path.read_bytes() for path in kept.iterdir()] == [xmp(xmp_Rating="4")]


def test_a_companion_whose_file_has_gone_from_the_vault_comes_back_to_its_place(factory: Factory) -> None:
    factory.drop("A.jpg", CANON)
    factory.drop("A.AAE", b"one")
    factory.ingest()
    (path,) = factory.companions()
    (factory.settings.storage / path).unlink()
    factory.drop("A.AAE", b"one")
    factory.ingest()
    assert (factory.settings.storage / path).read_bytes() == b"one"
    assert in_inbox(factory) == set()


def test_a_companion_that_was_changed_in_the_vault_is_not_written_over(factory: Factory) -> None:
    factory.drop("A.jpg", CANON)
    factory.drop("A.xmp", xmp(xmp_Rating="1"))
    factory.ingest()
    (path,) = factory.companions()
    changed = factory.settings.storage / path
    changed.chmod(0o644)
    changed.write_bytes(xmp(xmp_Rating="2"))
    factory.drop("A.xmp", xmp(xmp_Rating="1"))
    factory.ingest()
    assert changed.read_bytes() == xmp(xmp_Rating="2")
    assert factory.stays() == {"A.xmp": "companion"} and "changed since" in factory.reason("A.xmp")
    changed.unlink()
    (factory.settings.inbox / "A.xmp").touch()
    factory.ingest()
    assert changed.read_bytes() == xmp(xmp_Rating="1")


def test_a_late_note_of_takeout_gives_a_corrected_date_and_a_missing_place(factory: Factory) -> None:
    factory.drop("x.jpg", CANON)  # 2008
    factory.drop("near.jpg", photo(1))
    factory.drop("u.jpg", UNDATED)
    factory.ingest()
    place = {"latitude": 52.5, "longitude": 13.4}
    factory.drop("x.jpg.json", takeout(geoData=place))
    factory.drop("near.jpg.json", takeout(photoTakenTime={"timestamp": "1212162000"}))  # the same day
    factory.drop("u.jpg.suppl.json", takeout())
    assert factory.ingest().companions == 3
    rows = factory.photos()
    assert str(rows["x.jpg"]["captured_at"]) == "2009-11-16 13:51:58"  # in Berlin, where it was taken
    assert rows["x.jpg"]["location"] == {"lat": 52.5, "lon": 13.4}
    assert rows["near.jpg"]["date_source"] == "exif:DateTimeOriginal"
    assert rows["u.jpg"]["date_source"] == "takeout:photoTakenTime"
    day = "Originals/2009/2009-11-16"
    assert set(factory.companions()) == {f"{day}/x.jpg.json", f"{day}/u.jpg.suppl.json", f"{DAY}/near.jpg.json"}


def test_what_was_decided_in_google_photos_is_decided_here(factory: Factory) -> None:
    folder = "Takeout/Google Photos/Lisbon"
    factory.drop(f"{folder}/x.jpg", CANON)
    factory.drop(f"{folder}/y.jpg", photo(1))
    factory.drop(f"{folder}/Metadaten.json", json.dumps({"title": "Lisbon", "date": {}}).encode())
    factory.drop("Takeout/Google Photos/Photos from 2009/z.jpg", photo(2))
    factory.drop(
        "Takeout/Google Photos/Photos from 2009/metadata.json",
        json.dumps({"title": "Photos from 2009", "date": {}}).encode(),
    )
    factory.ingest()
    people = [{"name": "Grandma"}, {"name": "Ünal"}]
    factory.drop(f"{folder}/x.jpg.json", takeout(description="At the sea", favorited=True, people=people))
    factory.drop(f"{folder}/y.jpg.supplemental-metadata.json", takeout(archived=True))
    factory.drop("Takeout/Google Photos/Photos from 2009/z.jpg.json", takeout(description="Alone"))
    assert factory.ingest().companions == 3

    def decided() -> list[dict[str, Any]]:
        return ledger_rows(
            factory.settings,
            "SELECT original_name, rating, description, is_hidden, "
            "(SELECT array_agg(tag ORDER BY tag) FROM asset_tags WHERE asset_id = id) AS tags, "
            "(SELECT array_agg(name) FROM album_items JOIN albums ON albums.id = album_id "
            "WHERE asset_id = media_assets.id) AS albums FROM media_assets ORDER BY 1",
        )

    names = ("original_name", "rating", "description", "is_hidden", "tags", "albums")
    assert decided() == [
        dict(zip(names, row, strict=True))
        for row in (
            ("x.jpg", 5, "At the sea", False, ["Grandma", "Ünal"], ["Lisbon"]),
            ("y.jpg", None, None, True, None, ["Lisbon"]),
            ("z.jpg", None, "Alone", False, None, None),
        )
    ]
    acts_made = ledger_rows(factory.settings, "SELECT kind, who, status FROM acts ORDER BY happened_at")
    assert acts_made == [{"kind": "takeout", "who": "Google Takeout", "status": "done"}] * 3
    database = Database(as_service(factory.settings, "factory"))
    try:
        with database.session() as session:
            assert undo.last_act(session) is None, "no person did it"
            changed = changes.carry_out(session, changes.rate(1), MediaAsset.original_name == "x.jpg", who="ada")
            assert changed.changed == 1
            sha256 = session.scalars(select(MediaAsset.file_hash).where(MediaAsset.original_name == "x.jpg")).one()
            note = TakeoutNote(None, NOWHERE, is_favourite=True, people=("grandma", "Zoe"))
            takeout_decisions.decide(session, note, "Lisbon", sha256)
            takeout_decisions.decide(session, note, "Lisbon", sha256)
            hostile = note._replace(people=("\u200b", " ", "zoe", "\ud800", "x" * 500), description="\u202e" * 9)
            takeout_decisions.decide(session, hostile, " \t", sha256)
    finally:
        database.close()
    first, *_ = decided()
    assert first["rating"] == 1, "what a person decided here stays"
    assert {"Grandma", "Zoe", "Ünal", "x" * 200} <= set(first["tags"])
    assert all(tag.strip() for tag in first["tags"]) and "zoe" not in first["tags"]
    assert (first["description"], first["albums"]) == ("At the sea", ["Lisbon"])


def test_an_import_copies_companions_passes_them_over_and_moves_them(factory: Factory, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, content in {
        "A.AAE": b"adjusted",
        "A.jpg": CANON,
        "F.MP4": FILM,
        "F.LRV": FILM + b"small",
        "ALONE.THM": photo(2),
    }.items():
        (source / name).write_bytes(content)
    foreseen = run_import(factory, source, dry_run=True)
    tally = run_import(factory, source)
    assert (tally.new, tally.companions, tally.not_media, tally.entries) == (3, 2, 0, 5)
    assert (foreseen.new, foreseen.companions) == (3, 2)
    count = "SELECT count(*) AS n FROM ingest_events"
    before = ledger_rows(factory.settings, count)
    again = run_import(factory, source)
    assert (again.new, again.duplicates, again.companions) == (0, 3, 2)
    assert ledger_rows(factory.settings, count) == before
    moved = run_import(factory, source, move=True)
    assert (moved.companions, moved.left) == (2, 0)
    assert list(source.iterdir()) == []
    assert sorted(map(os.path.basename, factory.companions())) == ["A.AAE", "F.LRV"]


def test_a_rebuilt_ledger_knows_whose_the_vault_s_companions_are(factory: Factory) -> None:
    factory.drop("a/A.jpg", CANON)
    factory.drop("a/A.xmp", xmp(xmp_Rating="4"))
    factory.drop("b/A.jpg", photo(1))
    factory.drop("b/A.AAE", b"adjusted")
    factory.drop("F.MP4", FILM)
    factory.drop("F.THM", photo(2))
    factory.ingest()
    before = factory.companions()
    assert len(before) == 3
    owner = Database(factory.settings)
    try:
        with owner.session() as session:
            from sqlalchemy import text

            session.execute(text("TRUNCATE media_assets, ingest_events, vault, inbox_files, companions"))
    finally:
        owner.close()
    shutil.rmtree(factory.settings.storage / "Overlay")
    database = Database(as_service(factory.settings, "factory"))
    try:
        dry = Rebuild(factory.settings, database, dry_run=True).run()
        done = Rebuild(factory.settings, database).run()
        again = Rebuild(factory.settings, database).run()
    finally:
        database.close()
    assert (dry.filed, dry.companions) == (done.filed, done.companions) == (3, 3)
    assert (again.filed, again.companions) == (0, 0)
    assert not done.not_media.count and not done.unknown.count
    assert set(factory.companions()) == set(before)
    assert factory.photos()["F.MP4"]["final_path"].replace(".MP4", ".THM") in factory.companions()


def test_what_came_in_is_kept_whole_and_what_is_damaged_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(xmp(xmp_Rating="1"))
    sha256 = sha256_of_file(path)
    kept = KeptSidecars(tmp_path / "Storage")
    (tmp_path / "Storage").mkdir()
    file = IncomingFile(str(path), "a.xmp", FileState.of(os.lstat(path)))
    kept.keep(file, sha256)
    standing = kept.folder / f"{sha256}.xmp"
    assert sha256_of_file(standing) == sha256
    standing.chmod(0o644)
    standing.write_bytes(b"damaged")
    kept.keep(file, sha256)
    assert sha256_of_file(standing) == sha256
    (aside,) = (one for one in kept.folder.iterdir() if one != standing)
    assert aside.read_bytes() == b"damaged"
    with pytest.raises(StillChanging):
        kept.keep(file, "0" * 64)
    assert len(list(kept.folder.iterdir())) == 2
    (kept.folder / ".factory-keeping-x").touch()
    kept.clean_up()
    assert len(list(kept.folder.iterdir())) == 2
