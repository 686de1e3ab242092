"""What the pages show, before it is shown: strips, log lines, counts, words, and the way to the ledger."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from Src.Dashboard import words
from Src.Dashboard.data import activity, arrivals, inbox, logs, uptime
from Src.Dashboard.data.inbox import Found, Held
from Src.Dashboard.data.services import Heartbeat, services
from Src.Dashboard.data.uptime import PERIODS, Period, strip
from Src.Dashboard.health import Situation, verdict
from Src.Dashboard.ledger import Ledger, TooSlow
from Src.Dashboard.resources import ledger, settings
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.docker_api import Container
from Src.Shared.models import IngestEvent, SystemStatus, SystemStatusHistory
from Src.Shared.settings import Settings, load_settings
from Src.Testing.patience import PATIENCE, wait_until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = Period("an hour", timedelta(hours=1), timedelta(minutes=15), 1.0)
FIRST = NOW - HOUR.length
SLOTS = [FIRST + number * HOUR.slot for number in range(4)]
LONG_AGO = FIRST - timedelta(days=1)


# -- uptime ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beats", "began", "states", "up"),
    [
        (dict.fromkeys(SLOTS, (15, 0, 0)), LONG_AGO, ["ok"] * 4, 1.0),
        (dict.fromkeys(SLOTS, (16, 0, 0)), LONG_AGO, ["ok"] * 4, 1.0),  # a change of status is told at once
        ({SLOTS[0]: (15, 0, 0), SLOTS[3]: (15, 0, 0)}, LONG_AGO, ["ok", "silent", "silent", "ok"], 0.5),
        (dict.fromkeys(SLOTS, (15, 1, 0)), LONG_AGO, ["warning"] * 4, 1.0),
        (dict.fromkeys(SLOTS, (15, 1, 1)), LONG_AGO, ["error"] * 4, 1.0),
        (dict.fromkeys(SLOTS, (6, 0, 0)), LONG_AGO, ["gap"] * 4, 0.4),
        (
            {SLOTS[2]: (8, 0, 0), SLOTS[3]: (15, 0, 0)},
            SLOTS[2] + timedelta(minutes=7),
            ["unknown"] * 2 + ["ok"] * 2,
            1.0,
        ),
        ({}, NOW, ["unknown"] * 4, 0.0),
    ],
)
def test_a_strip_tells_what_came_of_what_was_due(
    beats: dict[datetime, tuple[int, int, int]], began: datetime, states: list[str], up: float
) -> None:
    made = strip(beats, began, NOW, HOUR, 60.0)
    assert [slot.state for slot in made.slots] == states
    assert made.up == pytest.approx(up, abs=0.01)


def test_strips_come_from_the_history_of_each_service(dashboard: Settings, database: Database) -> None:
    now = datetime.now(UTC)
    with database.session() as session:
        for service, instance, interval, since in (
            ("librarian", "1", 60, 90),
            ("dashboard", "nas/1", 300, 30),
            ("dashboard", "attic/1", 300, 30),
        ):
            session.execute(
                insert(SystemStatus).values(
                    service_name=service,
                    instance=instance,
                    last_heartbeat=now,
                    status="OK",
                    interval_seconds=interval,
                )
            )
            beats = [now - timedelta(seconds=interval * number) for number in range(since * 60 // interval)]
            one = {"service_name": service, "instance": instance, "status": "OK"}
            values = [{**one, "heartbeat_timestamp": at} for at in beats]
            session.execute(insert(SystemStatusHistory), values)
    found = uptime.strips(PERIODS[0])
    assert set(found) == {("librarian", "1"), ("dashboard", "nas/1"), ("dashboard", "attic/1")}
    known = {name: [slot.state for slot in one.slots if slot.state != "unknown"] for name, one in found.items()}
    assert set(known["librarian", "1"]) == {"ok"} and 6 <= len(known["librarian", "1"]) <= 7
    for instance in ("nas/1", "attic/1"):
        strip = known["dashboard", instance]
        assert set(strip) == {"ok"} and 2 <= len(strip) <= 3, "each by its own heartbeats"
    assert all(one.up > 0.95 for one in found.values())


# -- services ----------------------------------------------------------------------------------------------


def test_an_outage_that_the_ledger_itself_tells_of_is_over() -> None:
    away = Heartbeat("factory-db", datetime.now(UTC), "ERROR", "away", "connection refused", 60.0, {})
    [found] = [one for one in services([away], {}) if one.name == "factory-db"]
    assert (found.status, found.task, found.message) == ("OK", "answers again", "")
    read_only = replace(away, task="reading only")
    [found] = [one for one in services([read_only], {}) if one.name == "factory-db"]
    assert (found.status, found.message) == ("ERROR", "connection refused")


def container(service: str) -> Container:
    return Container(service, service, "running", None, 0, None, None, 0, False)


def test_two_instances_of_one_service_are_two_and_say_which_they_are() -> None:
    here = settings().host
    now = datetime.now(UTC)
    beats = [
        Heartbeat("dashboard", now, "OK", "serving", "", 300.0, {}, instance="attic/1", host="attic"),
        Heartbeat("dashboard", now, "ERROR", "serving", "no", 300.0, {}, instance=f"{here}/1", host=here),
        Heartbeat("librarian", now, "OK", "watching", "", 60.0, {}, host="attic"),
    ]
    running = {"dashboard": container("dashboard"), "librarian": container("librarian")}
    found = [one for one in services(beats, running) if one.name in ("dashboard", "librarian")]
    assert [(one.title, one.status, one.container) for one in found] == [
        ("librarian", None, "running"),  # of this machine, where none has spoken yet
        ("librarian", "OK", None),
        ("dashboard attic/1", "OK", None),
        (f"dashboard {here}/1", "ERROR", "running"),
    ]
    told = verdict(Situation(services=[one for one in found if one.name == "dashboard"]))
    assert told.sentence == f"The dashboard {here}/1 reports an error: no"
    [alone] = [one for one in services(beats[:1], {}) if one.name == "dashboard"]
    assert alone.title == "dashboard"


# -- logs --------------------------------------------------------------------------------------------------


def test_each_line_has_its_level_and_a_traceback_that_of_its_record() -> None:
    lines = [
        "2026-01-01 10:00:00.000 INFO librarian: filed 3",
        "2026-01-01 10:00:00.000 ERROR librarian: no heartbeat",
        "    Traceback (most recent call last):",
        '{"ts": "2026-01-01T10:00:00", "level": "WARNING", "message": "as <JSON>"}',
        '{"not": "ours"}',
        "2026-01-01 10:00:00 UTC [7] FATAL:  the database system is starting up",
        "2026-01-01 10:00:00 UTC [7] LOG:  ready",
        "[ABCDE] 10:00 WARN something of Syncthing's",
        "anything",
    ]
    found = logs.leveled(lines)
    assert [line.level for line in found] == [
        "INFO", "ERROR", "ERROR", "WARNING", "INFO", "ERROR", "INFO", "WARNING", "INFO"
    ]  # fmt: skip
    assert found[3].text == "2026-01-01T10:00:00 WARNING as <JSON>"
    assert len(logs.at_least(found, "ERROR")) == 3
    assert len(logs.at_least(found, "DEBUG")) == len(found)


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    path.write_bytes(b"x" * 99 + b"\n" + b"".join(b"%06d %s\n" % (number, b"y" * 50) for number in range(20_000)))
    lines = logs.read_tail(path)
    assert lines[-1].startswith("019999")
    assert all(len(line) == 57 for line in lines)
    assert sum(map(len, lines)) < logs.TAIL


# -- what came in ------------------------------------------------------------------------------------------


def test_hours_and_days_are_all_there_also_those_in_which_nothing_came(dashboard: Settings) -> None:
    hours, days = arrivals.hours(), arrivals.days()
    assert (len(hours), len(days)) == (48, 30)
    assert {count for _, count in (*hours, *days)} == {0}
    at = [hour.astimezone(UTC) for hour, _ in hours]  # local hours are not all an hour apart where summer time begins
    assert all(later - earlier == timedelta(hours=1) for earlier, later in itertools.pairwise(at))


@pytest.mark.parametrize(
    ("found", "known", "told"),
    [
        (Found(7, complete=True), Held(1, 1, 2), "3"),
        (Found(7, complete=True), None, "7"),
        (Found(1, complete=True), Held(0, 0, 2), "0"),  # removed by another hand a moment ago
        (Found(20_000, complete=False), Held(0, 0, 0), "20,000+"),
    ],
)
def test_what_waits_is_there_and_not_known_to_stay(found: Found, known: Held | None, told: str) -> None:
    assert inbox.waiting(found, known) == told


# -- where is my photo? ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "pattern"),
    [("IMG_1", "%IMG!_1%"), ("a*b?.jpg", "a%b_.jpg"), ("100%!", "%100!%!!%"), ("caf\udce9", "%caf\\xe9%")],
)
def test_what_is_typed_is_taken_by_the_letter(typed: str, pattern: str) -> None:
    assert activity.like(typed) == pattern


def test_where_looking_at_all_takes_too_long_names_are_found_by_their_beginning(
    dashboard: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.session() as session:
        names = [f"IMG_{number:05}.JPG" for number in range(20_000)]
        values = [
            {"fate": "ingested", "source": "inbox", "original_name": name, "original_path": f"{'deep/' * 200}{name}"}
            for name in names
        ]
        session.execute(insert(IngestEvent), values)
    with database.session() as session:
        session.execute(text("ANALYZE ingest_events"))
    ask, plans = activity._found, []

    def ask_with_a_limit(where: str, pattern: str) -> tuple[activity.Event, ...]:
        """Too short for looking at all of them on any machine, long enough for an index on any."""
        monkeypatch.setattr(activity, "SEARCH_LIMIT", 0.001 if "ILIKE" in where else PATIENCE)
        return ask(where, pattern)

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "lower(e.original_name)" in statement:
            with connection.connection.cursor() as other:
                other.execute(f"EXPLAIN {statement}", parameters)
                plans.append("\n".join(line for (line,) in other.fetchall()))

    monkeypatch.setattr(activity, "_found", ask_with_a_limit)
    event.listen(ledger().database._connected_engine(), "before_cursor_execute", explain)
    found = activity.search("img_00077")
    assert not found.everywhere
    assert [one.original_name for one in found.events] == ["IMG_00077.JPG"]
    [plan] = plans
    assert "ix_ingest_events_name" in plan, plan


# -- the ledger --------------------------------------------------------------------------------------------


def test_pages_can_only_read(dashboard: Settings) -> None:
    with pytest.raises(LedgerUnavailable, match="read-only"), ledger().session() as session:
        session.execute(text("DELETE FROM ingest_events"))


def test_a_question_that_takes_too_long_is_no_absence(dashboard: Settings) -> None:
    with pytest.raises(TooSlow), ledger().session() as session:
        session.execute(text("SELECT set_config('statement_timeout', '50', true); SELECT pg_sleep(60)"))
    assert ledger().away_for() is None


def test_nobody_waits_for_an_absent_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But the first, who may have come before the ledger."""
    monkeypatch.setattr("Src.Dashboard.ledger.FIRST_WAIT", 0.1)
    environ = {"FACTORY_DATA": str(tmp_path), "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    absent = Ledger(Database(load_settings(environ, tmp_path / "no.env")))
    with pytest.raises(LedgerUnavailable), absent.session():
        pass
    monkeypatch.setattr("Src.Dashboard.ledger.FIRST_WAIT", 3600.0)  # more than a test may take
    for _ in range(20):
        with pytest.raises(LedgerUnavailable), absent.session():
            pass
    away = absent.away_for()
    assert away is not None and away > 0
    wait_until(lambda: "refused" in absent.reason, what="it is asked, in a thread")


# -- words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 seconds"), (1, "1 second"), (59.9, "59 seconds"), (60, "1 minute"), (7199, "1 hour"), (172800, "2 days")],
)
def test_spans(seconds: float, told: str) -> None:
    assert words.span(seconds) == told


@pytest.mark.parametrize(("count", "told"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5.04e12, "5.0 TB")])
def test_sizes(count: float, told: str) -> None:
    assert words.size(count) == told
