"""Watching a real inbox with real events; only the clock is ours, so that no test waits for time to pass, and none
is hurried by it."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import logging
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from watchdog.observers import inotify_c
from watchdog.observers.inotify import InotifyWatchGroup

from Src.Librarian.file_watcher import InboxWatcher
from Src.Librarian.passage import IncomingFile
from Src.Librarian.watch import events, inbox_folder
from Src.Librarian.watch.clock import Clock, Now
from Src.Librarian.watch.inbox_folder import InboxTrouble
from Src.Shared.disk.files import FileState
from Src.Shared.disk.leases import LeaseAnswer
from Src.Shared.settings import PROJECT_ROOT, WatchMode
from Src.Testing.patience import PATIENCE
from Src.Testing.surroundings import WaitFor

pytestmark = pytest.mark.slow

DELAY, SCAN, PRUNE = 5.0, 3600.0, 60.0
REST, SILENCE = 300.0, 14_400.0
HOUR = 3600.0
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


class OurClock(Clock):
    """Both stand still until told: however long a test is held up, no file becomes old by it."""

    def __init__(self) -> None:
        self._steady, self._wall = 1000.0, time.time()

    def pass_time(self, seconds: float) -> None:
        self._steady += seconds

    def let_files_age(self, seconds: float = HOUR) -> None:
        """To be far more than a test takes, which is how much later than the clock's its files are dated."""
        self._wall += seconds

    def now(self) -> Now:
        return Now(self._steady, self._wall)


class Watched:
    """An inbox under watch."""

    def __init__(
        self,
        folder: Path,
        wait_for: WaitFor,
        mode: WatchMode = "events",
        queue: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.folder = folder
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.clock = OurClock()
        self._wait_for = wait_for
        self._count = 0
        self.watcher = InboxWatcher(
            self.inbox,
            stability_delay=DELAY,
            min_file_age=0,  # test_stability.py has it
            scan_interval=SCAN,
            mode=mode,
            rest_without_lease=REST,
            longest_silence=SILENCE,
            prune_after=PRUNE,
            clock=self.clock,
        )
        with (queue or full_queue)():
            self.watcher.start()
        self.watcher.ready(0.0)  # the first scan; the next is an hour away

    def put(self, name: str, content: bytes = b"a photo") -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def outside(self, name: str, content: bytes = b"a photo") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def given(self) -> list[IncomingFile]:
        """What is complete once all that has happened so far was seen: events come in order, a last one marks it."""
        self._count += 1
        mark = f"mark {self._count}"
        self.outside(mark).rename(self.inbox / mark)
        files: list[IncomingFile] = []

        def come() -> bool:
            files.extend(self.watcher.ready(0.0))
            return any(file.original_path == mark for file in files)

        self._wait_for(come, what="the event of a file moved in")
        for file in [file for file in files if file.original_path == mark]:
            os.unlink(file.path)
            self.watcher.done(file)
            files.remove(file)
        return files

    def names(self) -> list[str]:
        return sorted(file.original_path for file in self.given())

    def one(self) -> IncomingFile:
        (file,) = self.given()
        return file

    def after(self, seconds: float) -> list[str]:
        self.clock.pass_time(seconds)
        return self.names()


@pytest.fixture
def watched(tmp_path: Path, wait_for: WaitFor) -> Iterator[Watched]:
    watched = Watched(tmp_path, wait_for)
    yield watched
    watched.watcher.stop()


# When is it complete


def test_a_file_written_slowly_is_given_when_its_writer_has_rested_for_the_delay(watched: Watched) -> None:
    path = watched.put("a.jpg", b"1")
    assert watched.names() == []
    for _ in range(3):
        assert watched.after(DELAY - 1) == []
        with open(path, "ab") as writer:
            writer.write(b"more")
        assert watched.names() == []
    assert watched.after(DELAY - 1) == []
    watched.clock.pass_time(1)
    file = watched.one()
    assert (file.original_path, file.path, file.state.size) == ("a.jpg", str(path), 13)


def test_a_change_that_sends_no_event_is_seen_when_the_file_is_due(watched: Watched, wait_for: WaitFor) -> None:
    path = watched.put("a.jpg", b"1")
    assert watched.names() == []
    before = os.lstat(path).st_ctime_ns
    with open(path, "ab", buffering=0) as writer:  # a write alone, while it stays open, is not listened to
        wait_for(lambda: writer.write(b"more") and os.lstat(path).st_ctime_ns > before)
        assert watched.after(DELAY) == []
        assert watched.after(DELAY - 1) == []


def test_the_delay_begins_when_a_writer_who_was_silent_for_long_closes_the_file(watched: Watched) -> None:
    with open(watched.inbox / "a.jpg", "wb") as file:
        file.write(b"half a photo")
        file.flush()
        assert watched.after(DELAY * 0.9) == []
    assert watched.names() == []
    assert watched.after(DELAY * 0.9) == []
    assert watched.after(DELAY * 0.2) == ["a.jpg"]


def test_a_file_that_was_open_rests_for_the_whole_delay_after_it_was_seen_closed(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no event tells of the close."""
    monkeypatch.setattr(events._Handler, "on_any_event", lambda *_: None)
    with open(watched.inbox / "a.jpg", "wb") as file:
        file.write(b"half a photo")
        file.flush()
        watched.watcher.scan()
        for _ in range(3):
            watched.clock.pass_time(DELAY)
            assert watched.watcher.ready(0.0) == []
    watched.clock.pass_time(DELAY)
    assert watched.watcher.ready(0.0) == []  # seen closed for the first time
    watched.clock.pass_time(DELAY)
    assert [one.original_path for one in watched.watcher.ready(0.0)] == ["a.jpg"]


@pytest.fixture
def no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's answer for other users' files, which root never gets (test_leases.py has it for real)."""

    def refuse(path: str, dir_fd: int) -> LeaseAnswer:
        return "given" if os.path.basename(path).startswith("mark ") else "refused"

    monkeypatch.setattr(inbox_folder, "lease_answer_at", refuse)


def test_without_a_lease_a_file_must_rest_for_long_however_it_came(watched: Watched, no_lease: None) -> None:
    watched.put("a.jpg")
    watched.outside("b.jpg").rename(watched.inbox / "b.jpg")
    assert watched.names() == []
    assert watched.after(DELAY) == []
    assert watched.after(REST - DELAY - 1) == []
    assert watched.after(1) == ["a.jpg", "b.jpg"]


def test_without_a_lease_a_file_that_somebody_was_seen_to_open_waits_for_its_close(
    watched: Watched, no_lease: None, wait_for: WaitFor
) -> None:
    """Another user's upload that pauses."""
    with open(watched.inbox / "a.jpg", "wb", buffering=0) as upload:
        upload.write(b"half")
        assert watched.after(REST) == []
        assert watched.after(REST) == []
        upload.write(b"more")
        assert watched.after(10 * REST) == []
    assert watched.names() == []
    assert watched.after(REST - 1) == []
    assert watched.after(1) == ["a.jpg"]
    with open(watched.put("b.jpg"), "ab", buffering=0) as upload:  # opened again after it was closed
        assert watched.names() == []
        upload.write(b"more")
        assert watched.after(REST) == []
        assert watched.after(2 * REST) == []
    assert watched.names() == []
    assert watched.after(REST) == ["b.jpg"]


def test_without_a_lease_a_file_linked_in_need_not_be_closed(watched: Watched, no_lease: None) -> None:
    os.link(watched.outside("a.jpg"), watched.inbox / "a.jpg")
    assert watched.names() == []
    assert watched.after(REST) == ["a.jpg"]


def test_a_file_renamed_inside_the_inbox_is_given_at_once(watched: Watched) -> None:
    hidden = watched.put(".syncthing.a.jpg.tmp")
    assert watched.after(HOUR / 2) == []
    hidden.rename(watched.inbox / "a.jpg")
    assert watched.names() == ["a.jpg"]


def test_a_file_moved_in_from_outside_is_given_at_once(watched: Watched) -> None:
    watched.outside("a.jpg").rename(watched.inbox / "a.jpg")
    assert watched.names() == ["a.jpg"]


def test_a_file_renamed_over_another_is_given_at_once(watched: Watched) -> None:
    watched.put("a.jpg", b"old")
    assert watched.names() == []
    watched.outside("new", b"newer").rename(watched.inbox / "a.jpg")
    assert watched.one().state.size == 5


def test_a_file_linked_in_waits(watched: Watched) -> None:
    os.link(watched.outside("a.jpg"), watched.inbox / "a.jpg")
    assert watched.names() == []
    assert watched.after(DELAY) == ["a.jpg"]


def test_nested_folders_made_and_filled_are_seen_whole(watched: Watched) -> None:
    for at in range(30):
        watched.put(f"{at}/b/c/{at}.jpg")
        watched.put(f"{at}/b/d.jpg")
    assert watched.names() == []
    assert len(watched.after(DELAY)) == 60


def test_a_file_in_a_folder_made_long_ago_is_seen(watched: Watched) -> None:
    watched.put("a/b/c/first.jpg")
    assert watched.names() == []
    assert watched.after(DELAY) == ["a/b/c/first.jpg"]
    watched.put("a/b/c/second.jpg")
    watched.outside("third.jpg").rename(watched.inbox / "a/b/third.jpg")
    assert watched.names() == ["a/b/third.jpg"]
    assert watched.after(DELAY) == ["a/b/c/second.jpg"]


def test_a_folder_moved_in_is_seen_whole_and_so_is_what_comes_into_it(watched: Watched) -> None:
    for name in ("1.jpg", "x/2.jpg", "x/y/3.jpg"):
        watched.outside(f"album/{name}")
    (watched.folder / "album").rename(watched.inbox / "album")
    watched.names()
    watched.outside("4.jpg").rename(watched.inbox / "album/x/y/4.jpg")
    assert watched.names() == ["album/x/y/4.jpg"]
    assert watched.after(DELAY) == ["album/1.jpg", "album/x/2.jpg", "album/x/y/3.jpg"]


def test_a_folder_that_is_renamed_does_not_make_its_unfinished_files_complete(watched: Watched) -> None:
    watched.put("new folder/a.jpg", b"half")
    watched.put("new folder/deeper/b.jpg", b"half")
    assert watched.names() == []
    (watched.inbox / "new folder").rename(watched.inbox / "Christmas")
    assert watched.names() == []
    assert watched.after(DELAY) == ["Christmas/a.jpg", "Christmas/deeper/b.jpg"]


def test_a_file_that_leaves_is_forgotten(watched: Watched) -> None:
    first, second = watched.put("a.jpg"), watched.put("b.jpg")
    assert watched.names() == [] and watched.watcher.waiting == 2
    first.unlink()
    second.rename(watched.folder / "b.jpg")
    assert watched.after(DELAY) == [] and watched.watcher.idle()


def test_odd_names_come_as_they_are(watched: Watched) -> None:
    names = ["a\nb.jpg", "-rf.jpg", "\u202egpj.exe", "foto\udcff.jpg", "x" * 251 + ".jpg", "ä/ö.jpg"]
    for name in names:
        watched.put(name)
    assert watched.names() == []
    assert watched.after(DELAY) == sorted(names)


def test_what_is_there_before_the_start_is_found(tmp_path: Path, wait_for: WaitFor, watched: Watched) -> None:
    watched.watcher.stop()
    watched.put("deep/a.jpg")
    again = InboxWatcher(
        watched.inbox, stability_delay=0, min_file_age=0, scan_interval=SCAN, mode="events", clock=watched.clock
    )
    again.start()
    found = again.ready(0.0)
    again.stop()
    assert [file.original_path for file in found] == ["deep/a.jpg"]


def test_many_files_are_given_a_few_hundred_at_a_time_and_each_once(watched: Watched) -> None:
    for at in range(1200):
        watched.put(f"{at}.jpg")
    batches: list[list[IncomingFile]] = []

    def all_given() -> bool:
        batches.append(watched.watcher.ready(0.0))
        watched.clock.pass_time(DELAY)
        return sum(map(len, batches)) >= 1200

    watched._wait_for(all_given, what="1,200 files")
    assert max(map(len, batches)) <= 512
    names = [file.original_path for batch in batches for file in batch]
    assert len(names) == len(set(names)) == 1200


def test_waiting_for_a_file_ends_as_soon_as_it_comes(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    watcher = InboxWatcher(inbox, stability_delay=5, min_file_age=2, scan_interval=HOUR, mode="events")
    watcher.start()
    (tmp_path / "a.jpg").write_bytes(b"x")
    mover = threading.Timer(0.2, lambda: (tmp_path / "a.jpg").rename(inbox / "a.jpg"))
    mover.start()
    found = watcher.ready(200.0)  # the real clock: a test that hangs here is ended by its time limit
    watcher.stop()
    mover.join()
    assert [file.original_path for file in found] == ["a.jpg"]


def test_a_clock_that_jumps_ahead_makes_no_file_old(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, real = Clock(), time.time
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: real() + HOUR)
    after = clock.now()
    # (The two clocks are read one after the other, and between that a busy machine may do something else.)
    assert after.wall - before.wall == pytest.approx(after.steady - before.steady, abs=HOUR / 2)
    monkeypatch.setattr(time, "time", lambda: real() - HOUR)
    assert clock.now().wall == pytest.approx(before.wall - HOUR, abs=HOUR / 2)


# Overflow, polling, no events


@contextmanager
def short_queue() -> Iterator[None]:
    """New inotify instances get room for a few events only: of the whole machine, so others wait meanwhile."""
    with open(QUEUE) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = QUEUE.read_text()
        try:
            QUEUE.write_text("128")  # more than there are folders: each ends its watch with an event
        except OSError as error:
            pytest.skip(f"the kernel's event queue cannot be made short here: {error}")
        try:
            yield
        finally:
            QUEUE.write_text(before)


@contextmanager
def full_queue() -> Iterator[None]:
    """New inotify instances get the room that they have on this machine, whatever other tests do."""
    with open(QUEUE) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@pytest.mark.parametrize("level", [logging.NOTSET, logging.CRITICAL])
def test_events_that_the_kernel_drops_lose_no_file_whatever_is_logged(
    level: int, tmp_path: Path, wait_for: WaitFor, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("watchdog").setLevel(level)
    watched = Watched(tmp_path, wait_for, queue=short_queue)
    try:
        for folder in range(20):
            (watched.inbox / str(folder)).mkdir()
        assert watched.names() == []
        count = 0

        def burst() -> bool:
            nonlocal count
            for at in range(count, count + 500):
                os.close(os.open(watched.inbox / str(at % 20) / f"{at}.jpg", os.O_WRONLY | os.O_CREAT, 0o644))
            count += 500
            return sum("events were lost" in record.getMessage() for record in caplog.records) >= 5

        wait_for(burst, what="an overflow, and another")

        found: list[IncomingFile] = []

        def all_seen() -> bool:
            found.extend(watched.watcher.ready(0.0))
            watched.clock.pass_time(0.01)
            return len(found) + watched.watcher.waiting == count

        wait_for(all_seen, what="a look at everything after the overflow")
        late = itertools.count()

        def is_heard() -> bool:
            """A look makes no file complete here. What comes while watches are made anew is not heard: the next is."""
            name = f"late {next(late)}.jpg"
            watched.outside(name).rename(watched.inbox / "7" / name)
            return any(one.original_path.startswith("7/late") for one in watched.watcher.ready(0.0))

        wait_for(is_heard, what="a file in a folder that is watched again")
    finally:
        watched.watcher.stop()
        logging.getLogger("watchdog").setLevel(logging.NOTSET)


def test_an_event_while_watching_ends_is_no_error_to_log(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    observer = watched.watcher._events._observer
    assert observer is not None
    (emitter,) = observer.emitters
    emitter.on_thread_stop()

    emitter.queue_events(0.0)

    assert caplog.messages == []


def test_a_second_look_follows_an_overflow_because_the_watches_are_made_anew_meanwhile(
    tmp_path: Path, wait_for: WaitFor
) -> None:
    watched = Watched(tmp_path, wait_for, mode="polling")  # as deaf as watchdog is then
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; filesystem events were lost")
    watched.watcher.ready(0.0)
    watched.put("a.jpg")
    watched.watcher.ready(0.0)
    watched.clock.pass_time(1)
    watched.watcher.ready(0.0)
    assert watched.watcher.waiting == 1
    watched.watcher.stop()


def test_where_no_events_come_the_inbox_is_looked_at_every_few_seconds(tmp_path: Path, wait_for: WaitFor) -> None:
    threads = set(threading.enumerate())
    watched = Watched(tmp_path, wait_for, mode="polling")
    watcher, clock = watched.watcher, watched.clock
    assert set(threading.enumerate()) <= threads, "no thread watches"
    assert watcher.mode == "polling" and watcher.ready(0.0) == []
    watched.put("a/a.jpg")
    watched.outside("b.jpg").rename(watched.inbox / "b.jpg")
    assert watcher.ready(0.0) == [] and watcher.waiting == 0
    clock.pass_time(5)
    assert watcher.ready(0.0) == [] and watcher.waiting == 2
    clock.pass_time(5)
    assert sorted(file.original_path for file in watcher.ready(0.0)) == ["a/a.jpg", "b.jpg"]
    watcher.stop()


@pytest.mark.parametrize(("kind", "mode"), [("nfs4", "polling"), ("cifs", "polling"), ("ext4", "events")])
def test_the_filesystem_decides_whether_events_are_expected(
    kind: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("Src.Shared.disk.filesystem.filesystem_type", lambda folder: kind)
    watcher = InboxWatcher(tmp_path, stability_delay=5, min_file_age=2, scan_interval=60)
    assert watcher.mode == mode


def test_on_a_network_an_old_time_is_not_believed(
    tmp_path: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("Src.Shared.disk.filesystem.filesystem_type", lambda folder: "nfs4")
    watched = Watched(tmp_path, wait_for, mode="auto")
    watched.put("a.jpg")
    watched.clock.pass_time(HOUR)
    assert watched.watcher.ready(0.0) == [] and watched.watcher.waiting == 1
    watched.clock.pass_time(DELAY)
    assert len(watched.watcher.ready(0.0)) == 1


WITHOUT_INOTIFY = """
import sys
from pathlib import Path
from Src.Librarian.file_watcher import InboxWatcher
watcher = InboxWatcher(Path(sys.argv[1]), stability_delay=0, min_file_age=0, scan_interval=3600, mode="events")
watcher.start()
print(watcher.mode, len(watcher.ready(0.0)))
watcher.stop()
"""


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_an_inbox_that_the_kernel_will_not_watch_is_polled(limit: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    script = f'echo 0 > /proc/sys/user/{limit} || exit 77; exec "$@"'
    python = [sys.executable, "-c", WITHOUT_INOTIFY, str(tmp_path)]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", *python],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        check=False,
    )
    if done.returncode == 77 or done.stderr.startswith("unshare"):
        pytest.skip(f"the limit cannot be lowered here: {done.stderr.strip()}")
    assert done.stdout == "polling 1\n", done.stderr


# What is left alone


def test_links_fifos_devices_and_sockets_are_neither_given_nor_opened(watched: Watched) -> None:
    secret = watched.outside("secret/photo.jpg")
    listener = inotify_c.inotify_init()
    for folder in (watched.inbox, secret.parent):
        inotify_c.inotify_add_watch(listener, os.fsencode(folder), inotify_c.InotifyConstants.IN_OPEN)
    (watched.inbox / "link.jpg").symlink_to(secret)
    (watched.inbox / "folder link").symlink_to(secret.parent)
    (watched.inbox / "loop").symlink_to(watched.inbox)
    (watched.inbox / "dangling.jpg").symlink_to("nowhere")
    os.mkfifo(watched.inbox / "fifo.jpg")
    if os.geteuid() == 0:
        os.mknod(watched.inbox / "device.jpg", 0o666 | stat.S_IFCHR, os.makedev(240, 200))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(watched.inbox / "socket.jpg"))
        os.symlink(secret, watched.folder / "moved link")
        (watched.folder / "moved link").rename(watched.inbox / "moved.jpg")
        watched.put("inside/a.jpg")
        assert watched.names() == []
        watched.watcher.scan()
        assert watched.after(DELAY) == ["inside/a.jpg"]
    with open(listener, "rb", buffering=0) as events_of_opening:
        events = inotify_c.InotifyFD._parse_event_buffer(events_of_opening.read(1 << 20))
    opened = {os.fsdecode(name) for _, _, _, name in events}
    assert "inside" in opened, "the listener works"
    marks = {name for name in opened if name.startswith("mark ")}
    assert opened - marks <= {"", "inside"}, "nothing else was opened"
    assert {"link.jpg", "folder link", "fifo.jpg", "loop"} <= set(os.listdir(watched.inbox))


@pytest.mark.parametrize("arrives", ["written", "renamed", "found"])
def test_ignored_names_and_all_below_ignored_folders_stay(watched: Watched, arrives: str) -> None:
    names = [".hidden.jpg", "Thumbs.db", "a.jpg.part", "deep/.stversions/x/a.jpg", "@eaDir/a.jpg", ".stfolder/a.jpg"]
    for name in names:
        if arrives == "renamed":
            (watched.inbox / name).parent.mkdir(parents=True, exist_ok=True)
            watched.outside("some").rename(watched.inbox / name)
        else:
            watched.put(name)
    conflict = "a.sync-conflict-20231225-120000-ABCDEFG.jpg"
    watched.put(conflict)
    if arrives == "found":
        watched.watcher.scan()
    assert watched.names() == [] and watched.watcher.waiting == 1
    assert watched.after(DELAY) == [conflict]
    watched.clock.pass_time(HOUR)
    watched.clock.let_files_age()
    watched.watcher.scan(prune_after=0)
    assert watched.names() == [] and watched.watcher.waiting == 0
    assert all((watched.inbox / name).exists() for name in names)


def test_empty_folders_are_pruned_to_the_last_when_they_have_stood_empty(watched: Watched) -> None:
    (watched.inbox / "a/b/c").mkdir(parents=True)
    (watched.inbox / "a/d").mkdir()
    (watched.inbox / "e").mkdir()
    watched.put("f/g/kept.txt")
    watched.watcher.scan()
    assert (watched.inbox / "a/b/c").is_dir() and (watched.inbox / "e").is_dir(), "too young"
    watched.clock.let_files_age(PRUNE + HOUR)
    watched.watcher.scan()
    assert sorted(os.listdir(watched.inbox)) == ["f"]
    assert (watched.inbox / "f/g/kept.txt").is_file()


def test_the_inbox_and_what_is_hidden_are_never_pruned(watched: Watched) -> None:
    for name in (".stfolder", ".stversions", "album/.stfolder", "@eaDir"):
        (watched.inbox / name).mkdir(parents=True)
    (watched.inbox / "link").symlink_to(watched.folder)
    watched.clock.let_files_age()
    for _ in range(3):
        watched.watcher.scan(prune_after=0.0)
    assert watched.inbox.is_dir()
    assert sorted(os.listdir(watched.inbox)) == [".stfolder", ".stversions", "@eaDir", "album", "link"]
    for name in os.listdir(watched.inbox):
        path = watched.inbox / name
        path.unlink() if path.is_symlink() else shutil.rmtree(path)
    watched.watcher.scan(prune_after=0.0)
    assert watched.inbox.is_dir()


def test_a_folder_with_an_old_date_is_not_pruned_when_something_was_just_taken_from_it(watched: Watched) -> None:
    path = watched.put("album/a.jpg")
    path.unlink()
    os.utime(path.parent, (0, 0))  # as `cp -a` and tar leave folders
    watched.watcher.scan()
    assert path.parent.is_dir()


# Trouble


def emitters() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "Emitter" in type(thread).__name__]


def test_an_inbox_that_goes_is_trouble_and_is_watched_again_when_it_is_back(
    watched: Watched, wait_for: WaitFor
) -> None:
    watched.put("a.jpg")
    assert watched.names() == []
    shutil.rmtree(watched.inbox)
    watched.clock.pass_time(HOUR)
    for _ in range(2):
        with pytest.raises(InboxTrouble, match="is not there; create or mount it"):
            watched.watcher.ready(0.0)
    wait_for(lambda: not emitters(), what="the end of the old watch")
    watched.inbox.mkdir()
    assert watched.watcher.ready(0.0) == [] and watched.watcher.idle()
    assert watched.names() == [], "events come again"


def test_an_inbox_made_anew_between_two_looks_is_watched_again(watched: Watched) -> None:
    before = os.stat(watched.inbox).st_ino
    watched.inbox.rmdir()
    watched.inbox.mkdir()
    anew = os.stat(watched.inbox).st_ino
    assert anew != before, "the watcher holds the old folder, so its number is not given again"
    watched.clock.pass_time(HOUR)
    watched.watcher.ready(0.0)
    assert watched.names() == [], f"events come again (inode {before}, then {anew})"


def test_another_folder_in_the_inboxs_place_is_watched(watched: Watched) -> None:
    watched.inbox.rename(watched.folder / "old inbox")
    watched.inbox.mkdir()
    watched.clock.pass_time(HOUR)
    watched.watcher.ready(0.0)
    assert watched.names() == []


def test_a_start_without_an_inbox_is_trouble(tmp_path: Path) -> None:
    watcher = InboxWatcher(tmp_path / "gone", stability_delay=5, min_file_age=2, scan_interval=60)
    with pytest.raises(InboxTrouble, match="is not there"):
        watcher.start()
    watcher.stop()


@pytest.mark.parametrize("mode", [0o000, 0o444], ids=oct)
def test_a_folder_that_turns_unreadable_harms_no_other_and_is_told_once(
    mode: int,
    open_folder: Path,
    wait_for: WaitFor,
    unprivileged: Callable[[], AbstractContextManager[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with unprivileged():
        watched = Watched(open_folder, wait_for)
        try:
            watched.put("closed/waiting.jpg")
            watched.put("closed/held.txt")
            assert watched.names() == []
            watched.outside("in hand.jpg").rename(watched.inbox / "closed/in hand.jpg")
            in_hand = watched.one()
            watched.clock.pass_time(DELAY)
            held = {file.original_path: file for file in watched.given()}
            watched.watcher.hold(held["closed/held.txt"])
            (watched.inbox / "closed").chmod(mode)
            watched.watcher.put_back(held["closed/waiting.jpg"])
            watched.watcher.put_back(in_hand)
            watched.put("open/a.jpg")
            assert watched.names() == []
            for _ in range(2):
                watched.clock.pass_time(HOUR)
                assert "open/a.jpg" in watched.names() or watched.watcher.waiting == 0
            assert watched.watcher.is_held("closed/held.txt"), "it is not there any more, for all we know"
            state = held["closed/held.txt"].state
            assert not watched.watcher.stands("closed/held.txt", state.size, state.mtime_ns, state.inode)
            told = [r.getMessage() for r in caplog.records if "closed" in r.getMessage()]
            assert told and len(told) == len(set(told)), told
            (watched.inbox / "closed").chmod(0o755)
            watched.clock.pass_time(HOUR)
            names = watched.names() + watched.after(DELAY)
            assert sorted(names) == ["closed/in hand.jpg", "closed/waiting.jpg"]
        finally:
            watched.watcher.stop()


def test_an_inbox_that_cannot_be_read_is_trouble(
    open_folder: Path, wait_for: WaitFor, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    with unprivileged():
        watched = Watched(open_folder, wait_for)
        try:
            watched.inbox.chmod(0)
            watched.clock.pass_time(HOUR)
            with pytest.raises(InboxTrouble, match="cannot be read: Permission denied"):
                watched.watcher.ready(0.0)
            watched.inbox.chmod(0o755)
            assert watched.names() == []
        finally:
            watched.watcher.stop()


# In hand, held, put back


def test_a_file_in_hand_is_not_given_again_until_it_is_answered(watched: Watched) -> None:
    watched.outside("a.jpg").rename(watched.inbox / "a.jpg")
    file = watched.one()
    watched.outside("a.jpg", b"newer").rename(watched.inbox / "a.jpg")
    assert watched.after(HOUR) == [] and not watched.watcher.idle()
    watched.watcher.done(file)
    watched.clock.let_files_age()
    assert watched.after(HOUR) == ["a.jpg"]


def test_a_file_that_was_put_back_waits_the_delay_even_if_it_is_old(watched: Watched) -> None:
    watched.outside("a.jpg").rename(watched.inbox / "a.jpg")
    file = watched.one()
    watched.clock.pass_time(HOUR / 2)
    watched.watcher.put_back(file)
    assert watched.after(DELAY - 1) == []
    assert watched.after(1) == ["a.jpg"]


def test_a_file_that_was_put_back_and_has_gone_is_forgotten(watched: Watched) -> None:
    watched.outside("a.jpg").rename(watched.inbox / "a.jpg")
    file = watched.one()
    os.unlink(file.path)
    watched.watcher.put_back(file)
    assert watched.watcher.idle()


def test_a_file_held_for_a_time_comes_back_when_it_is_over(watched: Watched) -> None:
    watched.outside("a.jpg").rename(watched.inbox / "a.jpg")
    watched.watcher.hold(watched.one(), 600.0)
    assert watched.watcher.is_held("a.jpg") and watched.watcher.held == 1 and watched.watcher.idle()
    watched.clock.let_files_age()
    assert watched.after(599) == []
    assert watched.after(1) == ["a.jpg"] and watched.watcher.held == 0


def test_a_file_held_for_good_stays_until_it_changes(watched: Watched) -> None:
    path = watched.put("a.txt")
    assert watched.names() == []
    watched.clock.pass_time(DELAY)
    watched.watcher.hold(watched.one())
    assert watched.after(3 * HOUR) == [] and watched.watcher.is_held("a.txt")
    path.write_bytes(b"changed to something longer")
    assert watched.names() == [] and not watched.watcher.is_held("a.txt")
    assert watched.after(DELAY) == ["a.txt"]


def test_a_held_file_that_leaves_is_held_no_more(watched: Watched) -> None:
    watched.outside("a.jpg").rename(watched.inbox / "a.jpg")
    file = watched.one()
    watched.watcher.hold(file)
    os.unlink(file.path)
    assert watched.after(HOUR) == []
    assert watched.watcher.held == 0 and not watched.watcher.is_held("a.jpg")


def test_a_file_known_from_before_is_held_only_while_it_is_as_it_was(watched: Watched) -> None:
    state = FileState.of(os.lstat(watched.put("a.txt")))
    watcher = watched.watcher
    assert watched.names() == []
    assert not watcher.hold_path("a.txt", state.size + 1, state.mtime_ns, state.inode, None)
    assert not watcher.hold_path("gone.txt", state.size, state.mtime_ns, state.inode, None)
    assert watcher.waiting == 1
    assert watcher.hold_path("a.txt", state.size, state.mtime_ns, state.inode, None)
    assert watcher.stands("a.txt", state.size, state.mtime_ns, state.inode)
    assert watcher.waiting == 0 and watched.after(HOUR) == []
    watched.clock.let_files_age()
    assert watcher.hold_path("a.txt", state.size, state.mtime_ns, state.inode, 0.0)  # a person asks for a retry
    assert watched.names() == ["a.txt"]


# Walking through the sources of an import


def test_a_tree_too_deep_for_watchdog_is_scanned_instead(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    os.makedirs(inbox / Path(*["d"] * 400))
    for _ in range(3):  # os.makedirs is recursive as well
        (inbox / "d").rename(tmp_path / "d")
        os.makedirs(inbox / Path(*["d"] * 400))
        (tmp_path / "d").rename(inbox / Path(*["d"] * 400, "d"))
    (inbox / "a.jpg").write_bytes(b"a photo")
    watcher = InboxWatcher(inbox, stability_delay=0, min_file_age=0, scan_interval=HOUR)
    try:
        watcher.start()
        assert [file.original_path for file in watcher.ready(0.0)] == ["a.jpg"]
        assert watcher.mode == ("polling" if sys.version_info < (3, 12) else "events")
    finally:
        watcher.stop()
        subprocess.run(["rm", "-r", inbox], check=True)  # shutil's is recursive too


def test_what_we_put_back_ourselves_is_not_complete_at_once(watched: Watched) -> None:
    watched.outside("a.jpg").rename(watched.inbox / "a.jpg")
    watched.watcher.came_back(str(watched.inbox / "a.jpg"))
    assert watched.names() == []
    assert watched.after(DELAY) == ["a.jpg"]
    watched.outside("a.jpg").rename(watched.inbox / "b.jpg")
    assert watched.names() == ["b.jpg"], "others' renames say what they always do"


def watched_inodes() -> set[int]:
    """The inodes of all that this process watches (proc_pid_fdinfo(5))."""
    found = set()
    for path in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            for line in path.read_text().splitlines():
                if line.startswith("inotify "):
                    found.add(int(line.split("ino:")[1].split()[0], 16))
    return found


def test_a_folder_swapped_for_a_link_between_its_event_and_its_watch_is_not_watched(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    secret = watched.outside("secret/inner/photo.jpg").parent
    add = InotifyWatchGroup._add_all_callbacks
    swapped = threading.Event()

    def late(group: InotifyWatchGroup, path: bytes) -> None:
        if path.endswith(b"/album/inner"):
            (watched.inbox / "album").rename(watched.folder / "aside")
            (watched.inbox / "album").symlink_to(secret.parent)
            add(group, path)
            swapped.set()
        else:
            add(group, path)

    monkeypatch.setattr(InotifyWatchGroup, "_add_all_callbacks", late)
    (watched.inbox / "album").mkdir()
    wait_for(lambda: os.stat(watched.inbox / "album").st_ino in watched_inodes())
    (watched.inbox / "album" / "inner").mkdir()
    assert swapped.wait(PATIENCE)
    assert os.stat(watched.inbox).st_ino in watched_inodes(), "the listener works"
    assert not {os.stat(folder).st_ino for folder in (secret, secret.parent)} & watched_inodes()
    watched.watcher.scan()
    assert watched.after(DELAY) == []


def test_folders_deeper_than_any_path_may_be_long_are_filed_too(watched: Watched) -> None:
    fd = os.open(watched.inbox, os.O_RDONLY | os.O_DIRECTORY)
    for level in range(40):
        os.mkdir(name := f"{level:02d}{'x' * 200}", dir_fd=fd)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("photo.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    watched.watcher.scan()
    (path,) = watched.after(DELAY)
    assert path.endswith("/photo.jpg") and len(path) > 8000
    assert watched.watcher.odd() == []
