"""Fixtures and helpers of several rooms' tests: real filesystems of every sort, a user without rights, patience."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from Src.Shared.limits import Limits
from Src.Testing.patience import PATIENCE, wait_until

SmallFilesystem = Callable[[str, int], Path]
WaitFor = Callable[..., None]

PATIENT = Limits(connect=PATIENCE, lock=PATIENCE, probe=PATIENCE, stop=PATIENCE)

_NOBODY = 65534
_PROGRAMS = {
    "tmpfs": (),
    "ext4": ("mkfs.ext4", "-q", "-m", "0"),
    "btrfs": ("mkfs.btrfs", "-q"),
    "xfs": ("mkfs.xfs", "-q"),
    "exfat-fuse": ("mkfs.exfat",),
}


@pytest.fixture
def small_filesystem(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallFilesystem]:
    """Mounts a fresh filesystem of a kind (tmpfs, ext4, btrfs, xfs, exfat-fuse) and a size in MiB; its folder."""
    mounts: list[tuple[Path, str | None]] = []

    def make(kind: str, size: int) -> Path:
        if os.geteuid() != 0:
            pytest.skip("only root may mount filesystems")
        maker = _PROGRAMS[kind]
        needed = [*maker[:1], *(["mount.exfat-fuse"] if kind == "exfat-fuse" else [])]
        if missing := [name for name in needed if shutil.which(name) is None]:
            pytest.skip(f"{missing[0]} is not installed")
        folder = tmp_path_factory.mktemp(kind) / kind  # nothing else is beside it
        folder.mkdir()
        if kind == "tmpfs":
            _or_skip("mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(folder))
            mounts.append((folder, None))
            return folder
        image = tmp_path_factory.mktemp("images") / kind
        with open(image, "wb") as file:
            file.truncate(size << 20)
        subprocess.run([*maker, str(image)], check=True, capture_output=True)
        device = _or_skip("losetup", "--find", "--show", str(image))
        mount = ["mount.exfat-fuse"] if kind == "exfat-fuse" else ["mount", "-t", kind]
        try:
            _or_skip(*mount, device, str(folder))
        except BaseException:
            subprocess.run(["losetup", "--detach", device], check=False)
            raise
        mounts.append((folder, device))
        return folder

    yield make
    for folder, device in reversed(mounts):
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
        if device is not None:
            subprocess.run(["losetup", "--detach", device], check=False)


def _or_skip(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.strip()


@pytest.fixture
def other_filesystem(tmp_path: Path) -> Iterator[Path]:
    """A folder on another filesystem than `tmp_path`."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or os.stat(memory).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second filesystem here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can reach, and that an unprivileged one owns. (Not so pytest's own.)"""
    with tempfile.TemporaryDirectory(prefix="pf-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        yield folder
        for each, _, _ in os.walk(folder):
            os.chmod(each, 0o700)


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """A block run by a user for whom permissions count."""

    @contextmanager
    def as_nobody() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.setegid(_NOBODY)
        os.seteuid(_NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)

    return as_nobody


@pytest.fixture
def wait_for() -> WaitFor:
    """Waits until a condition holds; fails after a deadline that no healthy machine reaches."""

    def wait(condition: Callable[[], object], seconds: float = PATIENCE, what: str = "the condition") -> None:
        wait_until(condition, seconds, what)

    return wait


def somebody_waits_for_our_lease() -> bool:
    """Whether a program waits for a lease that this process holds. (Others run tests like these at the same time.)"""
    us = os.readlink("/proc/self")
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any(lock[1:3] == ["LEASE", "BREAKING"] and lock[4] == us for lock in locks)


def open_below(folder: Path) -> list[str]:
    """What this process has open below a folder. (How many files it has open at all is no test's own affair.)"""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it has just been closed
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return [path for path in found if path == str(folder) or path.startswith(f"{folder}/")]


def lives(process: psutil.Process) -> bool:
    """Whether it runs. A zombie has ended: nobody may be there to reap an orphan."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
