"""What we make has its mode from the first moment, whatever the umask; what is there stays as it is."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from Src.Shared.disk.beneath import open_folder
from Src.Shared.disk.making import (
    DROP_ZONE,
    PRIVATE,
    SHARED,
    make_folder,
    make_in,
    make_parent,
    private_file,
)
from Src.Shared.tests.postgres_helpers import as_user

NOBODY, GROUP = 65534, 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives to any group, and runs as other users")


@pytest.fixture(params=[0o000, 0o022, 0o027, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def top(postgres_folder: Path) -> Path:
    """Where other users can pass, too."""
    return postgres_folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("wanted", [PRIVATE, SHARED, DROP_ZONE])
def test_the_umask_changes_nothing(top: Path, umask: int, wanted: int) -> None:
    assert make_folder(top / "made", wanted) is True
    assert mode(top / "made") == wanted
    os.close(private_file(top / "file", os.O_CREAT | os.O_WRONLY))
    assert mode(top / "file") == 0o600 & ~umask
    assert [path.name for path in top.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("there", [0o700, 0o755, 0o1777])
def test_what_is_there_stays_as_it_is(top: Path, there: int) -> None:
    (top / "there").mkdir()
    (top / "there").chmod(there)
    assert make_folder(top / "there", PRIVATE, os.getegid()) is False
    assert mode(top / "there") == there
    (top / "link").symlink_to(top / "there")
    assert make_folder(top / "link", PRIVATE) is False
    (top / "file").touch()
    with pytest.raises(OSError, match="directory"):
        make_folder(top / "file", PRIVATE)
    assert (top / "file").is_file()


def test_missing_parents_are_made_as_by_any_program(top: Path) -> None:
    before = os.umask(0o027)
    try:
        make_folder(top / "a" / "b" / "c", PRIVATE)
    finally:
        os.umask(before)
    assert [mode(top / path) for path in ("a", "a/b", "a/b/c")] == [0o750, 0o750, PRIVATE]


def test_below_a_folder_all_are_alike(top: Path, umask: int) -> None:
    make_folder(top / "a" / "b" / "c", SHARED, below=top / "a")
    assert [mode(top / path) for path in ("a", "a/b", "a/b/c")] == [SHARED] * 3


@as_root
def test_a_group_gets_it_and_can_pass_its_parents(top: Path, umask: int) -> None:
    make_folder(top / "data" / "Storage" / "Originals", SHARED, GROUP)
    make_folder(top / "data" / "Inbox", DROP_ZONE, GROUP)
    made = [top / "data" / path for path in (".", "Storage", "Storage/Originals", "Inbox")]
    assert [(path.stat().st_gid, mode(path)) for path in made] == [(GROUP, SHARED)] * 3 + [(GROUP, DROP_ZONE)]
    make_parent(top / "other", GROUP)
    assert (top / "other").stat().st_gid == GROUP
    day = made[2] / "2020" / "2020-01-01"
    for path in (day.parent, day):
        parent = open_folder(path.parent)
        make_in(parent, path.name, SHARED)
        os.close(parent)
    assert (day.stat().st_gid, mode(day)) == (GROUP, SHARED)


@as_root
def test_members_of_the_group_put_photos_into_the_inbox_and_others_do_not(top: Path) -> None:
    make_folder(top / "Inbox", DROP_ZONE, GROUP)

    def put() -> str:
        (top / "Inbox" / "photo.jpg").write_bytes(b"")
        return str((top / "Inbox" / "photo.jpg").stat().st_gid)

    assert as_user(NOBODY, put).startswith("PermissionError")
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([GROUP])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os._exit(0 if put() == str(GROUP) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@as_root
def test_a_group_that_one_may_not_give_to_gets_nothing(top: Path) -> None:
    os.chown(top, NOBODY, NOBODY)

    def make() -> str:
        make_folder(top / "made", SHARED, GROUP)
        status = (top / "made").stat()
        return f"{status.st_gid} {stat.S_IMODE(status.st_mode):o}"

    assert as_user(NOBODY, make) == f"{NOBODY} 700"


def test_a_kill_leaves_no_folder_of_another_mode(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before each thing that it asks of the kernel."""
    step, ended = 0, False
    while not ended:
        path = top / f"{step}"
        child = os.fork()
        if child == 0:
            try:
                _die_at(step, monkeypatch)
                make_folder(path, SHARED)
            finally:
                os._exit(0)
        ended = not os.WIFSIGNALED(os.waitpid(child, 0)[1])
        assert not path.exists() or mode(path) == SHARED
        make_folder(path, SHARED)
        assert mode(path) == SHARED
        assert not list(top.glob(f".{path.name}.making*"))
        step += 1
    assert step > 4


def _die_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    count = iter(range(1000))

    def or_die(call: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **named: object) -> object:
            if next(count) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return called

    for name in ("mkdir", "open", "fstat", "fchmod", "fchown", "close", "rename"):
        monkeypatch.setattr(os, name, or_die(getattr(os, name)))


def test_many_at_once_make_one(top: Path) -> None:
    """One of the right mode, at each of many goes: the first may not give a name to what another has not made ready."""
    for number in range(300):
        start = threading.Barrier(4)
        inner = top / f"{number}" / "b"

        def make(inner: Path = inner, start: threading.Barrier = start) -> bool:
            start.wait()
            return make_folder(inner, SHARED, below=inner.parent)

        with ThreadPoolExecutor(4) as pool:
            made = [answer.result() for answer in [pool.submit(make) for _ in range(4)]]
        assert sum(made) == 1
        assert mode(inner.parent) == mode(inner) == SHARED
        assert [path.name for path in inner.parent.iterdir()] == ["b"]
    assert len(list(top.iterdir())) == 300
