"""Readers that die. Real ones, killed for real, while they read files that take until tomorrow."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest
from tzfpy import get_tz

from Src.Librarian.passage import Changing, Gone, IncomingFile, Inspected, Inspection, NotMedia, Unreadable
from Src.Librarian.read import reader_process
from Src.Librarian.read.reader_pool import ReaderPool
from Src.Librarian.read.reader_process import ReaderProcess
from Src.Librarian.tests import held_up_reader, lying_reader, restless_reader
from Src.Media.readers.readings import Reading
from Src.Media.tests.iso_made import CREATED, android_film
from Src.Shared.disk.files import FileState
from Src.Shared.settings import PROJECT_ROOT
from Src.Testing.patience import PATIENCE, wait_until
from Src.Testing.surroundings import WaitFor, lives

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parent / "samples"
ZONE = ZoneInfo("Europe/Berlin")


@pytest.fixture
def pool() -> Iterator[ReaderPool]:
    pool = ReaderPool(2, ZONE, time_limit=PATIENCE, chunk=4)
    yield pool
    pool.close()


def incoming(path: Path) -> IncomingFile:
    return IncomingFile(str(path), path.name, FileState.of(os.lstat(path)))


def photos(folder: Path, count: int, name: str = "") -> list[IncomingFile]:
    return [
        incoming(Path(shutil.copy(SAMPLES / "Kodak_CX7530.jpg", folder / f"{name}{at}.jpg"))) for at in range(count)
    ]


def endless(folder: Path, name: str = "endless.jpg") -> IncomingFile:
    """A photo of 1 TiB, nearly all of it a hole: whoever reads it is found at it."""
    path = folder / name
    shutil.copy(SAMPLES / "Kodak_CX7530.jpg", path)
    os.truncate(path, 1 << 40)
    return incoming(path)


def readers_of(path: str) -> list[int]:
    """Processes other than this one that have a file open."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            if any(os.readlink(fd) == path for fd in (process / "fd").iterdir()):
                found.append(int(process.name))
    return found


def answers(pool: ReaderPool, count: int, seconds: float = 2 * PATIENCE) -> list[Inspection]:
    inspections: list[Inspection] = []
    deadline = time.monotonic() + seconds
    while len(inspections) < count:
        assert time.monotonic() < deadline, f"{len(inspections)} of {count} answers after {seconds:g} s"
        inspections += pool.get(0.1)
    return inspections


@contextmanager
def killing(file: IncomingFile, times: int = 1_000_000) -> Iterator[list[int]]:
    """While the block runs, whoever reads this file is killed."""
    killed: list[int] = []
    over = threading.Event()

    def hunt() -> None:
        while not over.wait(0.01) and len(killed) < times:
            # (What a reader is about to start, as its ExifTool, has the reader's files for a moment.)
            ours = {child.pid for child in psutil.Process().children()}
            for pid in [pid for pid in readers_of(file.path) if pid in ours][: times - len(killed)]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                while pid in readers_of(file.path):  # the dying are seen for a moment longer
                    over.wait(0.01)

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        yield killed
    finally:
        over.set()
        hunter.join()


def test_every_file_is_answered_once_by_what_it_is(pool: ReaderPool, tmp_path: Path) -> None:
    files = photos(tmp_path, 20)
    (tmp_path / "a.txt").write_bytes(b"no photo")
    text, gone, changed = incoming(tmp_path / "a.txt"), *photos(tmp_path, 2)
    files = files[2:]
    os.unlink(gone.path)
    os.truncate(changed.path, 100)
    pool.put([*files, text, gone, changed])
    assert len(pool) == 21
    found = {inspection.file.path: inspection for inspection in answers(pool, 21)}
    assert len(found) == 21 and len(pool) == 0 and pool.get(0.0) == []
    assert all(isinstance(found[file.path], Inspected) for file in files)
    assert isinstance(found[text.path], NotMedia)
    assert isinstance(found[gone.path], Gone)
    assert isinstance(found[changed.path], Changing)
    assert pool.readings == {Reading("JPEG", None): 18}
    pool.close()
    assert pool.readings.total() == 18, "a run that has ended reports them"


def test_a_killed_worker_takes_no_file_with_it(
    pool: ReaderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_process, "MODULE", held_up_reader.__name__)
    files = photos(tmp_path, 41)
    path = Path(files[-1].path).rename(tmp_path / "slow.jpg")
    files[-1] = slow = incoming(path)
    with killing(slow, times=1) as killed:
        pool.put([*files[:20], slow, *files[20:-1]])
        found = answers(pool, 41)
    assert len(killed) == 1
    assert sorted(inspection.file.path for inspection in found) == sorted(file.path for file in files), "each once"
    assert all(isinstance(inspection, Inspected) for inspection in found)
    assert len(pool) == 0 and pool.get(0.0) == []


def test_a_file_that_kills_its_worker_every_time_is_told_and_the_others_are_read(
    pool: ReaderPool, tmp_path: Path
) -> None:
    deadly, files = endless(tmp_path), photos(tmp_path, 12)
    with killing(deadly) as killed:
        pool.put([*files[:6], deadly, *files[6:]])
        found = {inspection.file.path: inspection for inspection in answers(pool, 13)}
    assert isinstance(found.pop(deadly.path), Unreadable)
    assert len(killed) == 3, "once among others, twice alone"
    assert set(found) == {file.path for file in files}
    assert all(isinstance(inspection, Inspected) for inspection in found.values())
    pool.put(files[:3])
    assert len(answers(pool, 3)) == 3, "and work goes on"


def test_two_files_that_kill_their_workers_are_both_told(pool: ReaderPool, tmp_path: Path) -> None:
    deadly, files = [endless(tmp_path, f"{name}.endless") for name in "ab"], photos(tmp_path, 4)
    with killing(deadly[0]), killing(deadly[1]):
        pool.put([deadly[0], *files, deadly[1]])
        found = {inspection.file.path: inspection for inspection in answers(pool, 6)}
    assert all(isinstance(found[file.path], Unreadable) for file in deadly)
    assert all(isinstance(found[file.path], Inspected) for file in files)


def test_a_pool_whose_workers_died_idle_goes_on(pool: ReaderPool, tmp_path: Path, wait_for: WaitFor) -> None:
    files = photos(tmp_path, 6)
    pool.put(files[:3])
    answers(pool, 3)
    for pid in reader_processes():
        os.kill(pid, signal.SIGKILL)
    pool.put(files[3:])
    assert {inspection.file.path for inspection in answers(pool, 3)} == {file.path for file in files[3:]}


@pytest.mark.parametrize("turn", range(5))
def test_files_put_while_nobody_has_heard_of_a_death_are_answered(
    pool: ReaderPool, tmp_path: Path, wait_for: WaitFor, turn: int
) -> None:
    """One reader or all of them, dying or dead."""
    files = photos(tmp_path, 60)
    pool.put(files[:1])
    dead = [psutil.Process(pid) for pid in reader_processes()]
    for process in dead[turn % 2 :]:
        process.kill()
    if turn > 2:
        wait_for(lambda: not any(map(lives, dead[turn % 2 :])))
    pool.put(files[1:])
    assert {inspection.file.path for inspection in answers(pool, 60)} == {file.path for file in files}


def reader_processes(of: int | None = None) -> list[int]:
    """The readers of a process."""
    found = []
    for child in psutil.Process(of).children():
        with suppress(psutil.NoSuchProcess):
            if reader_process.MODULE in child.cmdline():
                found.append(child.pid)
    return found


def test_closing_ends_the_workers_at_once_though_a_huge_file_is_in_hand(tmp_path: Path, wait_for: WaitFor) -> None:
    pool = ReaderPool(2, ZONE, time_limit=PATIENCE)
    slow = endless(tmp_path)
    pool.put([slow, *photos(tmp_path, 3)])
    wait_for(lambda: readers_of(slow.path), what="the reading of the huge file")
    closer = threading.Thread(target=pool.close)
    closer.start()
    closer.join(PATIENCE)
    assert not closer.is_alive(), "close() waits for the file"
    wait_for(lambda: readers_of(slow.path) == [] and reader_processes() == [], what="the end of the readers")
    assert len(pool) == 0
    pool.close()  # a second time does no harm


def test_closing_while_readers_start_is_no_trouble(wait_for: WaitFor, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):  # at whatever stage of their start
        pool = ReaderPool(2, ZONE, time_limit=PATIENCE)
        pool.start()
        wait_for(lambda: len(reader_processes()) > 0, what="a reader's process")
        pool.close()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


PARENT = """
import sys, time
from pathlib import Path
from zoneinfo import ZoneInfo
from Src.Librarian.tests.test_reader_pool import incoming
from Src.Librarian.read.reader_pool import ReaderPool
from Src.Librarian.read.reader_process import ReaderProcess
if __name__ == "__main__":
    pool = ReaderPool(2, ZoneInfo("UTC"), 20.0)
    pool.put([incoming(Path(path)) for path in sys.argv[1:]])
    time.sleep(600)
"""


def test_workers_and_their_exiftool_die_when_their_parent_is_killed(tmp_path: Path, wait_for: WaitFor) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    slow = [endless(tmp_path, f"{name}.jpg") for name in "ab"]
    parent = subprocess.Popen(
        [sys.executable, str(script), *(file.path for file in slow)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")))},
        start_new_session=True,
    )
    try:
        wait_for(lambda: all(readers_of(file.path) for file in slow), what="the reading of both huge files")
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(reader_processes(parent.pid)) == 2
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not [process for process in family if lives(process)], what="the end of the readers")


def test_workers_leave_ctrl_c_and_sigterm_to_their_parent(pool: ReaderPool, tmp_path: Path, wait_for: WaitFor) -> None:
    files = photos(tmp_path, 4)
    pool.put(files[:2])
    answers(pool, 2)
    before = reader_processes()
    wait_for(lambda: all(_ignores_signals(pid) for pid in before), what="the start of the readers")
    for pid in before:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    pool.put(files[2:])
    assert all(isinstance(inspection, Inspected) for inspection in answers(pool, 2))
    assert set(before) <= set(reader_processes())


def _ignores_signals(pid: int) -> bool:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "\t" in line)
    return not {signal.SIGINT, signal.SIGTERM} - {bit + 1 for bit in range(64) if int(status["SigIgn"], 16) >> bit & 1}


def test_a_folder_that_turns_unreadable_is_an_answer_and_not_a_defect(tmp_path: Path) -> None:
    # Asked of a reader's own function, as a user for whom permissions count.
    script = (
        "import os, sys; from datetime import datetime; from pathlib import Path; from zoneinfo import ZoneInfo\n"
        "from Src.Librarian.read.inspection import Inspector\n"
        "from Src.Librarian.tests.test_reader_pool import incoming\n"
        "inspector = Inspector(ZoneInfo('UTC'), 20.0)\n"
        "folder = Path(sys.argv[1])\n"
        "file = incoming(folder / 'a.jpg')\n"
        "extract = inspector.extractor.extract_fast\n"
        "def late(*arguments, **options):\n"
        "    found = extract(*arguments, **options)\n"
        "    folder.chmod(0)\n"
        "    os.seteuid(65534) if os.geteuid() == 0 else None\n"
        "    return found\n"
        "inspector.extractor.extract_fast = late\n"
        "print([type(one).__name__ for one in inspector.inspect([file], datetime.now())], flush=True)\n"
        "inspector.extractor.extract_fast = extract\n"
        "print([type(one).__name__ for one in inspector.inspect([file], datetime.now())], flush=True)\n"
        "os._exit(0)\n"
    )
    folder = tmp_path / "album"
    folder.mkdir()
    photos(folder, 1)[0]
    os.rename(folder / "0.jpg", folder / "a.jpg")
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, cwd=PROJECT_ROOT, check=False
    )
    folder.chmod(0o755)
    # First it is open by then, and read to its end. Then it cannot be opened any more.
    assert done.stdout == "['Inspected']\n['Unreadable']\n", done.stderr


# -- a slow file holds up no other -------------------------------------------------------------------------


def test_large_files_never_occupy_all_readers(pool: ReaderPool, tmp_path: Path, wait_for: WaitFor) -> None:
    large = [endless(tmp_path, f"{number}.endless") for number in range(5)]
    pool.put(large)
    wait_for(lambda: sum(bool(readers_of(file.path)) for file in large) == 2, what="a large file in each reader")
    assert pool.quick == 0 and len(pool) == 5
    files = photos(tmp_path, 12)
    pool.put(files)
    assert {inspection.file.path for inspection in answers(pool, 12)} == {file.path for file in files}
    assert len(pool) == 5 and pool.quick == 0


def test_with_one_core_too_a_large_file_holds_up_nobody(tmp_path: Path, wait_for: WaitFor) -> None:
    pool = ReaderPool(1, ZONE, time_limit=PATIENCE)
    try:
        large = endless(tmp_path)
        pool.put([large])
        wait_for(lambda: readers_of(large.path), what="the reading of the large file")
        files = photos(tmp_path, 3)
        pool.put(files)
        assert len(answers(pool, 3)) == 3
    finally:
        pool.close()


# An ExifTool that is ended from outside at some files.
KILLED = """#!/bin/sh
while read -r line; do
    case "$line" in
    /*) grep -q killed "$line" && kill -KILL $$ ;;
    -ver) version=1 ;;
    -execute*)
        number=${line#-execute}
        [ -n "$version" ] && text=12.57 || text='[{"SourceFile": "?", "EXIF:Main:Make": "X"}]'
        version=
        echo "{quiet$number}" >&2; echo "$text{ready$number}" ;;
    esac
done
"""


def test_a_file_that_could_not_be_read_for_a_reason_of_ours_gets_no_date_that_is_guessed(
    pool: ReaderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "bin" / "exiftool"
    tool.parent.mkdir()
    tool.write_text(KILLED)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    for name in ("killed.jxl", "2.jxl", "3.jxl"):
        (tmp_path / name).write_bytes((SAMPLES / "JXL.jxl").read_bytes() + name.encode())
    pool.put([incoming(tmp_path / name) for name in ("killed.jxl", "2.jxl", "3.jxl")])
    found = {inspection.file.name: inspection for inspection in answers(pool, 3)}
    killed = found.pop("killed.jxl")
    assert isinstance(killed, Unreadable)
    assert killed.reason == "its date and place could not be read now: ExifTool was killed"
    assert {type(inspection) for inspection in found.values()} == {Inspected}


# An ExifTool that answers no question about files before a file called `go` stands beside it.
HELD_UP = """#!/bin/sh
while read -r line; do
    case "$line" in
    /*)
        while [ ! -e "$(dirname "$0")/go" ]; do sleep 0.05; done
        files="${files:+$files, }{\\"SourceFile\\": \\"?\\"}" ;;
    -ver) files=12.57 ;;
    -execute*)
        number=${line#-execute}
        [ "$files" = 12.57 ] || files="[$files]"
        echo "{quiet$number}" >&2; echo "$files{ready$number}"
        files= ;;
    esac
done
"""


def test_files_that_need_no_exiftool_never_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do those that come later, while every reader waits for an ExifTool."""
    pool = ReaderPool(2, ZONE, time_limit=PATIENCE, chunk=4)
    tool = tmp_path / "bin" / "exiftool"
    tool.parent.mkdir()
    tool.write_text(HELD_UP)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    quick = photos(tmp_path, 12)
    for number in range(12):
        (tmp_path / f"{number}.jxl").write_bytes((SAMPLES / "JXL.jxl").read_bytes() + bytes([number]))
    slow = [incoming(tmp_path / f"{number}.jxl") for number in range(12)]
    try:
        pool.put([file for pair in zip(slow, quick, strict=True) for file in pair])
        assert {one.file.path for one in answers(pool, 12)} == {file.path for file in quick}
        later = photos(tmp_path, 3, "later")
        pool.put(later)
        assert {one.file.path for one in answers(pool, 3)} == {file.path for file in later}
        assert len(pool) == 12 and pool.quick == 0
        (tool.parent / "go").touch()
        assert {one.file.path for one in answers(pool, 12) if isinstance(one, Inspected)} == {
            file.path for file in slow
        }
        assert sum(pool.readings.values()) == 27
    finally:
        pool.close()


@pytest.mark.parametrize(
    "say", ["nonsense", '{"inspections": [["inspected"]]}', '{"inspections": []}', '{"failed": "x"}']
)
def test_a_reader_that_says_what_no_reader_says_is_replaced(
    pool: ReaderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: str
) -> None:
    monkeypatch.setattr(reader_process, "MODULE", lying_reader.__name__)
    (tmp_path / "say").write_text(say)
    files = photos(tmp_path, 3)
    os.rename(files[1].path, tmp_path / "liar.jpg")
    files[1] = incoming(tmp_path / "liar.jpg")
    pool.put(files)
    found = {inspection.file.name: inspection for inspection in answers(pool, 3)}
    assert isinstance(found.pop("liar.jpg"), Unreadable)
    assert {type(inspection) for inspection in found.values()} == {Inspected}


def test_where_no_reader_can_be_started_no_file_is_blamed(
    pool: ReaderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_process, "MODULE", "Src.Librarian.nowhere")
    pool.put(photos(tmp_path, 3))
    for inspection in answers(pool, 3):
        assert isinstance(inspection, Unreadable) and "no reading process can be started" in inspection.reason
    monkeypatch.undo()
    pool.put(photos(tmp_path, 3))
    assert {type(inspection) for inspection in answers(pool, 3)} == {Inspected}


def test_a_reader_that_is_killed_while_it_starts_blames_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = ReaderProcess._launch
    killed: list[int] = []

    def launched(self: ReaderProcess) -> None:
        launch(self)
        if len(killed) < 3:  # one ahead of the first file, and two with it in hand
            assert self._process is not None
            self._process.kill()
            killed.append(self._process.pid)

    monkeypatch.setattr(ReaderProcess, "_launch", launched)
    pool = ReaderPool(1, ZONE, time_limit=PATIENCE, chunk=4)
    try:
        pool.put(photos(tmp_path, 3))
        assert {type(inspection) for inspection in answers(pool, 3)} == {Inspected}
    finally:
        pool.close()
    assert len(killed) == 3


def test_what_a_reader_logs_is_logged_here(
    pool: ReaderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tool = tmp_path / "bin" / "exiftool"
    tool.parent.mkdir()
    tool.write_text(KILLED.replace("12.57", "12.37"))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    pool.put([incoming(Path(shutil.copy(SAMPLES / "JXL.jxl", tmp_path / "a.jxl")))])
    assert isinstance(answers(pool, 1)[0], Inspected)
    assert [record.name for record in caplog.records if "EXIFTOOL_UNSAFE=1" in record.getMessage()] == [
        "Src.Media.readers.exiftool_reader"
    ]


def test_the_borders_of_the_time_zones_are_here_once_for_all_readers(pool: ReaderPool, tmp_path: Path) -> None:
    in_tokyo = android_film().replace(b"+52.5200+013.4050/", b"+35.6895+139.6917/")
    (tmp_path / "film.mp4").write_bytes(in_tokyo)
    pool.put([incoming(tmp_path / "film.mp4")])
    (found,) = answers(pool, 1)
    assert isinstance(found, Inspected) and found.metadata.latitude is not None and found.metadata.longitude is not None
    there = ZoneInfo(get_tz(found.metadata.longitude, found.metadata.latitude))
    assert there.key != ZONE.key
    utc = datetime(1904, 1, 1, tzinfo=UTC) + timedelta(seconds=CREATED)
    assert found.metadata.captured_at == utc.astimezone(there).replace(tzinfo=None)
    loaded = [one.path for reader in reader_processes() for one in psutil.Process(reader).memory_maps()]
    assert any("libmagic" in path for path in loaded) and not any("tzfpy" in path for path in loaded)


def test_a_reader_that_asks_about_no_place_on_earth_is_replaced(
    pool: ReaderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_process, "MODULE", lying_reader.__name__)
    (tmp_path / "say").write_text('{"zone_at": ["north", 1e999]}')
    Path(photos(tmp_path, 1)[0].path).rename(tmp_path / "liar.jpg")
    pool.put([incoming(tmp_path / "liar.jpg"), *photos(tmp_path, 2, "honest")])
    found = {inspection.file.name: inspection for inspection in answers(pool, 3)}
    assert isinstance(found.pop("liar.jpg"), Unreadable)
    assert {type(inspection) for inspection in found.values()} == {Inspected}


# -- ExifTool is there before its first file ---------------------------------------------------------------


def exiftools() -> dict[int, int]:
    """ExifTools of our readers, and whose each is. (Between fork and exec a child of one is called as it is.)"""
    found = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any("exiftool" in word for word in process.cmdline()):
                found[process.pid] = process.ppid()
    readers = set(reader_processes())
    return {tool: owner for tool, owner in found.items() if owner in readers and owner not in found}


def for_exiftool(folder: Path, count: int, name: str = "") -> list[IncomingFile]:
    """What only ExifTool reads."""
    for number in range(count):
        (folder / f"{name}{number}.jxl").write_bytes((SAMPLES / "JXL.jxl").read_bytes() + f"{name}{number}".encode())
    return [incoming(folder / f"{name}{number}.jxl") for number in range(count)]


def test_one_exiftool_starts_ahead_and_a_few_files_start_no_other(
    pool: ReaderPool, tmp_path: Path, wait_for: WaitFor
) -> None:
    pool.start()
    wait_for(lambda: exiftools(), what="an ExifTool before any file")
    wait_for(lambda: len(reader_processes()) == 2, what="both readers")
    ahead = exiftools()
    for turn in range(6):
        wait_for(lambda: pool._exiftools._waiting >= {0, 1}, what="readers without work")
        pool.put(for_exiftool(tmp_path, 1, f"turn {turn}, "))
        assert isinstance(answers(pool, 1)[0], Inspected)
    assert exiftools() == ahead


def test_as_many_exiftools_run_as_there_is_work_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    """While ExifTools answer nothing, each reader gets one, and no more."""
    pool = ReaderPool(2, ZONE, time_limit=PATIENCE, chunk=4)
    tool = tmp_path / "bin" / "exiftool"
    tool.parent.mkdir()
    tool.write_text(HELD_UP)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    try:
        pool.put(for_exiftool(tmp_path, 16))
        wait_for(lambda: len(set(exiftools().values())) == 2, what="an ExifTool in each of two readers")
        assert len(exiftools()) == 2
        (tool.parent / "go").touch()
        assert {type(one) for one in answers(pool, 16)} == {Inspected}
        assert len(exiftools()) <= 2
    finally:
        pool.close()


def test_readers_at_rest_keep_one_exiftool_and_that_is_a_fresh_one(
    pool: ReaderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    monkeypatch.setattr(reader_process, "MODULE", restless_reader.__name__)
    pool.put(for_exiftool(tmp_path, 40))
    answers(pool, 40)
    turns = itertools.count()

    def one_fresh() -> bool:
        """What runs right after an answer was used (but where the machine stood still: then once more)."""
        pool.put(for_exiftool(tmp_path, 1, f"turn {next(turns)}, "))
        answers(pool, 1)
        used = set(exiftools())
        with suppress(AssertionError):
            wait_until(lambda: used and len(exiftools()) == 1 and used.isdisjoint(exiftools()), 10)
            return True
        return False

    wait_for(one_fresh, what="one fresh ExifTool")
    pool.put(for_exiftool(tmp_path, 1, "later"))
    assert isinstance(answers(pool, 1)[0], Inspected)
