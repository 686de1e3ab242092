"""What the Docker stack needs before its services start: passwords and folders, made where they are not there yet.

`python -m Src.Shared.stack_init` runs as root in a container of its own and ends. Each service has a folder with its
own secrets and gets no other. A secret is what the environment says, else what a folder holds already, else new; it is
never printed.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from Src.Shared import stack_roles
from Src.Shared.disk.whole_file import write_whole
from Src.Shared.services import SERVICES
from Src.Shared.stack_folders import FolderRefused, check_links, make_folders
from Src.Shared.vault_marker import LEDGER_NOTE, read_ledger_note, read_marker, refusal_of_stack

# Whose folder holds a copy of which secret.
HOLDERS = {
    **stack_roles.HOLDERS,
    **{
        secret: tuple(holder.name for holder in SERVICES if secret in holder.secrets)
        for service in SERVICES
        for secret in service.secrets
    },
}
GIVEN_ONLY = {"alert_urls"}  # none is made: without one there is an empty file
OF_SYNCTHING = {"syncthing_api_key"}  # only Syncthing itself has it where the stack's Syncthing is left out

README = "README.txt"
NOTES = {
    "ledger": (
        "The database of Photo Factory: PostgreSQL's own files. Do not delete, move or change anything in here.\n"
        "What is known about the photos is lost with it; the photos themselves are in FACTORY_DATA.\n"
        "`git clean -x` would delete it where it lies in the checkout. A backup: ./factory backup FILE\n"
    ),
    "secrets": (
        "The passwords of this Photo Factory's services, a folder for each service. Do not delete them: the database\n"
        "takes no other password than the one in here. `git clean -x` would delete them where they lie in the\n"
        "checkout. ./factory password shows those that people type.\n"
    ),
    "syncthing": (
        "What Syncthing is: its keys, which make its device ID, and its settings. Do not delete it: phones know this\n"
        "device ID and would have to be connected anew. `git clean -x` would delete it where it lies in the checkout.\n"
    ),
}

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 characters that nobody mistakes for each other: 5 bits each
_GROUPS, _GROUP_LENGTH = 6, 4  # 120 bits, in groups, because people type some of them
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class InitError(Exception):
    """The stack cannot be prepared. The message is one line: what, where, what to do."""


@dataclass(frozen=True)
class Owner:
    user: int
    group: int


@dataclass(frozen=True)
class Places:
    """Where this container sees things."""

    data: Path = Path("/data")
    secrets: Path = Path("/secrets")
    syncthing: Path = Path("/syncthing")
    ledger: Path = Path("/ledger")


POSTGRES = Owner(999, 999)  # of the image `postgres`


def prepare(
    places: Places,
    owner: Owner,
    given: Mapping[str, str],
    *,
    with_syncthing: bool = True,
    group: int | None = None,
) -> None:
    """Makes the folders, and the files `secrets`/SERVICE/SECRET. `given`: secrets that a person has set; `group`:
    FACTORY_GROUP.

    Raises InitError.
    """
    try:
        check_links(places.data)
    except FolderRefused as refusal:
        raise InitError(str(refusal)) from refusal
    check_vault(places.data, places.ledger)
    make_ready_for_syncthing(places.syncthing, owner)
    _make_ready_for_ledger(places.ledger)
    _own(places.secrets, owner, 0o755)
    _write_note(places.secrets, "secrets")
    values = {}
    services = sorted({service for holders in HOLDERS.values() for service in holders})
    for name, holders in HOLDERS.items():
        files = [places.secrets / holder / name for holder in holders]
        others = [places.secrets / service / name for service in services if service not in holders]
        value = given.get(name) or _known(files + others) or ("" if name in GIVEN_ONLY else new_secret())
        values[name] = value
        for holder, file in zip(holders, files, strict=True):
            its_owner = POSTGRES if holder == "factory-db" else owner
            file.parent.mkdir(mode=0o700, exist_ok=True)
            _own(file.parent, its_owner, 0o700)
            left_out = name in OF_SYNCTHING and holder != "syncthing" and not with_syncthing
            _keep(file, "" if left_out else value, its_owner)
        for file in others:  # an earlier version gave it to more services
            file.unlink(missing_ok=True)
    for name, text in stack_roles.scripts(values).items():
        _keep(places.secrets / "factory-db" / name, text, POSTGRES)
    _make_folders(places, owner, group)


def new_secret() -> str:
    """Random, 120 bits, easy to type."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))


def _make_folders(places: Places, owner: Owner, group: int | None) -> None:
    plate_id = _known([places.secrets / "librarian" / "plate_id"])
    try:
        make_folders(places.data, (owner.user, owner.group), plate_id, group)
    except FolderRefused as refusal:
        raise InitError(str(refusal)) from refusal
    except OSError as error:
        raise InitError(
            f"FACTORY_DATA: cannot make {error.filename or 'its folders'} and give it to PUID:PGID "
            f"{owner.user}:{owner.group} ({error.strerror}); do that yourself, then run `docker compose up -d` again"
        ) from error


def make_ready_for_syncthing(folder: Path, owner: Owner) -> None:
    """All of it is the owner's, should PUID have changed. Whoever may write there cannot lead root elsewhere."""
    _own(folder, owner, 0o700)
    _write_note(folder, "syncthing")
    for _top, folders, files, opened in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            status = os.stat(name, dir_fd=opened, follow_symlinks=False)
            is_linked = not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1  # it may be another one's file
            if name != README and not is_linked and (status.st_uid, status.st_gid) != (owner.user, owner.group):
                os.chown(name, owner.user, owner.group, dir_fd=opened, follow_symlinks=False)


def check_vault(data: Path, ledger: Path) -> None:
    """Raises InitError where the photos are of another vault than the ledger, or have another one; notes which it is.

    The services compare as well, and for themselves. But then the ledger of one factory runs already on the photos of
    another one.
    """
    originals = data / "Storage" / "Originals"
    marker, known = read_marker(originals), read_ledger_note(ledger)
    if marker is not None and marker.vault_id is not None and known is not None and marker.vault_id != known:
        raise InitError(
            f"the database in FACTORY_DB_DATA belongs to another vault ({known}) than the one in FACTORY_DATA "
            f"({marker.vault_id}): let both name what belongs together. (If they do all the same, delete {LEDGER_NOTE} "
            "beside the database)"
        )
    if reason := refusal_of_stack(originals, ledger, "18/docker/PG_VERSION"):
        raise InitError(reason)


def _make_ready_for_ledger(folder: Path) -> None:
    there = {entry.name for entry in folder.iterdir()} - {
        README,
        LEDGER_NOTE,
        f".{LEDGER_NOTE}.new",
        "lost+found",
        ".moving-in",
    }
    if (folder / "18" / "PG_VERSION").exists():
        raise InitError(
            "FACTORY_DB_DATA names the folder of a database without Docker (./factory up); the stack needs one of its "
            "own: let it name another, or leave it out"
        )
    if there and "18" not in there:
        raise InitError(
            "FACTORY_DB_DATA names a folder that holds something else than a database "
            f"({', '.join(sorted(there)[:3])}); let it name an empty one"
        )
    _own(folder, POSTGRES, 0o755)  # PostgreSQL closes its own folder in there
    _write_note(folder, "ledger")


def _own(folder: Path, owner: Owner, mode: int) -> None:
    status = folder.stat()
    try:
        if (status.st_uid, status.st_gid) != (owner.user, owner.group):
            os.chown(folder, owner.user, owner.group)
        if stat.S_IMODE(status.st_mode) != mode:
            folder.chmod(mode)
    except OSError as error:
        raise InitError(
            f"{folder.name} cannot be given to {owner.user}:{owner.group} ({error.strerror}): a filesystem without "
            "owners? Let FACTORY_DB_DATA, FACTORY_SECRETS and SYNCTHING_CONFIG name folders on one that has them"
        ) from error


def _write_note(folder: Path, which: str) -> None:
    """Says in the folder that it must stay. Written once: whoever deletes the note knows it."""
    file = folder / README
    if not os.path.lexists(file):
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="ascii") as out:
            out.write(NOTES[which])


def _known(files: list[Path]) -> str:
    for file in files:
        if file.exists() and (value := file.read_text(encoding="utf-8").strip()):
            return value
    return ""


def _keep(file: Path, value: str, owner: Owner) -> None:
    write_whole(file, value.encode(), mode=0o400, owner=(owner.user, owner.group))


def _owner(environ: Mapping[str, str]) -> Owner:
    numbers = []
    for name in ("PUID", "PGID"):
        text = environ.get(name, "")
        if not text.isdecimal():
            raise InitError(f"{name}={text}: should be a number; `id -u` and `id -g` show yours")
        numbers.append(int(text))
    return Owner(*numbers)


def _group(environ: Mapping[str, str]) -> int | None:
    text = environ.get("FACTORY_GROUP", "")
    if text and not text.isdecimal():
        raise InitError(f"FACTORY_GROUP={text}: in the stack it should be a number; `getent group {text}` shows it")
    return int(text) if text else None


def _check_name(environ: Mapping[str, str]) -> None:
    name = environ.get("FACTORY_NAME", "")
    if name and not _NAME.fullmatch(name):
        raise InitError(f"FACTORY_NAME={name}: use small letters, digits, - and _, a letter or digit first")


def main() -> int:
    given = {name: os.environ.get(name.upper(), "") for name in HOLDERS}
    try:
        _check_name(os.environ)
        with_syncthing = os.environ.get("SYNCTHING") != "0"
        prepare(Places(), _owner(os.environ), given, with_syncthing=with_syncthing, group=_group(os.environ))
    except InitError as problem:
        print(problem, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print("Folders and secrets are there.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
