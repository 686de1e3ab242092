"""One vault, one ledger: each combination of what the two say, with a real ledger and a real vault."""

from __future__ import annotations

import hashlib
import itertools
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from Src.Library import belonging as module
from Src.Library.belonging import Belonging, WrongLedger
from Src.Library.belonging_verdict import LedgerSide, Refused, VaultSide, judge
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared import vault_marker
from Src.Shared.database import Database
from Src.Shared.ledger_kind import ledger_kind
from Src.Shared.models import MediaAsset
from Src.Shared.settings import Settings
from Src.Shared.vault_marker import Marker, change_marker, read_marker

OURS, THEIRS = uuid.uuid4(), uuid.uuid4()
A = "Originals/2024/2024-01-01/a.jpg"


# -- the table ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "in_vault", "in_ledger", "stands", "verdict"),
    [
        # nobody has an id: a new factory, or one of before
        (None, None, False, False, False, None),
        (None, None, True, False, False, "lost"),
        (None, None, True, True, True, None),
        (None, None, True, True, False, "unrelated"),
        (None, None, False, True, False, "unrelated"),
        # only the ledger has: killed in between, a marker made by hand, a vault of before
        (None, THEIRS, False, False, False, THEIRS),
        (None, THEIRS, True, False, False, "lost"),
        (None, THEIRS, True, True, True, THEIRS),
        (None, THEIRS, True, True, False, "unrelated"),
        (None, THEIRS, False, True, False, "unrelated"),
        # only the vault has: the ledger was lost, or restored from before
        (OURS, None, False, False, False, OURS),
        (OURS, None, True, False, False, "lost"),
        (OURS, None, True, True, True, OURS),
        (OURS, None, True, True, False, "unrelated"),
        (OURS, None, False, True, False, "unrelated"),
        # both have the same: all may have been taken away by hand
        (OURS, OURS, False, False, False, OURS),
        (OURS, OURS, True, True, False, OURS),
        (OURS, OURS, False, True, False, OURS),
        (OURS, OURS, True, False, False, OURS),  # killed before the first row
        # each has its own
        *((OURS, THEIRS, *rest, "foreign") for rest in itertools.product((False, True), repeat=3)),
    ],
)
def test_each_combination(
    ours: uuid.UUID | None,
    theirs: uuid.UUID | None,
    in_vault: bool,
    in_ledger: bool,
    stands: bool,
    verdict: uuid.UUID | str | None,
) -> None:
    def ask(marker: Marker | None, kind: str = "embedded", **ledger: Any) -> uuid.UUID | str | None:
        side = LedgerSide(theirs, None, in_ledger, **ledger)
        found = judge(VaultSide(marker, in_vault), side, kind, lambda: stands, "/vault")
        if isinstance(found, Refused):
            assert "\n" not in found.reason
            return found.why
        return found

    marker = Marker(ours, None if ours is None else "embedded")
    assert ask(marker) == verdict
    if ours is None:
        assert ask(None) == verdict  # without a marker it is no other
    if in_ledger:
        recorded = replace(marker, recorded=True)
        assert ask(recorded) == verdict
    elif in_vault and ours == theirs and ours is not None:
        assert ask(replace(marker, recorded=True)) == "lost"  # emptied
    # A ledger of another kind is a second one, whatever it knows.
    if verdict != "foreign":
        assert ask(replace(marker, ledger="stack")) == "second"
        assert ask(replace(marker, ledger="external a:1/b")) == "second"
        assert ask(replace(marker, ledger="external a:1/b"), "external b:2/c") == verdict  # a host has a new name
        assert ask(marker, is_rebuilding=True) == "rebuilding"


# -- with a real ledger and a real vault --------------------------------------------------------------------


@dataclass
class Bench:
    """A factory's two halves."""

    settings: Settings
    database: Database
    vault: Vault

    @property
    def marker(self) -> Marker | None:
        return read_marker(self.vault.originals)

    def belonging(self, **options: Any) -> Belonging:
        return Belonging(self.settings, self.vault, **options)

    def put(self, path: str, content: bytes = b"a photo") -> None:
        (self.vault.storage / path).parent.mkdir(parents=True, exist_ok=True)
        (self.vault.storage / path).write_bytes(content)

    def row(self, path: str, content: bytes = b"a photo") -> None:
        with self.database.session() as session:
            session.add(
                MediaAsset(
                    file_hash=hashlib.sha256(content).hexdigest(),
                    file_size=len(content),
                    original_name="a.jpg",
                    original_path="a.jpg",
                    final_path=path,
                    media_kind="JPEG",
                    mime_type="image/jpeg",
                    captured_at=datetime(2024, 1, 1),
                    date_source="mtime",
                )
            )

    def sql(self, statement: str) -> list[Any]:
        with self.database.session() as session:
            answer = cast("CursorResult[Any]", session.execute(text(statement)))
            return list(answer.all()) if answer.returns_rows else []

    @property
    def ledger_id(self) -> uuid.UUID | None:
        rows = self.sql("SELECT vault_id FROM vault")
        return rows[0][0] if rows else None


@pytest.fixture
def bench(factory_settings: Settings, database: Database) -> Bench:
    return Bench(factory_settings, database, Vault(factory_settings.storage))


def old_factory(bench: Bench) -> None:
    """As an earlier version leaves it: a marker and a ledger without any id."""
    bench.vault.create()
    bench.put(A)
    bench.row(A)


def test_a_new_factory_gets_its_id_once(bench: Bench) -> None:
    bench.belonging().found(bench.database)
    marker = bench.marker
    assert marker == Marker(bench.ledger_id, ledger_kind(bench.settings))
    assert marker.vault_id is not None
    bench.belonging().establish(bench.database)
    assert bench.marker == marker


def test_an_old_factory_gets_its_id_by_one_start(bench: Bench) -> None:
    old_factory(bench)
    belonging = bench.belonging()
    belonging.establish(bench.database)
    assert bench.marker == Marker(bench.ledger_id, ledger_kind(bench.settings), recorded=True)
    with bench.database.session() as session:
        belonging.check(session)


@pytest.mark.parametrize("old", [True, False], ids=["old", "new"])
def test_a_kill_at_each_step_is_made_good_by_the_next_start(bench: Bench, old: bool) -> None:
    """A child really ends at each call in turn that changes the marker or the ledger."""
    if old:
        old_factory(bench)

    def start() -> None:
        belonging = Belonging(bench.settings, bench.vault)
        database = Database(bench.settings)
        if belonging._marker() is None:
            belonging.found(database)
        belonging.establish(database)
        database.close()

    ids = set()
    for step in itertools.count():
        before = bench.marker
        bench.database.dispose()
        child = os.fork()
        if child == 0:
            try:
                _end_at(step)
                start()
            finally:
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        marker = bench.marker
        assert marker is not None or before is None, "the marker is lost"
        if marker is not None and marker.vault_id is not None:
            ids.add(marker.vault_id)
            assert bench.ledger_id == marker.vault_id, "the ledger gets it first"
        if code != 137:
            break
        if step == 3:  # some of it may be there by now: each kill begins where another has ended
            start()
            assert bench.ledger_id is not None
            ids.add(bench.ledger_id)
            (bench.vault.originals / vault_marker.MARKER).write_text(vault_marker.MARKER_TEXT)
        assert step < 100
    assert step > 5
    start()
    assert bench.marker is not None and bench.marker.vault_id == bench.ledger_id
    assert len(ids) == 1
    assert [name for name in os.listdir(bench.vault.originals) if name.endswith(".new")] == []


def _end_at(step: int) -> None:
    """From the call of that number on, there is no process any more."""
    calls = itertools.count()

    def killing(call: Callable[..., Any]) -> Callable[..., Any]:
        def killed(*arguments: Any, **options: Any) -> Any:
            if next(calls) == step:
                os._exit(137)
            return call(*arguments, **options)

        return killed

    for name in ("open", "unlink", "rename", "fsync", "fchmod", "fchown"):
        setattr(os, name, killing(getattr(os, name)))
    Session.commit = killing(Session.commit)  # type: ignore[method-assign]


def test_a_lost_ledger_is_refused_and_nothing_is_changed(bench: Bench) -> None:
    bench.vault.create()
    bench.put(A)
    before = bench.marker
    for _ in range(2):
        with pytest.raises(WrongLedger, match="rebuild --missing"):
            bench.belonging().establish(bench.database)
    assert (bench.marker, bench.ledger_id) == (before, None)
    assert "rebuild --missing" in (bench.belonging().trouble(bench.database) or "")


def test_an_emptied_ledger_is_refused_even_in_the_middle(bench: Bench) -> None:
    old_factory(bench)
    belonging = bench.belonging()
    belonging.establish(bench.database)
    bench.sql("TRUNCATE media_assets")
    with pytest.raises(WrongLedger), bench.database.session() as session:
        belonging.check(session)
    with pytest.raises(WrongLedger, match="restore a backup"):
        belonging.establish(bench.database)


def test_an_exchanged_ledger_is_refused_even_in_the_middle(bench: Bench) -> None:
    old_factory(bench)
    belonging = bench.belonging()
    belonging.establish(bench.database)
    for statement in (f"UPDATE vault SET vault_id = '{THEIRS}'", "DELETE FROM vault", "DROP TABLE vault"):
        bench.sql(statement)
        with pytest.raises(WrongLedger), bench.database.session() as session:
            belonging.check(session)


def test_rows_must_stand_byte_for_byte(bench: Bench) -> None:
    old_factory(bench)
    bench.put(A, b"A PHOTO")
    with pytest.raises(WrongLedger, match="none that was looked for"):
        bench.belonging().establish(bench.database)
    bench.sql("ALTER TABLE media_assets DROP CONSTRAINT ck_media_assets_final_path")
    bench.put("../outside.jpg", b"outside")
    bench.row("../outside.jpg", b"outside")
    with pytest.raises(WrongLedger, match="none that was looked for"):
        bench.belonging().establish(bench.database)
    bench.put(A)
    bench.belonging().establish(bench.database)


def test_a_backup_of_before_takes_the_vaults_id(bench: Bench) -> None:
    old_factory(bench)
    bench.belonging().establish(bench.database)
    marker = bench.marker
    bench.sql("DELETE FROM vault")
    bench.belonging().establish(bench.database)
    assert marker is not None
    assert (bench.marker, bench.ledger_id) == (marker, marker.vault_id)


def test_a_marker_made_by_hand_gets_the_ledgers_id(bench: Bench) -> None:
    old_factory(bench)
    bench.belonging().establish(bench.database)
    marker = bench.marker
    (bench.vault.originals / vault_marker.MARKER).write_bytes(b"")
    bench.belonging().establish(bench.database)
    assert bench.marker == marker


def test_while_the_ledger_is_away_the_marker_says_whether_it_may_be_waited_for(bench: Bench) -> None:
    bench.belonging().before_contact()
    bench.vault.create()
    bench.belonging().before_contact()
    change_marker(bench.vault.originals, lambda _: Marker(OURS, "external elsewhere:5432/photos", True))
    bench.belonging().before_contact()
    change_marker(bench.vault.originals, lambda _: Marker(OURS, "stack", True))
    with pytest.raises(WrongLedger, match="docker compose up -d"):
        bench.belonging().before_contact()


# -- a person's word ----------------------------------------------------------------------------------------


def test_an_empty_ledger_is_taken_by_a_persons_word_and_files_nothing_until_it_is_whole(bench: Bench) -> None:
    bench.vault.create()
    change_marker(bench.vault.originals, lambda _: Marker(OURS, ledger_kind(bench.settings), True))
    bench.put(A)
    rebuilding = bench.belonging(rebuilding=True)
    assert rebuilding.take(bench.database, changes=False)
    assert bench.ledger_id is None
    assert rebuilding.take(bench.database)
    assert bench.ledger_id == OURS
    bench.row(A)
    with pytest.raises(WrongLedger, match="come to its end"):
        bench.belonging().establish(bench.database)
    assert bench.belonging(rebuilding=True).take(bench.database), "begun again after a kill"
    rebuilding.rebuilt(bench.database)
    bench.belonging().establish(bench.database)
    assert bench.marker == Marker(OURS, ledger_kind(bench.settings), True)


def test_a_whole_ledger_is_not_held_up(bench: Bench) -> None:
    old_factory(bench)
    assert not bench.belonging(rebuilding=True).take(bench.database)
    bench.belonging().establish(bench.database)


def test_no_persons_word_takes_another_vaults_ledger_or_makes_a_second_one(bench: Bench) -> None:
    bench.vault.create()
    bench.put(A)
    kind = ledger_kind(bench.settings)
    change_marker(bench.vault.originals, lambda _: Marker(OURS, "stack", True))
    with pytest.raises(WrongLedger, match="second one"):
        bench.belonging(rebuilding=True).take(bench.database)
    change_marker(bench.vault.originals, lambda _: Marker(OURS, kind, True))
    bench.sql(f"INSERT INTO vault (vault_id, ledger_kind) VALUES ('{THEIRS}', '{kind}')")
    bench.row("Originals/2024/2024-01-01/theirs.jpg", b"theirs")
    with pytest.raises(WrongLedger, match="another vault"):
        bench.belonging(rebuilding=True).take(bench.database)
    bench.sql("DELETE FROM vault")
    with pytest.raises(WrongLedger, match="none that was looked for"):
        bench.belonging(rebuilding=True).take(bench.database)
    bench.sql(f"INSERT INTO vault (vault_id, ledger_kind) VALUES ('{THEIRS}', '{kind}')")
    bench.sql("TRUNCATE media_assets")
    assert bench.belonging(rebuilding=True).take(bench.database), "it knows nothing of any other"
    assert bench.ledger_id == OURS


def test_a_ledger_that_was_moved_here_is_the_vaults_by_a_persons_word(bench: Bench) -> None:
    old_factory(bench)
    bench.belonging().establish(bench.database)
    change_marker(bench.vault.originals, lambda marker: replace(marker, ledger="stack"))
    with pytest.raises(WrongLedger, match="moved here for good"):
        bench.belonging().establish(bench.database)
    assert not bench.belonging(rebuilding=True).take(bench.database)
    bench.belonging().establish(bench.database)


def test_a_restored_backup_tells_the_vault_where_its_ledger_is(bench: Bench) -> None:
    old_factory(bench)
    bench.belonging().establish(bench.database)
    change_marker(bench.vault.originals, lambda marker: replace(marker, ledger="embedded"))
    assert bench.belonging().restored(bench.database) is None
    bench.belonging().establish(bench.database)
    change_marker(bench.vault.originals, lambda marker: replace(marker, vault_id=THEIRS))
    assert "another vault" in (bench.belonging().restored(bench.database) or "")


def test_a_vault_that_may_not_be_looked_at_is_trouble(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.vault.create()

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "read_marker", refuse)
    with pytest.raises(VaultTrouble, match="permission denied"):
        bench.belonging().establish(bench.database)
