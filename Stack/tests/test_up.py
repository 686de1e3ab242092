"""`up`: the factory as it runs day and night, with the default delays, and what it takes without a person."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from Stack.tests.photos import sha256, unique_jpeg
from Stack.tests.real_factory import (
    LIMIT,
    ROOT,
    SAMPLES,
    Factory,
    Running,
    command_line,
    wait_until,
)

STABILITY_DELAY = 5.0  # the default, which these tests leave in force
SCANNED = 55.0  # by then no periodic scan has come; how soon it is really tells `python -m benchmarks latency`

LIBRARIAN = "Src.Librarian.librarian"
ONE_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (INFO|WARNING|ERROR) [a-z-]+: .+")


@contextmanager
def up(factory: Factory) -> Iterator[Running]:
    """A factory that is up and watches its inbox."""
    with factory.start("up") as running:
        running.wait_for("watching ")
        yield running


@pytest.fixture
def default_factory(factory: Factory) -> Factory:
    """No setting but FACTORY_DATA."""
    factory.environment.clear()
    return factory


# -- how soon a photo is filed -----------------------------------------------------------------------------


def test_a_copied_file_is_filed_after_the_stability_delay(default_factory: Factory) -> None:
    factory = default_factory
    with up(factory):
        names = ["plain.jpg", "2024/trip to Rome/day 1/nested.jpg", "old.jpg"]
        for number, name in enumerate(names):
            path = factory.inbox / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(unique_jpeg(number))
        os.utime(factory.inbox / "old.jpg", (1e9, 1e9))  # as `cp -p` and sync tools do: an mtime long ago
        written = time.time()

        took = max(latency(factory, name, written, SCANNED) for name in names)

    assert took >= STABILITY_DELAY - 0.1, "a file that may still be written to was taken"
    print(f"copied: filed with its row {took:.2f} s after the last write")


def test_a_file_that_is_still_written_is_not_taken_before_it_rests(default_factory: Factory) -> None:
    factory = default_factory
    content = unique_jpeg(1, size=200_000)
    with up(factory):
        path = factory.inbox / "slow.jpg"
        began = time.time()
        for start in range(0, len(content), 50_000):  # longer in all than a file must rest, and closed in between
            with open(path, "ab") as file:
                file.write(content[start : start + 50_000])
            written = time.time()
            wait_until(lambda written=written: time.time() > written + 2.0, LIMIT)  # type: ignore[misc]
            assert path.exists()
        assert time.time() - began > STABILITY_DELAY

        latency(factory, "slow.jpg", written, SCANNED)

    [original] = factory.vault_files()
    assert original.read_bytes() == content


@pytest.mark.parametrize("way", ["hidden name beside it", "syncthing's name", "from outside", "from outside, nested"])
def test_a_file_renamed_into_place_has_no_need_to_rest(default_factory: Factory, way: str) -> None:
    factory = default_factory
    factory.environment["STABILITY_DELAY"] = "600"
    (factory.inbox / "phone" / "DCIM").mkdir(parents=True)
    (factory.inbox / "phone" / "DCIM" / ".keep").touch()  # an empty folder would be pruned
    with up(factory):
        target, temporary = {
            "hidden name beside it": ("a.jpg", factory.inbox / ".a.jpg.Xy12"),
            "syncthing's name": ("a.jpg", factory.inbox / ".syncthing.a.jpg.tmp"),
            "from outside": ("a.jpg", factory.data / "a.jpg"),
            "from outside, nested": ("phone/DCIM/a.jpg", factory.data / "a.jpg"),
        }[way]
        path = factory.inbox / target
        temporary.write_bytes(unique_jpeg(1))
        temporary.rename(path)
        took = latency(factory, target, time.time(), SCANNED)
    print(f"renamed ({way}): filed with its row after {took:.2f} s")


def test_a_folder_moved_into_the_inbox_is_filed_with_all_that_is_in_it(default_factory: Factory) -> None:
    factory = default_factory
    source = factory.data / "moved"
    (source / "deep" / "deeper").mkdir(parents=True)
    for number, place in enumerate(("1.jpg", "deep/2.jpg", "deep/deeper/3.jpg")):
        (source / place).write_bytes(unique_jpeg(number))
    with up(factory):
        written = time.time()
        source.rename(factory.inbox / "moved")
        for place in ("1.jpg", "deep/2.jpg", "deep/deeper/3.jpg"):
            latency(factory, f"moved/{place}", written, SCANNED)


def test_a_file_renamed_into_a_folder_that_was_just_made(default_factory: Factory) -> None:
    """No event may come for it, as its folder was not watched yet: it is found, and must rest like any other."""
    factory = default_factory
    (factory.data / "a.jpg").write_bytes(unique_jpeg(1))
    with up(factory):
        (factory.inbox / "new" / "folders").mkdir(parents=True)
        (factory.data / "a.jpg").rename(factory.inbox / "new" / "folders" / "a.jpg")
        latency(factory, "new/folders/a.jpg", time.time(), SCANNED)


def test_what_came_while_nothing_ran_is_filed_at_the_start(factory: Factory) -> None:
    factory.inbox.mkdir(parents=True)
    for number in range(20):
        (factory.inbox / f"{number}.jpg").write_bytes(unique_jpeg(number))
    with up(factory):
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(20,)], LIMIT)
    assert list(factory.inbox.iterdir()) == []


def test_up_takes_a_relative_folder_of_any_name_from_where_it_is_called(factory: Factory) -> None:
    parent = factory.data.parent
    hostile = parent / "My 'No' #1 ;100% %(x)s Photos"
    factory.data.rename(hostile)
    factory.data = hostile
    command = ["env", "--chdir", str(parent), f"FACTORY_DATA={hostile.name}", *factory.command("up")]
    running = Running(factory, command, factory.env())
    try:
        running.wait_for("watching ")
        assert str(factory.inbox) in running.output
        (factory.inbox / "a.jpg").write_bytes(unique_jpeg(1))
        wait_until(lambda: factory.filed() == 1, LIMIT, "it is filed")
        running.process.send_signal(signal.SIGINT)
        running.wait()
        assert factory.processes() == []
    finally:
        running.end()
    assert not (ROOT / hostile.name).exists()


# -- stopping ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_everything_within_ten_seconds(factory: Factory, signal_name: str) -> None:
    with up(factory) as running:
        (factory.inbox / "a.jpg").write_bytes(unique_jpeg(1))
        wait_until(lambda: factory.asked("SELECT 1 FROM media_assets"), LIMIT)
        assert factory.postgres()
        began = time.monotonic()
        running.process.send_signal(getattr(signal, signal_name))
        running.wait()
        left = [command_line(pid) for pid in factory.processes()]
        took = time.monotonic() - began
        assert left == []
        assert "Traceback" not in running.output
        assert "ERROR" not in running.output
    assert not (factory.cluster / "postmaster.pid").exists(), "PostgreSQL was not stopped cleanly"
    status = factory.sql_at_rest("SELECT current_task, status FROM system_status WHERE service_name = 'librarian'")
    assert status == [("stopped", "OK")]
    print(f"{signal_name}: all ended after {took:.2f} s")


def test_ctrl_c_reaches_the_whole_group_and_still_ends_cleanly(factory: Factory) -> None:
    with up(factory) as running:
        os.killpg(running.pid, signal.SIGINT)
        running.wait()
        assert factory.processes() == []
        assert "Traceback" not in running.output


def test_a_signal_during_the_very_first_start_leaves_no_process(bare_factory: Factory) -> None:
    factory = bare_factory
    with factory.start("up") as running:
        wait_until(lambda: factory.named(LIBRARIAN), LIMIT, "the librarian starts")
        running.process.send_signal(signal.SIGTERM)
        running.wait(60)  # a busy machine takes long to make a database, and that is waited for
        assert factory.processes() == []
        assert "Traceback" not in running.output


# -- what dies, comes back ---------------------------------------------------------------------------------


def test_a_killed_librarian_is_started_again_and_goes_on(factory: Factory) -> None:
    with up(factory) as running:
        [librarian] = factory.named(LIBRARIAN)
        # One that dies within its first second is started again by another rule of supervisor's.
        wait_until(lambda: time.time() - os.stat(f"/proc/{librarian}").st_ctime > 1.5, LIMIT)
        for number in range(40):
            (factory.inbox / f"{number}.jpg").write_bytes(unique_jpeg(number))
        os.kill(librarian, signal.SIGKILL)
        wait_until(lambda: set(factory.named(LIBRARIAN)) - {librarian}, LIMIT, "it is started again")
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(40,)], LIMIT, "it goes on")
        wait_until(lambda: not any(factory.inbox.iterdir()), LIMIT, "the inbox is empty")
        assert running.process.poll() is None
        assert len(factory.named("spawn_main")) <= 2 * (os.cpu_count() or 1), "workers of the dead one linger"
    assert_vault_is({sha256_of(unique_jpeg(number)) for number in range(40)}, factory)


def test_a_killed_database_comes_back_by_itself_and_no_row_is_lost(factory: Factory) -> None:
    with up(factory) as running:
        for number in range(20):
            (factory.inbox / f"before {number}.jpg").write_bytes(unique_jpeg(number))
        wait_until(lambda: factory.filed() > 0, LIMIT, "files come in")
        killed = factory.postgres()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        for number in range(20, 40):
            (factory.inbox / f"after {number}.jpg").write_bytes(unique_jpeg(number))
        began = time.monotonic()
        wait_until(lambda: factory.filed() == 40, LIMIT, "files are filed")
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(40,)], 60, "rows appear")
        took = time.monotonic() - began
        assert not set(killed) & set(factory.postgres())
        wait_until(lambda: not any(factory.inbox.iterdir()), LIMIT, "the inbox is empty")
        assert "Traceback" not in running.output
        journal = factory.storage / ".factory" / "journal"
        assert not journal.is_dir() or list(journal.iterdir()) == []
        heard = "SELECT 1 FROM system_status WHERE service_name = 'librarian' AND status = 'OK'"
        wait_until(lambda: factory.asked(heard), 60, "the heartbeat says that all is well again")
    assert_vault_is({sha256_of(unique_jpeg(number)) for number in range(40)}, factory)
    print(f"database killed: all rows there after {took:.2f} s")


def test_the_database_away_for_a_while_in_the_middle_of_files(factory: Factory) -> None:
    """Killed again each time that it has come back."""
    factory.inbox.mkdir(parents=True)
    with up(factory):
        for turn in range(3):
            for number in range(10):
                (factory.inbox / f"{turn}-{number}.jpg").write_bytes(unique_jpeg(100 * turn + number))
            wait_until(factory.postgres, 60, "it is back")
            for pid in factory.postgres():
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(30,)], 60, "rows appear")
    told = factory.sql_at_rest("SELECT original_path, count(*) FROM ingest_events WHERE fate = 'ingested' GROUP BY 1")
    assert sorted(told) == sorted((f"{turn}-{number}.jpg", 1) for turn in range(3) for number in range(10))


def test_services_end_by_themselves_when_the_runner_is_killed_and_a_new_one_works(factory: Factory) -> None:
    with up(factory) as running:
        os.kill(running.pid, signal.SIGKILL)
        began = time.monotonic()
        wait_until(lambda: not factory.processes(), LIMIT, "services and database end")
        print(f"runner killed: all ended after {time.monotonic() - began:.2f} s")
    with up(factory):
        (factory.inbox / "a.jpg").write_bytes(unique_jpeg(1))
        wait_until(lambda: factory.asked("SELECT 1 FROM media_assets"), LIMIT, "a new one works")


def test_a_killed_worker_costs_no_file(factory: Factory) -> None:
    with up(factory) as running:
        wait_until(lambda: factory.named("spawn_main"), LIMIT, "workers run")
        for number in range(60):
            (factory.inbox / f"{number}.jpg").write_bytes(unique_jpeg(number))
        for pid in factory.named("spawn_main"):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(60,)], LIMIT, "all are filed")
        assert "Traceback" not in running.output
    assert factory.sql_at_rest("SELECT count(*) FROM ingest_events WHERE fate = 'failed'") == [(0,)]


# -- two of them -------------------------------------------------------------------------------------------


def test_a_second_up_waits_and_takes_over_when_the_first_dies(factory: Factory) -> None:
    with up(factory) as first:
        first_processes = set(factory.processes())
        with factory.start("up") as second:
            second.wait_for("waiting to take over")
            (factory.inbox / "a.jpg").write_bytes(unique_jpeg(1))
            wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(1,)], LIMIT, "the first works")
            assert second.process.poll() is None
            for pid in first_processes - set(factory.postgres()):
                os.kill(pid, signal.SIGKILL)
            first.wait()
            began = time.monotonic()
            second.wait_for("watching ")
            print(f"taken over after {time.monotonic() - began:.2f} s")
            (factory.inbox / "b.jpg").write_bytes(unique_jpeg(2))
            wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(2,)], LIMIT, "the second works")
            second.process.send_signal(signal.SIGINT)
            second.wait()
            assert factory.processes() == []
            assert "Traceback" not in second.output


def test_one_pass_does_not_work_beside_a_running_librarian(factory: Factory) -> None:
    with up(factory):
        result = factory.run("ingest")
    assert result.code == 2
    assert "another Librarian is already working" in result.err.splitlines()[-1]


# -- what it says ------------------------------------------------------------------------------------------


def test_heartbeats_are_written_and_kept(factory: Factory) -> None:
    factory.environment["HEARTBEAT_INTERVAL"] = "0.5"
    now = "SELECT status, current_task, message, now() - last_heartbeat < '3 s' FROM system_status"
    now += " WHERE service_name = %s"
    count = "SELECT count(*) FROM system_status_history WHERE service_name = %s"
    with up(factory):
        wait_until(lambda: factory.asked(now, "librarian") == [("OK", "watching", None, True)], LIMIT)
        before = factory.sql(count, "librarian")[0][0]
        wait_until(lambda: factory.asked(count, "librarian")[0][0] >= before + 3, LIMIT, "the history grows")
        alive = list((factory.data / ".run").glob("librarian*"))
        assert alive, "no liveness file"
        assert time.time() - alive[0].stat().st_mtime < 5


def test_the_very_first_start_reads_well(bare_factory: Factory) -> None:
    """Every line is a sentence for people or a record; nothing is alarming, for nothing is wrong."""
    factory = bare_factory
    (factory.inbox).mkdir(parents=True)
    shutil.copy(SAMPLES / "Canon_40D.jpg", factory.inbox / "a.jpg")
    with up(factory) as running:
        wait_until(lambda: factory.asked("SELECT 1 FROM media_assets"), LIMIT)
        wait_until(lambda: factory.asked("SELECT 1 FROM system_status WHERE service_name = 'librarian'"), LIMIT)
        running.process.send_signal(signal.SIGINT)
        result = running.wait()
    assert "Photo Factory is starting" in result.out
    assert str(factory.inbox) in result.out
    assert str(factory.originals) in result.out
    assert "Traceback" not in running.output
    lines = running.output.splitlines()
    records = lines[lines.index(next(line for line in lines if ONE_LINE.fullmatch(line))) :]
    others = [line for line in records if not ONE_LINE.fullmatch(line)]
    assert all(line.endswith("WARN received SIGINT indicating exit request") for line in others), others  # supervisor's
    alarming = [line for line in records if " WARNING " in line or " ERROR " in line]
    assert [line for line in alarming if "Let other users pass through" not in line] == []


# -- helpers -----------------------------------------------------------------------------------------------


def latency(factory: Factory, original_path: str, since: float, limit: float) -> float:
    """Seconds until a file is in the vault, has its row and is gone from the inbox; fails after `limit`."""
    statement = "SELECT final_path, file_hash FROM media_assets WHERE original_path = %s"
    rows = wait_until(
        lambda: factory.asked(statement, original_path), since + limit - time.time(), f"{original_path} has its row"
    )
    took = time.time() - since
    [(final_path, file_hash)] = rows
    assert sha256(factory.storage / final_path) == file_hash
    wait_until(lambda: not (factory.inbox / original_path).exists(), LIMIT, "it has left the inbox")
    return took


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def assert_vault_is(hashes: set[str], factory: Factory) -> None:
    assert sorted(sha256(path) for path in factory.vault_files()) == sorted(hashes)
    rows = factory.sql_at_rest("SELECT file_hash, final_path FROM media_assets")
    assert sorted(row[0] for row in rows) == sorted(hashes)
    assert all(sha256(factory.storage / path) == file_hash for file_hash, path in rows)
