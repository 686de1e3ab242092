"""`kill -9` of the whole process tree at any moment: nothing lost, nothing twice, nothing left over."""

from __future__ import annotations

import os
import shutil

import pytest

from Stack.tests.conftest import ExternalLedger
from Stack.tests.photos import unique_jpeg
from Stack.tests.real_factory import SAMPLES, Factory


@pytest.mark.parametrize("way", ["linked", "copied"])
@pytest.mark.parametrize("batch_size", ["1", "16"])
@pytest.mark.parametrize("ledger", ["there", "away"])
def test_what_a_killed_run_had_placed_is_not_kept_twice(
    factory: Factory, external_ledger: ExternalLedger, way: str, batch_size: str, ledger: str
) -> None:
    """Placed, and killed before its row was written: and then another file with the same content comes first."""
    factory.environment.update(READERS="1", BATCH_SIZE=batch_size, DATABASE_URL=external_ledger.url)
    factory.inbox.mkdir(parents=True)
    (factory.inbox / "other.jpg").write_bytes(unique_jpeg(1))
    assert factory.run("ingest", "--json").json()["new"] == 1
    [other] = factory.vault_files()
    content = (SAMPLES / "Canon_40D.jpg").read_bytes()
    (factory.inbox / "a comes first.jpg").write_bytes(content)
    (factory.inbox / "z placed.jpg").write_bytes(content)
    if way == "linked":
        os.link(factory.inbox / "z placed.jpg", other.parent / "z placed.jpg")  # the state that a kill leaves
    else:
        shutil.copy2(factory.inbox / "z placed.jpg", other.parent / "z placed.jpg")
    os.chmod(other.parent / "z placed.jpg", 0o444)

    if ledger == "away":  # it alone could tell that what stands there has no row
        external_ledger.forwarder.cut()
        assert factory.run("ingest", "--json").json()["failed"] == 0
        external_ledger.forwarder.reopen()
        assert not list(factory.inbox.iterdir())
        assert factory.run("ingest", "--json").json()["failed"] == 0
    else:
        report = factory.run("ingest", "--json").json()
        assert (report["new"], report["duplicates"]) == (1, 1)

    kept = [path for path in factory.vault_files() if path != other]
    assert len(kept) == 1, f"the same bytes are in the vault twice: {sorted(path.name for path in kept)}"
    [(final_path,)] = external_ledger.sql("SELECT final_path FROM media_assets WHERE original_name <> 'other.jpg'")
    assert kept == [factory.storage / final_path]


def test_what_a_killed_run_had_placed_is_found_behind_a_duplicate_that_it_had_placed_too(factory: Factory) -> None:
    """Recovery takes the duplicate away, and with it a number of the name."""
    factory.environment.update(READERS="1", BATCH_SIZE="1")
    factory.inbox.mkdir(parents=True)
    for number, name in enumerate(("known.jpg", "IMG.jpg"), start=1):
        (factory.inbox / name).write_bytes(unique_jpeg(number))
    assert factory.run("ingest", "--json").json()["new"] == 2
    [day] = {path.parent for path in factory.vault_files()}
    for number, folder in enumerate(("a", "z"), start=1):
        (factory.inbox / folder).mkdir()
        (factory.inbox / folder / "IMG.jpg").write_bytes(unique_jpeg({"a": 1, "z": 3}[folder]))
        # copied by a run that was killed before their rows
        shutil.copy2(factory.inbox / folder / "IMG.jpg", day / f"IMG_{number}.jpg")
        os.chmod(day / f"IMG_{number}.jpg", 0o444)

    report = factory.run("ingest", "--json").json()
    assert (report["new"], report["duplicates"]) == (1, 1)
    assert {path.name for path in factory.vault_files()} == {"known.jpg", "IMG.jpg", "IMG_2.jpg"}
    assert factory.sql_at_rest("SELECT final_path FROM media_assets WHERE original_path = 'z/IMG.jpg'") == [
        (str((day / "IMG_2.jpg").relative_to(factory.storage)),)
    ]
