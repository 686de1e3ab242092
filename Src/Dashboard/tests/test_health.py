"""The lights and the verdict: what is said of which state."""

from __future__ import annotations

import pytest

from Src.Dashboard.health import Disk, Service, Situation, verdict

WELL = Service("librarian", "OK", 10.0, 60.0, "watching")
MANY = 10**12


@pytest.mark.parametrize(
    ("age", "light"),
    [(0, "green"), (90, "green"), (90.1, "yellow"), (180, "yellow"), (180.1, "red"), (86400, "red")],
)
def test_a_heartbeat_is_green_up_to_one_and_a_half_intervals_and_yellow_up_to_three(age: float, light: str) -> None:
    assert Service("librarian", "OK", age, 60.0, "watching").light == light


@pytest.mark.parametrize(
    ("service", "light"),
    [
        (Service("librarian", "WARNING", 1.0), "yellow"),
        (Service("librarian", "ERROR", 1.0), "red"),
        (Service("librarian", "OK", 1.0, task="stopped"), "red"),
        (Service("librarian", "OK", 1.0, container="exited"), "red"),
        (Service("librarian", "OK", 1.0, container="unhealthy"), "red"),
        (Service("librarian", "OK", 1.0, container="healthy"), "green"),
        (Service("librarian", "OK", 200.0, container="running"), "red"),
        (Service("librarian", container="running"), "yellow"),
        (Service("gate", container="running"), "green"),
        (Service("gate", container="exited"), "red"),
        (Service("gate"), "grey"),
        (Service("librarian"), "grey"),
    ],
)
def test_status_and_container_count_beside_the_age(service: Service, light: str) -> None:
    assert service.light == light


def test_all_good_tells_when_the_last_photo_was_filed() -> None:
    found = verdict(Situation([WELL], last_filed=200.0))
    assert (found.level, found.sentence, found.also) == ("good", "All good: last photo filed 3 minutes ago", ())
    assert verdict(Situation([WELL])).sentence == "All good: ready for the first photo"


def test_an_absent_ledger_is_a_warning_while_the_librarian_lives_and_an_error_when_it_does_not() -> None:
    lives = verdict(Situation(ledger_away=245.0, librarian_alive=1.0))
    assert lives.level == "warning"
    assert lives.sentence == "The database has not answered for 4 minutes; photos are still being filed"
    for alive in (31.0, None):
        found = verdict(Situation(ledger_away=245.0, librarian_alive=alive))
        assert found.level == "error"
        assert "does not answer either" in found.sentence


@pytest.mark.parametrize(
    ("situation", "level", "sentence"),
    [
        (
            Situation([Service("librarian", "OK", 300.0, 60.0)]),
            "error",
            "The librarian has been silent for 5 minutes; photos wait in the inbox",
        ),
        (
            Situation([WELL, Service("service-monitor", "OK", 7300.0, 60.0)]),
            "error",
            "The service-monitor has been silent for 2 hours",
        ),
        (
            Situation([Service("librarian", "OK", 100.0, 60.0)]),
            "warning",
            "The librarian is late: it last reported 1 minute ago",
        ),
        (
            Situation([Service("librarian", "OK", 3.0, task="stopped")]),
            "error",
            "The librarian was stopped 3 seconds ago; photos wait in the inbox",
        ),
        (
            Situation([Service("librarian", "ERROR", 3.0, message="the disk is full")]),
            "error",
            "The librarian reports an error: the disk is full",
        ),
        (
            Situation([Service("librarian", "WARNING", 3.0, message="ExifTool is missing")]),
            "warning",
            "The librarian warns: ExifTool is missing",
        ),
        (Situation([Service("syncthing", container="exited")]), "error", "The container of syncthing is exited"),
        (Situation([Service("librarian")]), "warning", "The librarian has not reported yet"),
        (
            Situation([WELL], disks=[Disk("the vault", MANY, MANY // 20)]),
            "warning",
            "The disk of the vault is nearly full: 5% free",
        ),
        (
            Situation([WELL], disks=[Disk("the vault", MANY, MANY // 100)]),
            "error",
            "The disk of the vault is nearly full: 1% free",
        ),
        (
            Situation([WELL], vault_there=False),
            "error",
            "The vault is not there: mount its disk; photos wait in the inbox",
        ),
        (Situation([WELL], dead_letters=1), "warning", "1 file failed, 1 of them for good; see Problems"),
        (Situation([WELL], failing=2), "warning", "2 files failed; see Problems"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(situation: Situation, level: str, sentence: str) -> None:
    found = verdict(situation)
    assert (found.level, found.sentence) == (level, sentence)


@pytest.mark.parametrize("service", [Service("factory-db", "OK", 5.0, task="stopped"), Service("syncthing", "OK", 1e6)])
def test_a_service_that_nobody_watches_is_not_called_silent(service: Service) -> None:
    assert service.light == "grey"
    found = verdict(Situation([WELL, Service("service-monitor", "OK", 1e6), service]))
    assert (found.sentence, found.also) == ("The service-monitor has been silent for 11 days", ())


def test_the_worst_comes_first_and_nothing_is_left_out() -> None:
    found = verdict(
        Situation([Service("librarian", "WARNING", 1.0, message="slow"), Service("dashboard", "OK", 1e6)], failing=1)
    )
    assert found.level == "error"
    assert found.sentence.startswith("The dashboard has been silent")
    assert found.also == ("The librarian warns: slow", "1 file failed; see Problems")


def test_a_dead_letter_that_the_librarian_warns_of_is_not_told_twice() -> None:
    warns = Service("librarian", "WARNING", 1.0, message="1 files failed for good; see ./factory status")
    assert verdict(Situation([warns], dead_letters=1)).also == ()
