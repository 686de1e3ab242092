"""Worker processes that die. Real ones, killed for real, while they read files that take until tomorrow."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest

from Src.Librarian import inspection, worker_pool
from Src.Librarian.fingerprint import Fingerprint, fingerprint
from Src.Librarian.incoming import FileState, IncomingFile
from Src.Librarian.inspection import Changing, Finding, Gone, Inspected, NotMedia, Unreadable
from Src.Librarian.tests.conftest import PATIENCE, WaitFor, lives
from Src.Librarian.worker_pool import WorkerPool
from Src.Shared.settings import PROJECT_ROOT

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parent / "samples"
ZONE = ZoneInfo("Europe/Berlin")


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(2, ZONE, time_limit=20.0, chunk=4)
    yield pool
    pool.close()


def incoming(path: Path) -> IncomingFile:
    return IncomingFile(str(path), path.name, FileState.of(os.lstat(path)))


def photos(folder: Path, count: int) -> list[IncomingFile]:
    return [incoming(Path(shutil.copy(SAMPLES / "Kodak_CX7530.jpg", folder / f"{at}.jpg"))) for at in range(count)]


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


def answers(pool: WorkerPool, count: int, seconds: float = 2 * PATIENCE) -> list[Finding]:
    findings: list[Finding] = []
    deadline = time.monotonic() + seconds
    while len(findings) < count:
        assert time.monotonic() < deadline, f"{len(findings)} of {count} answers after {seconds:g} s"
        findings += pool.get(0.1)
    return findings


@contextmanager
def killing(file: IncomingFile, times: int = 1_000_000) -> Iterator[list[int]]:
    """While the block runs, whoever reads this file is killed."""
    killed: list[int] = []
    over = threading.Event()

    def hunt() -> None:
        while not over.wait(0.01) and len(killed) < times:
            for pid in readers_of(file.path)[: times - len(killed)]:
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


def test_every_file_is_answered_once_by_what_it_is(pool: WorkerPool, tmp_path: Path) -> None:
    files = photos(tmp_path, 20)
    (tmp_path / "a.txt").write_bytes(b"no photo")
    text, gone, changed = incoming(tmp_path / "a.txt"), *photos(tmp_path, 2)
    files = files[2:]
    os.unlink(gone.path)
    os.truncate(changed.path, 100)
    pool.put([*files, text, gone, changed])
    assert len(pool) == 21
    found = {finding.file.path: finding for finding in answers(pool, 21)}
    assert len(found) == 21 and len(pool) == 0 and pool.get(0.0) == []
    assert all(isinstance(found[file.path], Inspected) for file in files)
    assert isinstance(found[text.path], NotMedia)
    assert isinstance(found[gone.path], Gone)
    assert isinstance(found[changed.path], Changing)


def start_held_up_worker(zone: ZoneInfo, time_limit: float) -> None:
    """As `start_worker`, but the first worker that has `slow.jpg` open never comes to its end."""
    inspection.start_worker(zone, time_limit)

    def held_up(path: str, expected: FileState) -> Fingerprint:
        if path.endswith("/slow.jpg"):
            with open(path, "rb"), suppress(FileExistsError):
                Path(f"{path}.begun").touch(exist_ok=False)
                signal.pause()
        return fingerprint(path, expected)

    pytest.MonkeyPatch().setattr(inspection, "fingerprint", held_up)


def test_a_killed_worker_takes_no_file_with_it(
    pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "start_worker", start_held_up_worker)
    files = photos(tmp_path, 41)
    path = Path(files[-1].path).rename(tmp_path / "slow.jpg")
    files[-1] = slow = incoming(path)
    with killing(slow, times=1) as killed:
        pool.put([*files[:20], slow, *files[20:-1]])
        found = answers(pool, 41)
    assert len(killed) == 1
    assert sorted(finding.file.path for finding in found) == sorted(file.path for file in files), "each once"
    assert all(isinstance(finding, Inspected) for finding in found)
    assert len(pool) == 0 and pool.get(0.0) == []


def test_a_file_that_kills_its_worker_every_time_is_told_and_the_others_are_read(
    pool: WorkerPool, tmp_path: Path
) -> None:
    deadly, files = endless(tmp_path), photos(tmp_path, 12)
    with killing(deadly) as killed:
        pool.put([*files[:6], deadly, *files[6:]])
        found = {finding.file.path: finding for finding in answers(pool, 13)}
    assert isinstance(found.pop(deadly.path), Unreadable)
    assert len(killed) == 3, "once among others, twice alone"
    assert set(found) == {file.path for file in files}
    assert all(isinstance(finding, Inspected) for finding in found.values())
    pool.put(files[:3])
    assert len(answers(pool, 3)) == 3, "and work goes on"


def test_two_files_that_kill_their_workers_are_both_told(pool: WorkerPool, tmp_path: Path) -> None:
    deadly, files = [endless(tmp_path, f"{name}.endless") for name in "ab"], photos(tmp_path, 4)
    with killing(deadly[0]), killing(deadly[1]):
        pool.put([deadly[0], *files, deadly[1]])
        found = {finding.file.path: finding for finding in answers(pool, 6)}
    assert all(isinstance(found[file.path], Unreadable) for file in deadly)
    assert all(isinstance(found[file.path], Inspected) for file in files)


def test_a_pool_whose_workers_died_idle_goes_on(pool: WorkerPool, tmp_path: Path, wait_for: WaitFor) -> None:
    files = photos(tmp_path, 6)
    pool.put(files[:3])
    answers(pool, 3)
    for pid in workers():
        os.kill(pid, signal.SIGKILL)
    pool.put(files[3:])
    assert {finding.file.path for finding in answers(pool, 3)} == {file.path for file in files[3:]}


@pytest.mark.parametrize("turn", range(5))
def test_files_put_while_nobody_has_heard_of_a_death_are_answered(
    pool: WorkerPool, tmp_path: Path, wait_for: WaitFor, turn: int
) -> None:
    """The futures of the dead pool and of its successor are sorted out together."""
    files = photos(tmp_path, 60)
    pool.put(files[:1])
    dead = pool._executor
    assert dead is not None
    for pid in workers():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: dead._broken)
    pool.put(files[1:])
    assert {finding.file.path for finding in answers(pool, 60)} == {file.path for file in files}


def workers(of: int | None = None) -> list[int]:
    """Worker processes of a process."""
    found = []
    for child in psutil.Process(of).children():
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


def test_closing_ends_the_workers_at_once_though_a_huge_file_is_in_hand(tmp_path: Path, wait_for: WaitFor) -> None:
    pool = WorkerPool(2, ZONE, time_limit=20.0)
    slow = endless(tmp_path)
    pool.put([slow, *photos(tmp_path, 3)])
    wait_for(lambda: readers_of(slow.path), what="the reading of the huge file")
    closer = threading.Thread(target=pool.close)
    closer.start()
    closer.join(PATIENCE)
    assert not closer.is_alive(), "close() waits for the file"
    assert readers_of(slow.path) == [] and workers() == []
    assert len(pool) == 0
    pool.close()  # a second time does no harm


PARENT = """
import sys, time
from pathlib import Path
from zoneinfo import ZoneInfo
from Src.Librarian.tests.test_worker_pool import incoming
from Src.Librarian.worker_pool import WorkerPool
if __name__ == "__main__":
    pool = WorkerPool(2, ZoneInfo("UTC"), 20.0)
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
        assert len(workers(parent.pid)) == 2
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not [process for process in family if lives(process)], what="the end of the workers")


def test_workers_leave_ctrl_c_and_sigterm_to_their_parent(pool: WorkerPool, tmp_path: Path, wait_for: WaitFor) -> None:
    files = photos(tmp_path, 4)
    pool.put(files[:2])
    answers(pool, 2)
    before = workers()
    wait_for(lambda: all(_ignores_signals(pid) for pid in before), what="the start of the workers")
    for pid in before:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    pool.put(files[2:])
    assert all(isinstance(finding, Inspected) for finding in answers(pool, 2))
    assert set(before) <= set(workers())


def _ignores_signals(pid: int) -> bool:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "\t" in line)
    return not {signal.SIGINT, signal.SIGTERM} - {bit + 1 for bit in range(64) if int(status["SigIgn"], 16) >> bit & 1}


def test_a_folder_that_turns_unreadable_is_an_answer_and_not_a_defect(tmp_path: Path) -> None:
    # Asked of a worker's own function, as a user for whom permissions count.
    script = (
        "import os, sys; from pathlib import Path; from zoneinfo import ZoneInfo\n"
        "from Src.Librarian import inspection\n"
        "from Src.Librarian.tests.test_worker_pool import incoming\n"
        "inspection.start_worker(ZoneInfo('UTC'), 20.0)\n"
        "folder = Path(sys.argv[1])\n"
        "file = incoming(folder / 'a.jpg')\n"
        "extract = inspection._extractor.extract\n"
        "def late(*arguments):\n"
        "    found = extract(*arguments)\n"
        "    folder.chmod(0)\n"
        "    os.seteuid(65534) if os.geteuid() == 0 else None\n"
        "    return found\n"
        "inspection._extractor.extract = late\n"
        "print([type(one).__name__ for one in inspection.inspect([file])], flush=True)\n"
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
    assert done.stdout == "['Changing']\n", done.stderr
