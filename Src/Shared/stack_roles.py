"""The roles of the stack's ledger: what `init` writes for PostgreSQL's own container (`Stack/App_Data/factory-db.sh`).

Only that container knows the superuser, and only by its own socket; the services have passwords of their own roles.
Nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping

from Src.Shared.postgres.cluster_sql import DATABASES, cluster_sql, scram_verifier
from Src.Shared.postgres.roles import OWNER, ROLES

OWNER_PASSWORD = "db_password"

# Which service has which role's password. `migrate` brings the schema up to date, as the owner.
HOLDERS: dict[str, tuple[str, ...]] = {
    OWNER_PASSWORD: ("factory-db", "migrate"),
    **{role.password_file: (role.service,) for role in ROLES},
}


def scripts(passwords: Mapping[str, str]) -> dict[str, str]:
    """Files for PostgreSQL's container. `passwords`: by the secret's name."""
    named = {OWNER: passwords[OWNER_PASSWORD], **{role.name: passwords[role.password_file] for role in ROLES}}
    verifiers = {role: scram_verifier(password) for role, password in named.items()}
    return {"databases.sql": f"{DATABASES};\n", "roles.sql": f"{cluster_sql(verifiers)}\n"}
