"""Counters of the originals, kept by triggers: what a page shows all day costs nothing that grows with the library.

One trigger for each kind of statement, and not one for each row: a batch of the librarian's costs one upsert for each
counter. Keys are written in order, so that two writers never wait for each other.

And an index for "where is my photo?".
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0002"
down_revision = "0001"


class Counter(NamedTuple):
    """A table of numbers: its key's columns, each with what it is of an original; which originals; what is summed."""

    table: str
    key: dict[str, str]
    counted: str = "true"
    sums: tuple[str, ...] = ("originals",)


DAY = "captured_at::date"
# A camera's name is whatever a file says, and an index entry has a limit.
CAMERA = "left(coalesce(camera_model, ''), 100)"
LATITUDE, LONGITUDE = (f"round(1000 * (location->>'{axis}')::double precision)::integer" for axis in ("lat", "lon"))
# A location that is none is not counted; it must not keep a photo out of the ledger.
ON_EARTH = "location @? 'strict $ ? (@.lat >= -90 && @.lat <= 90 && @.lon >= -180 && @.lon <= 180)'"
HOUR = "date_trunc('hour', ingested_at, 'UTC')"

COUNTERS = (
    Counter("library_days", {"day": DAY}, sums=("originals", "bytes")),
    Counter("library_facets", {"day": DAY, "media_kind": "media_kind", "camera": CAMERA}),
    Counter("library_places", {"day": DAY, "lat_millidegrees": LATITUDE, "lon_millidegrees": LONGITUDE}, ON_EARTH),
    Counter("ingest_hours", {"hour": HOUR}, sums=("originals", "bytes")),
)
# The rows that a statement takes away and brings.
CHANGES = {"INSERT": {"new_rows": 1}, "DELETE": {"old_rows": -1}, "UPDATE": {"old_rows": -1, "new_rows": 1}}
# Most updates set a flag.
UNLESS_COUNTED_ALIKE = """
IF NOT EXISTS (
    SELECT captured_at, ingested_at, file_size, media_kind, camera_model, location FROM old_rows
    EXCEPT ALL SELECT captured_at, ingested_at, file_size, media_kind, camera_model, location FROM new_rows
) THEN RETURN NULL; END IF;
"""


def upgrade() -> None:
    op.create_table(
        "library_days",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("originals", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
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
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    # By the beginning of a name, in an external ledger of any collation too.
    by_name = sa.text("lower(original_name) text_pattern_ops")
    op.create_index("ix_ingest_events_name", "ingest_events", [by_name])

    for event, tables in CHANGES.items():
        body = "\n".join(_count(counter, tables) for counter in COUNTERS)
        if event == "UPDATE":
            body = f"{UNLESS_COUNTED_ALIKE}{body}"
        _trigger(event, body, " ".join(("REFERENCING", *(f"{rows[:3]} TABLE AS {rows}" for rows in tables))))
    _trigger("TRUNCATE", f"TRUNCATE {', '.join(counter.table for counter in COUNTERS)};")
    # To make the triggers has locked writers out: nothing is counted twice or left out.
    for counter in COUNTERS:
        op.execute(_count(counter, {"media_assets": 1}))


def _trigger(event: str, body: str, referencing: str = "") -> None:
    name = f"count_{event.lower()}"
    op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n{body}\nRETURN NULL;\nEND\n$$")
    op.execute(
        f"CREATE TRIGGER {name} AFTER {event} ON media_assets {referencing} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )


def _count(counter: Counter, tables: dict[str, int]) -> str:
    """SQL that adds what came to a counter and takes off what went; keys of which nothing is left go."""
    table, of_row, counted, sums = counter
    key, columns = ", ".join(of_row), ", ".join(sums)
    key_of_row = ", ".join(f"{term} AS {column}" for column, term in of_row.items())
    rows = " UNION ALL ".join(
        f"SELECT {key_of_row}, {sign} AS originals, {sign} * file_size AS bytes FROM {name} WHERE {counted}"
        for name, sign in tables.items()
    )
    add = (
        f"INSERT INTO {table} AS counter ({key}, {columns})\n"
        f"SELECT {key}, {', '.join(f'sum({column})::bigint' for column in sums)} FROM ({rows}) AS changed\n"
        f"GROUP BY {key} HAVING {' OR '.join(f'sum({column}) <> 0' for column in sums)} ORDER BY {key}\n"
        f"ON CONFLICT ({key}) DO UPDATE SET "
        f"{', '.join(f'{column} = counter.{column} + excluded.{column}' for column in sums)};"
    )
    if "old_rows" not in tables:
        return add
    left = f"SELECT {key_of_row} FROM old_rows WHERE {counted}"
    return f"{add}\nDELETE FROM {table} WHERE originals = 0 AND ({key}) IN ({left});"


def downgrade() -> None:
    raise NotImplementedError("the counters are made from the originals; to be rid of them, drop them")
