"""Checks: each in its own thread, and none of them can hold up or blind the others."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from Src.Shared.monitor.finding import Check, Finding, Findings
from Src.Shared.tests.postgres_helpers import LIMIT
from Src.Testing.patience import wait_until

FINE: Findings = {"thing": Finding("OK")}
HOUR = 3600.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Src.Shared.monitor.finding.DEADLINE", HOUR)


def test_a_check_looks_in_each_round() -> None:
    looks: list[int] = []

    def look() -> Findings:
        looks.append(1)
        return {"thing": Finding("OK", details={"looks": len(looks)})}

    check = Check("thing", look, limit=HOUR)
    assert check.findings == {}
    for number in (1, 2):
        check.start()
        wait_until(lambda: not check.awaited)
        assert check.findings["thing"].details == {"looks": number}


def test_a_check_that_hangs_is_told_as_such_and_gets_no_company(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("Src.Shared.monitor.finding.time", SimpleNamespace(monotonic=lambda: clock.now))
    release = threading.Event()
    looks: list[int] = []

    def look() -> Findings:
        looks.append(1)
        release.wait(600)
        return FINE

    check = Check("thing", look, limit=60.0)
    check.start()
    wait_until(lambda: looks == [1])
    clock.now += 59
    assert check.awaited and check.findings == {}
    clock.now += 1
    assert not check.awaited
    first = check.findings["thing"]
    assert first.state == "ERROR" and first.message is not None and "the check hangs: no answer since" in first.message
    check.start()
    assert not check.awaited, "a round waits again for what hangs already"
    assert check.findings["thing"].message == first.message, "what does not change is told in the same words"
    assert looks == [1]
    release.set()
    wait_until(lambda: check.findings == FINE)
    check.start()
    wait_until(lambda: len(looks) == 2)


def test_a_check_that_may_take_its_time_says_nothing_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Src.Shared.monitor.finding.DEADLINE", 0.05)
    release = threading.Event()

    def look() -> Findings:
        release.wait(600)
        return FINE

    check = Check("thing", look, limit=3600.0)
    check.start()
    wait_until(lambda: not check.awaited)
    assert check.findings == {}
    release.set()
    wait_until(lambda: check.findings == FINE)


def test_a_check_that_fails_is_a_finding_and_is_asked_again() -> None:
    answers: list[Findings] = [FINE]

    def look() -> Findings:
        return answers.pop()

    check = Check("thing", look, limit=HOUR)
    check.start()
    wait_until(lambda: check.findings == FINE)
    check.start()
    wait_until(lambda: not check.awaited)
    assert check.findings["thing"].state == "ERROR"
    answers.append(FINE)
    check.start()
    wait_until(lambda: not check.awaited)
    assert check.findings == FINE


def test_checks_look_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=LIMIT)  # breaks where they look one after the other

    def look() -> Findings:
        together.wait()
        return FINE

    checks = [Check(f"thing {number}", look, limit=HOUR) for number in range(3)]
    for check in checks:
        check.start()
    wait_until(lambda: not any(check.awaited for check in checks), 2 * LIMIT)
    assert all(check.findings == FINE for check in checks)
