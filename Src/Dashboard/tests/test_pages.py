"""Each page on a real ledger: what it shows, and that it does without what is missing."""

from __future__ import annotations

import itertools
import logging
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import func, insert, select
from streamlit.testing.v1 import AppTest

from Src.Dashboard import look, resources
from Src.Dashboard.ledger import Ledger
from Src.Dashboard.tests.conftest import PAGE_LIMIT, Show, texts
from Src.Shared.database import Database
from Src.Shared.models import InboxFile, IngestEvent, MediaAsset, SystemStatus, SystemStatusHistory
from Src.Shared.settings import Settings

HOSTILE = "<img src=x onerror=alert(1)> **b** :smile:.jpg"
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
        session.execute(insert(MediaAsset).values(**row, **more))
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
    monkeypatch.setattr("Src.Dashboard.ledger.FIRST_WAIT", 0.0)  # for whom?
    st.cache_resource.clear()


# -- Overview ----------------------------------------------------------------------------------------------


def test_overview_at_the_very_first_start_says_what_to_do(show: Show, dashboard: Settings) -> None:
    page = show("overview")
    assert "Waiting for the first photo" in texts(page)
    assert str(dashboard.inbox) in texts(page)


def test_overview_counts_and_says_that_all_is_good(
    show: Show, database: Database, dashboard: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is noon where this factory is: the day of what is filed does not end before it is counted.
    monkeypatch.setenv("TZ", f"Etc/GMT{datetime.now(UTC).hour - 12:+d}")
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
        "Originals": "3", "Size": "3.0 kB", "Filed today": "3", "Last hour": "3", "Waiting": "1", "Not media": "1",
        "Failing": "0",
    }  # fmt: skip
    [verdict] = page.success
    assert verdict.value.startswith("**All good\\:")
    assert "Waiting for the first photo" not in texts(page)


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


# -- Activity ----------------------------------------------------------------------------------------------


def test_activity_shows_what_happened_newest_first(show: Show, database: Database) -> None:
    original(database, "first.jpg")
    original(database, HOSTILE)
    [table] = show("activity").dataframe
    assert list(table.value["File"]) == [HOSTILE, "first.jpg"]
    assert set(table.value["What"]) == {"filed"}


def test_activity_shows_only_what_is_asked_for(show: Show, database: Database) -> None:
    original(database, "first.jpg")
    with database.session() as session:
        session.execute(
            insert(IngestEvent).values(
                fate="failed", source="inbox", original_name="bad.jpg", original_path="bad.jpg", message="truncated"
            )
        )
    page = show("activity")
    page.button_group(key="activity_fates").set_value("Failed")
    [table] = page.run().dataframe
    assert list(table.value["File"]) == ["bad.jpg"]
    assert list(table.value["Why"]) == ["truncated"]


@pytest.mark.parametrize("asked", ["img_77", "G_77", "IMG_7?.jpg", "phone/IMG_77"])
def test_where_is_my_photo(show: Show, database: Database, asked: str) -> None:
    path = original(database, "IMG_77.jpg")
    original(database, "IMG_1234.jpg")
    page = show("activity")
    page.text_input(key="activity_search").set_value(asked)
    [table] = page.run().dataframe
    assert list(table.value["Is kept at"]) == [path]


def test_a_photo_that_nobody_knows(show: Show, database: Database) -> None:
    page = show("activity")
    page.text_input(key="activity_search").set_value("100%_sure")
    page.run()
    assert "Nothing is known" in page.info[0].value


def test_a_file_that_still_waits_is_found_in_the_inbox(show: Show, dashboard: Settings) -> None:
    (dashboard.inbox / "IMG_5.jpg").touch()
    page = show("activity")
    page.text_input(key="activity_search").set_value("img_5")
    assert "IMG_5.jpg" in texts(page.run())


# -- Problems ----------------------------------------------------------------------------------------------


def test_no_problems(show: Show, database: Database) -> None:
    beat(database, "librarian", 1)
    beat(database, "dashboard", 1)
    assert "No problems" in show("problems").success[0].value


def test_problems_tells_each_with_its_reason_and_retries(
    show: Show, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(database, "librarian", 1)
    stays(database, HOSTILE, "dead_letter", attempts=8, last_error="no access")
    due = datetime.now(UTC) + timedelta(hours=5)
    stays(database, "b.jpg", "failing", attempts=2, last_error="truncated", next_try_at=due)
    stays(database, "note.txt", "not_media")
    original(database, has_errors=True, error_message="broken half way")

    page = show("problems")

    failures, broken, not_media = page.dataframe
    assert list(failures.value["File in the inbox"]) == [HOSTILE, "b.jpg"]
    assert list(failures.value["Reason"]) == ["no access", "truncated"]
    assert list(failures.value["Tries"]) == [8, 2]
    assert list(failures.value["Next try"]) == ["not by itself", "in 4 hours"]
    assert list(broken.value["Reason"]) == ["broken half way"]
    assert list(not_media.value["File in the inbox"]) == ["note.txt"]

    monkeypatch.setattr(look, "TOLD_FOR", 3600.0)
    page.button(key="retry").click().run()

    assert "2 files will be tried again" in texts(page)
    assert "2 files will be tried again" in texts(page.run()), "there is time to read it"
    with database.session() as session:
        due_now = select(func.count()).where(InboxFile.state == "failing", InboxFile.attempts == 0)
        assert session.scalar(due_now) == 2


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
    page.button_group(key="log_level").set_value("ERROR")
    assert "INFO" not in page.run().code[0].value


# -- all of them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["overview", "library", "map", "activity", "problems", "services", "phone"])
def test_every_page_renders_without_the_ledger(show: Show, ledger_away: None, page: str) -> None:
    assert show(page).title[0].value == page.capitalize()


def test_the_entry_shows_the_overview(dashboard: Settings) -> None:
    script = Path(__file__).parents[1] / "dashboard.py"
    page = AppTest.from_file(script, default_timeout=PAGE_LIMIT).run()
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
    monkeypatch.setattr(look, "TOLD_FOR", 0.0)
    page = show("problems")
    page.button(key="retry").click().run()
    assert "will be tried again" not in texts(page)
