"""Content that a person has removed, and that comes in again; and acts beside the Librarian's own work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from Src.Librarian.importer import Importer
from Src.Librarian.tally import Tally
from Src.Librarian.tests.test_rot import without_ledger
from Src.Librarian.tests.test_service import CANON_DAY, Factory, photo
from Src.Library.belonging import Belonging
from Src.Library.file_acts import FileActs
from Src.Library.move_plan import plan
from Src.Library.open_places import OpenPlaces
from Src.Library.redating import shift_parameters
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.models import Act
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import standing
from Src.Testing.promise import files_aside
from Src.Testing.surroundings import WaitFor


@pytest.fixture
def factory(factory_settings: Settings, wait_for: WaitFor) -> Factory:
    factory = Factory(replace(factory_settings, leaving_grace=0.0, leaving_grace_without_lease=0.0), wait_for)
    factory.drop("a.jpg", photo())
    assert factory.ingest().new == 1
    return factory


def acts_of(factory: Factory, database: Database) -> FileActs:
    vault = Vault(factory.settings.storage)
    belonging = Belonging(factory.settings, vault)
    belonging.establish(database)
    return FileActs(vault, database, factory.settings.zone, belonging)


def act(factory: Factory, kind: str, **parameters: Any) -> None:
    hashes = [source.sha256 for source in factory.sources[:1]]
    database = Database(factory.of_service("factory"))  # the role of the commands
    try:
        acts = acts_of(factory, database)
        with acts.turn(), acts.session() as session:
            begun = acts.begin(session, kind, "ada", hashes, parameters)
        assert [one.done for one in acts.steps(begun.id)] == [1]
    finally:
        database.close()


def empty_the_trash(factory: Factory) -> None:
    act(factory, "remove")
    act(factory, "empty", really=True)


def in_library(factory: Factory) -> list[str]:
    return [row["final_path"] for row in factory.sql("SELECT final_path FROM media_assets")]


def messages(factory: Factory, fate: str) -> Sequence[str]:
    return [row["message"] for row in factory.sql(f"SELECT message FROM ingest_events WHERE fate = '{fate}'")]


def assert_only_in_trash(factory: Factory) -> None:
    assert in_library(factory) == []
    (paths,) = standing(factory.settings.storage).values()
    assert paths == [row["trash_path"] for row in factory.sql("SELECT trash_path FROM trash")]
    assert not factory.in_inbox() and not files_aside(factory.settings)
    factory.check()


def test_what_is_in_the_trash_is_dropped_against_its_copy(factory: Factory) -> None:
    act(factory, "remove")
    factory.drop("again/b.jpg", photo())
    tally = factory.ingest()
    assert (tally.unwanted, tally.new, tally.report()["unwanted"]) == (1, 0, 1)
    assert_only_in_trash(factory)
    assert "removed by ada" in messages(factory, "unwanted")[0] and "Trash/2008" in messages(factory, "unwanted")[0]
    act(factory, "restore")
    assert in_library(factory) == [f"{CANON_DAY}/a.jpg"]


def test_what_comes_beside_a_rotten_copy_in_the_trash_takes_its_place(factory: Factory) -> None:
    act(factory, "remove")
    (paths,) = standing(factory.settings.storage).values()
    rotten = factory.settings.storage / paths[0]
    rotten.chmod(0o600)
    rotten.write_bytes(b"other bytes")
    factory.drop("b.jpg", photo())
    assert factory.ingest().unwanted == 1
    assert in_library(factory) == []
    assert standing(factory.settings.storage)[factory.sources[0].sha256] == ["Trash/2008/2008-05-30/b.jpg"]
    act(factory, "restore")
    assert len(in_library(factory)) == 1


def test_what_has_a_tombstone_goes_to_the_trash_and_says_so(factory: Factory) -> None:
    empty_the_trash(factory)
    assert standing(factory.settings.storage) == {}
    factory.drop("b.jpg", photo())
    factory.drop("twin.jpg", photo())
    assert factory.ingest().unwanted == 2
    assert_only_in_trash(factory)
    assert "for good" in messages(factory, "unwanted")[0]
    factory.drop("c.jpg", photo())
    assert factory.ingest().unwanted == 1
    assert_only_in_trash(factory)
    act(factory, "restore")
    factory.drop("d.jpg", photo())
    assert factory.ingest().duplicates == 1, "a person has brought it back"


def test_an_import_says_it_before_and_after(factory: Factory) -> None:
    empty_the_trash(factory)
    card = factory.settings.data.parent / "card"
    card.mkdir()
    (card / "x.jpg").write_bytes(photo())

    def import_(*, move: bool = False, dry_run: bool = False) -> Tally:
        database = Database(factory.settings)
        try:
            return Importer(factory.settings, database, [card], move=move, dry_run=dry_run).run()
        finally:
            database.close()

    assert import_(dry_run=True).unwanted == 1
    assert import_().unwanted == 1
    assert (card / "x.jpg").is_file()
    assert_only_in_trash(factory)
    assert import_(move=True).unwanted == 1
    assert not (card / "x.jpg").exists()
    assert_only_in_trash(factory)


@pytest.mark.parametrize("is_emptied", [False, True])
def test_what_comes_while_the_ledger_is_away_goes_to_the_trash_when_it_is_back(
    factory: Factory, is_emptied: bool
) -> None:
    if is_emptied:
        empty_the_trash(factory)
    else:
        act(factory, "remove")
    here = factory.settings
    factory.settings = without_ledger(factory)
    factory.drop("b.jpg", photo())
    assert factory.ingest().new == 1
    factory.settings = here
    factory.ingest()
    assert_only_in_trash(factory)
    assert len(messages(factory, "unwanted")) == 1


def test_a_moved_original_whose_row_a_kill_kept_back_is_found_before_anything_is_decided(factory: Factory) -> None:
    """Else the row would name a place where nothing stands, and the newcomer would be filed beside it."""
    database = Database(factory.settings)
    acts = acts_of(factory, database)
    vault = Vault(factory.settings.storage)
    hashes = [factory.sources[0].sha256]
    with acts.session() as session, OpenPlaces(vault.storage) as places, vault.lock():
        begun = acts.begin(session, "redate", "ada", hashes, shift_parameters(timedelta(days=2)))
        (move,) = plan(session, begun.id, acts.deed(session, begun).wanted(session, hashes, places).wanted, vault).moves
    (vault.storage / move.from_path).rename(vault.storage / str(move.to_path))
    database.close()
    factory.drop("again.jpg", photo())
    assert factory.ingest().duplicates == 1
    assert in_library(factory) == ["Originals/2008/2008-06-01/a.jpg"]
    factory.check()


def test_what_comes_again_never_undoes_a_corrected_date(factory: Factory) -> None:
    act(factory, "redate", **shift_parameters(timedelta(days=2)))
    moved = factory.settings.storage / "Originals/2008/2008-06-01/a.jpg"
    factory.drop("b.jpg", photo())
    assert factory.ingest().duplicates == 1
    moved.unlink()
    factory.drop("c.jpg", photo())
    assert factory.ingest().restored == 1
    factory.check()
    here = factory.settings
    factory.settings = without_ledger(factory)
    moved.unlink()
    factory.drop("d.jpg", photo())
    assert factory.ingest().new == 1
    factory.settings = here
    factory.ingest()
    factory.check()
    assert in_library(factory) == ["Originals/2008/2008-06-01/a.jpg"]
    assert factory.sql("SELECT date_source FROM media_assets") == [{"date_source": "correction"}]


def test_the_librarian_carries_out_what_the_dashboard_has_written(factory: Factory, wait_for: WaitFor) -> None:
    wrong = Act(who="ada", kind="redate", parameters={"hashes": ["x"], "set": "never"}, status="pending")
    right = Act(who="ada", kind="remove", parameters={"hashes": [factory.sources[0].sha256]}, status="pending")
    database = Database(factory.settings)
    with database.session() as session:
        session.add_all([wrong, right])

    def states() -> set[tuple[str, str]]:
        return {(row["kind"], row["status"]) for row in factory.sql("SELECT kind, status FROM acts")}

    with factory.serving() as serving:
        wait_for(lambda: ("remove", "done") in states() or ("redate", "failed") in states())
        factory.drop("b.jpg", photo(), counts=False)
        wait_for(lambda: len(messages(factory, "unwanted")) == 1 or len(factory.fates()) == 2)
        wait_for(lambda: ("redate", "failed") in states())
        assert serving.thread.is_alive()
    database.close()
