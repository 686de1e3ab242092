"""The vault's marker: the file that tells a vault from an empty mount point, and which ledger belongs to it.

Nothing but the standard library: the stack's init reads it too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MARKER = ".photo-factory-vault"
MARKER_TEXT = (
    "This file marks the vault of a Photo Factory. An empty mount point does not have it,\n"
    "so nothing is ever filed into a folder whose disk is missing. Keep it with the originals.\n"
)
LEDGER_NOTE = "vault-id"  # beside a ledger's files: which vault the ledger belongs to

_NEW = f"{MARKER}.new"
_LONGEST = 65_536  # bytes; a marker has some hundred
_VAULT_ID = re.compile(r"^vault_id: ([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})$", re.MULTILINE)
_LEDGER = re.compile(r"^ledger: (\S.*)$", re.MULTILINE)
_RECORDED = re.compile(r"^recorded: yes$", re.MULTILINE)
_YEAR = re.compile(r"\d{4}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Marker:
    """What a marker says. One of an earlier version, or one that a person made, says nothing."""

    vault_id: uuid.UUID | None = None
    ledger: str | None = None  # which kind of ledger belongs to the vault, see `ledger_kind`
    recorded: bool = False  # that ledger has had rows of originals: an empty one is not it

    @property
    def text(self) -> str:
        """The file's content."""
        lines = [MARKER_TEXT]
        if self.vault_id is not None:
            lines.append(f"\nvault_id: {self.vault_id}\n")
        if self.ledger is not None:
            lines.append(f"ledger: {self.ledger}\n")
        if self.recorded:
            lines.append("recorded: yes\n")
        return "".join(lines)


def read_marker(originals: Path) -> Marker | None:
    """The vault's marker; None where there is none. Raises OSError where that cannot be told."""
    try:
        fd = os.open(originals / MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        text = file.read(_LONGEST).decode(errors="replace")
    vault_id, ledger = _VAULT_ID.search(text), _LEDGER.search(text)
    return Marker(
        uuid.UUID(vault_id[1]) if vault_id is not None else None,
        ledger[1].strip() if ledger is not None else None,
        _RECORDED.search(text) is not None,
    )


def change_marker(originals: Path, change: Callable[[Marker], Marker]) -> Marker:
    """Rewrites the marker, or makes it, durably: the whole new file stands there, or the old one as it was.

    Raises OSError.
    """
    with _locked(originals) as folder:
        old = read_marker(originals)
        new = change(old or Marker())
        if new != old:
            _replace(folder, new.text)
        return new


def _replace(folder: int, text: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # what a killed process left
        os.unlink(_NEW, dir_fd=folder)
    try:
        old: os.stat_result | None = os.stat(MARKER, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        old = None
    fd = os.open(_NEW, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            if old is not None and stat.S_ISREG(old.st_mode):  # root must not lock out the one who owns the photos
                with contextlib.suppress(OSError):
                    os.fchmod(fd, stat.S_IMODE(old.st_mode) | 0o400)
                with contextlib.suppress(OSError):
                    os.fchown(fd, old.st_uid, old.st_gid)
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.rename(_NEW, MARKER, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(_NEW, dir_fd=folder)
        raise
    os.fsync(folder)


def drop_half_written(originals: Path) -> None:
    """Removes what a kill in the middle of `change_marker` has left. Raises OSError."""
    if os.path.lexists(originals / _NEW):
        with _locked(originals) as folder, contextlib.suppress(FileNotFoundError):
            os.unlink(_NEW, dir_fd=folder)


@contextlib.contextmanager
def _locked(originals: Path) -> Iterator[int]:
    folder = os.open(originals, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a network share may lock no folders; what is written is the same then
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(folder)


def holds_originals(originals: Path) -> bool:
    """Whether any file stands in a day's folder of the vault. Raises OSError where that cannot be told."""
    return any(
        not name.startswith(".") and stat.S_ISREG(status.st_mode) and status.st_size
        for year, _ in _folders(originals, _YEAR)
        for day, _ in _folders(year, _DAY)
        for name, status in _entries(day)
    )


def _folders(folder: Path, names: re.Pattern[str]) -> Iterator[tuple[Path, os.stat_result]]:
    for name, status in _entries(folder):
        if names.fullmatch(name) and stat.S_ISDIR(status.st_mode):
            yield folder / name, status


def _entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return


def write_ledger_note(folder: Path, vault_id: uuid.UUID) -> None:
    """Notes beside a ledger's files which vault it belongs to; whole or not at all. Raises OSError."""
    note = folder / LEDGER_NOTE
    if read_ledger_note(folder) == vault_id:
        return
    new = note.with_name(f".{LEDGER_NOTE}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
        owner = folder.stat()
        with contextlib.suppress(OSError):
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(f"{vault_id}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(note)


def read_ledger_note(folder: Path) -> uuid.UUID | None:
    """The vault to which the ledger of this folder belongs; None: no note says it."""
    try:
        return uuid.UUID((folder / LEDGER_NOTE).read_text(encoding="ascii", errors="replace").strip())
    except (OSError, ValueError):
        return None


def against_a_new_ledger(originals: Path, kind: str, where: str, *, may_be_full: bool = False) -> str | None:
    """Why no new, empty ledger of this kind may be made (at `where`) for a vault; None: it may.

    The vault has a ledger of another kind, or originals (`may_be_full`: a person knows that): an empty ledger beside
    it would be taken for a new factory's.
    """
    try:
        marker, full = read_marker(originals), holds_originals(originals)
    except OSError as error:
        return f"no new database is made, because the vault {originals} cannot be looked at: {error.strerror}"
    if marker is not None and marker.ledger is not None and not same_kind(marker.ledger, kind):
        return second_ledger(originals, marker.ledger, kind)
    if full and not may_be_full:
        return (
            f"the vault {originals} has originals, and their database is not at {where}: restore a backup "
            "(./factory restore FILE), or make it anew from the vault (./factory rebuild --missing), or let "
            "FACTORY_DATA, FACTORY_DB_DATA or DATABASE_URL name the right ones"
        )
    return None


def refusal_of_stack(originals: Path, ledger: Path, made: str) -> str | None:
    """For the stack's init, before PostgreSQL makes or starts a ledger in a folder: why it must not; None: it may.

    `made`: the file in it that shows that a ledger is there. One that is there is noted as the vault's; whether it is,
    the Librarian finds out, and then the dashboard can tell. Raises OSError.
    """
    if not (ledger / made).exists():
        # A lost one is made anew empty, for a restore or a rebuild: until then nothing is filed.
        return against_a_new_ledger(originals, "stack", str(ledger), may_be_full=True)
    marker = read_marker(originals)
    is_its_own = marker is not None and marker.ledger == "stack" and read_ledger_note(ledger) is None
    if is_its_own and marker is not None and marker.vault_id is not None:
        write_ledger_note(ledger, marker.vault_id)
    return None


def second_ledger(originals: Path | str, belongs: str, kind: str) -> str:
    """The sentence for a ledger of another kind than the one that belongs to the vault."""
    start = {
        "stack": "start the stack (docker compose up -d)",
        "embedded": "leave DATABASE_URL and DB_HOST unset",
    }.get(belongs.partition(" ")[0], f"let DATABASE_URL name it ({belongs.partition(' ')[2]})")
    return (
        f"the database of the vault {originals} is {_named(belongs)}, and a second one ({_named(kind)}) is refused: "
        f"{start}, or point FACTORY_DATA to another factory"
    )


def same_kind(one: str, other: str) -> bool:
    """Whether two ledgers are of one kind; external ones may have changed their host's name."""
    return one.partition(" ")[0] == other.partition(" ")[0]


def _named(kind: str) -> str:
    word, _, where = kind.partition(" ")
    return {"stack": "the Docker stack's", "embedded": "the embedded one"}.get(word, f"the external one at {where}")
