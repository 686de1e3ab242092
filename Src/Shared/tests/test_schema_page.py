"""docs/DATABASE_SCHEMA.md tells the truth: every column, index and type, and queries that run."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.base import PGDialect

from Src.Shared import models
from Src.Shared.database import Database
from Src.Shared.models import Base
from Src.Shared.settings import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "DATABASE_SCHEMA.md").read_text()
DIALECT = PGDialect()  # type: ignore[no-untyped-call]
SHORT_TYPES = {
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "TIMESTAMP WITHOUT TIME ZONE": "timestamp",
    "FLOAT": "double precision",
}


def _sections() -> dict[str, str]:
    _, *sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    named = {section.split("\n", 1)[0]: section for section in sections}
    return {name: section for name, section in named.items() if "| column |" in section}


def _queries() -> list[str]:
    (block,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    return [query for query in block.split(";") if query.strip()]


def test_every_table_has_its_section_and_no_other() -> None:
    assert set(_sections()) == set(Base.metadata.tables)


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_every_column_is_described_and_no_other(table: str) -> None:
    described = re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", _sections()[table], re.MULTILINE)
    columns = []
    for column in Base.metadata.tables[table].columns:
        name = column.type.compile(DIALECT)
        columns.append((column.name, SHORT_TYPES.get(name, name.lower())))
    assert described == columns


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_every_index_is_described_and_no_other(table: str) -> None:
    described = re.findall(r"^\| `((?:ix|uq)_\w+)` \| [^|]+ \|$", _sections()[table], re.MULTILINE)
    assert sorted(described) == sorted(str(index.name) for index in Base.metadata.tables[table].indexes)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("ingest_events", models.FATES),
        ("ingest_events", models.SOURCES),
        ("original_findings", models.FINDINGS),
        ("inbox_files", models.INBOX_STATES),
        ("system_status", models.SERVICE_STATUSES),
        ("acts", models.ACT_STATUSES),
        ("overlay_events", models.OVERLAY_FIELDS),
        ("operations", models.OPERATION_STATUSES),
    ],
)
def test_every_allowed_value_is_named(table: str, values: tuple[str, ...]) -> None:
    assert [value for value in values if f"`{value}`" not in _sections()[table]] == []


def test_there_are_queries() -> None:
    assert len(_queries()) > 4


@pytest.mark.parametrize("query", _queries(), ids=lambda query: query.strip().split("\n")[0][3:])
def test_the_queries_run(database: Database, query: str) -> None:
    with database.session() as session:
        session.connection().exec_driver_sql(query.replace("%", "%%"))
        assert session.scalar(text("SELECT 1")) == 1
