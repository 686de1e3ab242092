"""Which vault and which ledger belong together: the judgement, from what either says. It changes nothing, and needs no
SQLAlchemy, because `status` asks too.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from Src.Library.original_path import is_path
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Library.verdict import Living
from Src.Shared.ledger_text import from_ledger
from Src.Shared.ledger_way import Ask
from Src.Shared.vault_marker import Marker, holds_originals, read_marker, same_kind, second_ledger

_SAMPLE = 200  # of the oldest originals, and of the newest
_HASHED = 5  # of those that stand, the smallest
_NO_TABLE = "42P01"  # SQLSTATE
_SIDE = (
    "SELECT vault_id, ledger_kind, rebuilding_since IS NOT NULL, EXISTS (SELECT FROM media_assets) "
    "FROM (VALUES (true)) AS one LEFT JOIN vault ON true"
)
_HAS_TRASH = "SELECT to_regclass('trash') IS NOT NULL"
_HAS_REMOVED = "SELECT EXISTS (SELECT FROM trash) OR EXISTS (SELECT FROM tombstones)"
_OLDEST = "SELECT final_path, file_size, file_hash FROM media_assets ORDER BY id LIMIT %(most)s"
_NEWEST = "SELECT final_path, file_size, file_hash FROM media_assets ORDER BY id DESC LIMIT %(most)s"


class WrongLedger(VaultTrouble):
    """This ledger is not the vault's: nothing is filed. The message says what happened, and what to do."""

    about = "database"


@dataclass(frozen=True, slots=True)
class LedgerSide:
    """What the ledger says."""

    vault_id: uuid.UUID | None = None
    kind: str | None = None
    has_originals: bool = False
    is_rebuilding: bool = False


@dataclass(frozen=True, slots=True)
class VaultSide:
    """What the vault says."""

    marker: Marker | None
    has_originals: bool


_TOGETHER = "let FACTORY_DATA, FACTORY_DB_DATA or DATABASE_URL name the two that belong together"

Why = Literal["foreign", "second", "rebuilding", "lost", "unrelated"]


@dataclass(frozen=True, slots=True)
class Refused:
    """They do not belong together, or nobody can tell. `reason` is the sentence."""

    why: Why
    reason: str


def judge(
    vault: VaultSide, ledger: LedgerSide, kind: str, stands: Callable[[], bool], place: str
) -> uuid.UUID | Refused | None:
    """The id that both have or shall have; None: neither has one yet.

    `kind`: of the ledger that is asked. `stands`: whether any original of the ledger is in the vault, byte for byte.
    `place`: the vault's path, for the sentence.
    """
    marker = vault.marker or Marker()
    ours, theirs = marker.vault_id, ledger.vault_id
    are_known = ours is not None and theirs is not None
    if are_known and ours != theirs:
        return Refused(
            "foreign",
            f"this database belongs to another vault ({theirs}) than {place} ({ours}): {_TOGETHER}, or restore "
            "a backup of this vault's database (./factory restore FILE)",
        )
    if marker.ledger is not None and not same_kind(marker.ledger, kind):
        moved = "; where the database was moved here for good, ./factory rebuild --missing says so"
        reason = second_ledger(place, marker.ledger, kind)
        return Refused("second", f"{reason}{moved if ledger.has_originals else ''}")
    if ledger.is_rebuilding:
        return Refused(
            "rebuilding",
            "the database is being made anew from the vault: let ./factory rebuild --missing come to its end",
        )
    if vault.has_originals and not ledger.has_originals and (marker.recorded or not are_known):
        return Refused(
            "lost",
            f"the vault {place} has originals and this database knows none: restore a backup (./factory restore FILE), "
            f"or make the database anew from the vault (./factory rebuild --missing), or {_TOGETHER}",
        )
    if ledger.has_originals and not are_known and not stands():
        return Refused(
            "unrelated",
            f"of the originals that this database knows, none that was looked for is in the vault {place}: mount the "
            f"right disk, or {_TOGETHER}; where they are gone for good, ./factory rebuild --missing says so",
        )
    return ours or theirs


def ledger_side(ask: Ask) -> LedgerSide:
    """What the ledger says now. Raises WrongLedger where it has lost its tables."""
    try:
        [(vault_id, kind, is_rebuilding, has_originals)] = ask(_SIDE, {})
    except Exception as error:  # psycopg2's own, or SQLAlchemy's around it
        if getattr(getattr(error, "orig", error), "pgcode", None) != _NO_TABLE:
            raise
        raise WrongLedger("the database has lost its tables; it is looked at anew") from error
    return LedgerSide(vault_id, kind, has_originals or _has_removed(ask), is_rebuilding)


def _has_removed(ask: Ask) -> bool:
    """Whether a person has removed originals: a ledger that knows only such was not emptied.

    (One of an earlier version, which is only looked at, has no trash.)
    """
    [(has_trash,)] = ask(_HAS_TRASH, {})
    return bool(has_trash and ask(_HAS_REMOVED, {})[0][0])


def stands(ask: Ask, vault: Vault) -> bool:
    """Whether one of the ledger's oldest and newest originals is in the vault, byte for byte."""
    rows = [row for statement in (_OLDEST, _NEWEST) for row in ask(statement, {"most": _SAMPLE})]
    found = sorted(
        (size, path, sha256)
        for text, size, sha256 in set(rows)
        if (path := from_ledger(text)) and is_path(path) and vault.looks_kept(path, size)
    )
    return any(isinstance(vault.verdict(path, sha256, size), Living) for size, path, sha256 in found[:_HASHED])


@contextmanager
def looking_into(vault: Vault, doing: str = "") -> Iterator[None]:
    """Raises VaultTrouble for what the operating system refuses."""
    try:
        yield
    except OSError as error:
        raise VaultTrouble.from_os(error, doing or f"look into the vault {vault.originals}") from error


def marker_of(vault: Vault) -> Marker | None:
    """Raises VaultTrouble."""
    with looking_into(vault):
        return read_marker(vault.originals)


def verdict_on(
    vault: Vault, marker: Marker | None, ledger: LedgerSide, kind: str, are_there: Callable[[], bool]
) -> uuid.UUID | Refused | None:
    """`judge`, with what the vault says. Raises VaultTrouble."""
    with looking_into(vault):
        full = holds_originals(vault.originals)
    return judge(VaultSide(marker, full), ledger, kind, are_there, str(vault.originals))


def trouble_of(marker: Marker | None, ledger: LedgerSide, verdict: uuid.UUID | Refused | None) -> str | None:
    """The sentence where they do not belong together."""
    if marker is None and ledger.has_originals:
        return None  # the vault is not there, which the caller reports
    return verdict.reason if isinstance(verdict, Refused) else None


def trouble_between(ask: Ask, vault: Vault, kind: str) -> str | None:
    """As `Belonging.trouble`, in the one transaction in which `ask` looks."""
    marker, ledger = marker_of(vault), ledger_side(ask)
    return trouble_of(marker, ledger, verdict_on(vault, marker, ledger, kind, lambda: stands(ask, vault)))
