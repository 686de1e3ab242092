"""Moves into folders what an earlier version of the stack kept in Docker volumes: ledger, passwords, Syncthing's keys.

`python -m Src.Shared.stack_volumes` runs before `init`, with the engine's socket, because Compose can mount a volume
only where it also makes and deletes it: those of the earlier version are neither made nor deleted by this one. It also
notes in the engine which checkout has the stack's name, and ends the start of another one.

Each old volume is copied beside its new place, synced, compared, and gets its name there in one step. A kill at any
moment leaves a copy that the next start throws away. Old volumes are only read.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import sys
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from Src.Shared import words
from Src.Shared.disk.naming import rename_unless_taken
from Src.Shared.disk.syncing import fsync_folder, syncfs
from Src.Shared.disk.whole_file import write_whole
from Src.Shared.docker_engine import Engine, EngineError
from Src.Shared.vault_marker import MARKER

LEDGER, SYNCTHING = "factory-db-data", "syncthing-config"
SECRETS = tuple(
    f"{service}-secrets" for service in ("librarian", "service-monitor", "dashboard", "factory-db", "syncthing")
)
MAIN_FOLDERS = {LEDGER: "18", SYNCTHING: "config"}  # what makes a volume's new folder complete
WHAT = {LEDGER: "the database", SYNCTHING: "Syncthing's identity"} | dict.fromkeys(SECRETS, "passwords")

STAGE = ".moving-in"
RECORD = "moved-from-volumes.json"  # in the folder of secrets
_CHUNK = 1 << 20


class MoveRefused(Exception):
    """The stack must not start like this. The message says what happened, and what to do."""


@dataclass(frozen=True)
class Places:
    """Where this container sees things."""

    data: Path = Path("/data")
    ledger: Path = Path("/ledger")
    syncthing: Path = Path("/syncthing")
    secrets: Path = Path("/secrets")
    claim: Path = Path("/claim")  # a volume: what is in it belongs to the engine, not to a checkout


@dataclass(frozen=True)
class Myself:
    """This container, as the engine describes it."""

    facts: dict[str, Any]

    @property
    def project(self) -> str:
        return str(self.facts["Config"]["Labels"]["com.docker.compose.project"])

    @property
    def checkout(self) -> str:
        """Its folder on the host."""
        return str(self.facts["Config"]["Labels"]["com.docker.compose.project.working_dir"])

    @property
    def image(self) -> str:
        return str(self.facts["Image"])

    @property
    def volumes(self) -> set[str]:
        return {str(mount["Name"]) for mount in self.facts["Mounts"] if mount["Type"] == "volume"}

    def on_host(self, place: Path) -> str:
        """The host's name for a place, for people."""
        found = (mount for mount in self.facts["Mounts"] if mount["Destination"] == str(place))
        return next((str(mount.get("Name") or mount["Source"]) for mount in found), str(place))


# The stack's name


def claim_name(me: Myself, places: Places) -> None:
    """Notes that this checkout has the stack's name on this engine. Raises MoveRefused where another one has it."""
    mine = {"id": _checkout_id(places.secrets), "folder": me.checkout}
    note = places.claim / "checkout.json"
    theirs = _load(note)
    # A checkout that was moved keeps its id, one that was cloned anew in the same place is the only one there.
    if theirs and theirs.get("id") != mine["id"] and theirs.get("folder") != mine["folder"]:
        raise MoveRefused(
            f"the stack {me.project} on this engine belongs to another checkout, {theirs.get('folder')}. Its "
            "containers have been replaced by those of this one, which do not start; its database, passwords and "
            f"photos are as they were. `docker compose up -d` in {theirs.get('folder')} brings it back. For a second "
            "one set FACTORY_NAME (and the ports) in .env here, see .env.example. To give the name to this checkout "
            "for good: `docker compose down --volumes`, which deletes no database and no password, then "
            "`docker compose up -d`"
        )
    if theirs != mine:
        _save(note, mine)


def _checkout_id(folder: Path) -> str:
    file = folder / "checkout-id"
    with suppress(FileNotFoundError):
        if text := file.read_text(encoding="ascii").strip():
            return text
    made = secrets.token_hex(16)
    write_whole(file, f"{made}\n".encode(), mode=0o644)
    return made


# The old volumes


def move_in(engine: Engine, me: Myself, places: Places, say: Callable[[str], None] = print) -> None:
    """Moves what is in old volumes and not yet in folders. Raises MoveRefused, EngineError, OSError."""
    there = {key: f"{me.project}_{key}" for key in (LEDGER, SYNCTHING, *SECRETS)}
    there = {key: name for key, name in there.items() if name not in me.volumes and engine.has_volume(name)}
    if not there:
        return
    record = _load(places.secrets / RECORD)
    targets = {LEDGER: places.ledger, SYNCTHING: places.syncthing}

    def is_there(key: str) -> bool:
        return os.path.lexists(targets[key] / MAIN_FOLDERS[key])

    if LEDGER in there and LEDGER in record and not is_there(LEDGER):
        raise MoveRefused(
            f"the database was moved from the volume {there[LEDGER]} to a folder at {record[LEDGER]}, and in "
            f"{me.on_host(places.ledger)} there is none: no empty one is started beside it. Put the folder back, or "
            f"let FACTORY_DB_DATA name it; to have the database of that day once more, delete {RECORD} in "
            f"{me.on_host(places.secrets)}; to begin without any, `docker volume rm {there[LEDGER]}`"
        )
    pending = [key for key in there if key not in record]
    wanted = [key for key in pending if key not in targets or not is_there(key)]
    for key in pending:
        if key not in wanted:
            say(f"{me.on_host(targets[key])} has {WHAT[key]} already; the volume {there[key]} stays as it is")
            _clear(targets[key] / STAGE)
            _note(places, key)
    if wanted:
        _check_that_it_is_ours(me, places, [there[key] for key in wanted])
        _move(engine, me, places, {key: there[key] for key in wanted}, say)
    if pending:
        say(f"The old volumes are kept as they were. When all is well: docker volume rm {' '.join(there.values())}")


def _check_that_it_is_ours(me: Myself, places: Places, volumes: list[str]) -> None:
    """The volumes do not say of which checkout they were; its photos do."""
    if not (places.data / "Storage" / "Originals" / MARKER).is_file():
        raise MoveRefused(
            f"on this engine are volumes of an earlier version ({', '.join(volumes)}), and "
            f"{me.on_host(places.data)} holds no vault: they belong to another checkout, or its disk is away, or "
            "FACTORY_DATA names another folder. For a second stack set FACTORY_NAME in .env, see .env.example; if "
            f"nobody needs them: docker volume rm {' '.join(volumes)}"
        )


def _move(engine: Engine, me: Myself, places: Places, volumes: dict[str, str], say: Callable[[str], None]) -> None:
    for name in volumes.values():
        if users := engine.users_of(name):
            raise MoveRefused(f"{', '.join(users)} still uses the volume {name}: docker stop {' '.join(users)}")
    source = f"{me.project}-old-volumes"
    engine.remove_container(source)  # of a start that was killed
    # It never runs: its files can be read all the same, and while it is there nobody can delete the volumes.
    engine.create_container(
        source,
        {
            "Image": me.image,
            "Cmd": ["true"],
            "HostConfig": {
                "Binds": [f"{name}:/old/{key}:ro,nocopy" for key, name in volumes.items()],
                "NetworkMode": "none",
            },
        },
    )
    for key, name in volumes.items():
        if key in MAIN_FOLDERS:
            target = places.ledger if key == LEDGER else places.syncthing
            place = me.on_host(target)
        else:
            target = places.secrets
            place = f"{me.on_host(target)}/{key.removesuffix('-secrets')}"
        say(f"moving {WHAT[key]} from the volume {name} to {place} ...")
        stage = target / STAGE
        count, size = _copy(engine, source, f"/old/{key}", stage)
        if key in MAIN_FOLDERS:
            _put_folders(stage, target, MAIN_FOLDERS[key])
        else:
            _put_secrets(stage, target / key.removesuffix("-secrets"))
        _clear(stage)
        _note(places, key)
        say(f"moved {WHAT[key]}: {words.counted(count, 'file')}, {words.size(size)}, each compared")
    engine.remove_container(source)


def _copy(engine: Engine, source: str, folder: str, stage: Path) -> tuple[int, int]:
    """Copies to a new folder `stage`, brings it to disk and compares it. Returns the number of files and bytes."""
    _clear(stage)
    stage.mkdir(mode=0o700)
    _each(engine, source, folder, lambda member, content: _extract(member, content, stage))
    fd = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(fd)
    finally:
        os.close(fd)
    seen: list[int] = []

    def compare(member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        path = _below(stage, member.name)
        if content is not None:
            if _sha256(content) != _sha256_of(path):
                raise MoveRefused(
                    f"the copy of {member.name} is not equal: is its disk sound? Run `docker compose up -d`"
                )
            seen.append(member.size)
        elif not os.path.lexists(path):
            raise MoveRefused(f"{member.name} is missing in the copy: run `docker compose up -d` again")

    _each(engine, source, folder, compare)
    return len(seen), sum(seen)


def _each(engine: Engine, source: str, folder: str, work: Callable[[tarfile.TarInfo, IO[bytes] | None], None]) -> None:
    with engine.files(source, folder) as stream:
        try:
            with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as tar:
                for member in tar:
                    work(member, tar.extractfile(member) if member.isreg() else None)
        except tarfile.TarError as error:
            raise EngineError(f"what the Docker Engine sends of {folder} is no whole archive: {error}") from error
        stream.finish()


def _extract(member: tarfile.TarInfo, content: IO[bytes] | None, stage: Path) -> None:
    path = _below(stage, member.name)
    if member.isdir():
        path.mkdir(exist_ok=True)
    elif content is not None:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
    elif member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        os.link(_below(stage, member.linkname), path, follow_symlinks=False)
        return
    else:
        raise MoveRefused(f"{member.name} in the old volume is neither a file nor a folder; remove it there")
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        path.chmod(member.mode & 0o7777)
    if content is not None:
        os.utime(path, (member.mtime, member.mtime))


def _below(stage: Path, name: str) -> Path:
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    if ".." in parts or "/" in parts:
        raise EngineError(f"what the Docker Engine sends leads outside of its folder: {name!r}")
    return stage.joinpath(*parts)


def _sha256(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.digest()


def _sha256_of(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # from the disk, not from memory
        return _sha256(file)


def _put_folders(stage: Path, target: Path, main: str) -> None:
    """The main folder comes last: once it is there, all is."""
    for name in sorted(os.listdir(stage), key=lambda name: name == main):
        with suppress(FileExistsError):  # of a start that was killed here
            rename_unless_taken(stage / name, target / name)
    fsync_folder(target)


def _put_secrets(stage: Path, target: Path) -> None:
    target.mkdir(mode=0o700, exist_ok=True)
    for name in os.listdir(stage):
        if not name.startswith("."):
            with suppress(FileExistsError):
                rename_unless_taken(stage / name, target / name)
    fsync_folder(target)


def _clear(stage: Path) -> None:
    if os.path.lexists(stage):
        shutil.rmtree(stage)


def _note(places: Places, key: str) -> None:
    record = _load(places.secrets / RECORD)
    _save(places.secrets / RECORD, record | {key: datetime.now(UTC).isoformat(timespec="seconds")})


# Small files


def _load(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise MoveRefused(
            f"{path.name} cannot be understood; delete it (docker compose down --volumes does for the claim)"
        )
    return {str(key): str(value) for key, value in found.items()}


def _save(path: Path, value: dict[str, str]) -> None:
    write_whole(path, f"{json.dumps(value)}\n".encode(), mode=0o644)


def main() -> int:
    try:
        engine, places = Engine(), Places()
        me = Myself(engine.container(socket.gethostname()))
        claim_name(me, places)
        move_in(engine, me, places, lambda text: print(text, flush=True))
    except (MoveRefused, EngineError) as problem:
        print(problem, file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"{error.filename}: {error.strerror}; nothing was lost, run `docker compose up -d` again", file=sys.stderr
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
