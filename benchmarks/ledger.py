"""Fills a ledger with originals that look like a library's."""

from __future__ import annotations

import uuid

from Src.Shared.postgres.embedded import EmbeddedPostgres
from Src.Shared.postgres.roles import ADMIN
from Stack.tests.real_factory import Factory

_ORIGINALS = """
    INSERT INTO media_assets (id, file_hash, file_size, original_name, original_path, final_path, media_kind,
        mime_type, width, height, captured_at, date_source, camera_make, camera_model, ingested_at)
    SELECT uuidv7(), encode(sha256(n::text::bytea), 'hex'), 2000000, name, 'Camera/' || name,
        to_char(day, '"Originals"/YYYY/YYYY-MM-DD/') || name, 'JPEG', 'image/jpeg', 4000, 3000, day,
        'exif:DateTimeOriginal', 'Canon', 'Canon EOS 40D', day
    FROM generate_series(1, %s) AS n,
        LATERAL (SELECT 'IMG_' || n || '.jpg', timestamp '2001-01-01' + n * interval '10 minutes') AS one (name, day)
"""
_EVENTS = """
    INSERT INTO ingest_events (id, happened_at, fate, source, original_name, original_path, file_hash, file_size,
        final_path)
    SELECT uuidv7(), ingested_at, 'ingested', 'inbox', original_name, original_path, file_hash, file_size, final_path
    FROM media_assets
"""


VAULT_ID = uuid.UUID(int=1)  # of the vault whose originals a filled ledger tells of


def fill(factory: Factory, rows: int) -> None:
    """Adds originals, each with its event, to a factory that does not run. Indexes grow row by row, as they do."""
    server = EmbeddedPostgres(factory.cluster.parent)
    server.ensure_running()
    try:
        factory.sql(_ORIGINALS, rows)
        factory.sql(_EVENTS)
        factory.sql("INSERT INTO vault (vault_id, ledger_kind) VALUES (%s, 'embedded')", str(VAULT_ID))
        factory.sql("VACUUM ANALYZE")
        factory.sql("CHECKPOINT", role=ADMIN)
    finally:
        server.release()
