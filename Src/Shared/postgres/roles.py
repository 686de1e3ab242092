"""The roles of the ledger's server. What each may do stands in the service's entry (`services.py`).

`factory_admin` is the superuser that initdb makes; no service and no command connects as it. `photo_factory` owns the
database and all that is in it; schema changes, backups and people use it. Each service has a role of its own.

Nothing but the standard library: the stack's `init` writes passwords from this, without a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from Src.Shared.services import SERVICES

ADMIN = "factory_admin"
OWNER = "photo_factory"
DATABASE = "photo_factory"


@dataclass(frozen=True)
class Role:
    """One service's role."""

    name: str
    service: str  # connects as this role, and writes the rows of its name in system_status and its history
    tables: Mapping[str, tuple[str, ...]]  # by table: privileges; `UPDATE (column)` for one column
    functions: tuple[str, ...] = ()
    also_connects: tuple[str, ...] = ()  # what names itself so to the server (`Database(service=...)`)
    also_speaks_for: tuple[str, ...] = ()  # services without a heartbeat of their own
    memberships: tuple[str, ...] = ()  # in roles that PostgreSQL comes with

    @property
    def password_file(self) -> str:
        """In the stack: the secret that the service has."""
        return f"{self.name}_password"


ROLES = tuple(
    Role(
        service.rights.role,
        service.name,
        service.rights.tables,
        service.rights.functions,
        service.rights.also_connects,
        tuple(other.name for other in SERVICES if other.reported_by == service.name),
        service.rights.memberships,
    )
    for service in SERVICES
    if service.rights is not None
)

# The owner's: to end the sessions of a ledger that a restore replaces, and to see whose they are.
OWNER_MEMBERSHIPS = ("pg_signal_backend", "pg_read_all_stats")


def role_of(program: str) -> str:
    """As which role a program connects: its service's, or the owner."""
    return next((role.name for role in ROLES if program in (role.service, *role.also_connects)), OWNER)


def services_of_roles() -> str:
    """SQL: the services for which the current role writes heartbeats, as an array."""
    cases = "\n".join(
        f"    WHEN '{role.name}' THEN ARRAY[{', '.join(map(repr, (role.service, *role.also_speaks_for)))}]"
        for role in ROLES
    )
    return f"SELECT CASE current_user\n{cases}\n    ELSE ARRAY[]::text[] END"
