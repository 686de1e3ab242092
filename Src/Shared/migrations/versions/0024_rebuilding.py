"""The schema beside the ledger in which a rebuild makes all rows anew, and what putting it in place may ask for.

`open_rebuild` makes it, of the ledger's own tables as they are now; the services have no rights in it but the one that
rebuilds. `forget_rebuilt` takes away rows that a rebuild has added: `rebuild --undo` asks for it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

# Without triggers: nothing there is counted, marked or told to anybody.
_ANEW = (
    *("media_assets", "asset_tags", "albums", "album_items", "acts", "overlay_events", "companions"),
    *("asset_relations", "ingest_events", "vault", "trash", "tombstones", "left_paths", "file_moves", "inbox_files"),
    *("original_looks", "original_findings", "manifest_marks"),
)
_BELONGING = ("asset_tags", "album_items", "original_looks", "original_findings")


def upgrade() -> None:
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    names = ", ".join(f"'{name}'" for name in _ANEW)
    as_owner = f"LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp"
    beside = "beside text := left(current_schema()::text, 50) || '_rebuild';"
    op.execute(
        f"""
        CREATE FUNCTION open_rebuild() RETURNS text {as_owner} AS $$
        DECLARE
            {beside}
            name text;
        BEGIN
            IF to_regnamespace(quote_ident(beside)) IS NULL THEN
                EXECUTE format('CREATE SCHEMA %I', beside);
                FOREACH name IN ARRAY ARRAY[{names}] LOOP
                    EXECUTE format('CREATE TABLE %I.%I (LIKE %I INCLUDING ALL)', beside, name, name);
                END LOOP;
                EXECUTE format('CREATE TABLE %I.was '
                    '(kind text, key text, digest text, PRIMARY KEY (kind, key))', beside);
                EXECUTE format('CREATE TABLE %I.read_files (path text PRIMARY KEY, size bigint NOT NULL, '
                    'mtime_ns bigint NOT NULL, ctime_ns bigint NOT NULL, is_met boolean NOT NULL)', beside);
                EXECUTE format('CREATE TABLE %I.kept (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, '
                    'kind text NOT NULL, key text NOT NULL, before jsonb, after jsonb)', beside);
                EXECUTE format('CREATE TABLE %I.state ('
                    'is_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_only_row), '
                    'schema_revision text NOT NULL, begun_at timestamptz, placed_at timestamptz, '
                    'trusted boolean NOT NULL DEFAULT false, decided_seq bigint NOT NULL DEFAULT 0, '
                    'placed_seq bigint NOT NULL DEFAULT 0)', beside);
                EXECUTE format('INSERT INTO %I.state (schema_revision) '
                    'SELECT version_num FROM alembic_version', beside);
            END IF;
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', beside, session_user);
            -- (no triggers: what `forget_rebuilt` asks here it asks as the owner)
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA %I TO %I',
                beside, session_user);
            EXECUTE format('GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA %I TO %I', beside, session_user);
            RETURN beside;
        END $$
        """
    )
    op.execute(
        f"""
        CREATE FUNCTION close_rebuild() RETURNS void {as_owner} AS $$
        DECLARE
            {beside}
        BEGIN
            EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', beside);
        END $$
        """
    )
    # Only what a rebuild has noted as added, and only while it is as it was added. Whoever may rebuild can write any
    # such note, but take no event away: an original that ever came by another way keeps its row.
    belonging = "\n".join(
        f"DELETE FROM {table} WHERE asset_id = ANY (ARRAY(SELECT id FROM media_assets WHERE file_hash = ANY (gone)));"
        for table in _BELONGING
    )
    op.execute(
        f"""
        CREATE FUNCTION forget_rebuilt(originals text[], companion_ids text[], relations text[])
        RETURNS void {as_owner} AS $$
        DECLARE
            {beside}
            gone text[];
        BEGIN
            EXECUTE format('SELECT array_agg(a.file_hash) FROM %I.kept AS k '
                'JOIN media_assets AS a ON a.file_hash = k.key AND a.final_path = k.after->>$3 '
                'WHERE k.kind = $1 AND k.before IS NULL AND k.key = ANY ($2) AND EXISTS '
                '(SELECT FROM ingest_events AS e WHERE e.file_hash = k.key AND e.fate = $4) AND NOT EXISTS '
                '(SELECT FROM ingest_events AS e WHERE e.file_hash = k.key AND e.fate <> $4)', beside)
                INTO gone USING 'original', originals, 'final_path', 'rebuilt';
            {belonging}
            DELETE FROM media_assets WHERE file_hash = ANY (gone);
            EXECUTE format('DELETE FROM companions AS c USING %I.kept AS k WHERE k.kind = $1 AND k.before IS NULL '
                'AND k.key = ANY ($2) AND c.id = (k.after->>$3)::uuid AND c.final_path = k.after->>$4', beside)
                USING 'companion', companion_ids, 'id', 'final_path';
            EXECUTE format('DELETE FROM asset_relations AS r USING %I.kept AS k WHERE k.kind = $1 AND k.before IS NULL '
                'AND k.key = ANY ($2) AND (r.kind, r.from_hash, r.to_hash) = '
                '(k.after->>$3, k.after->>$4, k.after->>$5)', beside)
                USING 'relation', relations, 'kind', 'from_hash', 'to_hash';
        END $$
        """
    )
    for function in ("open_rebuild()", "close_rebuild()", "forget_rebuilt(text[], text[], text[])"):
        op.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")


def downgrade() -> None:
    op.execute("SELECT close_rebuild()")
    for function in ("open_rebuild()", "close_rebuild()", "forget_rebuilt(text[], text[], text[])"):
        op.execute(f"DROP FUNCTION {function}")
