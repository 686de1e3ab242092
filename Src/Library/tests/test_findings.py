"""What is wrong with originals, as the last look has found it."""

from __future__ import annotations

from datetime import UTC, datetime

from Src.Library.findings import FINDINGS, Findings, read_findings
from Src.Shared import models
from Src.Shared.database import Database, asking
from Src.Shared.models import OriginalFinding, VaultRow, new_id

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_each_kind_has_its_words() -> None:
    assert FINDINGS == models.FINDINGS


def test_the_worst_come_first_and_all_are_counted(database: Database) -> None:
    with database.session() as session:
        assert read_findings(asking(session), 4) == Findings()
        for finding in (*reversed(FINDINGS), FINDINGS[0]):
            id_ = new_id()
            path = "b.jpg" if finding == FINDINGS[0] else "a.jpg"
            session.add(
                OriginalFinding(asset_id=id_, final_path=path, finding=finding, message="said", first_seen_at=NOW)
            )
        session.add(VaultRow(vault_id=new_id(), ledger_kind="embedded", looked_at=NOW, looked_originals=7))
    with database.session() as session:
        found = read_findings(asking(session), 4)
    assert [(one.finding, one.final_path, one.since) for one in found.first] == [
        (FINDINGS[0], "b.jpg", NOW),
        (FINDINGS[0], "b.jpg", NOW),
        (FINDINGS[1], "a.jpg", NOW),
        (FINDINGS[2], "a.jpg", NOW),
    ]
    assert found.counts == {**dict.fromkeys(FINDINGS, 1), FINDINGS[0]: 2}
    assert (found.looked_at, found.looked_originals) == (NOW, 7)
