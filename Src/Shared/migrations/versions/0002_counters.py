"""Counters of the originals, kept by triggers: what a page shows at each look costs nothing that grows with the library.

One trigger for each kind of statement, and not one for each row: a batch of the librarian's costs one upsert a
counter. Keys are written in order, so that two writers wait for each other and never both.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0002"
down_revision = "0001"

BY_DAY, BY_HOUR = "captured_at::date", "date_trunc('hour', ingested_at, 'UTC')"
# A camera's name is whatever a file says, and an index entry has a limit.
CAMERA = "left(coalesce(camera_model, ''), 100)"
MILLIDEGREES = "round(1000 * (location->>'{0}')::double precision)::integer"
# A location that is none is not counted; it must not keep a photo out of the ledger.
ON_EARTH = "location @? 'strict $ ? (@.lat >= -90 && @.lat <= 90 && @.lon >= -180 && @.lon <= 180)'"

# Of each counter: its table, the columns of its key and what they are of an original, whose originals it counts.
COUNTERS = (
    ("library_days", ("day",), (BY_DAY,), "true"),
    ("library_facets", ("day", "media_kind", "camera"), (BY_DAY, "media_kind", CAMERA), "true"),
    (
        "library_places",
        ("day", "lat_millidegrees", "lon_millidegrees"),
        (BY_DAY, MILLIDEGREES.format("lat"), MILLIDEGREES.format("lon")),
        ON_EARTH,
    ),
    ("ingest_hours", ("hour",), (BY_HOUR,), "true"),
)
WITH_BYTES = ("library_days", "ingest_hours")
# What a statement did to the originals: rows that went, rows that came.
CHANGES = {"INSERT": {"new_rows": 1}, "DELETE": {"old_rows": -1}, "UPDATE": {"old_rows": -1, "new_rows": 1}}
# Most updates set a flag.
UNLESS_COUNTED_ALIKE = """
IF NOT EXISTS (
    SELECT captured_at, ingested_at, file_size, media_kind, camera_model, location FROM old_rows
    EXCEPT ALL SELECT captured_at, ingested_at, file_size, media_kind, camera_model, location FROM new_rows
) THEN RETURN NULL; END IF;
"""


def upgrade() -> None:
    bytes_column = sa.Column("bytes", sa.BigInteger, nullable=False)
    op.create_table(
        "library_days",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("originals", sa.BigInteger, nullable=False),
        bytes_column.copy(),
    )
    op.create_table(
        "library_facets",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("media_kind", sa.Text, primary_key=True),
        sa.Column("camera", sa.Text, primary_key=True),
        sa.Column("originals", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "library_places",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("lat_millidegrees", sa.Integer, primary_key=True),
        sa.Column("lon_millidegrees", sa.Integer, primary_key=True),
        sa.Column("originals", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ingest_hours",
        sa.Column("hour", TIMESTAMP(timezone=True), primary_key=True),
        sa.Column("originals", sa.BigInteger, nullable=False),
        bytes_column.copy(),
    )
    for event, tables in CHANGES.items():
        body = "\n".join(_count(*counter, tables) for counter in COUNTERS)
        if event == "UPDATE":
            body = f"{UNLESS_COUNTED_ALIKE}\n{body}"
        referencing = " ".join(f"{name[:3].upper()} TABLE AS {name}" for name in tables)
        _trigger(event, body, referencing=f"REFERENCING {referencing}")
    _trigger("TRUNCATE", f"TRUNCATE {', '.join(name for name, *_ in COUNTERS)};")
    # The triggers' creation has locked out writers, so nothing is counted twice or missed.
    for counter in COUNTERS:
        op.execute(_count(*counter, {"media_assets": 1}))


def _trigger(event: str, body: str, referencing: str = "") -> None:
    name = f"count_{event.lower()}"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n{body}\nRETURN NULL;\nEND\n$$"
    )
    op.execute(
        f"CREATE TRIGGER {name} AFTER {event} ON media_assets {referencing} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )


def _count(name: str, keys: tuple[str, ...], terms: tuple[str, ...], counted: str, tables: dict[str, int]) -> str:
    """SQL that adds what came to a counter and takes off what went; keys that nothing is left of go."""
    key, key_of_row = ", ".join(keys), ", ".join(f"{term} AS {k}" for k, term in zip(keys, terms, strict=True))
    sums = ("originals", "bytes") if name in WITH_BYTES else ("originals",)
    rows = " UNION ALL ".join(
        f"SELECT {key_of_row}, {sign} AS originals, {sign} * file_size AS bytes FROM {table} WHERE {counted}"
        for table, sign in tables.items()
    )
    changed = ", ".join(f"sum({column})::bigint AS {column}" for column in sums)
    added = ", ".join(f"{column} = counter.{column} + excluded.{column}" for column in sums)
    having = " OR ".join(f"sum({column}) <> 0" for column in sums)
    add = (
        f"INSERT INTO {name} AS counter ({key}, {', '.join(sums)})\n"
        f"SELECT {key}, {changed} FROM ({rows}) AS rows GROUP BY {key} HAVING {having} ORDER BY {key}\n"
        f"ON CONFLICT ({key}) DO UPDATE SET {added};"
    )
    if "old_rows" not in tables:
        return add
    touched = f"SELECT {key_of_row} FROM old_rows WHERE {counted}"
    return f"{add}\nDELETE FROM {name} WHERE originals = 0 AND ({key}) IN ({touched});"


def downgrade() -> None:
    raise NotImplementedError("counters cost little and are made from the originals; to be rid of them, drop them")
