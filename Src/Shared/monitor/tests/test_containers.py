"""What the state of a container means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from Src.Shared.docker_api import Container
from Src.Shared.monitor.containers import finding_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def container(**values: Any) -> Container:
    usual = {
        "service": "factory-db",
        "name": "factory_postgres",
        "state": "running",
        "health": "healthy",
        "restart_count": 0,
        "started_at": NOW - timedelta(days=1),
        "finished_at": None,
        "exit_code": 0,
        "out_of_memory": False,
    }
    return Container(**{**usual, **values})


@pytest.mark.parametrize(
    ("values", "state", "says"),
    [
        ({}, "OK", ""),
        ({"health": None}, "OK", ""),
        ({"health": "starting"}, "OK", ""),
        ({"restart_count": 7}, "OK", ""),
        ({"started_at": NOW}, "OK", ""),
        ({"health": "unhealthy"}, "ERROR", "not healthy"),
        ({"restart_count": 1, "started_at": NOW - timedelta(minutes=1)}, "WARNING", "started it again once"),
        ({"restart_count": 9, "started_at": NOW - timedelta(minutes=14)}, "WARNING", "9 times"),
        ({"state": "restarting", "exit_code": 2}, "ERROR", "again and again; the last time it ended with exit code 2"),
        ({"state": "exited", "exit_code": 0}, "STOPPED", "was stopped"),
        ({"state": "exited", "exit_code": 143}, "STOPPED", "was stopped"),
        ({"state": "exited", "exit_code": 137}, "ERROR", "exit code 137"),
        ({"state": "exited", "exit_code": 137, "out_of_memory": True}, "ERROR", "ran out of memory"),
        ({"state": "dead", "exit_code": 1}, "ERROR", "exit code 1"),
        ({"state": "created"}, "WARNING", "does not run: created"),
        ({"state": "paused"}, "WARNING", "does not run: paused"),
    ],
)
def test_states(values: dict[str, Any], state: str, says: str) -> None:
    found = finding_of(container(**values), NOW)
    assert found.state == state
    assert says in (found.message or "")
    assert (found.message is None) == (state == "OK")
    if state != "OK":
        assert found.advice is not None and ("factory_postgres" in found.advice or "factory-db" in found.advice)
