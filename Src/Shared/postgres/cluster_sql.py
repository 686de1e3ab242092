"""SQL that makes a server's roles what `roles.py` says, in any state that it finds them in.

In a cluster of an earlier version `photo_factory` is the role that initdb made. PostgreSQL refuses to take SUPERUSER
from that one, and refuses REASSIGN OWNED. So it is renamed to `factory_admin`, `photo_factory` is made anew with the
same password, memberships and settings, and what the old one owned goes to it object by object.

The text runs as a superuser, as one transaction in each database, in the ledger's first: after a kill at any point a
database is as it was or done, and the next run does what is left.

Nothing but the standard library: the stack's `init` writes it for PostgreSQL's own container.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stringprep
import unicodedata
from collections.abc import Mapping

from Src.Shared.postgres.roles import ADMIN, DATABASE, OWNER, OWNER_MEMBERSHIPS, ROLES

_STAND_IN = "factory_stand_in"  # lives for some statements of one transaction: nobody can rename themselves
_FORBIDDEN = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
_SCRAM_ITERATIONS = 4096  # PostgreSQL's own number

LOCK_LIMIT = 10  # seconds that others may keep an object locked

DATABASES = (
    "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND datname <> 'template0' "
    f"ORDER BY datname <> '{DATABASE}', datname"
)
"""The databases that the text is for, in order. `template1` too: its objects come into each new database."""

END_SESSIONS_OF_ADMIN = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE usesysid = 10 AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
"""
"""Who connected while `photo_factory` was the superuser still is. Services come back at once, as the new one."""

# The ledger's owner may have made functions of any name, and the loop over settings leaves them set.
_LIMITS = f"""
SET LOCAL search_path = pg_catalog;
SET LOCAL lock_timeout = '{LOCK_LIMIT}s';
SET LOCAL statement_timeout = 0;
SET LOCAL client_min_messages = warning;
"""

_RENAME = f"""
DO $roles$
DECLARE
    was pg_authid;
    other record;
BEGIN
    SELECT * INTO was FROM pg_authid WHERE oid = 10 AND rolname = '{OWNER}';
    IF NOT FOUND THEN RETURN; END IF;
    CREATE ROLE {_STAND_IN} SUPERUSER;
    SET LOCAL SESSION AUTHORIZATION {_STAND_IN};
    ALTER ROLE {OWNER} RENAME TO {ADMIN};
    RESET SESSION AUTHORIZATION;
    DROP ROLE {_STAND_IN};
    EXECUTE format(
        'CREATE ROLE {OWNER} LOGIN CREATEDB CONNECTION LIMIT %s PASSWORD %L %s',
        was.rolconnlimit, was.rolpassword, 'VALID UNTIL ' || quote_literal(was.rolvaliduntil));
    FOR other IN SELECT datname FROM pg_database
        WHERE datdba = 10 AND datname NOT IN ('template0', 'template1', 'postgres')
    LOOP
        EXECUTE format('ALTER DATABASE %I OWNER TO {OWNER}', other.datname);
    END LOOP;
    FOR other IN SELECT spcname FROM pg_tablespace WHERE spcowner = 10 AND oid >= 16384 LOOP
        EXECUTE format('ALTER TABLESPACE %I OWNER TO {OWNER}', other.spcname);
    END LOOP;
    FOR other IN SELECT DISTINCT roleid::regrole AS role FROM pg_auth_members WHERE member = 10 LOOP
        EXECUTE format('GRANT %s TO {OWNER}', other.role);
    END LOOP;
    -- Who was a member of the old one was given its tables, not a superuser's power.
    FOR other IN SELECT DISTINCT member::regrole AS role FROM pg_auth_members WHERE roleid = 10 LOOP
        EXECUTE format('REVOKE {ADMIN} FROM %s CASCADE', other.role);
        EXECUTE format('GRANT {OWNER} TO %s', other.role);
    END LOOP;
    FOR other IN
        SELECT split_part(setting, '=', 1) AS name, substr(setting, strpos(setting, '=') + 1) AS value,
            coalesce('IN DATABASE ' || quote_ident(datname), '') AS place
        FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) AS setting
        WHERE setrole = 10
    LOOP
        BEGIN
            PERFORM set_config(other.name, other.value, true);
            EXECUTE format('ALTER ROLE {OWNER} %s SET %I FROM CURRENT', other.place, other.name);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'setting % of role {OWNER} is not taken over: %', other.name, SQLERRM;
        END;
        EXECUTE format('ALTER ROLE {ADMIN} %s RESET %I', other.place, other.name);
    END LOOP;
END
$roles$;
"""

# What extensions brought stays theirs, and what only a superuser may own stays the superuser's.
_OWN = f"""
DO $roles$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT identified.type, identified.identity
        FROM (
            SELECT 'pg_class'::regclass AS catalog, oid FROM pg_class c
            WHERE relowner = 10 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S') AND NOT EXISTS (
                -- A sequence of a column goes with its table.
                SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND relkind = 'S'
                    AND refclassid = 'pg_class'::regclass AND refobjsubid > 0 AND deptype IN ('a', 'i'))
            UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type t
            WHERE typowner = 10 AND typtype IN ('b', 'd', 'e', 'r') AND typrelid = 0
                AND NOT EXISTS (SELECT FROM pg_type WHERE typarray = t.oid)
            UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace
            WHERE nspowner = 10 AND nspname !~ '^pg_'
            UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE proowner = 10
            UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprowner = 10
            UNION ALL SELECT 'pg_opclass'::regclass, oid FROM pg_opclass WHERE opcowner = 10
            UNION ALL SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily WHERE opfowner = 10
            UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation WHERE collowner = 10
            UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion WHERE conowner = 10
            UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext WHERE stxowner = 10
            UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config WHERE cfgowner = 10
            UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict WHERE dictowner = 10
            UNION ALL SELECT 'pg_foreign_server'::regclass, oid FROM pg_foreign_server WHERE srvowner = 10
            UNION ALL SELECT 'pg_publication'::regclass, p.oid FROM pg_publication p
            WHERE pubowner = 10 AND NOT puballtables
                AND NOT EXISTS (SELECT FROM pg_publication_namespace WHERE pnpubid = p.oid)
            UNION ALL SELECT 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata WHERE lomowner = 10
        ) AS owned,
        pg_identify_object(owned.catalog, owned.oid, 0) AS identified
        WHERE (owned.oid >= 16384 OR owned.catalog = 'pg_largeobject'::regclass) AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = owned.catalog AND objid = owned.oid AND deptype = 'e')
    LOOP
        EXECUTE format(
            'ALTER %s %s OWNER TO {OWNER}',
            CASE one.type WHEN 'composite type' THEN 'type' WHEN 'statistics object' THEN 'statistics'
                ELSE one.type END,
            one.identity);
    END LOOP;
END
$roles$;
"""

# What is to be granted on new objects of the old role is to be granted on those of the new one.
_DEFAULT_PRIVILEGES = f"""
DO $roles$
DECLARE
    kind record;
    one record;
    place text;
BEGIN
    FOR kind IN
        SELECT d.oid, defaclacl, defaclnamespace, CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
            WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END AS objects,
            nspname
        FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
        WHERE defaclrole = 10
    LOOP
        place := 'ALTER DEFAULT PRIVILEGES FOR ROLE %s' || coalesce(' IN SCHEMA ' || quote_ident(kind.nspname), '');
        IF kind.defaclnamespace = 0 THEN
            EXECUTE format(place || ' REVOKE ALL ON %s FROM PUBLIC, {OWNER}', '{OWNER}', kind.objects);
            EXECUTE format(place || ' REVOKE ALL ON %s FROM PUBLIC, {ADMIN}', '{ADMIN}', kind.objects);
        END IF;
        FOR one IN SELECT * FROM aclexplode(kind.defaclacl) LOOP
            EXECUTE format(place || ' GRANT %s ON %s TO %s %s', '{OWNER}', one.privilege_type, kind.objects,
                CASE one.grantee WHEN 0 THEN 'PUBLIC' WHEN 10 THEN '{OWNER}' ELSE one.grantee::regrole::text END,
                CASE WHEN one.is_grantable AND one.grantee <> 10 THEN 'WITH GRANT OPTION' END);
            IF one.grantee NOT IN (0, 10) THEN
                EXECUTE format(place || ' REVOKE ALL ON %s FROM %s', '{ADMIN}', kind.objects,
                    one.grantee::regrole);
            END IF;
        END LOOP;
        -- As PostgreSQL would have it for anybody: then there is nothing left to take over.
        IF kind.defaclnamespace = 0 THEN
            EXECUTE format(place || ' GRANT ALL ON %s TO {ADMIN}', '{ADMIN}', kind.objects);
            IF kind.objects = 'FUNCTIONS' THEN
                EXECUTE format(place || ' GRANT EXECUTE ON FUNCTIONS TO PUBLIC', '{ADMIN}');
            ELSIF kind.objects = 'TYPES' THEN
                EXECUTE format(place || ' GRANT USAGE ON TYPES TO PUBLIC', '{ADMIN}');
            END IF;
        ELSE
            EXECUTE format(place || ' REVOKE ALL ON %s FROM PUBLIC, {ADMIN}', '{ADMIN}', kind.objects);
        END IF;
    END LOOP;
END
$roles$;
"""


def cluster_sql(verifiers: Mapping[str, str] | None = None) -> str:
    """The text, for each of `DATABASES`, as a superuser, in one transaction. `verifiers`: of passwords, by role."""
    return "\n".join(statements(verifiers))


def statements(verifiers: Mapping[str, str] | None = None) -> list[str]:
    """The text's parts, in order."""
    given = verifiers or {}
    parts = [
        _LIMITS,
        _RENAME,
        _LIMITS,
        _role(OWNER, "LOGIN NOSUPERUSER CREATEDB", OWNER_MEMBERSHIPS, given.get(OWNER)),
    ]
    for role in ROLES:
        attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
        parts.append(_role(role.name, attributes, role.memberships, given.get(role.name)))
    parts += [
        f"ALTER ROLE {ADMIN} PASSWORD NULL;",  # by the socket only, where nobody is asked for one
        _OWN,
        _DEFAULT_PRIVILEGES,
    ]
    return parts


def fingerprint() -> str:
    """Changes with what the text makes."""
    return hashlib.sha256(cluster_sql().encode()).hexdigest()[:12]


def _role(name: str, attributes: str, memberships: tuple[str, ...], verifier: str | None) -> str:
    made = (
        f"DO $roles$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN "
        f"CREATE ROLE {name}; END IF; END $roles$;"
    )
    password = f" PASSWORD '{verifier}'" if verifier else ""
    granted = [f"GRANT {', '.join(memberships)} TO {name};"] if memberships else []
    return "\n".join([made, f"ALTER ROLE {name} {attributes}{password};", *granted])


def scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803): the password itself is in no statement, and so in no log."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", _normalized(password).encode(), salt, _SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    texts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{texts[0]}${texts[1]}:{texts[2]}"


def _normalized(password: str) -> str:
    """As server and clients do before they hash (SASLprep, RFC 4013); what that forbids, they take as it is."""
    spaced = "".join(" " if stringprep.in_table_c12(char) else char for char in password)
    mapped = "".join(char for char in spaced if not stringprep.in_table_b1(char))
    prepared = unicodedata.normalize("NFKC", mapped)
    forbidden = any(test(char) for char in prepared for test in _FORBIDDEN)
    right_to_left = [stringprep.in_table_d1(char) for char in prepared]
    if any(right_to_left):  # then nothing of the other direction, and at both ends
        forbidden |= any(map(stringprep.in_table_d2, prepared)) or not (right_to_left[0] and right_to_left[-1])
    return prepared if prepared and not forbidden else password
