"""SIGTERM: the batch in hand is finished or undone, and what would take long, or for ever, is not waited for.

How soon all has ended is printed; what is not waited for takes far longer than the patience of these tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from Src.Testing.patience import wait_until
from Stack.tests.photos import endless_jpeg, large_jpeg, sha256, unique_jpeg
from Stack.tests.real_factory import LAST_HEARTBEAT_LIMIT, LIMIT, ROOT, Factory, Running

LARGE = 1_500_000_000
TURNS = 10  # at most, until a signal comes while it is being copied


@contextmanager
def librarian(factory: Factory) -> Iterator[Running]:
    """The service alone, as a container runs it."""
    command = [sys.executable, "-m", "Src.Librarian"]
    running = Running(factory, command, factory.env({"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}))
    try:
        yield running
    finally:
        running.end()


def fill(inbox: Path, count: int) -> set[str]:
    inbox.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (inbox / f"{number}.jpg").write_bytes(unique_jpeg(number))
    return {sha256(path) for path in inbox.iterdir()}


def assert_at_rest(factory: Factory) -> None:
    """Every file is whole: in the inbox or in the vault with its row, in no case on the way."""
    # Helpers of Python's own notice the end a moment later.
    wait_until(lambda: not factory.processes(), LIMIT, "no process is left")
    assert factory.filed() == len(factory.vault_files()), "a temporary file is left"
    assert [path for path in factory.vault_files() if path.stat().st_size == 0] == []
    rows: dict[str, str] = dict(factory.sql_at_rest("SELECT final_path, file_hash FROM media_assets"))
    assert {str(path.relative_to(factory.storage)): sha256(path) for path in factory.vault_files()} == rows
    for name in ("journal", "copying"):
        left = factory.storage / ".factory" / name
        assert not left.is_dir() or list(left.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_librarian_told_to_stop_in_the_middle_of_files(factory: Factory, number: signal.Signals) -> None:
    hashes = fill(factory.inbox, 400)
    endless = factory.inbox / "endless.jpg"  # for one reader; it is never done, however late the signal comes
    endless_jpeg(endless)
    factory.environment.update(READERS="2", BATCH_SIZE="16")
    with librarian(factory) as running:
        wait_until(lambda: factory.filed() >= 32, LIMIT, "it is in the middle")
        began = time.monotonic()
        running.process.send_signal(number)
        result = running.wait()
        took = time.monotonic() - began
        print(f"{number.name}: ended after {took:.2f} s")
        assert result.code == 0
        assert "Traceback" not in running.output
        assert " ERROR " not in running.output
    assert 32 <= factory.filed() <= 400
    status = factory.sql_at_rest("SELECT current_task, status FROM system_status WHERE service_name = 'librarian'")
    assert status == [("stopped", "OK")] or took > LAST_HEARTBEAT_LIMIT
    assert_at_rest(factory)
    endless.unlink()

    last = factory.run("ingest", "--json")

    assert (last.code, last.json()["failed"]) == (0, 0)
    assert {sha256(path) for path in factory.vault_files()} == hashes
    assert len(factory.vault_files()) == 400
    assert list(factory.inbox.iterdir()) == []
    assert_at_rest(factory)


def test_stopped_in_the_middle_of_copying_a_large_file(factory: Factory, other_filesystem: Path) -> None:
    """From one filesystem to another, which takes as long as it takes; nobody waits for it at a shutdown."""
    if shutil.disk_usage(other_filesystem).free < 2 * LARGE:
        pytest.skip("not enough room on the second filesystem")
    factory.environment["STORAGE_PATH"] = str(other_filesystem / "Storage")
    factory.inbox.mkdir(parents=True)
    (factory.inbox / "small.jpg").write_bytes(unique_jpeg(2))
    for _ in range(TURNS):
        large_jpeg(factory.inbox / "large.jpg", LARGE)
        with librarian(factory) as running:
            wait_until(lambda: copied(factory) > 1_000_000 or is_filed(factory, "large.jpg"), LIMIT, "it is copied")
            began = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            result = running.wait()
            print(f"while copying: ended after {time.monotonic() - began:.2f} s")
            assert result.code == 0
            assert "Traceback" not in running.output
            assert " ERROR " not in running.output, "to be told to stop is no error"
        assert_at_rest(factory)
        if not is_filed(factory, "large.jpg"):
            break
        for path in factory.vault_files():  # all was copied when the signal came, which tells nothing: once more
            if path.name == "large.jpg":
                path.unlink()
        factory.sql_at_rest("DELETE FROM media_assets WHERE original_name = 'large.jpg'")
    assert (factory.inbox / "large.jpg").stat().st_size == LARGE
    assert not is_filed(factory, "large.jpg"), "a long copy is waited for"

    os.truncate(factory.inbox / "large.jpg", LARGE // 10)  # that it is large is shown; the rest need not take long
    last = factory.run("ingest", "--json")

    assert (last.code, last.json()["failed"]) == (0, 0)
    assert sorted(path.name for path in factory.vault_files()) == ["large.jpg", "small.jpg"]
    # What has left the inbox of another filesystem waits in it for its grace.
    assert [path.name for path in factory.inbox.iterdir()] == [".factory-leaving"]
    assert_at_rest(factory)


def test_stopped_while_reading_a_large_file(factory: Factory) -> None:
    """Reading only: dropped at once, the file is still in the inbox."""
    factory.inbox.mkdir(parents=True)
    endless_jpeg(factory.inbox / "large.jpg")
    with librarian(factory) as running:
        wait_until(lambda: reads(factory, "large.jpg"), LIMIT, "it is being read")
        running.process.send_signal(signal.SIGTERM)
        assert running.wait().code == 0
        assert "Traceback" not in running.output
    wait_until(lambda: not factory.processes(), LIMIT, "no process is left")
    assert (factory.inbox / "large.jpg").exists()
    assert factory.vault_files() == []


def test_an_ingest_told_to_stop_says_so_by_its_exit_code(factory: Factory) -> None:
    fill(factory.inbox, 300)
    endless_jpeg(factory.inbox / "endless.jpg")
    factory.environment.update(READERS="2", BATCH_SIZE="16")
    with factory.start("ingest", "--json") as running:
        wait_until(lambda: factory.filed() >= 16, LIMIT, "it is in the middle")
        running.process.send_signal(signal.SIGTERM)
        result = running.wait()
    assert result.code == 130
    assert result.json()["new"] == factory.filed() <= 300
    assert_at_rest(factory)


def test_stopped_with_the_ledger_away_and_unreachable(factory: Factory) -> None:
    """Without a limit of ours a connection is tried for two minutes."""
    factory.environment["DATABASE_URL"] = "postgresql://photo_factory@192.0.2.1/photo_factory"  # TEST-NET-1: silence
    factory.inbox.mkdir(parents=True)
    with librarian(factory) as running:
        wait_until(lambda: "the database cannot be reached" in running.output, LIMIT, "it notices")
        running.process.send_signal(signal.SIGTERM)
        assert running.wait().code == 0
        assert "Traceback" not in running.output


def test_a_paused_database_does_not_hold_up_the_end(factory: Factory) -> None:
    fill(factory.inbox, 100)
    with librarian(factory) as running:
        wait_until(lambda: factory.asked("SELECT 1 FROM media_assets"), LIMIT, "it works")
        paused = factory.postgres()
        for pid in paused:
            with suppress(ProcessLookupError):  # a session that has just ended
                os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(2 * LIMIT)  # one that waits for its answers in the middle of a batch does so for 30 s
            print(f"database paused: ended after {time.monotonic() - began:.2f} s")
        finally:
            for pid in paused:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def copied(factory: Factory) -> int:
    """Bytes in the vault that are not visible yet."""
    sizes = [0]
    for path in factory.vault_files():
        if path.name.startswith("."):
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:
                continue
    return sum(sizes)


def is_filed(factory: Factory, name: str) -> bool:
    return any(path.name == name for path in factory.vault_files())


def reads(factory: Factory, name: str) -> bool:
    """Whether a process of the factory has the file open."""
    for pid in factory.processes():
        try:
            if any(os.readlink(entry).endswith(name) for entry in Path(f"/proc/{pid}/fd").iterdir()):
                return True
        except OSError:
            continue
    return False
