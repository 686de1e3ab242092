"""The folders of FACTORY_DATA that Docker mounts: made without following a link, and recognised by who gets them.

Docker follows links. Who may write in FACTORY_DATA could put one in the place of a folder that a container gets by
itself, and that service would read and write somewhere else. So `init` refuses links and hangs a nameplate into each
folder, and a service looks for the plate before it starts. A disk that is not mounted shows in the same way: Docker
makes an empty folder in its place, without a plate.

`python -m Src.Shared.stack_folders [--no-links] [--plate FOLDER]... -- COMMAND` looks, then becomes the command.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from Src.Shared.disk.beneath import lstat_beneath, open_beneath, parent_beneath
from Src.Shared.disk.making import DROP_ZONE, PRIVATE, SHARED
from Src.Shared.vault_marker import MARKER

FOLDERS = ("Photos_Inbox", "Storage", "Storage/Derivatives", ".run")  # Docker mounts these, or what is in them
# An empty folder that the dashboard gets in the place of the one that it is in: there is the key of the signed lists.
_COVER = ("Storage/.factory", "Storage/.factory/manifests", "Storage/.factory/manifests/.nothing")
NO_LINKS = (*FOLDERS, "Storage/Originals", *_COVER)
_MARKER = f"Storage/Originals/{MARKER}"
PLATE = ".photo-factory"  # a folder in each; the monitor gets nothing else of inbox and storage
_PLATE_FILE = "nameplate"
_LONGEST = 1000  # bytes that are read of a plate

Owner = tuple[int, int]  # user and group


class FolderRefused(Exception):
    """A folder is not what it should be. The message is one line."""


def make_folders(data: Path, owner: Owner, plate_id: str, group: int | None = None) -> None:
    """Makes the folders, for root: what is root's, because Docker made it, goes to its owner. Others keep theirs.

    `group`: who may look at photos besides their owner, and put some into an inbox that is made here. A folder that is
    there keeps its mode. Raises FolderRefused and OSError.
    """
    modes = {"Photos_Inbox": PRIVATE if group is None else DROP_ZONE, "Storage/Derivatives": SHARED, ".run": PRIVATE}
    with _opened(data) as root:
        refuse_links(root)
        _give_what_is_roots(root, owner)
        for relative in FOLDERS:
            is_new = False
            with parent_beneath(root, relative) as (parent, name), contextlib.suppress(FileExistsError):
                os.mkdir(name, PRIVATE, dir_fd=parent)
                is_new = True
            folder = _open(root, relative)
            try:
                _give_what_is_roots(folder, owner)
                if is_new:
                    if group is not None and relative != ".run":
                        os.fchown(folder, -1, group)
                    os.fchmod(folder, modes.get(relative, 0o755 if group is None else SHARED))
                _hang(folder, relative, plate_id, owner)
            finally:
                os.close(folder)
        for relative in _COVER:
            with parent_beneath(root, relative) as (parent, name), contextlib.suppress(FileExistsError):
                os.mkdir(name, PRIVATE, dir_fd=parent)
            folder = _open(root, relative)
            try:
                _give_what_is_roots(folder, owner)
            finally:
                os.close(folder)


def hang_missing_plates(data: Path, plate_id: str) -> None:
    """Hangs plates again where a person has tidied them away. Only where the vault is: its disk is mounted then.

    Raises FolderRefused and OSError.
    """
    with _opened(data) as root:
        try:
            lstat_beneath(root, _MARKER)
        except (FileNotFoundError, NotADirectoryError):
            return
        for relative in FOLDERS:
            try:
                folder = _open(root, relative)
            except FileNotFoundError:
                continue
            try:
                if _plate(folder) is None:
                    _hang(folder, relative, plate_id, None)
            finally:
                os.close(folder)


def check_links(data: Path) -> None:
    """Raises FolderRefused where a link or a file stands in a folder's place, and OSError."""
    with _opened(data) as root:
        refuse_links(root)


def refuse_links(root: int) -> None:
    """Raises FolderRefused where a link or a file stands in a folder's place below the open folder."""
    for relative in NO_LINKS:
        with contextlib.suppress(FileNotFoundError):
            os.close(_open(root, relative))


def check_plate(root: int, relative: str, plate_id: str) -> None:
    """Raises FolderRefused where the folder, or the part of it that is mounted, is not the one that `init` made."""
    try:
        folder = _open(root, relative)
    except FileNotFoundError:
        raise FolderRefused(_stranger(relative)) from None
    try:
        if _plate(folder) != _text(relative, plate_id):
            raise FolderRefused(_stranger(relative))
    finally:
        os.close(folder)


def is_made_by_docker(root: int, relative: str) -> bool:
    """Whether the folder is root's and empty: what Docker makes where there is none. Nobody else may write in it."""
    folder = _open(root, relative)
    try:
        return os.fstat(folder).st_uid == 0 and not os.listdir(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _opened(data: Path) -> Iterator[int]:
    root = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield root
    finally:
        os.close(root)


def _open(root: int, relative: str) -> int:
    """Raises FolderRefused where there is something else than a folder, and FileNotFoundError where nothing is."""
    try:
        return open_beneath(root, relative, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FolderRefused(
                f"FACTORY_DATA/{relative} is a link, or a link leads to it: Docker would follow it, and somebody else "
                "may have put it there; put the folder itself there (or mount its disk there)"
            ) from None
        if error.errno == errno.ENOTDIR:
            raise FolderRefused(f"FACTORY_DATA/{relative} is not a folder; move away what stands there") from None
        raise


def _give_what_is_roots(folder: int, owner: Owner) -> None:
    if os.fstat(folder).st_uid == 0:
        os.fchown(folder, *owner)


def _hang(folder: int, relative: str, plate_id: str, owner: Owner | None) -> None:
    """The plate is whole or not there; `owner`: who gets it, where root hangs it."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(PLATE, 0o755, dir_fd=folder)
    plate = _open(folder, PLATE)
    try:
        if owner is not None and os.fstat(plate).st_uid != owner[0]:
            os.fchown(plate, *owner)
            os.fchmod(plate, 0o755)
        text = _text(relative, plate_id)
        if _read(plate, _PLATE_FILE) == text:
            return
        new = f".{_PLATE_FILE}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=plate)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o644, dir_fd=plate), "w", encoding="ascii") as file:
            if owner is not None and os.fstat(file.fileno()).st_uid != owner[0]:
                os.fchown(file.fileno(), *owner)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, _PLATE_FILE, src_dir_fd=plate, dst_dir_fd=plate)
    finally:
        os.close(plate)


def _plate(folder: int) -> str | None:
    """What the plate says; the folder may itself be the plate's own, mounted by itself."""
    text = _read(folder, f"{PLATE}/{_PLATE_FILE}")
    return text if text is not None else _read(folder, _PLATE_FILE)


def _read(folder: int, relative: str) -> str | None:
    try:
        fd = open_beneath(folder, relative, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        return file.read(_LONGEST).decode("ascii", "replace") if stat.S_ISREG(os.fstat(fd).st_mode) else None


def _text(relative: str, plate_id: str) -> str:
    return f"{relative} {plate_id}\n"


def _stranger(relative: str) -> str:
    return (
        f"the folder mounted as FACTORY_DATA/{relative} is not the one that `docker compose up -d` has made: its disk "
        "is not mounted, or it was replaced. Once it is right, run `docker compose up -d`"
    )


def look(data: Path, plates: list[str], plate_id: str, *, no_links: bool, goes_on: bool) -> None:
    """Raises FolderRefused for what a service may not be given. `goes_on`: an empty folder of Docker's is taken."""
    with _opened(data) as root:
        if no_links:
            refuse_links(root)
        for relative in plates:
            try:
                check_plate(root, relative, plate_id)
            except FolderRefused as refusal:
                if not (goes_on and is_made_by_docker(root, relative)):
                    raise
                print(f"{refusal}; going on without it", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Becomes the command; the exit code where it may not start."""
    parser = argparse.ArgumentParser(prog="stack_folders", description="Look at the mounted folders, then go on.")
    parser.add_argument("--data", type=Path, default=Path("/data"))
    parser.add_argument("--id", type=Path, default=Path("/run/factory-secrets/plate_id"), metavar="FILE")
    parser.add_argument("--no-links", action="store_true", help="all of FACTORY_DATA is mounted: no link in it")
    parser.add_argument("--plate", action="append", default=[], metavar="FOLDER", help="is mounted by itself")
    parser.add_argument("--hang", action="store_true", help="hang plates that are missing")
    parser.add_argument("--go-on", action="store_true", help="also where a disk is not mounted")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    try:
        plate_id = options.id.read_text(encoding="ascii").strip()
        look(options.data, options.plate, plate_id, no_links=options.no_links, goes_on=options.go_on)
        if options.hang:
            with contextlib.suppress(OSError):  # a full disk: services that miss one say so themselves
                hang_missing_plates(options.data, plate_id)
    except FolderRefused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    os.execvp(options.command[0], options.command)
    return 2  # never reached


if __name__ == "__main__":
    sys.exit(main())
