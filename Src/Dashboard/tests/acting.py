"""A small library whose originals people change, and somebody who carries out what waits. Fixtures: import them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select

from Src.Library.file_acts import FileActs
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.models import MediaAsset
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import fill
from Src.Testing.patience import PATIENCE
from Src.Testing.roles import as_service

HOSTILE = "<img src=x onerror=alert(1)> **b** [a](javascript:alert(2)) :smile: \u202ecod'; DROP TABLE acts; --"

Librarian = Callable[[], None]


@pytest.fixture
def vault(dashboard: Settings) -> Vault:
    dashboard.storage.mkdir(parents=True)
    return Vault(dashboard.storage)


@pytest.fixture
def ids(vault: Vault, database: Database) -> list[uuid.UUID]:
    """Five originals, as they were taken."""
    fill(vault, database, 5)
    return ids_of(database)


def ids_of(database: Database) -> list[uuid.UUID]:
    with database.session() as session:
        return list(session.scalars(select(MediaAsset.id).order_by(MediaAsset.captured_at)))


@pytest.fixture
def librarian(dashboard: Settings, vault: Vault) -> Iterator[Librarian]:
    """Carries out what waits, as the Librarian does."""
    database = Database(as_service(dashboard, "librarian"), service="librarian", answer_limit=PATIENCE)
    file_acts = FileActs(vault, database, dashboard.zone)

    def carry_out() -> None:
        with file_acts.turn() as mine:
            assert mine
            for one in file_acts.open_acts():
                for _ in file_acts.steps(one):
                    pass

    yield carry_out
    database.close()
