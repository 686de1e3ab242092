"""What each role may do in one ledger: compared with `roles.py`, and corrected by the ledger's owner.

Rights are not part of a schema's revision: a ledger that was restored, or a server with new roles, has the newest
schema and no rights. On a server without our roles (a PostgreSQL of one's own) nothing is granted to anybody.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

from Src.Shared.postgres.roles import ROLES, services_of_roles

OWN_SERVICES = "own_services"  # the function that the policies of heartbeats ask
PUBLIC = "PUBLIC"


class Right(NamedTuple):
    """One privilege, in SQL's words. `column` is empty where it is for the whole object."""

    kind: str  # TABLE, FUNCTION, SCHEMA or DATABASE
    name: str  # quoted where SQL needs it
    column: str
    privilege: str
    role: str

    def change(self, verb: str) -> str:
        privilege = f"{self.privilege} ({self.column})" if self.column else self.privilege
        return f"{verb} {privilege} ON {self.kind} {self.name} {'TO' if verb == 'GRANT' else 'FROM'} {self.role}"


# Of everybody's rights, only those that are taken away are looked at.
_ACTUAL = text("""
WITH given (kind, name, attribute, acl) AS (
    SELECT 'TABLE', c.oid::regclass::text, '', coalesce(relacl, acldefault('r', relowner)) FROM pg_class c
    WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (:tables)
    UNION ALL SELECT 'TABLE', attrelid::regclass::text, quote_ident(attname), attacl
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (:tables) AND attacl IS NOT NULL
    UNION ALL SELECT 'FUNCTION', oid::regprocedure::text, '', coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proname = ANY (:functions)
    UNION ALL SELECT 'SCHEMA', quote_ident(nspname), '', coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace
    WHERE nspname = current_schema() AND pg_has_role(nspowner, 'USAGE')
    UNION ALL SELECT 'DATABASE', quote_ident(datname), '', coalesce(datacl, acldefault('d', datdba)) FROM pg_database
    WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE')
)
SELECT kind, name, attribute, privilege_type, coalesce(rolname, 'PUBLIC')
FROM given, aclexplode(acl) AS one LEFT JOIN pg_roles r ON r.oid = grantee
WHERE rolname = ANY (:roles)
    OR grantee = 0 AND (kind = 'FUNCTION' OR (kind, privilege_type) = ('DATABASE', 'TEMPORARY'))
""")
_OBJECTS = text("""
SELECT relname, c.oid::regclass::text FROM pg_class c
WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (:tables)
UNION ALL SELECT proname, oid::regprocedure::text FROM pg_proc
WHERE pronamespace = current_schema()::regnamespace AND proname = ANY (:functions)
UNION ALL SELECT 'schema', quote_ident(nspname) FROM pg_namespace
WHERE nspname = current_schema() AND pg_has_role(nspowner, 'USAGE')
UNION ALL SELECT 'database', quote_ident(datname) FROM pg_database
WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE')
""")
_STANDING = text("""
SELECT coalesce(
        (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('alembic_version')),
        has_schema_privilege(current_schema(), 'CREATE'), false),
    (SELECT prosrc FROM pg_proc WHERE proname = :services AND pronamespace = current_schema()::regnamespace),
    ARRAY (SELECT rolname::text FROM pg_roles WHERE rolname = ANY (:roles))
""")


def owns_ledger(connection: Connection) -> bool:
    """Whether this connection's role may change the schema (of an empty database: make one)."""
    return _standing(connection).owns


def corrections(connection: Connection) -> list[str]:
    """The statements that are missing for the rights to be what `roles.py` says; none but for the ledger's owner."""
    owns, services, there = _standing(connection)
    if not owns or services is None:  # the schema is one of before there were roles
        return []
    statements = []
    if services != services_of_roles():
        statements.append(
            f"CREATE OR REPLACE FUNCTION {OWN_SERVICES}() RETURNS text[] LANGUAGE sql STABLE "
            f"AS $services${services_of_roles()}$services$"
        )
    if there:
        names = {
            "tables": sorted({table for role in ROLES for table in role.tables}),
            "functions": sorted({function for role in ROLES for function in role.functions}),
        }
        actual = {Right(*row) for row in connection.execute(_ACTUAL, {**names, "roles": there})}
        wanted = _wanted({row[0]: row[1] for row in connection.execute(_OBJECTS, names)}, set(there))
        statements += [right.change("REVOKE") for right in sorted(actual - wanted)]
        statements += [right.change("GRANT") for right in sorted(wanted - actual)]
    return statements


class _Standing(NamedTuple):
    owns: bool  # may this role change the ledger?
    services: str | None  # the body of `own_services`
    there: list[str]  # which of our roles the server has


def _standing(connection: Connection) -> _Standing:
    names = {"services": OWN_SERVICES, "roles": [role.name for role in ROLES]}
    return _Standing(*connection.execute(_STANDING, names).one())


def _wanted(objects: dict[str, str], there: set[str]) -> set[Right]:
    """`objects`: the full names of those that exist."""
    rights = set()
    for role in ROLES:
        if role.name not in there:
            continue
        for kind, privilege in (("database", "CONNECT"), ("schema", "USAGE")):
            if kind in objects:  # and ours: the database may be another's, who lets us have tables in it
                rights.add(Right(kind.upper(), objects[kind], "", privilege, role.name))
        for table, privileges in role.tables.items():
            for privilege in privileges if table in objects else ():
                verb, _, column = privilege.rstrip(")").partition(" (")
                rights.add(Right("TABLE", objects[table], column, verb, role.name))
        for function in role.functions:
            if function in objects:
                rights.add(Right("FUNCTION", objects[function], "", "EXECUTE", role.name))
    return rights
