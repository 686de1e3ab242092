"""Do the containers run, are they healthy, did Docker have to start any of them again?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from Src.Shared.docker_api import Container, DockerApi, DockerUnavailable
from Src.Shared.monitor.finding import Finding, Findings, State

RESTARTED_LATELY = timedelta(minutes=15)
_TOLD_TO_END = (0, 143)  # 143: by SIGTERM, which is how Docker tells it


class Containers:
    """The check of the factory's containers; each is a finding of its own."""

    def __init__(self, name: str, docker: DockerApi) -> None:
        """`name`: of the finding about the Docker API itself."""
        self._name = name
        self._docker = docker

    def look(self) -> Findings:
        try:
            found = self._docker.containers()
        except DockerUnavailable as error:
            advice = "see whether it runs (docker ps) and whether DOCKER_HOST is right"
            return {self._name: Finding("WARNING", str(error), advice)}
        now = datetime.now(UTC)  # the containers' clock is that of their machine, and so is ours
        return {self._name: Finding("OK")} | {f"container {one.name}": finding_of(one, now) for one in found}


def finding_of(container: Container, now: datetime) -> Finding:
    """What a container's state means at the moment `now`."""
    why = f"docker logs {container.name}"
    start = f"docker compose up -d {container.service}"
    details = {
        "state": container.state,
        "health": container.health,
        "restarts": container.restart_count,
        "started_at": container.started_at and container.started_at.isoformat(),
    }

    def found(state: State, message: str, advice: str) -> Finding:
        return Finding(state, message, advice, container.state, details)

    ended = "ran out of memory" if container.out_of_memory else f"ended with exit code {container.exit_code}"
    match container.state:
        case "running" if container.health == "unhealthy":
            return found("ERROR", "it runs, but is not healthy", f"see why: {why}; docker compose restart helps often")
        case "running" if container.restart_count and _lately(container.started_at, now):
            times = "once" if container.restart_count == 1 else f"{container.restart_count} times"
            return found("WARNING", f"it ended by itself; Docker started it again {times}", f"see why: {why}")
        case "running":
            return Finding("OK", None, None, container.state, details)
        case "restarting":
            return found("ERROR", f"it is started again and again; the last time it {ended}", f"see why: {why}")
        case "exited" if container.exit_code in _TOLD_TO_END and not container.out_of_memory:
            return found("STOPPED", "it was stopped", f"start it: {start}")
        case "exited" | "dead" | "removing":
            return found("ERROR", f"it {ended}", f"see why: {why}; start it: {start}")
        case other:  # created, paused
            return found("WARNING", f"it does not run: {other}", f"start it: {start}")


def _lately(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and abs(now - moment) < RESTARTED_LATELY
