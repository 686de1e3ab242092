"""Each service: its heartbeat from the ledger and its container from Docker, the age counted anew at each look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st
from sqlalchemy import text

from Src.Dashboard.data import machine
from Src.Dashboard.health import ALIVE, Service
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.resources import ledger, settings
from Src.Shared.database import LedgerUnavailable
from Src.Shared.docker_api import Container, DockerApi, DockerUnavailable, LogLine
from Src.Shared.liveness import ONLY, still_words
from Src.Shared.services import FACTORY_DB, LIBRARIAN, SERVICES, SILENT_AFTER, service_named

# In this order; what else reports or runs comes after them.
KNOWN = tuple(service.name for service in SERVICES if service.sends_heartbeats)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The latest of one instance of a service. `at` is by this machine's clock."""

    service: str
    at: datetime
    status: str
    task: str
    message: str
    interval: float
    details: dict[str, Any]
    instance: str = ONLY
    host: str | None = None


@st.cache_data(ttl=2, show_spinner=False)
def heartbeats() -> list[Heartbeat]:
    """Of all instances, those of one service together."""
    statement = text(
        "SELECT service_name, instance, host, last_heartbeat, status, current_task, message, interval_seconds, "
        "details, clock_timestamp() AS now FROM system_status ORDER BY service_name, instance"
    )
    with ledger().session() as session:
        rows = session.execute(statement).all()
        here = datetime.now(UTC)
    return [
        Heartbeat(
            service=row.service_name,
            instance=row.instance,
            host=row.host,
            at=row.last_heartbeat + (here - row.now),  # the database may be on a machine whose clock is another
            status=row.status,
            task=row.current_task or "",
            message=row.message or "",
            interval=row.interval_seconds,
            details=row.details or {},
        )
        for row in rows
    ]


@st.cache_data(ttl=2, show_spinner=False)
def containers() -> dict[str, Container]:
    """By service; empty where the factory runs without Docker. Raises DockerUnavailable."""
    host, name = settings().docker_host, settings().factory_name
    return {} if host is None else {one.service: one for one in DockerApi(host, name).containers()}


@st.cache_data(ttl=2, max_entries=20, show_spinner=False)
def container_log(service: str, count: int) -> list[LogLine]:
    """The last lines of a service's container. Raises DockerUnavailable."""
    host = settings().docker_host
    if host is None:
        raise DockerUnavailable("DOCKER_HOST is not set")
    return DockerApi(host, settings().factory_name).log_lines(service, count)


def services(beats: Sequence[Heartbeat], running: dict[str, Container]) -> list[Service]:
    """All that is known of each instance of each service at this moment."""
    by_service: dict[str, list[Heartbeat]] = {}
    for beat in beats:
        by_service.setdefault(beat.service, []).append(beat)
    found = []
    for name in [*KNOWN, *sorted((by_service.keys() | running.keys()) - set(KNOWN))]:
        its_beats, container = by_service.get(name, []), running.get(name)
        if not its_beats and container is None and not service_named(name).is_everywhere:
            continue  # not every factory has each
        state = None if container is None else container_state(container)
        # Docker lists the containers of this machine only.
        here = [beat for beat in its_beats if beat.host in (None, settings().host)]
        if not here and (state is not None or not its_beats):
            found.append(Service(name, container=state, has_others=len(its_beats) > 0))
        for beat in its_beats:
            its_state = state if here and beat is here[0] else None
            found.append(_service(beat, its_state, has_others=len(its_beats) > 1))
    return found


def _service(beat: Heartbeat, container: str | None, *, has_others: bool) -> Service:
    age = max(0.0, (datetime.now(UTC) - beat.at) / timedelta(seconds=1))
    status, task, message = beat.status, beat.task, beat.message
    if beat.service == FACTORY_DB and task == "away":
        # The monitor's last look was during an outage; that this can be read means that it is over.
        status, task, message = "OK", "answers again", ""
    elif task != "stopped":
        still = machine.lives().stands_still(beat.service, age, beat.instance, beat.host)
        if still is not None:
            status, message = "ERROR", still_words(still)
    return Service(beat.service, status, age, beat.interval, task, message, container, beat.instance, has_others)


def container_state(container: Container) -> str:
    """One word: what Docker's health check says of one that runs, else its state."""
    return container.health or container.state if container.state == "running" else container.state


def librarian_runs() -> bool:
    """Whether somebody is there to carry out acts: by its file on this machine, else by what it said last."""
    touched = machine.seconds_since_touch(LIBRARIAN)
    if touched is not None and touched < ALIVE:
        return True
    try:
        beats = heartbeats()
    except (LedgerUnavailable, TooSlow):
        return False
    for beat in beats:
        is_here = touched is not None and beat.host in (None, settings().host)  # its file would say so
        age = (datetime.now(UTC) - beat.at).total_seconds()
        if beat.service == LIBRARIAN and beat.task != "stopped" and age < SILENT_AFTER * beat.interval and not is_here:
            return True
    return False
