"""The way to the ledger's server, and what it is called when there is none. No SQLAlchemy: its import takes longer than
all that a command which only looks has to do.

The ledger's absence looks like many things (refused, lost, full, starting, stopping, read-only, silent);
callers see LedgerUnavailable for all of them, and the errors of their own data as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import psycopg2

from Src.Shared.errors import FactoryError
from Src.Shared.limits import Limits
from Src.Shared.postgres.connection import limited
from Src.Shared.postgres.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    EmbeddedPostgresStarting,
    NewDatabaseRefused,
)
from Src.Shared.postgres.place import ledger_folder, made_ledger_folder, shown_ledger_folder
from Src.Shared.settings import Settings
from Src.Shared.vault_marker import against_a_new_ledger

IDLE_IN_TRANSACTION_LIMIT = 300.0  # a service stopped inside a session must not hold its locks for ever

# SQLSTATEs that psycopg2 does not call operational: read-only after a failover, broken pages.
# A role whose rights were taken away is locked out as surely: rows wait in the journal.
_OUTAGE_CODES = ("25006", "42501", "XX001", "XX002")
# Operational for psycopg2, but the fault of what was asked: over a limit, an object's wrong state.
_OWN_FAULT_CLASSES = ("54", "55")
_LOCK_TIMEOUT = "55P03"


_PLAIN = re.compile(
    r"postgresql\+psycopg2://(?:(?P<user>[^@:/?\[]*)(?::(?P<password>[^@:/?\[]*))?@)?"
    r"(?P<host>[A-Za-z0-9.-]+)(?::(?P<port>[0-9]+))?/(?P<dbname>[A-Za-z0-9_-]+)"
)

# Asks SQL with values as psycopg2 has them, `%(name)s`; the rows. `database.asking` makes one of a session.
Ask = Callable[[str, Mapping[str, Any]], list[tuple[Any, ...]]]

NewLedger = Literal["of a new factory", "of this vault", "of any vault"]


class LedgerUnavailable(FactoryError):
    """The ledger cannot be reached or did not answer. The message is one line; the cause is chained."""

    about = "database"


class LedgerStarting(LedgerUnavailable):
    """The embedded server is being made or started: it comes by itself, within a minute where nothing is wrong."""


class LedgerRefused(LedgerUnavailable):
    """There is no ledger, and none is made: it would be a second, empty one for a vault. The message says why."""


def embedded_ledger(settings: Settings, new: NewLedger = "of a new factory") -> EmbeddedPostgres | None:
    """The embedded server of the settings; None where they name another. `new`: see `Database`."""
    if settings.database_url is not None:
        return None
    where = shown_ledger_folder(settings)
    refusal = partial(against_a_new_ledger, settings.originals, "embedded", where, may_be_full=new == "of this vault")
    folder = ledger_folder(settings)
    return EmbeddedPostgres(
        folder or Path(where),
        None if new == "of any vault" else refusal,
        partial(made_ledger_folder, settings) if folder is None else None,
        settings.limits,
    )


def started(embedded: EmbeddedPostgres, wait: float) -> str:
    """The SQLAlchemy URL of an embedded server for the ledger's owner; it is started if it is not running.

    Raises LedgerUnavailable.
    """
    try:
        return embedded.ensure_running(wait)
    except NewDatabaseRefused as error:
        raise LedgerRefused(str(error)) from error
    except EmbeddedPostgresStarting as error:
        raise LedgerStarting(str(error)) from error
    except EmbeddedPostgresError as error:
        raise LedgerUnavailable(str(error)) from error


def connect_arguments(limits: Limits, service: str, answer_limit: float) -> dict[str, Any]:
    """What each connection is made with; seconds for any one answer."""
    return {
        "application_name": service,
        "connection_factory": limited(limits.connect, answer_limit),
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }


def session_limits(limits: Limits, answer_limit: float) -> str:
    """SQL: the first words on each connection."""
    seconds_of = {
        "statement_timeout": answer_limit,  # what nobody waits for any more need not be finished
        "lock_timeout": min(limits.lock, answer_limit),
        "idle_in_transaction_session_timeout": max(IDLE_IN_TRANSACTION_LIMIT, answer_limit),
    }
    return "; ".join(f"SET {name} = {int(seconds * 1000)}" for name, seconds in seconds_of.items())


def plain_url(url: str) -> dict[str, str] | None:
    """Host, port, name, user and password that a SQLAlchemy URL gives, in libpq's words; None where it is not one that
    all programs read alike."""
    found = _PLAIN.fullmatch(url)
    if found is None:
        return None
    parts = {name: unquote(value or "") for name, value in found.groupdict().items()}
    parts["port"] = parts["port"].lstrip("0")
    return {name: value for name, value in parts.items() if value}


def is_outage(error: BaseException | None) -> bool:
    """Whether an error of psycopg2's says that the ledger is away, and nothing of what was asked."""
    code = getattr(error, "pgcode", None) or ""
    if code in _OUTAGE_CODES or code == _LOCK_TIMEOUT:
        return True
    if isinstance(error, psycopg2.InterfaceError):  # the connection is closed already
        return True
    return isinstance(error, psycopg2.OperationalError) and code[:2] not in _OWN_FAULT_CLASSES


def one_line(error: BaseException | None) -> str:
    """libpq indents what goes on, be it a sentence or only a line."""
    told = ""
    for line in str(error).splitlines():
        words = " ".join(line.split())
        if not told or not words:
            told += words
        elif not line[0].isspace():
            told += f"; {words}"
        else:
            told += f". {words}" if words[0].isupper() else f" {words}"
    return told or "the connection to the database was lost"
