"""Files below a folder: reached whatever their depth, and never by way of a link."""

from __future__ import annotations

import ctypes
import errno
import itertools
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Src.Shared.disk import beneath
from Src.Shared.disk.beneath import (
    link_open_file,
    lstat_beneath,
    open_beneath,
    open_folder,
    parent_beneath,
    rename_unless_taken_at,
)
from Src.Shared.disk.tests import probe_beneath
from Src.Testing.surroundings import open_below

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount, and become somebody else")
_PROJECT = Path(__file__).parents[4]
NAMES = ("a", "b", "photo.jpg", "sp ace", "Käse", "\udcff", "…")


@pytest.fixture(params=["openat2", "part by part"])
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test that asks for it runs with the system call and without."""
    if request.param == "part by part":
        monkeypatch.setattr(beneath, "_kernel_has_openat2", lambda: False)
    elif not beneath._kernel_has_openat2():
        pytest.skip("this kernel has no openat2")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "top"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "photo.jpg").write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "photo.jpg").write_bytes(b"outside")
    return folder


@pytest.fixture
def root(top: Path) -> Iterator[int]:
    fd = open_folder(top)
    yield fd
    os.close(fd)


def _read(root: int, relative: str) -> bytes:
    with open(open_beneath(root, relative, os.O_RDONLY), "rb") as file:
        return file.read()


def _errno(do: Callable[[], object]) -> int | None:
    try:
        do()
    except OSError as error:
        return error.errno
    return None


@pytest.mark.usefixtures("each_way")
class TestBeneath:
    def test_a_file_is_reached(self, root: int) -> None:
        assert _read(root, "a/b/photo.jpg") == b"inside"
        assert lstat_beneath(root, "a/b/photo.jpg").st_size == 6

    def test_the_top_itself(self, root: int, top: Path) -> None:
        fd = open_beneath(root, "", os.O_RDONLY | os.O_DIRECTORY)
        assert os.listdir(fd) == ["a"]
        os.close(fd)
        assert lstat_beneath(root, "").st_ino == top.stat().st_ino

    def test_the_top_may_be_a_link_and_is_resolved_once(self, tmp_path: Path, top: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(top)
        fd = open_folder(link)
        link.unlink()
        link.symlink_to(tmp_path / "outside")
        try:
            assert _read(fd, "a/b/photo.jpg") == b"inside"
        finally:
            os.close(fd)

    @pytest.mark.parametrize("target", ["../../outside", "b", "/", "missing", "c"])
    def test_a_link_is_no_way_wherever_it_leads(self, root: int, top: Path, target: str) -> None:
        (top / "a" / "c").symlink_to(target)
        for path in ("a/c/photo.jpg", "a/c/x/photo.jpg"):
            assert _errno(lambda p=path: open_beneath(root, p, os.O_RDONLY)) == errno.ELOOP  # type: ignore[misc]
            assert _errno(lambda p=path: lstat_beneath(root, p)) == errno.ELOOP  # type: ignore[misc]
        for flags in (os.O_RDONLY, os.O_RDONLY | os.O_DIRECTORY, os.O_PATH, os.O_PATH | os.O_DIRECTORY):
            assert _errno(lambda f=flags: open_beneath(root, "a/c", f)) == errno.ELOOP  # type: ignore[misc]
        assert stat.S_ISLNK(lstat_beneath(root, "a/c").st_mode)

    def test_a_magic_link_is_none_either(self, top: Path) -> None:
        with open(top / "a" / "b" / "photo.jpg", "rb") as file:
            proc = open_folder("/proc/self")
            try:
                assert _errno(lambda: open_beneath(proc, f"fd/{file.fileno()}", os.O_RDONLY)) == errno.ELOOP
                assert _errno(lambda: open_beneath(proc, "root/etc", os.O_RDONLY)) == errno.ELOOP
                assert _errno(lambda: open_beneath(proc, "cwd", os.O_RDONLY)) == errno.ELOOP
            finally:
                os.close(proc)

    @pytest.mark.parametrize(
        "path",
        ["..", "../outside/photo.jpg", "a/../../outside/photo.jpg", "/etc/passwd", "a//b", "a/", "./a", "a/.", "."],
    )
    def test_what_is_not_a_path_of_names_is_refused(self, root: int, path: str) -> None:
        assert _errno(lambda: open_beneath(root, path, os.O_RDONLY)) == errno.EXDEV
        assert _errno(lambda: lstat_beneath(root, path)) == errno.EXDEV

    def test_a_nul_does_not_cut_a_path_short(self, root: int) -> None:
        for path in ("a\0", "a/b\0/photo.jpg"):
            with pytest.raises(ValueError, match="null"):
                open_beneath(root, path, os.O_RDONLY)
            with pytest.raises(ValueError, match="null"):
                lstat_beneath(root, path)

    def test_a_path_longer_than_the_kernel_takes_at_once(self, root: int, top: Path) -> None:
        parts = [f"{number:03d}" + "ä" * 100 for number in range(45)]
        fd = os.dup(root)
        for part in parts:
            os.mkdir(part, dir_fd=fd)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
        os.close(os.open("photo.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
        os.symlink("photo.jpg", "link.jpg", dir_fd=fd)
        inode = os.stat("photo.jpg", dir_fd=fd).st_ino
        os.close(fd)
        path = "/".join([*parts, "photo.jpg"])
        assert len(os.fsencode(path)) > 2 * 4096
        assert lstat_beneath(root, path).st_ino == inode
        assert _read(root, path) == b""
        assert _errno(lambda: _read(root, path.replace("photo", "link"))) == errno.ELOOP
        before = sorted(open_below(top))
        assert _errno(lambda: _read(root, path.replace("020", "x20"))) == errno.ENOENT
        assert sorted(open_below(top)) == before

    def test_a_name_longer_than_the_filesystem_takes(self, root: int) -> None:
        assert _errno(lambda: open_beneath(root, "a/" + "x" * 300, os.O_RDONLY)) == errno.ENAMETOOLONG

    @as_root
    def test_a_folder_that_may_be_searched_but_not_read_is_passed_through(self, top: Path, tmp_path: Path) -> None:
        (top / "a").chmod(0o711)
        tmp_path.chmod(0o711)
        for folder in (top, top / "a" / "b"):
            folder.chmod(0o755)
        (top / "a" / "b" / "photo.jpg").chmod(0o644)
        fd = open_folder(top)
        try:
            assert _as_nobody(lambda: _read(fd, "a/b/photo.jpg") == b"inside")
            (top / "a").chmod(0o700)
            assert _as_nobody(lambda: _errno(lambda: _read(fd, "a/b/photo.jpg")) == errno.EACCES)
        finally:
            os.close(fd)

    @as_root
    def test_a_filesystem_mounted_below_is_entered(self, top: Path, tmp_path: Path, root: int) -> None:
        here = top / "a" / "b"
        subprocess.run(["mount", "--bind", str(tmp_path / "outside"), str(here)], check=True)
        try:
            assert _read(root, "a/b/photo.jpg") == b"outside"
        finally:
            subprocess.run(["umount", "--lazy", str(here)], check=True)

    def test_a_file_is_made_with_its_mode(self, root: int, top: Path) -> None:
        before = os.umask(0o022)
        try:
            os.close(open_beneath(root, "a/new.jpg", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            os.close(open_beneath(root, "a/b/new.jpg", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        finally:
            os.umask(before)
        assert stat.S_IMODE((top / "a" / "new.jpg").stat().st_mode) == 0o600
        assert stat.S_IMODE((top / "a" / "b" / "new.jpg").stat().st_mode) == 0o644

    def test_a_folder_swapped_for_a_link_again_and_again_never_leads_outside(
        self, root: int, top: Path, tmp_path: Path
    ) -> None:
        stop = threading.Event()

        def swap() -> None:
            link = tmp_path / "link"
            link.symlink_to(tmp_path / "outside")
            while not stop.is_set():
                beneath._libc.renameat2(-100, os.fsencode(link), -100, os.fsencode(top / "a" / "b"), 2)  # exchange

        swapper = threading.Thread(target=swap)
        swapper.start()
        seen: set[str] = set()
        try:
            for attempt in itertools.count():
                try:
                    seen.add(_read(root, "a/b/photo.jpg").decode())
                except OSError as error:
                    seen.add(errno.errorcode[error.errno or 0])
                if seen >= {"inside", "ELOOP"} and attempt > 5000:
                    break
        finally:
            stop.set()
            swapper.join()
        # ENOTDIR: walked part by part, a link that is a folder again by the time that it is asked what it is
        # EXDEV: the kernel saw a folder move while it went through it, and cannot say where that leads
        assert seen - {"ENOTDIR", "EXDEV"} == {"inside", "ELOOP"}

    def test_no_descriptor_is_left_open(self, top: Path) -> None:
        before = len(open_below(top))
        for seed in range(10):
            probe_beneath.answers(str(top), _make_tree(top, random.Random(seed)))
        _unlock(top)
        assert len(open_below(top)) == before


class TestBothWaysAnswerTheSame:
    @given(seed=st.integers(0, 2**32))
    def test_in_this_process(self, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
        top = tmp_path_factory.mktemp("tree")
        try:
            paths = _make_tree(top, random.Random(seed))
            with_call = probe_beneath.answers(str(top), paths)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(beneath, "_kernel_has_openat2", lambda: False)
                part_by_part = probe_beneath.answers(str(top), paths)
            assert dict(zip(paths, part_by_part, strict=True)) == dict(zip(paths, with_call, strict=True))
        finally:
            _unlock(top)
            shutil.rmtree(top)

    @pytest.mark.needs_programs
    @pytest.mark.parametrize("refusal", ["ENOSYS", "EPERM"])
    def test_where_the_kernel_refuses_the_system_call(self, refusal: str, tmp_path: Path) -> None:
        paths: list[str] = []
        for seed in range(20):
            (tmp_path / f"{seed}").mkdir()
            paths += [f"{seed}/{path}" for path in _make_tree(tmp_path / f"{seed}", random.Random(seed))]
        program = [sys.executable, str(Path(probe_beneath.__file__)), str(tmp_path)]
        strace = ["strace", "-f", "-qq", "-o", str(tmp_path / "strace.log"), "-e", f"inject=openat2:error={refusal}"]
        run = subprocess.run(
            [*strace, "-e", "trace=openat2", *program],
            input=json.dumps(paths),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(_PROJECT)},
        )
        told = json.loads(run.stdout)
        assert told["openat2"] is False
        assert (tmp_path / "strace.log").read_text().count("INJECTED") == 1, "it is asked once and remembered"
        assert told["answers"] == probe_beneath.answers(str(tmp_path), paths)
        _unlock(tmp_path)


class TestLinkAnOpenFile:
    def test_the_file_that_is_open_is_linked_whatever_stands_at_its_path(self, root: int, top: Path) -> None:
        photo = top / "a" / "b" / "photo.jpg"
        fd = open_beneath(root, "a/b/photo.jpg", os.O_RDONLY)
        photo.rename(top / "elsewhere.jpg")
        photo.write_bytes(b"another")
        try:
            link_open_file(fd, root, "linked.jpg")
            with pytest.raises(FileExistsError):
                link_open_file(fd, root, "linked.jpg")
            assert (top / "linked.jpg").read_bytes() == b"inside"
        finally:
            os.close(fd)

    @as_root
    def test_without_the_privilege(self, root: int, top: Path) -> None:
        (top / "a" / "b" / "photo.jpg").chmod(0o644)
        top.chmod(0o777)
        os.chown(top / "a" / "b" / "photo.jpg", _NOBODY, _NOBODY)
        fd = open_beneath(root, "a/b/photo.jpg", os.O_RDONLY)
        try:
            assert _as_nobody(lambda: _errno(lambda: link_open_file(fd, root, "linked.jpg")) is None)
            assert (top / "linked.jpg").samefile(top / "a" / "b" / "photo.jpg")
        finally:
            os.close(fd)

    def test_a_file_whose_last_name_has_gone(self, root: int, top: Path) -> None:
        fd = open_beneath(root, "a/b/photo.jpg", os.O_RDONLY)
        (top / "a" / "b" / "photo.jpg").unlink()
        try:
            with pytest.raises(FileNotFoundError):
                link_open_file(fd, root, "linked.jpg")
        finally:
            os.close(fd)
        assert not (top / "linked.jpg").exists()

    def test_the_name_may_be_any(self, root: int, top: Path) -> None:
        fd = open_beneath(root, "a/b/photo.jpg", os.O_RDONLY)
        try:
            for name in NAMES[2:]:
                link_open_file(fd, root, name)
                assert (top / name).read_bytes() == b"inside"
            with pytest.raises(ValueError, match="null"):
                link_open_file(fd, root, "x\0y")
        finally:
            os.close(fd)


class TestRename:
    def test_it_never_replaces(self, root: int, top: Path) -> None:
        with parent_beneath(root, "a/b/photo.jpg") as (folder, name):
            (top / "taken").write_bytes(b"other")
            with pytest.raises(FileExistsError):
                rename_unless_taken_at(folder, name, root, "taken")
            (top / "dangling").symlink_to("nowhere")
            with pytest.raises(FileExistsError):
                rename_unless_taken_at(folder, name, root, "dangling")
            rename_unless_taken_at(folder, name, root, "free")
        assert (top / "free").read_bytes() == b"inside"
        assert (top / "taken").read_bytes() == b"other"

    def test_what_is_not_there(self, root: int) -> None:
        with pytest.raises(FileNotFoundError):
            rename_unless_taken_at(root, "missing", root, "free")

    def test_where_the_filesystem_cannot_spare_names(
        self, root: int, top: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Refusing:
            @staticmethod
            def renameat2(*_: object) -> int:
                ctypes.set_errno(errno.EINVAL)
                return -1

        monkeypatch.setattr(beneath, "_libc", Refusing)
        with pytest.raises(FileNotFoundError):
            rename_unless_taken_at(root, "missing", root, "free")
        assert not (top / "free").exists(), "the reservation is taken back"
        with pytest.raises(FileExistsError):
            rename_unless_taken_at(root, "a", root, "a")
        (top / "x").write_bytes(b"x")
        rename_unless_taken_at(root, "x", root, "free")
        assert (top / "free").read_bytes() == b"x"


_NOBODY = 65534


def _as_nobody(ask: Callable[[], bool]) -> bool:
    """Asks in a child process without any privilege."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
            code = 0 if ask() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _make_tree(top: Path, chance: random.Random) -> list[str]:
    """A small tree with links, and paths that lead through it or nearly so."""
    folders = [top]
    for _ in range(chance.randint(1, 12)):
        at = chance.choice(folders) / chance.choice(NAMES)
        if os.path.lexists(at):
            continue
        match chance.choice(("folder", "folder", "file", "link", "fifo", "locked")):
            case "folder":
                at.mkdir()
                folders.append(at)
            case "file":
                at.write_bytes(b"x")
            case "link":
                at.symlink_to(chance.choice([".", "..", "/", "missing", *(str(folder) for folder in folders)]))
            case "fifo":
                os.mkfifo(at)
            case "locked":
                at.mkdir(mode=0o000)
    return _paths(chance)


def _unlock(top: Path) -> None:
    for folder, _, _ in os.walk(top, onerror=lambda error: os.chmod(error.filename, 0o700)):
        os.chmod(folder, 0o700)


def _paths(chance: random.Random) -> list[str]:
    odd = ("..", ".", "", "x" * 300)
    return [
        "/".join(
            chance.choice(odd) if chance.random() < 0.03 else chance.choice(NAMES) for _ in range(chance.randint(0, 4))
        )
        for _ in range(60)
    ]
