"""Where root's ledger is, and that a vault never gets a second one."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from Src.Shared.postgres import place
from Src.Shared.postgres.place import ledger_folder, made_ledger_folder, shown_ledger_folder
from Src.Shared.settings import Settings, load_settings
from Src.Shared.vault_marker import Marker, change_marker, read_ledger_note
from Src.Testing.roots_ledgers import ledgers, left_behind

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="it is about root")

NOBODY = 65534
ID, OTHER = (uuid.UUID(int=number) for number in (1, 2))


@pytest.fixture(autouse=True)
def roots_place(postgres_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Not the machine's own."""
    monkeypatch.setattr(place, "ROOTS_PLACE", postgres_folder / "lib" / "photo-factory")
    return place.ROOTS_PLACE


def settings_of(data: Path, **more: str) -> Settings:
    return load_settings({"FACTORY_DATA": str(data), **more}, env_file=data / "no.env")


def mark(settings: Settings, vault_id: uuid.UUID | None) -> None:
    settings.originals.mkdir(parents=True, exist_ok=True)
    change_marker(settings.originals, lambda _: Marker(vault_id))


@pytest.fixture
def settings(postgres_folder: Path) -> Settings:
    return settings_of(postgres_folder / "factory")


def test_for_a_user_it_is_in_the_factorys_own_folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    assert ledger_folder(settings) == settings.data / "factory-db-data"


@as_root
def test_what_is_said_counts(postgres_folder: Path, settings: Settings) -> None:
    made_ledger_folder(settings)
    given = settings_of(settings.data, FACTORY_DB_DATA=str(postgres_folder / "mine"))
    assert ledger_folder(given) == postgres_folder / "mine"
    assert shown_ledger_folder(given) == str(postgres_folder / "mine")


@as_root
@pytest.mark.parametrize("where", [".", "18", "17"])
def test_a_database_at_the_old_place_stays_in_use(settings: Settings, where: str) -> None:
    mark(settings, ID)
    (settings.db_data / where).mkdir(parents=True)
    (settings.db_data / where / "PG_VERSION").write_text("18")
    assert ledger_folder(settings) == settings.db_data


@as_root
def test_it_is_named_by_the_vault(settings: Settings, roots_place: Path) -> None:
    mark(settings, ID)
    assert ledger_folder(settings) is None
    assert shown_ledger_folder(settings) == str(roots_place / str(ID))
    assert made_ledger_folder(settings) == roots_place / str(ID) == ledger_folder(settings)
    assert not settings.db_data.exists()
    moved = settings_of(settings.data.rename(settings.data.with_name("moved")))
    assert ledger_folder(moved) == roots_place / str(ID), "the vault may move"


@as_root
def test_a_vault_whose_disk_is_not_mounted_finds_its_ledger(settings: Settings, roots_place: Path) -> None:
    mark(settings, ID)
    folder = made_ledger_folder(settings)
    settings.storage.rename(settings.storage.with_name("unplugged"))
    assert ledger_folder(settings) == folder
    assert made_ledger_folder(settings) == folder


@as_root
def test_another_vault_at_the_same_path_gets_another(settings: Settings, roots_place: Path) -> None:
    mark(settings, ID)
    first = made_ledger_folder(settings)
    mark(settings, OTHER)
    assert ledger_folder(settings) is None
    assert made_ledger_folder(settings) == roots_place / str(OTHER) != first


@as_root
def test_many_first_starts_at_once_make_one(settings: Settings, roots_place: Path) -> None:
    start = threading.Barrier(8)
    made: set[Path] = set()

    def make() -> None:
        start.wait()
        made.add(made_ledger_folder(settings))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert read_ledger_note(made.pop()) is not None


@as_root
def test_a_kill_leaves_no_folder_that_says_nothing(
    settings: Settings, roots_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, ended = 0, False
    while not ended:
        child = os.fork()
        if child == 0:
            try:
                _die_at(step, monkeypatch)
                made_ledger_folder(settings)
            finally:
                os._exit(0)
        ended = not os.WIFSIGNALED(os.waitpid(child, 0)[1])
        folder = made_ledger_folder(settings)
        assert read_ledger_note(folder) == uuid.UUID(folder.name)
        assert [path.name for path in roots_place.iterdir() if path.name != ".lock"] == [folder.name]
        for path in (*folder.iterdir(), folder):
            path.rmdir() if path.is_dir() else path.unlink()
        step += 1
    assert step > 3


def _die_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    count = iter(range(1000))

    def or_die(call: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **named: object) -> object:
            if next(count) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return called

    for name in ("write_ledger_note", "fsync_folder", "_factory"):
        monkeypatch.setattr(place, name, or_die(getattr(place, name)))
    monkeypatch.setattr(Path, "rename", or_die(Path.rename))
    monkeypatch.setattr(Path, "mkdir", or_die(Path.mkdir))


@as_root
def test_a_test_that_leaves_one_behind_is_found(settings: Settings, tmp_path: Path) -> None:
    """What the run of all tests ends with, see `Src/Testing/roots_ledgers.py`."""
    made_ledger_folder(settings)
    before = ledgers()
    assert list(before.values()) == [settings.data.resolve()]
    (below := tmp_path / "factory").mkdir()
    mine = made_ledger_folder(settings_of(below))
    assert left_behind(before, tmp_path) == {str(mine): str(below.resolve())}
    assert left_behind(before, tmp_path / "elsewhere") == {}, "a factory that somebody has beside the tests"
    settings.data.mkdir()
    assert left_behind({}, tmp_path / "elsewhere") == {}, "a test that is still under way"
    settings.data.rmdir()
    assert list(left_behind({}, tmp_path / "elsewhere").values()) == [str(settings.data.resolve())]
