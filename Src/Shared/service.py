"""How every service starts, shows that it lives, hears signals and ends.

A service's module has a `main` that calls `run` with its name in `services.py` and what makes it.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from Src.Shared.database import Database
from Src.Shared.errors import ExitCode, FactoryError
from Src.Shared.heartbeat_service import HeartbeatService
from Src.Shared.instance import own_instance
from Src.Shared.limits import LIMITS, Limits
from Src.Shared.liveness import liveness_file
from Src.Shared.logs import configure_logging
from Src.Shared.runner_watch import end_with_runner
from Src.Shared.services import service_named
from Src.Shared.settings import Settings, SettingsError, load_settings

ANSWER_LIMIT = 30.0  # seconds that any one statement to the ledger may take

logger = logging.getLogger(__name__)


class Running(Protocol):
    """A service, made and ready."""

    def run(self) -> object:
        """Works until `stop` is called.

        Its loop calls the heartbeat's `touch` in each round, and `start` as soon as it has something to report.
        """

    def stop(self) -> None:
        """Ends `run` within seconds. Called by a signal handler: it only takes note."""


@dataclass(frozen=True)
class Start:
    """What a service is made of."""

    settings: Settings
    database: Database  # as the service's own role
    heartbeat: HeartbeatService


def run(
    name: str,
    make: Callable[[Start], Running | None],
    *,
    answer_limit: float = ANSWER_LIMIT,
    longest_round: float = 0.0,
    limits: Limits = LIMITS,
) -> int:
    """Runs a service until SIGTERM, SIGINT, or the end of the runner that started it; the exit code.

    WELL: a signal stopped it, or `make` returns None because it is switched off. Else what the error says, as WRONG
    where it cannot run as it is set, or with this ledger. `longest_round`: seconds that its loop may rightly stand
    still, should LOOP_LIMIT be less.
    """
    service = service_named(name)
    try:
        settings = load_settings(limits=limits)
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    configure_logging(settings, name)
    database = Database(settings, service=name, answer_limit=answer_limit)
    try:
        with own_instance(service, settings) as instance:
            heartbeat = HeartbeatService(
                database,
                name,
                service.interval or settings.heartbeat_interval,
                liveness_file(settings.run, name, instance.name),
                max(settings.loop_limit, longest_round),
                instance,
            )
            try:
                _run(make(Start(settings, database, heartbeat)))
            finally:
                heartbeat.stop()
    except FactoryError as error:
        logger.error("%s", error)
        return error.exit_code
    finally:
        database.close()
    return ExitCode.WELL


def _run(running: Running | None) -> None:
    if running is None:
        return

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        running.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    end_with_runner()
    running.run()
