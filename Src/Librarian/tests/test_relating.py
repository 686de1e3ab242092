"""Pairs take one number, and what originals are to each other is recorded, whichever comes first."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from Src.Librarian.place.placing import Placer
from Src.Librarian.record.recorder import Recorder
from Src.Librarian.record.relations import Neighbour, between, by_key, neighbours, of_others
from Src.Librarian.tests.test_companions_filed import FILM, run_import
from Src.Librarian.tests.test_sidecars import CANON, CASES, Factory
from Src.Library.tests.overlay_bench import OverlayBench, sha256_of
from Src.Media.relations import Item
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.iphone import photo
from Src.Testing.promise import ledger_rows

DNG = (CASES / "step2" / "IMG_0007.DNG").read_bytes()

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


@pytest.fixture
def factory(factory_settings: Settings) -> Iterator[Factory]:
    factory = Factory(factory_settings)
    factory.settings.inbox.mkdir(parents=True, exist_ok=True)
    yield factory
    factory.assert_vault_right()


def made(tmp_path: Path, content: bytes, name: str, **tags: str) -> bytes:
    """A photo whose camera and date are these."""
    path = tmp_path / name
    path.write_bytes(content)
    told = [f"-{tag}={value}" for tag, value in tags.items()]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *told, path], check=True)
    return path.read_bytes()


def relations(factory: Factory) -> set[tuple[str, str, str]]:
    rows = ledger_rows(
        factory.settings,
        "SELECT r.kind, a.final_path AS one, b.final_path AS other FROM asset_relations r "
        "JOIN media_assets a ON a.file_hash = from_hash JOIN media_assets b ON b.file_hash = to_hash",
    )
    return {(row["kind"], row["one"].rsplit("/")[-1], row["other"].rsplit("/")[-1]) for row in rows}


def test_pairs_take_one_number_and_relations_are_recorded_in_any_order(factory: Factory, tmp_path: Path) -> None:
    shot = {"Model": "X", "DateTimeOriginal": "2024:07:06 01:02:03"}
    picture, raw = made(tmp_path, CANON, "p.jpg", **shot), made(tmp_path, DNG, "r.dng", **shot)
    for name in ("P.JPG", "L.JPG"):
        factory.drop(f"a/{name}", picture + name.encode())  # not of the pairs: they came from elsewhere
    factory.ingest()
    factory.drop("b/P.JPG", picture)
    factory.drop("b/P.DNG", raw)
    factory.drop("b/L.JPG", picture + b"live")
    factory.drop("b/IMG_E1234.JPG", picture + b"edited")
    factory.ingest()
    factory.drop("b/L.MP4", FILM)  # 2024-07-06 01:02:03
    factory.drop("b/IMG_1234.JPG", picture + b"as taken")
    factory.ingest()
    assert {path.split("/")[-1] for path in (row["final_path"] for row in ledger_rows(
        factory.settings, "SELECT final_path FROM media_assets"
    ))} == {"P.JPG", "L.JPG", "P_1.JPG", "P_1.DNG", "L_1.JPG", "L_1.MP4", "IMG_1234.JPG", "IMG_E1234.JPG"}  # fmt: skip
    assert relations(factory) == {
        ("raw_jpeg", "P_1.JPG", "P_1.DNG"),
        ("live_photo", "L_1.MP4", "L_1.JPG"),
        ("edited", "IMG_E1234.JPG", "IMG_1234.JPG"),
    }


def test_a_kill_before_a_pair_is_recorded_leaves_no_second_copy(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    shot = {"Model": "X", "DateTimeOriginal": "2024:07:06 01:02:03"}
    picture, raw = made(tmp_path, CANON, "p.jpg", **shot), made(tmp_path, DNG, "r.dng", **shot)
    factory.drop("P.JPG", picture + b"another")
    factory.ingest()
    source = tmp_path / "source"
    source.mkdir()
    (source / "P.JPG").write_bytes(picture)
    (source / "P.DNG").write_bytes(raw)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record", killed)
        patch.setattr(Placer, "take_back", lambda *_: None)
        with suppress(Killed):
            run_import(factory, source)
    day = factory.settings.originals / "2024" / "2024-07-06"
    assert {path.name for path in day.iterdir()} == {"P.JPG", "P_1.JPG", "P_1.DNG"}
    assert run_import(factory, source).new == 2
    assert {path.name for path in day.iterdir()} == {"P.JPG", "P_1.JPG", "P_1.DNG"}


class Source:
    """From where halves come in, each when a test says so: the inbox, where they are linked, or a folder, copied."""

    def __init__(self, factory: Factory, folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_inbox: bool) -> None:
        self._factory, self._patch, self._is_inbox = factory, monkeypatch, is_inbox
        self._folder = factory.settings.inbox if is_inbox else folder / "source"
        self._away = factory.settings.storage.parent / "away"
        self._away.mkdir()

    def comes(self, name: str, content: bytes | None = None) -> None:
        (self._folder / "a").mkdir(parents=True, exist_ok=True)
        if content is None:
            (self._away / name).rename(self._folder / "a" / name)
        else:
            (self._folder / "a" / name).write_bytes(content)

    def goes(self, name: str) -> None:
        """For now. (It takes longer to read, say, and is not in the next batch.)"""
        (self._folder / "a" / name).rename(self._away / name)

    def file(self) -> None:
        if self._is_inbox:
            self._factory.ingest()
        else:
            run_import(self._factory, self._folder)

    def is_killed_once_placed(self) -> None:
        class Killed(BaseException):
            pass

        def killed(*_: object, **__: object) -> None:
            raise Killed

        with self._patch.context() as patch:
            patch.setattr(Recorder, "record", killed)
            patch.setattr(Placer, "take_back", lambda *_: None)
            with pytest.raises(Killed):
                self.file()


@pytest.fixture(params=["inbox", "import"])
def source(factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Source:
    return Source(factory, tmp_path, monkeypatch, is_inbox=request.param == "inbox")


def live_photo() -> bytes:
    """Taken when FILM was."""
    return photo(datetime(2024, 7, 6, 1, 2, 3), form="JPEG")


def standing(factory: Factory) -> set[str]:
    return {path.name for path in (factory.settings.originals / "2024" / "2024-07-06").iterdir()}


def test_a_half_that_a_killed_run_has_placed_follows_the_other_one(factory: Factory, source: Source) -> None:
    source.comes("L.JPG", live_photo())
    source.is_killed_once_placed()
    source.goes("L.JPG")
    source.comes("L.MP4", FILM)
    source.file()
    assert standing(factory) == {"L.JPG", "L_1.MP4"}, "nobody knows whose half stands there"
    source.comes("L.JPG")
    source.file()
    assert standing(factory) == {"L_1.JPG", "L_1.MP4"}
    assert relations(factory) == {("live_photo", "L_1.MP4", "L_1.JPG")}


@pytest.mark.parametrize("source", ["inbox"], indirect=True)
def test_halves_that_killed_runs_have_placed_apart_come_together(factory: Factory, source: Source) -> None:
    source.comes("L.JPG", live_photo())
    source.is_killed_once_placed()
    source.goes("L.JPG")
    source.comes("L.MP4", FILM)
    source.is_killed_once_placed()
    assert standing(factory) == {"L.JPG", "L_1.MP4"}
    source.comes("L.JPG")
    source.file()
    assert standing(factory) in ({"L.JPG", "L.MP4"}, {"L_1.JPG", "L_1.MP4"})
    assert relations(factory)


@pytest.mark.parametrize("source", ["import"], indirect=True)
def test_a_half_that_a_killed_run_has_placed_under_a_number_is_found_where_its_own_name_is_free(
    factory: Factory, source: Source
) -> None:
    factory.drop("b/L.JPG", live_photo() + b"another's")
    factory.ingest()
    source.comes("L.JPG", live_photo())
    source.comes("L.MP4", FILM)
    source.is_killed_once_placed()
    source.goes("L.JPG")
    source.file()
    assert standing(factory) == {"L.JPG", "L_1.JPG", "L_1.MP4"}, "what stands there already stays"
    source.comes("L.JPG")
    source.file()
    assert standing(factory) == {"L.JPG", "L_1.JPG", "L_1.MP4"}
    assert relations(factory) == {("live_photo", "L_1.MP4", "L_1.JPG")}


def test_a_ledger_from_a_backup_parts_no_pair_that_stands(factory: Factory) -> None:
    factory.ingest()
    day = factory.settings.originals / "2024" / "2024-07-06"
    day.mkdir(parents=True)
    settled = {"L.JPG": live_photo(), "L.MP4": FILM, "L.JPG.xmp": b"<edited/>"}
    for name, content in settled.items():
        (day / name).write_bytes(content)
    factory.drop("a/L.JPG", settled["L.JPG"])  # the phone sends only this again
    factory.ingest()
    assert standing(factory) == settled.keys()
    factory.drop("a/L.MP4", FILM)
    factory.ingest()
    assert standing(factory) == settled.keys()
    assert relations(factory) == {("live_photo", "L.MP4", "L.JPG")}
    (day / "L.JPG.xmp").unlink()


@pytest.mark.parametrize("first", ["both", "L.MP4"])
def test_no_half_takes_a_path_that_was_another_originals(factory: Factory, first: str) -> None:
    factory.ingest()
    left = ("Originals/2024/2024-07-06/L.MP4", "Originals/2024/2024-07-06/L_1.JPG")
    with closing(Database(factory.settings)) as database, database.session() as session:
        for path in left:  # whatever stood there has another date by now
            session.execute(
                text("INSERT INTO left_paths (final_path, file_hash, act_id) VALUES (:path, :hash, gen_random_uuid())"),
                {"path": path, "hash": "0" * 64},
            )
    halves = {"L.JPG": live_photo(), "L.MP4": FILM}
    for some in (halves,) if first == "both" else ([first], halves.keys() - {first}):
        for name in some:
            factory.drop(f"a/{name}", halves[name])
        factory.ingest()
    assert standing(factory) == {"L_2.JPG", "L_2.MP4"}


def test_the_path_of_a_half_stays_its_own_while_its_file_is_gone(
    factory_settings: Settings, database: Database
) -> None:
    OverlayBench(factory_settings, database, originals=3)
    day = "Originals/2024/2024-01-"
    with database.session() as session:
        session.execute(
            text("UPDATE media_assets SET final_path = '" + day + "02/1.b.Mov' WHERE original_name = '1.jpg'")
        )
        asked = {f"{day}{one}": (".mov", ".dng") for one in ("02/1", "02/1.b", "01/0", "03/2")}
        assert of_others(session, {}, asked) == {f"{day}02/1.b.Mov"}
        assert of_others(session, {f"{day}02/1.b.Mov": {sha256_of(1)}}, asked) == set()
        left = "INSERT INTO left_paths (final_path, file_hash, act_id) VALUES (:path, :hash, gen_random_uuid())"
        session.execute(text(left), {"path": f"{day}01/0.DNG", "hash": "0" * 64})
        assert of_others(session, {}, asked) == {f"{day}02/1.b.Mov", f"{day}01/0.DNG"}


def test_of_many_with_one_content_identifier_so_many_are_asked_for_as_tell_that(
    factory_settings: Settings, database: Database
) -> None:
    OverlayBench(factory_settings, database, originals=80)
    with database.session() as session:
        session.execute(text("UPDATE media_assets SET content_id = 'one of many'"))
        session.execute(text("UPDATE media_assets SET content_id = 'a pair' WHERE original_name IN ('3.jpg', '4.jpg')"))
        here = [
            Neighbour("", "", Item(sha256_of(1), "a.jpg", "JPEG", datetime(2024, 1, 1), None, one), "a.jpg")
            for one in ("one of many", "a pair", "nobody's")
        ]
        found = [one.item.content_id for one in neighbours(session, here)]
        assert sorted(map(str, found)) == ["a pair"] * 2 + ["one of many"] * 51
        assert between(here[:1], by_key(neighbours(session, here[:1]))) == []
