"""Root's ledger stands in a folder named by the vault's id, which the vault takes from there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from Src.Library.belonging import Belonging
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.postgres import place
from Src.Shared.postgres.place import ledger_folder
from Src.Shared.postgres.tests.earlier_version import ask
from Src.Shared.settings import load_settings
from Src.Shared.tests.postgres_helpers import cluster_of, stop_for_good
from Src.Shared.vault_marker import read_marker


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about root")
def test_the_id_of_a_new_vault_is_that_of_its_ledgers_folder(
    postgres_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots_place = postgres_folder / "lib" / "photo-factory"
    monkeypatch.setattr(place, "ROOTS_PLACE", roots_place)
    settings = load_settings({"FACTORY_DATA": str(postgres_folder / "factory")}, env_file=postgres_folder / "no.env")
    database = Database(settings)
    assert not roots_place.exists(), "nothing is made before it is needed"
    try:
        database.ensure_ready()
        folder = ledger_folder(settings)
        assert folder is not None
        assert folder.parent == roots_place
        assert [path.name for path in roots_place.iterdir() if not path.name.startswith(".")] == [folder.name]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o710
        assert stat.S_IMODE(cluster_of(folder).stat().st_mode) == 0o700
        Belonging(settings, Vault(settings.storage)).found(database)
        marker = read_marker(settings.originals)
        assert marker is not None
        assert str(marker.vault_id) == folder.name
        assert ask(cluster_of(folder), "SELECT vault_id::text FROM vault") == [(folder.name,)]
    finally:
        database.close()
        assert database.embedded is not None
        stop_for_good(database.embedded, database.embedded._data)
