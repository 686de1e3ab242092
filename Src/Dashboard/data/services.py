"""Each service: its heartbeat from the ledger and its container from Docker, the age counted anew at each look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.health import Service
from Src.Dashboard.resources import ledger, settings
from Src.Shared.docker_api import Container, DockerApi, DockerUnavailable, LogLine

# In this order; what else reports or runs comes after them.
KNOWN = ("librarian", "service-monitor", "dashboard", "factory-db", "syncthing")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The latest of one service. `at` is by this machine's clock."""

    service: str
    at: datetime
    status: str
    task: str
    message: str
    interval: float
    details: dict[str, Any]


@st.cache_data(ttl=2, show_spinner=False)
def heartbeats() -> dict[str, Heartbeat]:
    """By service."""
    statement = text(
        "SELECT service_name, last_heartbeat, status, current_task, message, interval_seconds, details, "
        "clock_timestamp() AS now FROM system_status"
    )
    with ledger().session() as session:
        rows = session.execute(statement).all()
        here = datetime.now(UTC)
    return {
        row.service_name: Heartbeat(
            service=row.service_name,
            at=row.last_heartbeat + (here - row.now),  # the database may be on a machine whose clock is another
            status=row.status,
            task=row.current_task or "",
            message=row.message or "",
            interval=row.interval_seconds,
            details=row.details or {},
        )
        for row in rows
    }


@st.cache_data(ttl=2, show_spinner=False)
def containers() -> dict[str, Container]:
    """By service; empty where the factory runs without Docker. Raises DockerUnavailable."""
    host = settings().docker_host
    return {} if host is None else {one.service: one for one in DockerApi(host).containers()}


@st.cache_data(ttl=2, max_entries=20, show_spinner=False)
def container_log(service: str, count: int) -> list[LogLine]:
    """The last lines of a service's container. Raises DockerUnavailable."""
    host = settings().docker_host
    if host is None:
        raise DockerUnavailable("DOCKER_HOST is not set")
    return DockerApi(host).log_lines(service, count)


def services(beats: dict[str, Heartbeat], running: dict[str, Container]) -> list[Service]:
    """All that is known of each service at this moment."""
    names = [*KNOWN, *sorted((beats.keys() | running.keys()) - set(KNOWN))]
    now = datetime.now(UTC)
    found = []
    for name in names:
        beat, container = beats.get(name), running.get(name)
        if beat is None and container is None and name not in ("librarian", "dashboard"):
            continue  # not every factory has each
        state = None if container is None else container_state(container)
        if beat is None:
            found.append(Service(name, container=state))
            continue
        age = max(0.0, (now - beat.at) / timedelta(seconds=1))
        if name == "factory-db" and beat.task == "away":
            # The monitor's last look was during an outage; that this can be read means that it is over.
            found.append(Service(name, "OK", age, beat.interval, "answers again", container=state))
            continue
        found.append(Service(name, beat.status, age, beat.interval, beat.task, beat.message, state))
    return found


def container_state(container: Container) -> str:
    """One word: what Docker's health check says of one that runs, else its state."""
    return container.health or container.state if container.state == "running" else container.state
