"""When people are told: once for a change that holds, again after a while, and never a flood."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from Src.Shared.monitor import alerts as module
from Src.Shared.monitor.alerts import TITLE_LIMIT, Alert, Alerts, Notification
from Src.Shared.monitor.finding import Finding, State

OK: State = "OK"
ERROR: State = "ERROR"
STOPPED: State = "STOPPED"
MINUTE = 60.0
START = 1_700_000_000.0
DAY = 86400.0


class Rounds:
    """Rounds, a minute apart, in which one thing is found to be so."""

    def __init__(self, reminder: float = DAY) -> None:
        self.alerts = Alerts(reminder)
        self.now = START

    def __call__(self, *states: State | None, message: str | None = None) -> list[tuple[str, str]]:
        """From what to what was told; None: it was not looked at."""
        told: list[tuple[str, str]] = []
        for state in states:
            self.now += MINUTE
            found = {} if state is None else {"librarian": Finding(state, message or state.lower())}
            told += [(alert.before, alert.finding.state) for alert in self.alerts.round(found, self.now)]
        return told

    def restart(self) -> None:
        dumped = json.loads(json.dumps(self.alerts.dump()))
        self.alerts = Alerts(DAY)
        self.alerts.load(dumped)


@pytest.fixture
def rounds() -> Rounds:
    return Rounds()


def test_that_all_is_well_is_no_news(rounds: Rounds) -> None:
    assert rounds(*[OK] * 10) == []


@pytest.mark.parametrize("state", ["WARNING", "ERROR", "STOPPED"])
def test_a_change_that_holds_is_told_once_and_so_is_its_end(rounds: Rounds, state: State) -> None:
    assert rounds("OK", state) == []
    assert rounds(state) == [("OK", state)]
    assert rounds(*[state] * 100) == []
    assert rounds("OK") == []
    assert rounds(*[OK] * 100) == [(state, "OK")]


def test_what_is_wrong_from_the_beginning_is_told(rounds: Rounds) -> None:
    assert rounds("ERROR", "ERROR") == [("OK", "ERROR")]


def test_one_bad_round_is_nobodys_trouble(rounds: Rounds) -> None:
    assert rounds(*[OK, ERROR] * 50) == []


def test_what_is_never_well_is_told_even_if_it_changes_each_round(rounds: Rounds) -> None:
    assert rounds("WARNING", "ERROR") == [("OK", "ERROR")]


def test_it_is_told_when_it_gets_worse(rounds: Rounds) -> None:
    told = rounds("WARNING", "WARNING", "ERROR", "ERROR", "ERROR", "ERROR")
    assert told == [("OK", "WARNING"), ("WARNING", "ERROR")]


def test_another_reason_is_no_change(rounds: Rounds) -> None:
    rounds("ERROR", "ERROR", message="the disk is full")
    assert rounds("ERROR", "ERROR", message="the disk is gone") == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weights", [(1, 1), (5, 1), (1, 5)])
def test_flapping_never_floods(rounds: Rounds, seed: int, weights: tuple[int, int]) -> None:
    """Whatever it does: at most five alerts in any hour."""
    dice = random.Random(seed)
    moments: list[int] = []
    for minute in range(3000):
        run: list[State] = ["OK", "ERROR"]
        moments += [minute] * len(rounds(dice.choices(run, weights)[0]))
    for moment in moments:
        assert sum(moment <= other < moment + 60 for other in moments) <= 5


def test_a_steady_flapping_of_two_rounds_each_is_told_five_times_an_hour_at_most(rounds: Rounds) -> None:
    assert len(rounds(*[ERROR, ERROR, OK, OK] * 15)) <= 5


def test_after_a_quiet_hour_a_change_is_told_as_quickly_as_at_first(rounds: Rounds) -> None:
    rounds(*[ERROR] * 2, *[OK] * 4)
    rounds(*[OK] * 60)
    assert rounds("ERROR", "ERROR") == [("OK", "ERROR")]


def test_what_is_still_wrong_is_told_again_after_a_day(rounds: Rounds) -> None:
    rounds("ERROR", "ERROR")
    told = rounds(*[ERROR] * 3 * 1440)
    assert told == [("ERROR", "ERROR")] * 3


def test_reminders_can_be_turned_off() -> None:
    rounds = Rounds(reminder=0)
    rounds("ERROR", "ERROR")
    assert rounds(*[ERROR] * 3000) == []


def test_of_what_was_stopped_on_purpose_nobody_is_reminded(rounds: Rounds) -> None:
    rounds("STOPPED", "STOPPED")
    assert rounds(*[STOPPED] * 3000) == []


def test_what_was_not_looked_at_stays_as_it_was(rounds: Rounds) -> None:
    rounds("ERROR", "ERROR")
    assert rounds(*[None] * 100) == []
    assert rounds("ERROR", "ERROR") == []
    assert rounds("OK", None, "OK", "OK", "OK") == [("ERROR", "OK")]


def test_what_is_gone_for_a_week_is_forgotten(rounds: Rounds) -> None:
    rounds("ERROR", "ERROR")
    rounds(*[None] * (8 * 1440))
    assert rounds.alerts.dump() == {}


def test_a_restart_repeats_nothing_and_forgets_nothing(rounds: Rounds) -> None:
    assert rounds("ERROR") == []
    rounds.restart()
    assert rounds("ERROR") == [("OK", "ERROR")], "a monitor that is restarted each minute never alerts"
    for _ in range(5):
        rounds.restart()
        assert rounds("ERROR", "ERROR", "ERROR") == []
    rounds.restart()
    assert rounds(*[OK] * 10) == [("ERROR", "OK")]


def test_what_is_saved_does_not_change_while_nothing_does(rounds: Rounds) -> None:
    rounds("ERROR", "ERROR", "ERROR")
    before = rounds.alerts.dump()
    rounds("ERROR")
    assert rounds.alerts.dump() == before


def test_a_clock_that_is_set_back_does_not_stop_alerts(rounds: Rounds) -> None:
    rounds("ERROR", "ERROR")
    rounds.now -= 30 * DAY
    assert rounds("OK", "OK") == [("ERROR", "OK")]
    assert rounds("WARNING", "WARNING", "WARNING", "WARNING") == [("OK", "WARNING")]


# What is said


MOMENT = datetime(2026, 5, 1, 14, 3, 5, tzinfo=ZoneInfo("Europe/Berlin"))
SIGNED = "\n\n2026-05-01 14:03:05 CEST"


def notification(alerts: Sequence[Alert]) -> Notification:
    return module.notification(alerts, MOMENT)


def alert(
    state: State, message: str | None = None, before: State = "OK", subject: str = "librarian", reminder: bool = False
) -> Alert:
    was = None if before == "OK" else "the disk is full"
    return Alert(subject, before, Finding(state, message, "free space"), 720.0, was, reminder)


def test_an_alert_says_what_changed_why_and_what_to_do() -> None:
    said = notification([alert("ERROR", "the disk is full")])
    assert said.title == "Photo Factory: librarian ERROR"
    assert said.body == "librarian went from OK to ERROR.\nthe disk is full.\nWhat to do: free space." + SIGNED
    assert said.kind == "failure"


def test_its_end_says_how_long_it_lasted_and_what_it_was() -> None:
    said = notification([alert("OK", before="ERROR")])
    assert said.title == "Photo Factory: librarian OK again"
    assert said.body == "librarian went from ERROR to OK, after 12 minutes.\nIt was: the disk is full." + SIGNED
    assert said.kind == "success"


def test_a_reminder_says_for_how_long() -> None:
    said = notification([alert("WARNING", "nearly full", before="WARNING", reminder=True)])
    assert said.title == "Photo Factory: librarian still WARNING"
    assert said.body.startswith("librarian is still WARNING, for 12 minutes.\nnearly full.\n")
    assert said.kind == "warning"


def test_all_of_one_round_is_one_message() -> None:
    said = notification([alert("OK", before="ERROR", subject="a"), alert("ERROR", subject="b")])
    assert said.title == "Photo Factory: a OK again, b ERROR"
    assert said.kind == "failure"
    assert "a went from ERROR to OK" in said.body and "b went from OK to ERROR" in said.body


def test_names_in_messages_steer_nothing_and_passwords_are_masked() -> None:
    hostile = "a\r\nBcc: all@example.com\x1b[2J\u202egpj.exe \udcff postgresql://u:secret@db/x " + "long " * 500
    said = notification([alert("ERROR", hostile, subject="x\ny")])
    for text in (said.title, *said.body.split("\n")):
        assert text.isprintable()
    assert "secret" not in said.body
    assert len(said.body) < 1200
    many = notification([alert("ERROR", subject=f"container {number}") for number in range(50)])
    assert len(many.title) <= TITLE_LIMIT
