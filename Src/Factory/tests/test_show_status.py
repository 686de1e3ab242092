"""What `status` calls wrong: which services should run, and what each line makes of the exit code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from Src.Factory.show_status import State, _inbox_lines, _service_lines

NOW = datetime.now(UTC)


def service(name: str, *, task: str = "serving", instance: str = "1", **more: Any) -> dict[str, Any]:
    row = {"name": name, "instance": instance, "host": "nas", "status": "OK", "silent": False, "stands_still": False}
    return {**row, "last_heartbeat": NOW, "seconds_ago": 1.0, "current_task": task, "message": None, **more}


def states(services: list[dict[str, Any]], *, wants_dashboard: bool = True) -> dict[str, State]:
    """The worst of each service's lines."""
    order = ("plain", "good", "note", "warning", "error")
    found: dict[str, State] = {}
    for line in _service_lines(services, wants_dashboard=wants_dashboard):
        found[line.about] = max(line.state, found.get(line.about, "plain"), key=order.index)
    return found


RUNNING = [service("dashboard"), service("librarian"), service("service-monitor")]


def test_what_runs_is_well() -> None:
    assert set(states(RUNNING).values()) == {"good"}


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_one_that_has_stopped_beside_others_is_an_error(missing: int) -> None:
    services = [service(one["name"], task="stopped") if n == missing else one for n, one in enumerate(RUNNING)]
    assert states(services)[services[missing]["name"]] == "error"
    words = " ".join(line.words for line in _service_lines(services, wants_dashboard=True) if line.state == "error")
    assert "STOPPED" in words and "docker compose up -d" in words


def test_one_that_was_killed_is_an_error_and_says_what_that_means() -> None:
    services = [RUNNING[0], service("librarian", silent=True), RUNNING[2]]
    lines = [line.words for line in _service_lines(services, wants_dashboard=True) if line.state == "error"]
    assert "SILENT" in lines[0] and "photos wait in the inbox" in lines[1]


def test_all_that_a_person_has_stopped_are_one_warning() -> None:
    services = [service(one["name"], task="stopped") for one in RUNNING]
    services.append(service("factory-db", task="stopped", message="nobody watches it now"))
    found = states(services)
    assert found.pop("services") == "warning"
    assert set(found.values()) == {"plain"}


def test_a_dashboard_that_nobody_wants_is_not_missed() -> None:
    others = RUNNING[1:]
    assert "dashboard" not in states(others, wants_dashboard=False)
    assert states(others)["dashboard"] == "warning", "it starts, or never did"
    stopped = [service("dashboard", task="stopped"), *others]
    assert states(stopped, wants_dashboard=False)["dashboard"] == "plain"
    assert states(stopped)["dashboard"] == "error"


def test_of_several_instances_one_is_enough() -> None:
    services = [service("dashboard", instance="nas/1"), service("dashboard", instance="attic/1", task="stopped")]
    assert "error" not in states([*services, *RUNNING[1:]]).values()


def test_a_new_factory_in_which_nothing_has_run_is_well() -> None:
    assert states([]) == {"services": "plain"}


def test_files_that_failed_lead_to_problems_and_one_is_one() -> None:
    inbox = dict.fromkeys(("waiting", "waiting_bytes", "not_media", "failing", "companions", "sidecars", "special"), 0)
    inbox |= {"ignored": 0, "unreadable": 0, "links": 1, "dead_letters": 1}
    first, second = _inbox_lines({"inbox": inbox, "leaving": None})
    assert first.state == second.state == "warning"
    assert "1 file failed, 1 of them for good, 1 link" in first.words and "./factory problems" in second.words
    [line] = _inbox_lines({"inbox": {**inbox, "dead_letters": 0, "links": 2}, "leaving": None})
    assert line.state == "plain" and line.words.endswith("0 files failed, 2 links")
