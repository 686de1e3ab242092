"""The Librarian brings what people decide beside the vault, between batches; where it cannot, it files all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import true

from Src.Librarian.heartbeat import Conditions
from Src.Librarian.service import InboxService
from Src.Library.overlay import changes
from Src.Library.overlay.changes import carry_out
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.promise import ledger_rows, vault_files
from Src.Testing.roles import as_service

CANON = (Path(__file__).parent / "samples" / "Canon_40D.jpg").read_bytes()


def test_decisions_are_mirrored_and_a_mirror_that_cannot_be_written_stops_no_filing(
    factory_settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(factory_settings, readers=1)
    settings.inbox.mkdir(parents=True)
    database = Database(as_service(settings, "factory"))

    def ingest(name: str) -> None:
        (settings.inbox / name).write_bytes(CANON + name.encode())
        InboxService(settings, database, once=True).run()

    def unmirrored() -> int:
        return len(ledger_rows(settings, "SELECT id FROM overlay_events WHERE NOT is_mirrored"))

    ingest("a.jpg")
    with database.session() as session:
        carry_out(session, changes.rate(5), true(), who="ada")
    assert unmirrored() == 1
    overlay = settings.storage / "Overlay"
    overlay.symlink_to(tmp_path / "elsewhere")
    ingest("b.jpg")
    assert (unmirrored(), len(vault_files(settings))) == (1, 2)
    assert "does not stand beside the vault yet" in caplog.text
    overlay.unlink()
    ingest("c.jpg")
    database.close()
    assert unmirrored() == 0
    assert [path.read_text().count("\n") for path in overlay.glob("*/*.jsonl")] == [2]


def test_its_heartbeat_says_so() -> None:
    conditions = Conditions("watching", mirror_trouble="the disk is full")
    assert conditions.status == "WARNING"
    assert conditions.message is not None
    assert conditions.message.endswith("not beside the vault: the disk is full")
