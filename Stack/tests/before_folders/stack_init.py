"""What the Docker stack needs before its services start: passwords and folders, made where they are not there yet.

`python -m Src.Shared.stack_init` runs as root in a container of its own and ends. Each service has a volume with its
own secrets and no others. A secret is what the environment says, else what a volume holds already, else new; it is
never printed.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Whose volume holds a copy of which secret.
HOLDERS = {
    "db_password": ("factory-db", "librarian", "service-monitor", "dashboard"),
    "syncthing_api_key": ("syncthing", "service-monitor", "dashboard"),
    "syncthing_gui_password": ("syncthing", "service-monitor"),
    "dashboard_password": ("dashboard",),
    "alert_urls": ("service-monitor",),
}
GIVEN_ONLY = {"alert_urls"}  # none is made: without one there is an empty file
FOLDERS = ("", "Photos_Inbox", "Storage", "Storage/Derivatives", ".run")  # of FACTORY_DATA

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 characters that nobody mistakes for each other: 5 bits each
_GROUPS, _GROUP_LENGTH = 6, 4  # 120 bits, in groups, because people type some of them


class InitError(Exception):
    """The stack cannot be prepared. The message is one line: what, where, what to do."""


@dataclass(frozen=True)
class Owner:
    user: int
    group: int


POSTGRES = Owner(999, 999)  # of the image `postgres`


def prepare(data: Path, volumes: Path, syncthing: Path, owner: Owner, given: Mapping[str, str]) -> None:
    """Makes the folders of `data` and the files `volumes`/SERVICE/SECRET. `given`: secrets that a person has set.

    Raises InitError.
    """
    for folder in FOLDERS:
        _hand_over(data / folder, owner)
    for path in [syncthing, *sorted(syncthing.rglob("*"))]:  # all of it, should PUID have changed
        os.chown(path, owner.user, owner.group, follow_symlinks=False)
    for name, holders in HOLDERS.items():
        files = [volumes / holder / name for holder in holders]
        value = given.get(name) or _known(files) or ("" if name in GIVEN_ONLY else new_secret())
        for holder, file in zip(holders, files, strict=True):
            _write(file, value, POSTGRES if holder == "factory-db" else owner)


def new_secret() -> str:
    """Random, 120 bits, easy to type."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))


def _hand_over(folder: Path, owner: Owner) -> None:
    """Makes a folder; it, and one that is root's because Docker made it, gets its owner. Others are left alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_uid == 0:
            os.chown(folder, owner.user, owner.group)
    except OSError as error:
        raise InitError(
            f"FACTORY_DATA: cannot make {folder} and give it to PUID:PGID {owner.user}:{owner.group} "
            f"({error.strerror}); do that yourself, then run `docker compose up -d` again"
        ) from error


def _known(files: list[Path]) -> str:
    for file in files:
        if file.exists() and (value := file.read_text(encoding="utf-8").strip()):
            return value
    return ""


def _write(file: Path, value: str, owner: Owner) -> None:
    """Complete or not at all, and from the beginning readable by its owner only."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as out:
        os.fchown(out.fileno(), owner.user, owner.group)
        out.write(value)
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)


def _owner(environ: Mapping[str, str]) -> Owner:
    numbers = []
    for name in ("PUID", "PGID"):
        text = environ.get(name, "")
        if not text.isdecimal():
            raise InitError(f"{name}={text}: should be a number; `id -u` and `id -g` tell yours")
        numbers.append(int(text))
    return Owner(*numbers)


def main() -> int:
    given = {name: os.environ.get(name.upper(), "") for name in HOLDERS}
    try:
        prepare(Path("/data"), Path("/secrets"), Path("/syncthing-config"), _owner(os.environ), given)
    except InitError as problem:
        print(problem, file=sys.stderr)
        return 2
    print("Folders and secrets are there.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
