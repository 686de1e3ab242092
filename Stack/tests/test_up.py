"""`up`: the factory as it runs day and night, with the default delays, and what it takes without a person."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from Src.Testing.patience import wait_until
from Stack.tests.photos import sha256, unique_jpeg
from Stack.tests.real_factory import LAST_HEARTBEAT_LIMIT, LIMIT, ROOT, SAMPLES, Factory, Running

STABILITY_DELAY = 5.0  # the default, which these tests leave in force
SOON = 2 * LIMIT  # and the next periodic scan is in an hour; how soon it is really tells `python -m benchmarks latency`


LIBRARIAN, READER = "-m Src.Librarian ", "-m Src.Librarian.read.reader "
ONE_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (INFO|WARNING|ERROR) [a-z-]+: .+")


@contextmanager
def up(factory: Factory) -> Iterator[Running]:
    """A factory that is up and watches its inbox."""
    with factory.start("up") as running:
        running.wait_for("watching ", 2 * LIMIT)
        yield running


@pytest.fixture
def default_factory(factory: Factory) -> Factory:
    """With the default delays. Nothing is found by a periodic scan."""
    factory.environment.clear()
    factory.environment["SCAN_INTERVAL"] = "3600"
    return factory


AS_SYSTEMD_DOES = """
import os, socket, subprocess, sys
ours, its = socket.socketpair()
subprocess.Popen(sys.argv[1:], stdout=its, stderr=its)
its.close()
while said := ours.recv(65536):
    os.write(1, said)
"""


def test_all_services_start_where_stdout_cannot_be_opened_by_its_name(factory: Factory) -> None:
    with factory.start("up", wrapper=[sys.executable, "-c", AS_SYSTEMD_DOES]) as running:
        running.wait_for("watching ", 2 * LIMIT)
        running.wait_for("service-monitor: looking after", LIMIT)


# -- how soon a photo is filed -----------------------------------------------------------------------------


def test_a_copied_file_is_filed_after_the_stability_delay(default_factory: Factory) -> None:
    factory = default_factory
    with up(factory):
        began = {}
        for number, name in enumerate(["plain.jpg", "2024/trip to Rome/day 1/nested.jpg", "old.jpg"]):
            path = factory.inbox / name
            path.parent.mkdir(parents=True, exist_ok=True)
            began[name] = time.time()
            path.write_bytes(unique_jpeg(number))
            if name == "old.jpg":
                os.utime(path, (1e9, 1e9))  # as `cp -p` and sync tools do: an mtime long ago

        took = {name: latency(factory, name, at) for name, at in began.items()}

    assert min(took.values()) >= STABILITY_DELAY - 0.1, f"a file that may still be written to was taken: {took}"
    print(f"copied: filed with its row {max(took.values()):.2f} s after the last write")


def test_a_file_that_is_still_written_is_not_taken_before_it_rests(default_factory: Factory) -> None:
    factory = default_factory
    with up(factory):
        for number in count():
            name, content = f"{number}.jpg", unique_jpeg(number, size=200_000)
            if written_slowly(factory.inbox / name, content):
                break
        latency(factory, name, time.time())

    [original] = [path for path in factory.vault_files() if path.name == name]
    assert original.read_bytes() == content


def written_slowly(path: Path, content: bytes) -> bool:
    """Writes a file in parts, longer in all than a file must rest, and closed in between.

    False where we stood still for so long that it was at rest in the middle, and may rightly be taken.
    """
    rest, before = STABILITY_DELAY - 0.1, time.monotonic()
    for start in range(0, len(content), 50_000):
        now = time.monotonic()
        with suppress(FileNotFoundError), open(path, "r+b" if start else "xb") as file:
            file.seek(start)
            file.write(content[start : start + 50_000])
        if time.monotonic() - before >= rest:
            return False
        before = now
        time.sleep(2.0)
        is_there = path.exists()
        if time.monotonic() - before >= rest:
            return False
        assert is_there, "a file that is still written to was taken"
    return True


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
        took = latency(factory, target, time.time())
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
            latency(factory, f"moved/{place}", written)


def test_a_file_renamed_into_a_folder_that_was_just_made(default_factory: Factory) -> None:
    """No event may come for it, as its folder was not watched yet: it is found, and must rest like any other."""
    factory = default_factory
    (factory.data / "a.jpg").write_bytes(unique_jpeg(1))
    with up(factory):
        (factory.inbox / "new" / "folders").mkdir(parents=True)
        (factory.data / "a.jpg").rename(factory.inbox / "new" / "folders" / "a.jpg")
        latency(factory, "new/folders/a.jpg", time.time())


def test_what_came_while_nothing_ran_is_filed_at_the_start(factory: Factory) -> None:
    factory.inbox.mkdir(parents=True)
    for number in range(20):
        (factory.inbox / f"{number}.jpg").write_bytes(unique_jpeg(number))
    with up(factory):
        wait_until(lambda: list(factory.inbox.iterdir()) == [], LIMIT, "all have left the inbox")
        assert factory.asked("SELECT count(*) FROM media_assets") == [(20,)]


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
        wait_until(lambda: not factory.processes(), LIMIT, "no process is left")
    finally:
        running.end()
    assert not (ROOT / hostile.name).exists()


# -- stopping ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_everything(factory: Factory, signal_name: str) -> None:
    with up(factory) as running:
        (factory.inbox / "a.jpg").write_bytes(unique_jpeg(1))
        wait_until(lambda: factory.asked("SELECT 1 FROM media_assets"), LIMIT)
        assert factory.postgres()
        began = time.monotonic()
        running.process.send_signal(getattr(signal, signal_name))
        running.wait(2 * LIMIT)
        took = time.monotonic() - began
        wait_until(lambda: not factory.processes(), LIMIT, "all ends")
        assert "Traceback" not in running.output
        assert "ERROR" not in running.output
    assert not (factory.cluster / "postmaster.pid").exists(), "PostgreSQL was not stopped cleanly"
    status = factory.sql_at_rest("SELECT current_task, status FROM system_status WHERE service_name = 'librarian'")
    # The last heartbeat is waited for a few seconds; a machine that stands still may lose it.
    assert status == [("stopped", "OK")] or took > LAST_HEARTBEAT_LIMIT
    print(f"{signal_name}: all ended after {took:.2f} s")


def test_ctrl_c_reaches_the_whole_group_and_still_ends_cleanly(factory: Factory) -> None:
    with up(factory) as running:
        os.killpg(running.pid, signal.SIGINT)
        running.wait(2 * LIMIT)
        wait_until(lambda: not factory.processes(), LIMIT, "no process is left")
        assert "Traceback" not in running.output


def test_a_signal_during_the_very_first_start_leaves_no_process(bare_factory: Factory) -> None:
    factory = bare_factory
    with factory.start("up") as running:
        wait_until(lambda: factory.named(LIBRARIAN), LIMIT, "the librarian starts")
        running.process.send_signal(signal.SIGTERM)
        running.wait(2 * LIMIT)  # a busy machine takes long to make a database, and that is waited for
        wait_until(lambda: not factory.processes(), LIMIT, "no process is left")
        assert "Traceback" not in running.output


# -- what dies, comes back ---------------------------------------------------------------------------------


def test_a_killed_librarian_is_started_again_and_goes_on(factory: Factory) -> None:
    with up(factory) as running:
        [librarian] = factory.named(LIBRARIAN)
        # One that dies within its first second is started again by another rule of supervisor's.
        wait_until(lambda: time.time() - os.stat(f"/proc/{librarian}").st_ctime > 1.5, LIMIT)
        for number in range(40):
            (factory.inbox / f"{number}.jpg").write_bytes(unique_jpeg(number))
        readers = set(factory.named(READER))
        os.kill(librarian, signal.SIGKILL)
        wait_until(lambda: set(factory.named(LIBRARIAN)) - {librarian}, LIMIT, "it is started again")
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(40,)], 2 * LIMIT, "it goes on")
        wait_until(lambda: not any(factory.inbox.iterdir()), LIMIT, "the inbox is empty")
        assert running.process.poll() is None
        wait_until(
            lambda: not readers & set(factory.named(READER)),
            LIMIT,
            "no reader of the dead one lingers",
        )
    assert_vault_is({sha256_of(unique_jpeg(number)) for number in range(40)}, factory)


def test_a_killed_database_comes_back_by_itself_and_no_row_is_lost(factory: Factory) -> None:
    with up(factory) as running:
        for number in range(20):
            (factory.inbox / f"before {number}.jpg").write_bytes(unique_jpeg(number))
        wait_until(lambda: factory.filed() > 0, LIMIT, "files come in")
        killed = factory.postgres()
        kill(killed)
        for number in range(20, 40):
            (factory.inbox / f"after {number}.jpg").write_bytes(unique_jpeg(number))
        began = time.monotonic()
        wait_until(lambda: factory.filed() == 40, LIMIT, "files are filed")
        # The Librarian asks for it less and less often, in the end once a minute.
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(40,)], 2 * LIMIT, "rows appear")
        took = time.monotonic() - began
        wait_until(lambda: not set(killed) & set(factory.postgres()), LIMIT, "the killed ones are gone")
        wait_until(lambda: not any(factory.inbox.iterdir()), LIMIT, "the inbox is empty")
        assert "Traceback" not in running.output
        journal = factory.storage / ".factory" / "journal"
        wait_until(lambda: not journal.is_dir() or not any(journal.iterdir()), LIMIT, "the journal is empty")
        heard = "SELECT 1 FROM system_status WHERE service_name = 'librarian' AND status = 'OK'"
        wait_until(lambda: factory.asked(heard), LIMIT, "the heartbeat says that all is well again")
    assert_vault_is({sha256_of(unique_jpeg(number)) for number in range(40)}, factory)
    print(f"database killed: all rows there after {took:.2f} s")


def test_the_database_away_for_a_while_in_the_middle_of_files(factory: Factory) -> None:
    """Killed again each time that it has come back."""
    factory.inbox.mkdir(parents=True)
    with up(factory):
        for turn in range(3):
            for number in range(10):
                (factory.inbox / f"{turn}-{number}.jpg").write_bytes(unique_jpeg(100 * turn + number))
            kill(wait_until(factory.postgres, 2 * LIMIT, "it is back"))
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(30,)], 2 * LIMIT, "rows appear")
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
        wait_until(lambda: factory.named(READER), LIMIT, "readers run")
        for number in range(60):
            (factory.inbox / f"{number}.jpg").write_bytes(unique_jpeg(number))
        kill(factory.named(READER))
        wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(60,)], 2 * LIMIT, "all are filed")
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
            kill(first_processes - set(factory.postgres()))
            first.wait()
            began = time.monotonic()
            second.wait_for("watching ")
            print(f"taken over after {time.monotonic() - began:.2f} s")
            (factory.inbox / "b.jpg").write_bytes(unique_jpeg(2))
            wait_until(lambda: factory.asked("SELECT count(*) FROM media_assets") == [(2,)], LIMIT, "the second works")
            second.process.send_signal(signal.SIGINT)
            second.wait(2 * LIMIT)
            wait_until(lambda: not factory.processes(), LIMIT, "no process is left")
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
    rows = "SELECT count(*) FROM system_status_history WHERE service_name = %s"
    with up(factory):
        wait_until(lambda: factory.asked(now, "librarian") == [("OK", "watching", None, True)], LIMIT)
        [(before,)] = factory.sql(rows, "librarian")
        more = f"SELECT 1 WHERE ({rows}) >= %s"
        wait_until(lambda: factory.asked(more, "librarian", before + 3), LIMIT, "the history grows")
        alive = factory.data / ".run" / "librarian.alive"
        touched = alive.stat().st_mtime_ns
        wait_until(lambda: alive.stat().st_mtime_ns > touched, LIMIT, "the liveness file is touched again")


def test_the_very_first_start_reads_well(bare_factory: Factory) -> None:
    """Every line is a sentence for people or a record; nothing is alarming, for nothing is wrong."""
    factory = bare_factory
    (factory.inbox).mkdir(parents=True)
    shutil.copy(SAMPLES / "Canon_40D.jpg", factory.inbox / "a.jpg")
    with up(factory) as running:
        wait_until(lambda: factory.asked("SELECT 1 FROM media_assets"), 2 * LIMIT)
        wait_until(lambda: factory.asked("SELECT 1 FROM system_status WHERE service_name = 'librarian'"), LIMIT)
        running.process.send_signal(signal.SIGINT)
        result = running.wait(2 * LIMIT)
    assert f"Photo Factory is starting in {factory.data}" in result.out
    assert f"Drop photos into {factory.inbox}" in " ".join(result.out.split())
    assert "Stop it with" in result.out
    assert "stopping: each service finishes what it has begun" in result.err
    assert not re.search("nothing|Deleted 0|all 0|SIG", running.output), "what a newcomer must puzzle over"
    assert "Traceback" not in running.output
    lines = running.output.splitlines()
    records = lines[lines.index(next(line for line in lines if ONE_LINE.fullmatch(line))) :]
    others = [line for line in records if not ONE_LINE.fullmatch(line)]
    assert re.match("Photo Factory is ready", others[0]) and len(others) == 3, others
    alarming = [line for line in records if " WARNING " in line or " ERROR " in line]
    # Where making, starting or stopping a database takes seconds, that is told.
    expected = ("Let other users pass through", "has not come up yet", "gives no answer in", "takes long to stop")
    assert [line for line in alarming if not any(words in line for words in expected)] == []


# -- helpers -----------------------------------------------------------------------------------------------


def latency(factory: Factory, original_path: str, since: float) -> float:
    """Waits until a file is in the vault, has its row and is gone from the inbox; seconds until it had its row."""
    statement = "SELECT final_path, file_hash, extract(epoch FROM ingested_at)::float FROM media_assets"
    rows = wait_until(
        lambda: factory.asked(f"{statement} WHERE original_path = %s", original_path), SOON, f"{original_path} is filed"
    )
    [(final_path, file_hash, filed_at)] = rows
    took: float = filed_at - since
    assert sha256(factory.storage / final_path) == file_hash
    wait_until(lambda: not (factory.inbox / original_path).exists(), LIMIT, "it has left the inbox")
    return took


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it has ended by itself, as others of these did
            os.kill(pid, signal.SIGKILL)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def assert_vault_is(hashes: set[str], factory: Factory) -> None:
    assert sorted(sha256(path) for path in factory.vault_files()) == sorted(hashes)
    rows = factory.sql_at_rest("SELECT file_hash, final_path FROM media_assets")
    assert sorted(row[0] for row in rows) == sorted(hashes)
    assert all(sha256(factory.storage / path) == file_hash for file_hash, path in rows)
