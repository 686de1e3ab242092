"""Reading from the Docker API: the containers of this factory, and what they said last.

Only ever reads. In the stack a proxy answers that lets nothing else through: containers are asked for by name, one by
one, because it does not show other people's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from Src.Shared.services import SERVICES, service_named

if TYPE_CHECKING:
    from docker import APIClient

TIMEOUT = 5  # seconds that the engine may be silent
LINE_LIMIT = 4000  # characters of a log line

# Service, as the ledger and docker-compose.yml call it -> container, of a stack without a name of its own.
CONTAINERS = {service.name: service.container for service in SERVICES}


def container_name(service: str, factory_name: str | None) -> str:
    """The container of a service, in the stack of that FACTORY_NAME."""
    name = service_named(service).container
    return f"{factory_name}_{name}" if factory_name else name


class DockerUnavailable(Exception):
    """The Docker API cannot be reached, does not answer or refuses. The message is one line."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container, at one moment."""

    service: str
    name: str
    state: str  # Docker's word: created, running, paused, restarting, removing, exited or dead
    health: str | None  # starting, healthy or unhealthy; None: it has no health check
    restart_count: int  # restarts by Docker itself since it was last started by hand
    started_at: datetime | None
    finished_at: datetime | None  # when it last ended; None: never
    exit_code: int  # of that end
    out_of_memory: bool  # it was what ended it


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a container wrote, as it wrote it; unsafe to show without escaping."""

    at: datetime | None
    text: str


class DockerApi:
    """The Docker API at one address (`unix://...` or `tcp://...`); thread-safe. Connects when asked."""

    def __init__(self, host: str, factory_name: str | None = None, timeout: int = TIMEOUT) -> None:
        self._host = host
        self._factory_name = factory_name
        self._timeout = timeout

    def containers(self) -> list[Container]:
        """The containers of this factory that exist, running or not, in the order of CONTAINERS.

        Raises DockerUnavailable.
        """
        from docker.errors import NotFound

        found = []
        with self._client() as client:
            for service in CONTAINERS:
                name = container_name(service, self._factory_name)
                with suppress(NotFound):
                    found.append(_container(service, name, client.inspect_container(name)))
        return found

    def log_lines(self, service: str, count: int = 100) -> list[LogLine]:
        """The last `count` lines of a service's container, stdout and stderr, oldest first; none if it does not exist.

        Raises DockerUnavailable, and KeyError for a service that there is not.
        """
        from docker.errors import NotFound

        if service not in CONTAINERS:
            raise KeyError(service)
        name = container_name(service, self._factory_name)
        with self._client() as client:
            try:
                text = client.logs(name, stdout=True, stderr=True, timestamps=True, tail=count)
            except NotFound:
                return []
        lines = text.decode(errors="replace").split("\n")
        return [_log_line(line.rstrip("\r")) for line in lines if line]

    @contextmanager
    def _client(self) -> Iterator[APIClient]:
        """One for each question: an engine that was restarted or upgraded meanwhile may be another one."""
        from docker import APIClient
        from docker.errors import DockerException
        from requests import RequestException

        class Direct(APIClient):
            """The HTTP proxy that the environment may name is not meant for this."""

            trust_env = property(lambda _self: False, lambda _self, _value: None)

        try:
            with closing(Direct(base_url=self._host, timeout=self._timeout)) as client:
                yield client
        except (DockerException, RequestException, OSError, ValueError, LookupError, TypeError) as error:
            # The last three: what answers is no Docker API.
            raise DockerUnavailable(f"the Docker API at {self._host} cannot be used: {_one_line(error)}") from error


def _container(service: str, name: str, inspected: dict[str, Any]) -> Container:
    state = inspected["State"]
    health = (state.get("Health") or {}).get("Status")
    ended = _moment(state["FinishedAt"])
    return Container(
        service,
        name,
        state["Status"],
        health if health != "none" else None,
        inspected["RestartCount"],
        _moment(state["StartedAt"]),
        ended,
        state["ExitCode"],
        state["OOMKilled"],
    )


def _moment(text: str) -> datetime | None:
    moment = datetime.fromisoformat(text)
    return None if moment.year == 1 else moment  # Go's zero time: never


def _log_line(line: str) -> LogLine:
    moment, _, text = line.partition(" ")
    try:
        return LogLine(datetime.fromisoformat(moment), text[:LINE_LIMIT])
    except ValueError:  # the rest of a line that held a line break of its own
        return LogLine(None, line[:LINE_LIMIT])


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
