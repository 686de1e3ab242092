"""What a person does to an original is done to what stands beside it too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from Src.Librarian.tests.test_companions_filed import in_inbox
from Src.Librarian.tests.test_sidecars import CANON, Factory, xmp
from Src.Library.belonging import Belonging
from Src.Library.file_acts import FileActs
from Src.Library.redating import shift_parameters
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.settings import Settings
from Src.Testing.filled_vault import standing
from Src.Testing.promise import ledger_rows
from Src.Testing.roles import as_service

BESIDE = {"a.AAE": b"adjusted", "a.WAV": b"spoken", "a.xmp": xmp(xmp_Rating="3")}
DAY, LATER = "Originals/2008/2008-05-30", "Originals/2008/2008-06-02"

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool")


@pytest.fixture
def factory(factory_settings: Settings) -> Iterator[Factory]:
    factory = Factory(replace(factory_settings, leaving_grace=0.0, leaving_grace_without_lease=0.0))
    factory.settings.inbox.mkdir(parents=True, exist_ok=True)
    factory.drop("a.jpg", CANON)
    for name, content in BESIDE.items():
        factory.drop(name, content)
    factory.ingest()
    assert not in_inbox(factory) and where(factory) == in_folder(DAY)
    yield factory
    factory.assert_vault_right()


def in_folder(folder: str, name: str = "a") -> dict[str, list[bytes]]:
    """The original and its companions of this stem, at their paths."""
    expected = {f"{folder}/{name}.jpg": [CANON]}
    return expected | {f"{folder}/{name}{os.path.splitext(one)[1]}": [content] for one, content in BESIDE.items()}


def where(factory: Factory) -> dict[str, list[bytes]]:
    paths = [path for some in standing(factory.settings.storage).values() for path in some]
    return {path: [(factory.settings.storage / path).read_bytes()] for path in sorted(paths)}


def rows(factory: Factory) -> set[str]:
    """Where the ledger says that companions are."""
    asked = "SELECT final_path FROM companions WHERE final_path IS NOT NULL AND filed_at IS NOT NULL"
    return {row["final_path"] for row in ledger_rows(factory.settings, asked)}


def act(factory: Factory, kind: str, undoes: Any = None, **parameters: Any) -> Any:
    """Carries out an act for the one original, as the commands do; its id."""
    settings = as_service(factory.settings, "factory")
    database = Database(settings)
    try:
        vault = Vault(settings.storage)
        belonging = Belonging(settings, vault)
        belonging.establish(database)
        acts = FileActs(vault, database, settings.zone, belonging)
        (sha256,) = {
            row["file_hash"]
            for row in ledger_rows(settings, "SELECT file_hash FROM media_assets UNION SELECT file_hash FROM trash")
        }
        with acts.turn(), acts.session() as session:
            begun = acts.begin(session, kind, "ada", [sha256], parameters, undoes=undoes)
        assert [(one.done, one.stay) for one in acts.steps(begun.id)] == [(1, {})]
        return begun.id
    finally:
        database.close()


def beside(folder: str, name: str = "a") -> set[str]:
    return {f"{folder}/{name}{os.path.splitext(one)[1]}" for one in BESIDE}


def test_a_corrected_date_moves_them_and_back(factory: Factory) -> None:
    redated = act(factory, "redate", **shift_parameters(timedelta(days=3)))
    assert where(factory) == in_folder(LATER)
    assert rows(factory) == beside(LATER)
    assert not (factory.settings.storage / DAY).exists()
    factory.ingest()  # what the Librarian does at its start changes nothing
    assert where(factory) == in_folder(LATER)
    act(factory, "undo", undoes=redated)
    assert where(factory) == in_folder(DAY)
    assert rows(factory) == beside(DAY)


def test_they_take_the_number_of_their_original(factory: Factory) -> None:
    factory.drop("there/a.jpg", CANON + b"another")
    factory.ingest()
    (another,) = set(where(factory)) - set(in_folder(DAY))
    assert another == f"{DAY}/a_1.jpg"
    stranger = factory.settings.storage / LATER / "a.WAV"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"a stranger's")
    settings = factory.settings
    asked = "SELECT file_hash FROM media_assets WHERE final_path LIKE '%/a.jpg'"
    (row,) = ledger_rows(settings, asked)
    database = Database(as_service(settings, "factory"))
    try:
        belonging = Belonging(settings, Vault(settings.storage))
        belonging.establish(database)
        acts = FileActs(Vault(settings.storage), database, settings.zone, belonging)
        with acts.turn(), acts.session() as session:
            begun = acts.begin(session, "redate", "ada", [row["file_hash"]], shift_parameters(timedelta(days=3)))
        assert [(one.done, one.stay) for one in acts.steps(begun.id)] == [(1, {})]
    finally:
        database.close()
    moved = in_folder(LATER, "a_1")
    assert {path: where(factory)[path] for path in moved} == moved
    assert rows(factory) == beside(LATER, "a_1")
    assert stranger.read_bytes() == b"a stranger's"
    stranger.unlink()  # nothing else is wrong in the vault


def test_they_go_to_the_trash_and_come_back(factory: Factory) -> None:
    removed = act(factory, "remove")
    assert not any(path.startswith("Originals") for path in where(factory))
    assert sorted(where(factory).values()) == sorted(in_folder(DAY).values())
    factory.ingest()
    assert len(where(factory)) == 4
    act(factory, "undo", undoes=removed)
    assert where(factory) == in_folder(DAY)
    assert rows(factory) == beside(DAY)


def test_what_is_emptied_goes_with_them(factory: Factory) -> None:
    act(factory, "remove")
    act(factory, "empty", really=True)
    assert where(factory) == {}
    factory.drop("again/a.AAE", BESIDE["a.AAE"])
    factory.ingest()
    assert where(factory) == {}, "a companion of what is not in the library waits"
