"""Each page on a real ledger: what it shows, and that it does without what is missing."""

from __future__ import annotations

import itertools
import json
import logging
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import func, insert, select
from streamlit.testing.v1 import AppTest

from Src.Accounts.sessions import Sessions
from Src.Dashboard import look, resources
from Src.Dashboard.ledger import Ledger
from Src.Dashboard.tests.conftest import PAGE_LIMIT, Show, photos, texts
from Src.Shared.database import Database
from Src.Shared.models import InboxFile, IngestEvent, MediaAsset, OriginalFinding, SystemStatus, SystemStatusHistory
from Src.Shared.settings import Settings

HOSTILE = "<img src=x onerror=alert(1)> **b** :smile:.jpg"
_ENTRY = Path(__file__).parents[1] / "dashboard.py"
_numbers = itertools.count(1)


def original(database: Database, name: str = "IMG_1.jpg", **more: Any) -> str:
    """Puts an original and its event into the ledger; its path."""
    number = next(_numbers)
    file_hash, path = f"{number:064x}", f"Originals/2024/2024-05-01/{number}-{name}"
    row = {
        "file_hash": file_hash, "file_size": 1000, "original_name": name, "original_path": f"phone/{name}",
        "final_path": path, "media_kind": "JPEG", "mime_type": "image/jpeg", "captured_at": datetime(2024, 5, 1, 12),
        "date_source": "exif",
    }  # fmt: skip
    with database.session() as session:
        session.execute(insert(MediaAsset).values(**row | more))
        event = {name: row[name] for name in ("file_hash", "file_size", "original_name", "original_path", "final_path")}
        session.execute(insert(IngestEvent).values(fate="ingested", source="inbox", **event))
    return path


def stays(database: Database, name: str, state: str, **more: Any) -> None:
    with database.session() as session:
        session.execute(
            insert(InboxFile).values(
                path_id=uuid.uuid4(), original_path=name, state=state, file_size=7, mtime_ns=0, inode=0, **more
            )
        )


def links(page: AppTest) -> list[Any]:
    return [one.proto for one in page.get("page_link")]


def beat(database: Database, service: str, ago: float, interval: float = 3600.0, **more: Any) -> None:
    """A heartbeat `ago` seconds ago. At so long an interval it is not late before a slow test has looked."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    values = {"service_name": service, "status": "OK", "current_task": "watching", **more}
    with database.session() as session:
        session.execute(insert(SystemStatus).values(last_heartbeat=at, interval_seconds=interval, **values))
        session.execute(insert(SystemStatusHistory).values(heartbeat_timestamp=at, **values))


@pytest.fixture
def ledger_away(dashboard: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers where the ledger should be."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setattr("Src.Dashboard.resources.database", None)  # the pages connect for themselves
    monkeypatch.setattr("Src.Dashboard.ledger.FIRST_WAIT", 0.0)  # for whom?
    st.cache_resource.clear()


# -- Overview ----------------------------------------------------------------------------------------------


def test_overview_at_the_very_first_start_says_what_to_do(show: Show, dashboard: Settings) -> None:
    page = show("overview")
    assert "Add your first photos" in texts(page)
    assert "./factory import" in texts(page)
    assert str(dashboard.inbox) in texts(page)


@pytest.fixture
def noon() -> Iterator[None]:
    """It is noon where this factory is: the day of what is filed does not end before it is counted."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", f"Etc/GMT{datetime.now(UTC).hour - 12:+d}")
        yield
    time.tzset()  # the C library has taken it over when it formatted a time


def test_overview_counts_and_says_that_all_is_good(
    noon: None, show: Show, database: Database, dashboard: Settings
) -> None:
    for _ in range(3):
        original(database)
    beat(database, "librarian", 5)
    stays(database, "note.txt", "not_media")
    for name in ("note.txt", "new.jpg"):
        (dashboard.inbox / name).touch()
    marker = dashboard.originals / ".photo-factory-vault"
    marker.parent.mkdir(parents=True)
    marker.touch()

    page = show("overview")

    numbers = {metric.label: metric.value for metric in page.metric}
    assert numbers == {
        "Photos and videos": "3", "Added today": "3", "Waiting": "1", "Not photos": "1", "Failed": "0",
    }  # fmt: skip
    [verdict] = page.success
    assert verdict.value.startswith("**All good\\:")
    assert "Add your first photos" not in texts(page)


@pytest.mark.parametrize(("ago", "alerts"), [(6000, "warning"), (12_000, "error")])
def test_overview_turns_yellow_and_then_red_as_the_librarian_goes_silent(
    show: Show, database: Database, ago: float, alerts: str
) -> None:
    beat(database, "librarian", ago)
    page = show("overview")
    assert len(page.get("alert") or getattr(page, alerts)) >= 1
    assert not page.success
    assert "librarian" in getattr(page, alerts)[0].value


def test_overview_without_the_ledger_names_it_and_shows_the_rest(
    show: Show, ledger_away: None, dashboard: Settings
) -> None:
    page = show("overview")
    shown = texts(page)
    assert "The database has not answered" in shown
    assert "photos wait in the inbox" in shown
    assert "Memory" in shown
    assert [metric.label for metric in page.metric] == ["Waiting"]


def test_overview_tells_when_docker_cannot_be_asked(
    show: Show, dashboard: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    st.cache_resource.clear()
    assert "Docker: " in texts(show("overview"))


def test_overview_shows_photos_first_and_leads_to_the_new_ones(
    noon: None, show: Show, database: Database, dashboard: Settings
) -> None:
    """Last added and last taken apart where they differ; and what was taken on this day, in earlier years."""
    today = datetime.now(resources.settings().zone)
    for number in range(15):
        original(database, f"old_{number}.jpg")
    is_leap_day = f"{today:%m%d}" == "0229"
    earlier = datetime(2001, 2, 28) if is_leap_day else today.replace(year=today.year - 3, tzinfo=None)
    original(database, "today.jpg", captured_at=earlier)
    page = show("overview")
    assert [one.value for one in page.header][:2] == ["Recently added", "Recently taken"]
    assert ("On this day" in texts(page)) is not is_leap_day
    assert "16 photos added today" in texts(page)
    leads = {link.label: link.query_string for link in links(page)}
    assert leads["Recently added"] == "order=added"
    assert leads["Which files"] == "show=not_photos" and leads["Reasons"] == "show=failed"
    assert leads["Files in the inbox"] == "show=Waiting"


def test_a_phone_gets_fewer_photos(show: Show, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(15):
        original(database, f"{number}.jpg")
    monkeypatch.setattr(look, "is_phone", lambda: True)
    assert len(photos(show("overview"))[0]) == 6
    monkeypatch.setattr(look, "is_phone", lambda: False)
    assert len(photos(show("overview"))[0]) == 12


# -- what an address asks for ------------------------------------------------------------------------------


def test_an_address_names_a_photo(show: Show, dashboard: Settings) -> None:
    """Each page showed photos once: addresses that people have kept lead to the gallery."""
    page = AppTest.from_file(_ENTRY, default_timeout=PAGE_LIMIT)
    page.query_params["photo"] = str(uuid.UUID(int=7))
    [lead] = [link for link in links(page.run()) if link.label == "Open this photo in the gallery"]
    assert not page.exception and lead.page == "gallery" and lead.query_string == f"photo={uuid.UUID(int=7)}"


def test_an_address_names_a_file_that_came_in(show: Show, database: Database) -> None:
    original(database, HOSTILE)
    with database.session() as session:
        event = session.scalar(select(IngestEvent.id))
    page = show("activity", event=str(event))
    assert "What: added" in texts(page)
    [[photo]] = photos(page)
    assert photo.name == HOSTILE and photo.href.startswith("gallery?photo=")
    assert "Nothing is known" in texts(show("activity", event=str(uuid.uuid4())))
    assert not show("activity", event="x").exception


def test_an_address_names_a_kind_of_problem(show: Show, database: Database) -> None:
    stays(database, "note.txt", "not_media")
    stays(database, "a.jpg", "failing", last_error="no access")
    page = show("problems", show="not_photos")
    [table] = page.dataframe
    assert list(table.value["File in the inbox"]) == ["note.txt"]
    assert "None of this kind" in texts(show("problems", show="damaged"))
    assert len(show("problems", show="no such kind").dataframe) == 2


def test_an_address_names_a_service(show: Show, database: Database) -> None:
    beat(database, "librarian", 5)
    beat(database, "syncthing", 5)
    shown = texts(show("services", service="syncthing"))
    assert "syncthing" in shown and "librarian" not in shown
    assert "no such service" in texts(show("services", service="<b>"))


def test_files_that_wait_are_listed(show: Show, database: Database, dashboard: Settings) -> None:
    assert "The inbox is empty" in texts(show("activity", show="Waiting"))
    (dashboard.inbox / "a.jpg").touch()
    [table] = show("activity", show="Waiting").dataframe
    assert list(table.value["File in the inbox"]) == ["a.jpg"]


@pytest.mark.parametrize(
    "asked",
    [{"at": "x"}, {"at": "91_0_3"}, {"at": "nan_0_3"}, {"area": "1_2"}, {"area": "9e9_1_1_1"}, {"area": "1_2_3_4"}],
)
def test_the_map_takes_any_address(show: Show, database: Database, asked: dict[str, str]) -> None:
    original(database, location={"lat": 1.0, "lon": 2.0})
    assert "1 photo with a location" in texts(show("map", **asked))


def test_recently_added_goes_by_when_photos_came(show: Show, database: Database) -> None:
    original(database, "new.jpg", captured_at=datetime(2024, 1, 1), ingested_at=datetime(2026, 5, 2, 12, tzinfo=UTC))
    original(database, "old.jpg", captured_at=datetime(2025, 1, 1), ingested_at=datetime(2026, 5, 1, 12, tzinfo=UTC))
    original(database, "hidden.jpg", is_hidden=True)
    for days in map(timedelta, range(12)):
        original(database, captured_at=datetime(2020, 1, 1) + days, ingested_at=datetime(2025, 5, 1, tzinfo=UTC) - days)
    added, taken, *_ = photos(show("overview"))
    assert [photo.name for photo in added[:2]] == ["new.jpg", "old.jpg"]
    assert [photo.name for photo in taken[:2]] == ["old.jpg", "new.jpg"]
    assert added[0].href.startswith("gallery?order=added&photo=") and taken[0].href.startswith("gallery?photo=")


def test_names_are_data_and_nothing_else(show: Show, database: Database) -> None:
    original(database, f'"{HOSTILE}\u202e[a](x).jpg', camera_model=HOSTILE)
    page = show("overview")
    [[photo]] = photos(page)
    assert photo.name.startswith(f'"{HOSTILE}') and "\u202e" not in photo.name
    assert not any(HOSTILE in one.proto.body for one in page.get("html")) and "<img" not in texts(page)


def test_a_hidden_photo_is_shown_among_hidden_ones(show: Show, database: Database) -> None:
    original(database, is_hidden=True)
    with database.session() as session:
        event = session.scalar(select(IngestEvent.id))
    [[photo]] = photos(show("activity", event=str(event)))
    assert photo.href.startswith("gallery?order=hidden&photo=")


@pytest.mark.parametrize(("seconds", "every"), [("0", None), ("7.5", 7.5)])
def test_pages_look_again_as_often_as_is_set(
    show: Show, monkeypatch: pytest.MonkeyPatch, seconds: str, every: float | None
) -> None:
    monkeypatch.setenv("DASHBOARD_REFRESH", seconds)
    st.cache_resource.clear()
    asked: list[float | None] = []

    def fragment(part: Any, run_every: float | None) -> Any:
        asked.append(run_every)
        return part

    monkeypatch.setattr(st, "fragment", fragment)
    show("problems")
    assert asked == [every]


@pytest.mark.parametrize("page", ["gallery", "map", "activity"])
def test_an_empty_page_has_one_button_that_helps(show: Show, database: Database, page: str) -> None:
    assert len(links(show(page))) == 1


# -- Activity ----------------------------------------------------------------------------------------------


def test_activity_shows_what_happened_newest_first(show: Show, database: Database) -> None:
    original(database, "first.jpg")
    original(database, HOSTILE)
    [table] = show("activity").dataframe
    assert list(table.value["File"]) == [HOSTILE, "first.jpg"]
    assert set(table.value["What"]) == {"added"}


def test_activity_shows_only_what_is_asked_for(show: Show, database: Database) -> None:
    original(database, "first.jpg")
    with database.session() as session:
        session.execute(
            insert(IngestEvent).values(
                fate="failed", source="inbox", original_name="bad.jpg", original_path="bad.jpg", message="truncated"
            )
        )
    page = show("activity")
    page.button_group(key="show").set_value("Failed")
    [table] = page.run().dataframe
    assert list(table.value["File"]) == ["bad.jpg"]
    assert list(table.value["Why"]) == ["truncated"]


@pytest.mark.parametrize("asked", ["img_77", "G_77", "IMG_7?.jpg", "phone/IMG_77"])
def test_where_is_my_photo(show: Show, database: Database, asked: str) -> None:
    path = original(database, "IMG_77.jpg")
    original(database, "IMG_1234.jpg")
    page = show("activity")
    page.text_input(key="find").set_value(asked)
    [table] = page.run().dataframe
    assert list(table.value["Kept at"]) == [path]


def test_a_photo_that_nobody_knows(show: Show, database: Database) -> None:
    page = show("activity")
    page.text_input(key="find").set_value("100%_sure")
    page.run()
    assert "Nothing is known" in page.info[0].value


def test_a_file_that_still_waits_is_found_in_the_inbox(show: Show, dashboard: Settings) -> None:
    (dashboard.inbox / "IMG_5.jpg").touch()
    page = show("activity")
    page.text_input(key="find").set_value("img_5")
    assert "IMG_5.jpg" in texts(page.run())


# -- Problems ----------------------------------------------------------------------------------------------


def test_no_problems(show: Show, database: Database) -> None:
    beat(database, "librarian", 1)
    beat(database, "dashboard", 1)
    assert "No problems" in show("problems").success[0].value


def test_problems_lists_damaged_originals_until_a_person_removes_them(
    show: Show, database: Database, dashboard: Settings
) -> None:
    beat(database, "librarian", 1)
    aside = dashboard.storage / ".factory/damaged/2024-05-01" / f"{HOSTILE}.12345678"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"rotten")
    page = show("problems")
    assert list(page.dataframe[0].value["Moved to"]) == [f".factory/damaged/2024-05-01/{HOSTILE}.12345678"]
    assert "Damaged photos (1)" in texts(page)
    aside.unlink()
    st.cache_data.clear()
    assert "No problems" in show("problems").success[0].value


def test_problems_tells_each_with_its_reason_and_retries(
    show: Show, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(database, "librarian", 1)
    stays(database, HOSTILE, "dead_letter", attempts=8, last_error="no access")
    due = datetime.now(UTC) + timedelta(hours=5)
    stays(database, "b.jpg", "failing", attempts=2, last_error="truncated", next_try_at=due)
    stays(database, "note.txt", "not_media")
    stays(database, "album", "link", last_error="a symbolic link; links are not followed")
    stays(database, "/card/closed", "unreadable", last_error="cannot be read: Permission denied")
    original(database, has_errors=True, error_message="broken half way")

    page = show("problems")

    failures, odd, broken, not_media = page.dataframe
    assert list(failures.value["File in the inbox"]) == [HOSTILE, "b.jpg"]
    assert list(failures.value["Reason"]) == ["no access", "truncated"]
    assert list(failures.value["Tries"]) == [8, 2]
    assert list(failures.value["Next try"]) == ["not by itself", "in 4 hours"]
    assert list(odd.value["File in the inbox"]) == ["/card/closed", "album"]
    assert list(odd.value["State"]) == ["cannot be read", "a link"]
    assert all(odd.value["What to do"])
    assert list(broken.value["Reason"]) == ["broken half way"]
    assert list(not_media.value["File in the inbox"]) == ["note.txt"]

    monkeypatch.setattr(look, "ANSWER_STAYS", 3600.0)
    page.button(key="retry").click().run()

    assert "2 files will be tried again" in texts(page)
    assert "2 files will be tried again" in texts(page.run()), "there is time to read it"
    with database.session() as session:
        due_now = select(func.count()).where(InboxFile.state == "failing", InboxFile.attempts == 0)
        assert session.scalar(due_now) == 2


def test_problems_tells_of_originals_that_are_gone_and_of_rows_that_are_refused(
    show: Show, database: Database, factory_settings: Settings
) -> None:
    beat(database, "librarian", 1)
    with database.session() as session:
        for finding, path in (("writable", "Originals/2024/2024-05-01/a.jpg"), ("gone", HOSTILE)):
            row = {"finding": finding, "final_path": path, "message": "no file stands there"}
            session.execute(insert(OriginalFinding).values(asset_id=uuid.uuid4(), **row))
    journal = factory_settings.state / "journal"
    journal.mkdir(parents=True)
    line = {"event": {"final_path": "Originals/2024/2024-05-01/b.jpg"}, "asset": None, "reason": "out of range"}
    (journal / "rejected.json-lines").write_text(f"{json.dumps(line)}\n{{torn")

    page = show("problems")

    originals, refused = page.dataframe
    assert list(originals.value["Photo"]) == [HOSTILE, "Originals/2024/2024-05-01/a.jpg"]
    assert list(originals.value["Is"]) == ["gone", "writable"]
    assert "verify --restore-from FOLDER" in originals.value["What to do"][0]
    assert list(refused.value["Reason"]) == ["out of range"]
    assert "./factory retry" in texts(page)


def test_a_silent_service_is_a_problem_with_something_to_do(show: Show, database: Database) -> None:
    beat(database, "librarian", 1000, 60)
    shown = texts(show("problems"))
    assert "silent" in shown or "16 minutes ago" in shown
    assert "Restart it" in shown


# -- Services ----------------------------------------------------------------------------------------------


def test_services_shows_states_uptime_and_the_log_by_level(show: Show, database: Database, dashboard: Settings) -> None:
    beat(database, "librarian", 5, message="look <b>here</b>", status="WARNING")
    log = dashboard.run / "logs" / "librarian.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "2026-01-01 10:00:00.000 INFO librarian: <script>alert(1)</script>\n"
        "2026-01-01 10:00:01.000 ERROR librarian: bad\n    Traceback\n"
    )

    page = show("services")

    assert "look <b>here</b>" in texts(page)
    [shown] = page.code
    assert shown.value.splitlines() == [
        "    Traceback", "2026-01-01 10:00:01.000 ERROR librarian: bad",
        "2026-01-01 10:00:00.000 INFO librarian: <script>alert(1)</script>",
    ]  # fmt: skip
    page.button_group(key="level").set_value("ERROR")
    assert "INFO" not in page.run().code[0].value


# -- all of them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["overview", "gallery", "map", "activity", "problems", "services", "phone"])
def test_every_page_renders_without_the_ledger(show: Show, ledger_away: None, page: str) -> None:
    assert show(page).title[0].value == page.capitalize()


def test_the_entry_shows_the_overview(dashboard: Settings) -> None:
    page = AppTest.from_file(_ENTRY, default_timeout=PAGE_LIMIT).run()
    assert not page.exception
    assert page.title[0].value == "Overview"


def test_a_ledger_that_comes_back_is_found_by_itself(
    dashboard: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And while it is away, nobody waits for it."""
    caplog.set_level(logging.WARNING)
    ledger = Ledger(database)
    with ledger.session() as session:
        assert session.scalar(select(1)) == 1
    assert ledger.away_for() is None
    assert isinstance(resources.settings(), Settings)


def test_an_answer_to_a_click_goes_after_a_while(
    show: Show, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays(database, "a.jpg", "dead_letter", attempts=8, last_error="no access")
    monkeypatch.setattr(look, "ANSWER_STAYS", 0.0)
    page = show("problems")
    page.button(key="retry").click().run()
    assert "will be tried again" not in texts(page)


# -- Logins ------------------------------------------------------------------------------------------------


def test_logins_lists_devices_and_ends_one(show: Show, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(database.session, "correct horse")
    phone = sessions.begin("Mozilla/5.0 (Linux; Android 16) Chrome/140.0 Mobile Safari/537.36", "192.0.2.7")
    sessions.begin(HOSTILE, "192.0.2.8")
    monkeypatch.setattr(resources, "sessions", sessions)
    page = show("logins")
    assert "Chrome on Android" in texts(page) and "192.0.2.7" in texts(page).replace("\\", "")
    assert "<img" not in "".join(one.value for one in page.markdown if one.allow_html)
    [device] = [one for one in sessions.devices() if one.address == "192.0.2.7"]
    page.button(f"end_{device.id}").click().run()
    assert "logged out" in texts(page)
    assert not sessions.knows(phone)
    assert [one.address for one in sessions.devices()] == ["192.0.2.8"]


def test_logins_without_a_password_says_so(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "sessions", None)
    assert "DASHBOARD_PASSWORD" in texts(show("logins"))
