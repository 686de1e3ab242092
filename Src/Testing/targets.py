"""Things that a hostile photo would like to reach, and whether it has: real files, sockets and a process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from Src.Testing.hostile_acts import DONE, Orders

READS = {"read the photo", "read by ExifTool"}


@dataclass
class Targets:
    """What stands around a process that reads photos."""

    orders: Orders
    folders: list[Path]
    before: dict[Path, bytes]

    def harmed(self) -> list[str]:
        """What is not as it was."""
        now = _files(self.folders)
        return sorted(str(path) for path in now.keys() ^ self.before.keys() | _changed(now, self.before))


@contextmanager
def targets(photo: Path, vault: Path, folder: Path) -> Iterator[Targets]:
    """`folder`: one that the process has no business in."""
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        sockets = Path(tempfile.mkdtemp(prefix="pf-"))  # a short path
        stack.callback(shutil.rmtree, sockets)
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(sockets / "socket"))
        unix.listen()
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0pf-{os.getpid()}-{sockets.name}")
        abstract.listen()
        secret = folder / "secret"
        secret.write_text("password")
        sleeper = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=-1)
        )
        folders = [photo.parent, vault, folder]
        orders = Orders(
            writable=[*map(str, folders), tempfile.gettempdir(), "/dev/shm", "/proc/self"],
            photo=str(photo),
            secret=str(secret),
            port=tcp.getsockname()[1],
            unix_socket=str(sockets / "socket"),
            abstract_socket=f"pf-{os.getpid()}-{sockets.name}",
            udp_port=udp.getsockname()[1],
            pid=sleeper.pid,
        )
        yield Targets(orders, folders, {})


def look(target: Targets) -> None:
    """Notes how everything is."""
    target.before = _files(target.folders)


def succeeded(acts: dict[str, str]) -> set[str]:
    return {name for name, came_of_it in acts.items() if came_of_it == DONE}


def _files(folders: list[Path]) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def _changed(now: dict[Path, bytes], before: dict[Path, bytes]) -> set[Path]:
    return {path for path in now.keys() & before.keys() if now[path] != before[path]}
