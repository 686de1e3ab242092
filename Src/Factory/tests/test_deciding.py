"""The commands that decide, on a real factory: what they print, what stands beside the vault, and what undo gives."""

from __future__ import annotations

import json
import re
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from Src.Factory import albums, decide, show_duplicates, show_history, take_back
from Src.Factory.list_originals import list_originals
from Src.Factory.moments import moment
from Src.Factory.problems import Problem
from Src.Factory.redate import run_redate
from Src.Factory.removing import run_remove, run_trash
from Src.Factory.status import gather
from Src.Librarian.service import InboxService
from Src.Library.belonging import WrongLedger
from Src.Library.file_acts import ActRefused
from Src.Library.overlay.changes import DecisionRefused
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Shared.vault_marker import change_marker
from Src.Testing.roles import as_service

CANON = (PROJECT_ROOT / "Src" / "Librarian" / "tests" / "samples" / "Canon_40D.jpg").read_bytes()
WELL, FOUND = ExitCode.WELL, ExitCode.FOUND


@pytest.fixture
def factory(factory_settings: Settings) -> Settings:
    """A factory with 0.jpg, 1.jpg and 2.jpg, of which 0.jpg came twice."""
    settings = as_service(replace(factory_settings, readers=1), "factory")
    settings.inbox.mkdir(parents=True)
    with closing(Database(settings)) as database:
        for name, number in (("0.jpg", 0), ("1.jpg", 1), ("2.jpg", 2)):
            (settings.inbox / name).write_bytes(CANON + b"%d" % number)
        InboxService(settings, database, once=True).run()
        (settings.inbox / "again.jpg").write_bytes(CANON + b"0")
        InboxService(settings, database, once=True).run()
    return settings


Capture = pytest.CaptureFixture[str]


def said(capsys: Capture) -> Any:
    return json.loads(capsys.readouterr().out)


def originals(settings: Settings, capsys: Capture, selection: str = "*") -> list[dict[str, Any]]:
    capsys.readouterr()
    list_originals(settings, selection=selection, as_json=True, dry_run=False)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_is_decided_is_printed_listed_mirrored_and_undone(factory: Settings, capsys: Capture) -> None:
    options: dict[str, Any] = {"as_json": True, "dry_run": False}
    assert decide.rate(factory, selection="1.jpg", rating="4", **options) == WELL
    rated = said(capsys)
    assert (rated["meant"], rated["changed"], rated["kind"]) == (1, 1, "rate")
    decide.place(factory, selection="1.jpg", position="-33.8568, 151.2153", **options)
    decide.tag(factory, selection="1.jpg", words=["Oma", "[bold]"], remove=False, **options)
    decide.title(factory, selection="1.jpg", text="Am Meer", **options)
    decide.describe(factory, selection="1.jpg", text="Wie es war", **options)
    decide.rotate(factory, selection="1.jpg", degrees="90", **options)
    decide.hide(factory, selection="1.jpg", off=False, **options)
    albums.album(factory, name="Sommer", action="add", selection="1.jpg", **options)
    capsys.readouterr()
    [one] = originals(
        factory, capsys, 'tag:oma in:sommer is:hidden is:edited has:album title:"am meer" description:wie*'
    )
    decided = {name: one[name] for name in ("rating", "title", "description", "tags", "albums", "hidden", "rotation")}
    assert decided == {
        "rating": 4,
        "title": "Am Meer",
        "description": "Wie es war",
        "tags": ["[bold]", "Oma"],
        "albums": ["Sommer"],
        "hidden": True,
        "rotation": 90,
    }
    assert one["location"] == {"lat": -33.8568, "lon": 151.2153}
    assert len(originals(factory, capsys)) == 3, "hidden ones too"
    [lines] = (factory.storage / "Overlay").glob("*/*.jsonl")
    assert len(lines.read_text().splitlines()) == 8 + 10, "acts and events"

    assert albums.album(factory, name="SOMMER", action=None, selection=None, **options) == WELL
    assert [one["path"] for one in said(capsys)["originals"]] == [one["path"]]
    assert take_back.undo(factory, operation=rated["act"][:13], since=None, as_json=True, dry_run=False) == WELL
    assert said(capsys)["undone"][0]["kind"] == "rate"
    assert take_back.undo(factory, operation=None, since=None, as_json=False, dry_run=True) == WELL
    assert "album 1.jpg, by " in capsys.readouterr().out
    assert take_back.undo(factory, operation=None, since="2020-01-01", as_json=True, dry_run=False) == WELL
    assert len(said(capsys)["undone"]) == 7
    [one] = originals(factory, capsys, "1.jpg")
    assert (one["rating"], one["title"], one["tags"], one["albums"]) == (None, None, [], [])
    assert (one["hidden"], one["rotation"]) == (False, 0)
    assert take_back.undo(factory, operation=None, since=None, as_json=False, dry_run=False) == FOUND
    assert "nothing to undo" in capsys.readouterr().out


def test_albums_are_shown_with_how_many_are_in_each(factory: Settings, capsys: Capture) -> None:
    options: dict[str, Any] = {"as_json": False, "dry_run": False}
    assert albums.album(factory, name=None, action=None, selection=None, **options) == FOUND
    albums.album(factory, name="Sommer", action="add", selection="1.jpg or 2.jpg", **options)
    capsys.readouterr()
    assert albums.album(factory, name=None, action=None, selection=None, as_json=True, dry_run=False) == WELL
    assert said(capsys) == {"albums": [{"album": "Sommer", "originals": 2}]}
    assert albums.album(factory, name="Winter", action=None, selection=None, **options) == FOUND
    assert "There is no album Winter. The albums are: Sommer." in capsys.readouterr().out


def test_the_cover_and_another_order_are_shown(factory: Settings, capsys: Capture) -> None:
    def do(action: str | None, selection: str | None, *, as_json: bool = False) -> str:
        capsys.readouterr()
        albums.album(factory, name="Sommer", action=action, selection=selection, as_json=as_json, dry_run=False)
        return capsys.readouterr().out

    do("add", "1.jpg or 2.jpg")
    assert "cover" not in do(None, None)
    do("cover", "2.jpg")
    assert re.findall(r"(\d)\.jpg +cover", do(None, None)) == ["2"]
    do("last", "1.jpg")
    do("first", "1.jpg")
    show_history.show_history(factory, name="1.jpg", at=None, as_json=False)
    shown = capsys.readouterr().out
    assert (shown.count("(moved"), shown.count("forward)"), shown.count("back)")) == (2, 1, 1)


def test_an_empty_trash_is_said_to_be_empty(factory: Settings, capsys: Capture) -> None:
    capsys.readouterr()
    assert run_trash(factory, words=["empty"], yes=True, really=False, as_json=False, dry_run=False) == FOUND
    assert capsys.readouterr().out == "The trash is empty.\n"
    assert run_trash(factory, words=["empty", "1.jpg"], yes=True, really=True, as_json=False, dry_run=False) == FOUND
    assert "No original in the trash" in capsys.readouterr().out


def test_a_dry_run_of_undo_counts_as_the_undo_itself_would(factory: Settings, capsys: Capture) -> None:
    for stars in ("1", "3", "5"):
        decide.rate(factory, selection="1.jpg", rating=stars, as_json=False, dry_run=False)
    run_redate(factory, selection="1.jpg", shift="+1:00", set_to=None, every=None, as_json=False, dry_run=False)
    capsys.readouterr()
    tried = undone(factory, capsys, dry_run=True)
    assert [one["rating"] for one in originals(factory, capsys, "1.jpg")] == [5], "nothing was changed"
    assert tried == undone(factory, capsys, dry_run=False) == [("redate", 1, 0), *[("rate", 1, 0)] * 3]
    assert [one["rating"] for one in originals(factory, capsys, "1.jpg")] == [None]


def test_undo_says_what_has_gone_for_good_and_takes_back_the_rest(factory: Settings, capsys: Capture) -> None:
    decide.rate(factory, selection="1.jpg", rating="4", as_json=False, dry_run=False)
    run_remove(factory, selection="2.jpg", as_json=False, dry_run=False)
    run_trash(factory, words=["empty"], yes=True, really=True, as_json=False, dry_run=False)
    with pytest.raises(ActRefused, match="gone for good"):
        take_back.undo(factory, operation=None, since=None, as_json=False, dry_run=False)
    capsys.readouterr()
    expected = [("empty", 0, 1), ("remove", 0, 1), ("rate", 1, 0)]
    assert undone(factory, capsys, dry_run=True, code=FOUND) == expected
    assert undone(factory, capsys, dry_run=False, code=FOUND) == expected


def undone(factory: Settings, capsys: Capture, *, dry_run: bool, code: int = WELL) -> list[tuple[str, int, int]]:
    """What an undo of everything says: of each act what it was, how many originals came back, how many are left."""
    capsys.readouterr()
    assert take_back.undo(factory, operation=None, since="2020-01-01", as_json=True, dry_run=dry_run) == code
    return [(one["kind"], one["restored"], one["left"]) for one in said(capsys)["undone"]]


def test_history_is_in_words(factory: Settings, capsys: Capture) -> None:
    decide.place(factory, selection="1.jpg", position="-33.8568,151.2153", as_json=False, dry_run=False)
    decide.tag(factory, selection="1.jpg", words=["Oma", "Meer"], remove=False, as_json=False, dry_run=False)
    decide.hide(factory, selection="1.jpg", off=False, as_json=False, dry_run=False)
    capsys.readouterr()
    show_history.show_history(factory, name="1.jpg", at=None, as_json=False)
    shown = capsys.readouterr().out
    assert "-33.85680, 151.21530" in shown
    show_history.show_history(factory, name="1.jpg", at="2099-01-01", as_json=False)
    then = capsys.readouterr().out
    assert not set('{}[]"') & set(then), then
    assert re.search(r"hidden +yes\n", then) and re.search(r"captured_at +2008-05-30 15:56:01\n", then)
    assert re.search(r"tags +Meer, Oma\n", then)


@pytest.mark.parametrize("position", ["0,0", "-0.0, 0"])
def test_where_no_camera_was_is_no_place(factory: Settings, position: str) -> None:
    with pytest.raises(DecisionRefused, match="no place"):
        decide.place(factory, selection="1.jpg", position=position, as_json=False, dry_run=False)


def test_for_people_it_says_how_many_and_how_to_take_it_back(factory: Settings, capsys: Capture) -> None:
    assert decide.favourite(factory, selection="1.jpg or 2.jpg", off=False, as_json=False, dry_run=True) == WELL
    assert "2 originals, 2 would change" in capsys.readouterr().out
    assert decide.favourite(factory, selection="1.jpg or 2.jpg", off=False, as_json=False, dry_run=False) == WELL
    assert "./factory undo takes it back" in capsys.readouterr().out
    assert decide.favourite(factory, selection="never", off=False, as_json=False, dry_run=False) == FOUND
    assert albums.album(factory, name="x", action=None, selection=None, as_json=False, dry_run=False) == FOUND
    capsys.readouterr()
    assert show_history.show_history(factory, name="1.jpg", at=None, as_json=False) == WELL
    assert "favourite" in capsys.readouterr().out
    assert show_history.show_history(factory, name="0.jpg", at=None, as_json=False) == FOUND
    capsys.readouterr()
    assert show_history.show_history(factory, name="1.jpg", at="2020-01-01", as_json=True) == WELL
    assert [one["then"]["rating"] for one in said(capsys)["originals"]] == [None]


def test_duplicates_say_what_was_dropped_against_what(factory: Settings, capsys: Capture) -> None:
    assert show_duplicates.show_duplicates(factory, as_json=True) == WELL
    one = said(capsys)
    assert (one["dropped"], one["original"]) == ("again.jpg", originals(factory, capsys, "0.jpg")[0]["path"])
    assert show_duplicates.show_duplicates(factory, as_json=False) == WELL
    assert capsys.readouterr().out.endswith("1 duplicate.\n")


def test_a_mirror_that_cannot_be_written_is_a_warning_and_loses_nothing(
    factory: Settings, capsys: Capture, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (factory.storage / "Overlay").symlink_to(tmp_path)
    assert decide.rate(factory, selection="1.jpg", rating="4", as_json=False, dry_run=False) == WELL
    assert "does not stand beside the vault yet" in caplog.text
    assert originals(factory, capsys, "rating:4") != []
    assert not any("Storage/Overlay" in warning for warning in gather(factory)["warnings"]), "the Librarian may do it"
    _make_older(factory)
    assert [one for one in gather(factory)["warnings"] if one.startswith("1 decision of people")]


def _make_older(settings: Settings) -> None:
    """As the ledger's owner: an event is never changed."""
    owner = replace(settings, database_url=str(settings.database_url).replace("pf_librarian", "photo_factory"))
    with closing(Database(owner)) as database, database.session() as session:
        session.execute(text("UPDATE overlay_events SET happened_at = now() - interval '1 hour'"))


def test_in_a_ledger_that_is_another_vaults_nothing_is_decided(factory: Settings, capsys: Capture) -> None:
    change_marker(factory.originals, lambda marker: replace(marker, vault_id=uuid.uuid4()))
    with pytest.raises(WrongLedger):
        decide.rate(factory, selection="1.jpg", rating="4", as_json=False, dry_run=False)
    assert originals(factory, capsys, "rating:4") == []


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("words", "end", "expected"),
    [
        ("2026-11-29 18:00", False, datetime(2026, 11, 29, 17, tzinfo=UTC)),
        ("2026-11-29T18:00:00Z", False, datetime(2026, 11, 29, 18, tzinfo=UTC)),
        ("2026-11-29", False, datetime(2026, 11, 28, 23, tzinfo=UTC)),
        ("2026-11-29", True, datetime(2026, 11, 29, 23, tzinfo=UTC)),
        ("9:05", False, datetime(2026, 11, 29, 8, 5, tzinfo=UTC)),
    ],
)
def test_moments_are_read_as_people_write_them(words: str, end: bool, expected: datetime) -> None:
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert moment(words, BERLIN, now, about="x", end_of_day=end) == expected


@pytest.mark.parametrize("words", ["", "yesterday", "25:00", "2026-13-01", "18", "9999-12-31"])
def test_what_is_no_time_is_refused(words: str) -> None:
    with pytest.raises(Problem, match="no time"):
        moment(words, BERLIN, datetime.now(UTC), about="x", end_of_day=True)
