"""Operations: how far they are is known from outside, also of those that were killed; and they take turns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from Src.Library.operation import Operation, OperationProblem, Progress, short
from Src.Library.operations import Operations
from Src.Library.running_operation import RunningOperation
from Src.Shared.database import Database
from Src.Shared.settings import PROJECT_ROOT, Settings
from Src.Testing.patience import PATIENCE, wait_until

PARAMETERS = {"sources": ["/photos/\udcff"], "move": False}


@pytest.fixture
def operations(factory_settings: Settings, database: Database) -> Operations:
    factory_settings.run.mkdir(parents=True, exist_ok=True)
    return Operations(factory_settings, database)


def the_one(operations: Operations) -> Operation:
    (one,) = operations.listed()
    return one


def work(progress: Progress, files: int, of: int = 300) -> None:
    """What long work does: it knows only this interface."""
    progress.plan(of)
    for done in range(1, files + 1):
        progress.steps(done, at=f"/photos/{done}")
        progress.reached(f"/photos/{done}", "ab" * 32)


def test_a_completed_one(operations: Operations) -> None:
    with RunningOperation(operations, "import", PARAMETERS) as running:
        work(running, 300)
        wait_until(lambda: [one.done for one in operations.listed()] == [300])
        assert the_one(operations).is_alive and not the_one(operations).is_stopped
    one = the_one(operations)
    assert (one.status, one.words, one.runs, one.pid) == ("completed", "300 of 300", 1, os.getpid())
    assert one.parameters == PARAMETERS, "any name comes back as it was"
    assert one.checkpoint == {"path": "/photos/300", "sha256": "ab" * 32}
    assert operations.stopped() == []


def test_one_that_fails_can_be_resumed_and_one_that_is_told_to_stop(operations: Operations) -> None:
    def fail() -> None:
        with RunningOperation(operations, "import", PARAMETERS) as running:
            work(running, 120)
            raise OperationProblem("the disk is full")

    with pytest.raises(OperationProblem, match="disk is full"):
        fail()
    (one,) = operations.stopped()
    assert (one.words, one.message) == ("failed at 120 of 300", "the disk is full")

    again = operations.like("import", PARAMETERS)
    assert again is not None
    with RunningOperation(operations, "import", PARAMETERS, resumes=again) as running:
        work(running, 200)
        running.stopped()
    (one,) = operations.stopped()
    assert (one.words, one.runs, one.message) == ("stopped at 200 of 300", 2, "stopped")
    assert operations.like("import", {**PARAMETERS, "move": True}) is None


def test_counting_does_not_forget_how_far_an_earlier_run_has_come(operations: Operations) -> None:
    with RunningOperation(operations, "import", PARAMETERS) as running:
        work(running, 200)
        running.stopped()
    (before,) = operations.stopped()
    with RunningOperation(operations, "import", PARAMETERS, resumes=before) as running:
        running.steps(1)  # found
        running.stopped()
    assert operations.stopped()[0].words == "stopped at 200 of 300"


KILLED = """
import os, sys
from pathlib import Path
from Src.Shared.settings import load_settings
from Src.Shared.database import Database
from Src.Library.operation import Operation, OperationProblem, Progress, short
from Src.Library.operations import Operations
from Src.Library.running_operation import RunningOperation
settings = load_settings(dict(os.environ), env_file=Path("/nowhere"))
with RunningOperation(Operations(settings, Database(settings)), "import", {"sources": []}) as running:
    running.plan(58_000)
    running.steps(12_400, at="/photos/x")
    sys.stdin.read()
"""


@pytest.fixture
def killed(factory_settings: Settings, operations: Operations) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which works until it is killed."""
    own = {"FACTORY_DATA": str(factory_settings.data), "DATABASE_URL": factory_settings.database_url or ""}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, cwd=PROJECT_ROOT, env={**os.environ, **own}
    )
    try:
        wait_until(lambda: [one.done for one in operations.listed()] == [12_400])
        yield process
    finally:
        process.kill()
        process.communicate()


def test_one_that_was_killed_is_known_at_once(operations: Operations, killed: subprocess.Popen[bytes]) -> None:
    one = the_one(operations)
    assert one.words == "running: 12,400 of 58,000"
    with pytest.raises(OperationProblem, match="runs; cancel it"):
        operations.discard(one)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (one,) = operations.stopped()
    assert (one.status, one.words) == ("running", "stopped at 12,400 of 58,000")
    operations.discard(operations.named(short(one.id)))
    assert operations.stopped() == []
    with pytest.raises(OperationProblem, match="has ended"):
        operations.discard(the_one(operations))


def test_where_no_lock_can_be_asked_its_silence_counts(
    operations: Operations, killed: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    operations.folder = tmp_path / "of another machine"
    assert the_one(operations).is_alive
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    with operations._database.session() as session:
        session.execute(text("UPDATE operations SET heartbeat_at = now() - interval '2 minutes'"))
    assert the_one(operations).is_stopped


def test_another_process_cancels_it(operations: Operations) -> None:
    ended = threading.Event()
    with RunningOperation(operations, "import", PARAMETERS, cancel=ended.set) as running:
        wait_until(lambda: [one.status for one in operations.listed()] == ["running"])
        assert operations.cancel(the_one(operations)) is True
        assert ended.wait(PATIENCE)
        assert running.is_cancelled
    assert (the_one(operations).status, operations.stopped()) == ("cancelled", [])


def test_what_was_asked_of_an_earlier_run_is_not_asked_of_the_next(operations: Operations) -> None:
    with RunningOperation(operations, "import", PARAMETERS) as running:
        running.stopped()
    with operations._database.session() as session:
        session.execute(text("UPDATE operations SET asked = 'cancel'"))
    (one,) = operations.stopped()
    with RunningOperation(operations, "import", PARAMETERS, resumes=one) as running:
        work(running, 300)
    assert the_one(operations).status == "completed"


def test_only_one_process_resumes_one(operations: Operations) -> None:
    with RunningOperation(operations, "import", PARAMETERS) as running:
        with pytest.raises(OperationProblem, match="runs already"):
            RunningOperation(operations, "import", PARAMETERS, resumes=replace(running._row)).__enter__()
        work(running, 300)
    assert the_one(operations).status == "completed"


@pytest.mark.parametrize("id_", ["", "xyz", "ab", "00000000"])
def test_an_id_that_means_none(operations: Operations, id_: str) -> None:
    with pytest.raises(OperationProblem, match="operations lists them"):
        operations.named(id_)


def test_work_goes_on_while_the_ledger_is_away(factory_settings: Settings) -> None:
    away = Database(replace(factory_settings, database_url="postgresql+psycopg2://nobody@127.0.0.1:1/none"))
    with RunningOperation(Operations(factory_settings, away), "import", PARAMETERS) as running:
        work(running, 300)
    away.close()


# Turns


def test_a_person_waits_for_another_person(operations: Operations) -> None:
    waited = threading.Event()
    began = threading.Event()

    def second() -> None:
        with RunningOperation(operations, "rebuild", {}, waiting=lambda _holder, _seconds: waited.set()):
            began.set()

    with RunningOperation(operations, "import", {}):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(PATIENCE)
        wait_until(lambda: {one.kind: one.status for one in operations.listed()}.get("rebuild") == "pending")
        assert not began.is_set()
    assert began.wait(PATIENCE)
    thread.join()


def test_what_is_scheduled_gives_way_to_a_person_and_goes_on(operations: Operations) -> None:
    done = threading.Event()
    seen: list[str] = []

    def look() -> None:
        with RunningOperation(operations, "look", {}, is_scheduled=True, who="librarian") as running:
            running.plan(None)
            steps = 0
            while not done.wait(0.01):
                steps += 1
                running.steps(steps)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        wait_until(lambda: [one.status for one in operations.listed()] == ["running"])
        with RunningOperation(operations, "import", {}):
            wait_until(lambda: {one.kind: one.status for one in operations.listed()}["look"] == "paused")
            seen = [one.kind for one in operations.listed() if one.is_stopped]
        wait_until(lambda: {one.kind: one.status for one in operations.listed()}["look"] == "running")
    finally:
        done.set()
        thread.join()
    assert seen == [], "paused is not stopped"
    assert {one.kind: one.status for one in operations.listed()} == {"import": "completed", "look": "completed"}
