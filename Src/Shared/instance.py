"""Which of several: what tells the instances of one service apart.

A service of which there is one at a time is instance `1` wherever it runs: whoever takes over, takes over its row. Any
other instance is named by its machine and a number, `nas/2`: the lowest that no other process has here, which is the
same again after a restart. docs/decisions/instances.md says why.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from Src.Shared.disk.locks import lock_now, open_lock
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.liveness import ONLY
from Src.Shared.services import Service
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instance:
    """One instance of a service. `host`: the machine that it runs on; None: nobody asked."""

    name: str = ONLY
    host: str | None = None


ONE = Instance()


def instance_title(service: str, instance: str) -> str:
    """A service's instance for people: `librarian`, `dashboard nas/2`."""
    return service if instance == ONLY else f"{service} {instance}"


@contextmanager
def own_instance(service: Service, settings: Settings) -> Iterator[Instance]:
    """Which instance this process is, as long as it lasts."""
    if not service.may_be_many:
        yield Instance(ONLY, settings.host)
        return
    number, lock = _take_number(service, settings)
    try:
        yield Instance(f"{settings.host}/{number}", settings.host)
    finally:
        if lock is not None:
            os.close(lock)


def _take_number(service: Service, settings: Settings) -> tuple[int, int | None]:
    """The lowest number that no living process of this service has here, and its lock."""
    for number in itertools.count(1):
        path = settings.run / f"{service.name}-{number}.lock"
        try:
            make_folder(path.parent, PRIVATE)
            lock = open_lock(path)
        except OSError as error:
            logger.warning(
                "%s cannot be used, another %s here would have the same number: %s", path, service.name, error
            )
            return number, None
        if lock_now(lock):
            return number, lock
        os.close(lock)
    raise AssertionError("numbers do not end")
