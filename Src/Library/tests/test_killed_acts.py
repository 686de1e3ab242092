"""Acts that are killed at random moments: whoever comes next finishes them, and every file is at one place.

`FACTORY_TEST_KILLS` says how many kills each test has; a few are enough to see that nothing is broken.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

import Src.Library.tests.killed_act as child
from Src.Library import file_acts as file_acts_module
from Src.Library.file_acts import FileActs
from Src.Library.redating import shift_parameters
from Src.Library.tests.test_file_acts import assert_all_agrees, finish, in_trash, rows
from Src.Library.vault import Vault
from Src.Shared.database import Database
from Src.Shared.models import Act, FileMove, OverlayEvent, Tombstone
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Shared.tests.postgres_helpers import ask
from Src.Testing.filled_vault import fill, standing
from Src.Testing.patience import wait_until

KILLS = int(os.environ.get("FACTORY_TEST_KILLS", "2"))
COUNT = 300
SHIFT = timedelta(hours=-7, minutes=-12)


class Killed:
    """Runs acts in processes that are killed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.longest = 1.0  # seconds: what an act takes here

    def run(self, kind: str, hashes: list[str], parameters: dict[str, object], *, after: float | None) -> bool:
        """Kills it after some seconds, or lets it end; whether it ended."""
        given = [str(self._settings.data), self._settings.database_url, kind, parameters, hashes]
        command = [sys.executable, str(Path(child.__file__)), json.dumps(given)]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "TZ": "Europe/Berlin"}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("go\n")
            process.stdin.flush()
            began = time.monotonic()
            if after is None:
                ended = process.stdout.readline() == "done\n"
                self.longest = time.monotonic() - began
                return ended
            try:
                process.wait(after)
                return True
            except subprocess.TimeoutExpired:
                process.kill()
        # What it asked for last may still be carried out.
        sessions = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{child.NAME}'"
        wait_until(lambda: ask(str(self._settings.database_url), sessions) == "0")
        return False


@pytest.fixture
def killed(factory_settings: Settings) -> Killed:
    factory_settings.storage.mkdir(parents=True)
    return Killed(factory_settings)


@pytest.fixture
def vault(factory_settings: Settings, killed: Killed) -> Vault:
    return Vault(factory_settings.storage)


@pytest.fixture
def acts(factory_settings: Settings, vault: Vault, database: Database) -> FileActs:
    return FileActs(vault, database, factory_settings.zone)


def resume(acts: FileActs, database: Database) -> None:
    """What the Librarian does when it comes next."""
    for act_id in acts.open_acts():
        with database.session() as session:
            act = session.get_one(Act, act_id)
        finish(acts, act)


@pytest.mark.slow
def test_a_shift_that_is_killed_shifts_each_original_once(
    killed: Killed, acts: FileActs, vault: Vault, database: Database
) -> None:
    hashes = fill(vault, database, COUNT)
    began = rows(database)
    assert killed.run("redate", hashes, shift_parameters(SHIFT), after=None)
    shifts = 1
    for _ in range(KILLS):
        killed.run("redate", hashes, shift_parameters(SHIFT), after=random.uniform(0, killed.longest))
        resume(acts, database)
        assert_all_agrees(database, vault, hashes)
        now = rows(database)
        with database.session() as session:
            shifts = session.scalar(select(func.count()).select_from(Act).where(Act.status == "done")) or 0
            events = select(func.count()).select_from(OverlayEvent)
            assert session.scalar(events) == shifts * COUNT
        assert all(now[sha256][1] == began[sha256][1] + shifts * SHIFT for sha256 in hashes)
    used = {path.split("/")[2] for path, _ in rows(database).values()}
    assert used == {path.name for path in (vault.storage / "Originals").glob("*/*")}


@pytest.mark.slow
def test_removing_restoring_and_emptying_survive_kills(
    killed: Killed, acts: FileActs, vault: Vault, database: Database
) -> None:
    hashes = fill(vault, database, COUNT)
    before, there = rows(database), standing(vault.storage)
    assert killed.run("remove", hashes, {}, after=None)
    for number in range(2 * KILLS):
        kind = ("restore", "remove")[number % 2]
        killed.run(kind, hashes, {}, after=random.uniform(0, killed.longest))
        resume(acts, database)
        assert_all_agrees(database, vault, hashes)
        if len(rows(database)) not in (0, COUNT):
            raise AssertionError("half an act")
        with database.session() as session:  # one that was killed before its act was written is made again
            act = acts.begin(session, kind, "ada", hashes)
        finish(acts, act)
        assert len(rows(database)) == (COUNT if kind == "restore" else 0)
    assert (rows(database), set(in_trash(database))) == ({}, set(hashes))
    with database.session() as session:
        act = acts.begin(session, "restore", "ada", hashes[:10])
    finish(acts, act)
    assert rows(database) == {sha256: before[sha256] for sha256 in hashes[:10]}
    for _ in range(KILLS):
        killed.run("empty", hashes, {"really": True}, after=random.uniform(0, killed.longest))
        resume(acts, database)
        gone = set(hashes) - set(standing(vault.storage))
        with database.session() as session:
            assert set(session.scalars(select(Tombstone.file_hash))) == gone
            assert session.scalar(select(func.count()).select_from(FileMove)) == 0
        assert gone in (set(), set(hashes[10:]))
        assert standing(vault.storage).keys() >= set(hashes[:10])
    assert {sha256: there[sha256] for sha256 in hashes[:10]}.items() <= standing(vault.storage).items()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["plan", "rename", "settled"])
def test_a_kill_at_each_line_leaves_what_the_next_one_finishes(
    killed: Killed, acts: FileActs, vault: Vault, database: Database, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill does: nothing of the process's own goes on behind the line."""
    hashes = fill(vault, database, 8)

    class _Killed(BaseException):
        pass

    def dies(*_: object, **__: object) -> None:
        raise _Killed

    with database.session() as session:
        act = acts.begin(session, "redate", "ada", hashes, shift_parameters(SHIFT))
    with monkeypatch.context() as patched:
        match point:
            case "plan":
                patched.setattr("Src.Library.moves.Mover.carry_out", dies)
            case "rename":
                patched.setattr(file_acts_module.FileActs, "_settle", dies)
            case _:
                patched.setattr(file_acts_module.FileActs, "_clean_up", dies)
        with pytest.raises(_Killed):
            finish(acts, act)
    resume(acts, database)
    assert_all_agrees(database, vault, hashes)
    with database.session() as session:
        assert session.scalar(select(func.count()).select_from(OverlayEvent)) == 8
        assert session.execute(text("SELECT status FROM acts")).scalar_one() == "done"
    used = {path.split("/")[2] for path, _ in rows(database).values()}
    assert used == {path.name for path in (vault.storage / "Originals").glob("*/*")}
