"""What a photo would do that has taken over the process that reads it; each act says what came of it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import TypedDict

DONE = "done"


class Orders(TypedDict):
    """What there is to be harmed or stolen."""

    writable: list[str]  # folders that the process's user may write to
    photo: str  # a file that the process may read
    secret: str  # a file with a secret
    port: int  # of a listening TCP socket on loopback
    unix_socket: str  # the path of a listening socket
    abstract_socket: str  # the name of a listening one
    udp_port: int
    pid: int  # of a process that it did not start


def attempts(orders: Orders) -> dict[str, str]:
    """Tries everything."""
    acts: dict[str, Callable[[], object]] = {
        f"write in {folder}": lambda folder=folder: _write(f"{folder}/left by a photo")  # type: ignore[misc]
        for folder in orders["writable"]
    }
    acts |= {
        f"make a folder in {folder}": lambda folder=folder: os.mkdir(f"{folder}/folder of a photo")  # type: ignore[misc]
        for folder in orders["writable"]
    }
    photo, secret, pid = orders["photo"], orders["secret"], orders["pid"]
    acts |= {
        "read the photo": lambda: _read(photo),
        "overwrite the photo": lambda: _write(photo),
        "truncate the photo": lambda: os.truncate(photo, 0),
        "remove the photo": lambda: os.unlink(photo),
        "rename the photo": lambda: os.rename(photo, f"{photo}.gone"),
        "link the photo": lambda: os.link(photo, f"{photo}.link"),
        "change the photo's mode": lambda: os.chmod(photo, 0o777),
        "change the photo's times": lambda: os.utime(photo, (0, 0)),
        "read the secret": lambda: _read(secret),
        "read its folder": lambda: os.listdir(os.path.dirname(secret)),
        "read another's environment": lambda: _read(f"/proc/{pid}/environ"),
        "read another's command line": lambda: _read(f"/proc/{pid}/cmdline"),
        "read another's memory": lambda: _read(f"/proc/{pid}/maps"),
        "look at all processes": lambda: os.listdir("/proc"),
        "signal another": lambda: os.kill(pid, 0),
        "connect by TCP": lambda: socket.create_connection(("127.0.0.1", orders["port"]), 5).close(),
        "listen": lambda: socket.create_server(("127.0.0.1", 0)).close(),
        "send by UDP": lambda: _datagram(orders["udp_port"]),
        "connect to a socket in the filesystem": lambda: _connect(orders["unix_socket"]),
        "connect to an abstract socket": lambda: _connect("\0" + orders["abstract_socket"]),
        "write by Perl": lambda: _run("perl", "-e", f'open(F, ">", "{orders["writable"][0]}/perl") or exit 13'),
        "write by ExifTool": lambda: _run("exiftool", "-Comment=x", "-o", f"{orders['writable'][0]}/x.jpg", photo),
        "overwrite by ExifTool": lambda: _run("exiftool", "-Comment=x", "-overwrite_original", photo),
        "read by ExifTool": lambda: _run("exiftool", "-b", "-Model", photo),
        "read the secret by Perl": lambda: _run("perl", "-e", f'open(F, "<", "{secret}") or exit 13'),
    }
    return {name: _outcome(act) for name, act in acts.items()}


def secrets_known() -> list[str]:
    """What the environment of this process holds that looks like a secret."""
    return [name for name in os.environ if any(word in name for word in ("PASSWORD", "KEY", "URL", "DB_", "TOKEN"))]


def inherited() -> list[str]:
    """What is open here, beside the standard three, as the kernel names it."""
    found = []
    for number in range(3, 256):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


def _outcome(act: Callable[[], object]) -> str:
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))
    return DONE


def _write(path: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write("harm")


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _connect(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(address)


def _datagram(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"secret", ("127.0.0.1", port))


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, program)
    done = subprocess.run([path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise PermissionError(errno.EACCES, f"exit {done.returncode}")
