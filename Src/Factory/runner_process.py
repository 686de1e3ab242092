"""The process that `up` becomes: supervisor (supervisord.org), and what it says in our words.

`python -m Src.Factory.runner_process CONFIG SERVICE...`: the services that the configuration starts.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from supervisor import loggers
from supervisor.medusa import asyncore_25
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from Src.Factory import report
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.dashboard_exposure import is_loopback, url
from Src.Shared.deadline import NoAnswer, within
from Src.Shared.liveness import Lives
from Src.Shared.logs import configure_logging
from Src.Shared.runner_watch import VARIABLE as RUNNER
from Src.Shared.services import LIBRARIAN
from Src.Shared.settings import Settings, load_settings

# What supervisor says, and what we say in its place; None: nothing that anybody must know.
_WORDS: tuple[tuple[str, int, str | None], ...] = (
    (r"received \w+ indicating exit request", logging.INFO, "stopping: each service finishes what it has begun"),
    (r"killing '(.+)' \(\d+\) with SIGKILL", logging.WARNING, r"\1 does not stop and is killed; no photo is lost"),
    (r"stopped: .* \(terminated by SIG\w+\)", logging.INFO, None),
    (r"exited: (\S+) \((.+); not expected\)", logging.WARNING, r"\1 has ended (\2) and is started again"),
)
_ANSWER_LIMIT = 0.5  # seconds
_LEVELS = {loggers.LevelsByName.WARN: logging.WARNING, loggers.LevelsByName.ERRO: logging.ERROR}

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Runs the services until a signal; the exit code."""
    config, *services = arguments
    settings = load_settings()
    configure_logging(settings, "factory")
    os.environ[RUNNER] = str(os.getpid())  # not before: our own words need no file
    options = _Options()
    options.realize(["-n", "-c", config])
    options.first, options.test = True, False
    with suppress(asyncore_25.ExitNow):  # its way to end
        _Runner(options, settings, services).main()
    options.close_httpservers()
    options.close_logger()
    logger.info("stopped")
    return 0


class _Options(ServerOptions):  # type: ignore[misc]
    def setsignals(self) -> None:
        """Whoever has asked that a closed terminal ends nothing (nohup) gets that."""
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().setsignals()
        if is_ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def get_signal(self) -> int | None:
        """A terminal that was closed ends the factory; supervisor would start all services again, unseen."""
        found: int | None = super().get_signal()
        return signal.SIGTERM if found == signal.SIGHUP else found

    def make_logger(self) -> None:
        self.logger = loggers.getLogger(self.loglevel)
        self.logger.addHandler(_Handler())
        for message in (*self.parse_criticals, *self.parse_warnings):
            self.logger.warn(message)


class _Handler(loggers.Handler):  # type: ignore[misc]
    """Passes supervisor's words to the log of this process, in ours where we have some."""

    def emit(self, record: Any) -> None:
        said = worded(str(record.msg))
        if said is not None:
            level, words = said
            logger.log(level or _LEVELS.get(record.level, logging.CRITICAL), "%s", words)

    def close(self) -> None:
        """There is nothing to close."""

    def reopen(self) -> None:
        """There is no file."""


def worded(message: str) -> tuple[int, str] | None:
    """Level (0: its own) and words for what supervisor says; None: nothing."""
    for pattern, level, words in _WORDS:
        found = re.fullmatch(pattern, message)
        if found is not None:
            return None if words is None else (level, found.expand(words))
    return 0, message


class _Runner(Supervisor):  # type: ignore[misc]
    """Says once that all services are at work, and what a person does now."""

    def __init__(self, options: _Options, settings: Settings, services: list[str]) -> None:
        super().__init__(options)
        self._settings = settings
        self._awaited = set(services)
        self._began = time.time()
        self._lives = Lives(settings.run, settings.loop_limit, settings.host)

    def tick(self, now: float | None = None) -> None:
        """Supervisor calls it each second."""
        super().tick(now)
        if self._awaited:
            self._awaited = {service for service in self._awaited if not self._is_at_work(service)}
            if not self._awaited and self.options.mood == SupervisorStates.RUNNING:
                say_ready(self._settings)

    def _is_at_work(self, service: str) -> bool:
        age = self._lives.age(service)
        if age is None or time.time() - age < self._began:
            return False
        return service != LIBRARIAN or self._takes_photos()

    def _takes_photos(self) -> bool:
        """Before that it lives too, and waits for what it needs."""
        try:
            return within(
                _ANSWER_LIMIT, lambda: self._settings.inbox.is_dir() and Vault(self._settings.storage).is_marked()
            )
        except (NoAnswer, VaultTrouble):  # its disk does not answer: nothing here must wait for it
            return False


def say_ready(settings: Settings) -> None:
    """The three lines that a start ends with."""
    report.heading("Photo Factory is ready.")
    report.line("Drop photos into", str(settings.inbox))
    if settings.dashboard_port:
        has_password = settings.dashboard_password or not is_loopback(settings.dashboard_address)
        report.line("See them at", f"{url(settings)}{' (./factory password)' if has_password else ''}")
    report.line("Stop it with", "Ctrl-C" if sys.stdin.isatty() else f"kill {os.getpid()}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
