"""What files and their sidecars say in words is in the ledger, as theirs; what a person has decided comes first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from Src.Librarian.record.recorder import Recorder
from Src.Librarian.tests.test_sidecars import CANON, Factory
from Src.Library.overlay import changes
from Src.Library.overlay.changes import carry_out
from Src.Library.overlay.current import among
from Src.Media.tests.jpeg_made import xmp_segment
from Src.Media.tests.test_words import in_languages, listed, xmp
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.promise import ledger_rows
from Src.Testing.roles import as_service

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


@pytest.fixture
def factory(factory_settings: Settings) -> Iterator[Factory]:
    factory = Factory(factory_settings)
    factory.settings.inbox.mkdir(parents=True, exist_ok=True)
    yield factory
    factory.assert_vault_right()


def packet(title: str | None = None, tags: tuple[str, ...] = (), stars: str = "") -> str:
    said = (in_languages("dc:title", {"x-default": title}) if title else "") + listed("dc:subject", list(tags))
    return xmp(said, f' xmp:Rating="{stars}"' if stars else "")


def photo(number: int, title: str | None = None, tags: tuple[str, ...] = ()) -> bytes:
    return CANON[:2] + xmp_segment(packet(title, tags)) + CANON[2:] + b"%d" % number


def said(factory: Factory, name: str) -> tuple[str | None, set[str], int | None]:
    row = factory.photos()[name]
    tags = ledger_rows(factory.settings, f"SELECT tag FROM asset_tags WHERE asset_id = '{row['id']}'")
    return row["title"], {str(one["tag"]) for one in tags}, row["rating"]


def decide(factory: Factory, name: str, *decisions: changes.Decision) -> None:
    database = Database(as_service(factory.settings, "factory"))
    try:
        with database.session() as session:
            for one in decisions:
                carry_out(session, one, among([factory.photos()[name]["file_hash"]]), who="anna")
    finally:
        database.close()


def test_the_sidecar_wins_in_either_order_and_nothing_of_it_is_an_event(factory: Factory) -> None:
    factory.drop("A.jpg", photo(1, "own", ("own", "both")))
    factory.drop("A.xmp", packet("said", ("Both", "new"), "4").encode())
    factory.drop("B.jpg", photo(2, "own", ("own", "both")))
    factory.drop("C.jpg", photo(3, "own", ("own",)))
    factory.ingest()
    factory.drop("B.xmp", packet("said", ("Both", "new"), "4").encode())
    factory.drop("C.xmp", packet(stars="2").encode())
    factory.ingest()
    assert said(factory, "A.jpg") == said(factory, "B.jpg") == ("said", {"Both", "new"}, 4)
    assert said(factory, "C.jpg") == ("own", {"own"}, 2)
    assert ledger_rows(factory.settings, "SELECT id FROM overlay_events") == []


def test_a_late_sidecar_says_nothing_about_what_a_person_has_decided(factory: Factory) -> None:
    factory.drop("A.jpg", photo(1, "own", ("own", "gone")))
    factory.ingest()
    decide(
        factory,
        "A.jpg",
        changes.title("mine"),
        changes.tag(["mine"], remove=False),
        changes.tag(["gone"], remove=True),
    )
    factory.drop("A.xmp", packet("said", ("GONE", "new", "Mine"), "4").encode())
    factory.ingest()
    assert said(factory, "A.jpg") == ("mine", {"mine", "new"}, 4)


def test_duplicates_keep_what_all_their_sidecars_say(factory: Factory) -> None:
    content = photo(1, "own", ("own",))
    factory.drop("a/A.jpg", content)
    factory.drop("a/A.xmp", packet("first", ("one",)).encode())
    factory.ingest()
    factory.drop("b/A.jpg", content)
    factory.drop("b/A.xmp", packet(None, ("two", "One"), "3").encode())
    factory.drop("c/A.jpg", content)
    factory.ingest()
    factory.drop("c/A.xmp", packet(None, ("three",)).encode())
    factory.ingest()
    assert said(factory, "A.jpg") == ("first", {"one", "two", "three"}, 3)
    assert list(factory.companions().values()) == ["A.jpg"] * 3


def test_words_survive_the_journal(factory: Factory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    factory.drop("first.jpg", photo(0))
    factory.ingest()
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "connect", lambda _self: False)
        factory.drop("A.jpg", photo(1, "own \u00fc", ("own", "two words")))
        factory.ingest()
        assert "A.jpg" not in factory.photos()
    factory.ingest()
    assert said(factory, "A.jpg") == ("own \u00fc", {"own", "two words"}, None)
