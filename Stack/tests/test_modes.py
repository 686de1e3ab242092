"""The real factory on a machine with other users: modes of what it makes, and root's ledger."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from Src.Shared.postgres import place
from Src.Shared.postgres.place import ledger_folder
from Src.Shared.settings import load_settings
from Src.Shared.tests.postgres_helpers import as_user
from Src.Shared.vault_marker import read_marker
from Src.Testing.patience import wait_until
from Stack.tests.real_factory import LIMIT, SAMPLES, Factory

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives to any group, and runs as other users")

NOBODY, GROUP = 65534, 54321
PRIVATE = ("Storage/.factory", ".run", "Photos_Inbox")
SHARED = ("Storage/Originals", "Storage/Originals/2008", "Storage/Originals/2008/2008-05-30")


def modes(factory: Factory, *paths: str) -> set[int]:
    return {stat.S_IMODE((factory.data / path).stat().st_mode) for path in paths}


def groups(factory: Factory, *paths: str) -> set[int]:
    return {(factory.data / path).stat().st_gid for path in paths}


def filed(factory: Factory) -> None:
    """The inbox is made by the factory; a photo is filed by `up`."""
    with factory.start("up") as running:
        running.wait_for("watching ")
        shutil.copy(SAMPLES / "Canon_40D.jpg", factory.inbox)
        wait_until(lambda: factory.asked("SELECT 1 FROM media_assets"), LIMIT, "it is filed")
        wait_until(lambda: (factory.data / ".run" / "librarian.alive").exists(), LIMIT, "it lives")


@pytest.fixture(params=["022", "077", "000"])
def masked_factory(request: pytest.FixtureRequest, factory: Factory) -> Iterator[Factory]:
    before = os.umask(int(request.param, 8))
    yield factory
    os.umask(before)


def test_what_is_made_has_its_mode_under_any_umask(masked_factory: Factory) -> None:
    factory = masked_factory
    filed(factory)
    assert modes(factory, *PRIVATE) == {0o700}
    assert modes(factory, *SHARED) == {0o750}
    private = [
        *factory.data.glob(".run/*"),
        *factory.data.glob(".run/logs/*"),
        *factory.data.glob("Storage/.factory/*"),
    ]
    assert len(private) > 3
    loose = [path for path in private if path.stat().st_mode & 0o077 and path.name != "supervisord.pid"]
    assert loose == [], "in folders that are closed anyway"


@as_root
def test_a_group_may_look_and_bring_photos_and_others_may_not(factory: Factory) -> None:
    factory.environment["FACTORY_GROUP"] = str(GROUP)
    filed(factory)
    assert modes(factory, "Photos_Inbox") == {0o2770}
    assert modes(factory, *SHARED) == {0o750}
    assert groups(factory, "Photos_Inbox", *SHARED) == {GROUP}
    assert modes(factory, "Storage/.factory", ".run") == {0o700}
    photo = factory.data / SHARED[-1]

    def look() -> str:
        return str(len(os.listdir(photo)))

    assert as_user(NOBODY, look).startswith("PermissionError")
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.setgroups([GROUP])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            (factory.inbox / "mine.txt").touch()
            os._exit(0 if look() == "1" else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_inbox_that_is_there_keeps_its_mode_and_is_told_of(factory: Factory) -> None:
    factory.inbox.mkdir(parents=True)
    factory.inbox.chmod(0o777)
    done = factory.run("ingest")
    assert f"everybody on this machine may write into the inbox {factory.inbox}" in done.err
    assert modes(factory, "Photos_Inbox") == {0o777}
    assert "everybody on this machine may write" in factory.run("status").out
    assert any("inbox" in one for one in factory.run("status", "--json").json()["warnings"])
    factory.inbox.chmod(0o755)
    assert not any("inbox" in one for one in factory.run("status", "--json").json()["warnings"])


@pytest.mark.parametrize("group", ["no-such-group", "0", "-1"])
def test_a_group_that_is_none_is_refused(factory: Factory, group: str) -> None:
    factory.environment["FACTORY_GROUP"] = group
    result = factory.run("status")
    assert result.code == 2
    assert result.err.startswith("factory: settings: FACTORY_GROUP=")
    assert result.err.count("\n") == 1


@pytest.fixture
def factory_of_root(bare_factory: Factory) -> Iterator[Factory]:
    """At its very first start, with a FACTORY_DATA that is root's alone."""
    bare_factory.data.mkdir(mode=0o700)
    bare_factory.environment["FACTORY_DB_DATA"] = ""
    yield bare_factory
    bare_factory.kill_all()
    settings = load_settings({"FACTORY_DATA": str(bare_factory.data)}, bare_factory.data / "no.env")
    folder = ledger_folder(settings)
    if folder is not None and folder.parent == place.ROOTS_PLACE:
        wait_until(lambda: not _works_in(folder / "18"), LIMIT, "its server has ended")
        shutil.rmtree(folder)


def _works_in(folder: Path) -> bool:
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(folder):
                return True
    return False


@as_root
def test_roots_ledger_is_where_postgres_can_reach_it(factory_of_root: Factory) -> None:
    factory = factory_of_root
    shutil.copytree(SAMPLES, factory.inbox, ignore=lambda _, names: [name for name in names if name != "GIF.gif"])
    result = factory.run("ingest", "--json")
    assert result.json()["new"] == 1, result.err
    marker = read_marker(factory.originals)
    assert marker is not None
    folder = place.ROOTS_PLACE / str(marker.vault_id)
    assert (folder / "18" / "PG_VERSION").exists()
    assert str(folder) in factory.run("status").out
    assert modes(factory, ".") == {0o700}, "nobody's folder is opened"
    assert not (factory.data / "factory-db-data").exists()
    assert "o+x" not in result.err
    again = Path(factory.data.rename(factory.data.with_name("moved")))
    factory.environment["FACTORY_DATA"] = str(again)
    assert factory.run("status", "--json").json()["assets"]["count"] == 1, "the vault's id finds it"
    again.rename(factory.data)
    del factory.environment["FACTORY_DATA"]
