"""The mirror: every event of the ledger once more beside the vault, in `Storage/Overlay/YYYY/YYYY-MM.jsonl`.

An outbox: events that are not marked as mirrored are appended in their order, fsynced, then marked. A kill in between
writes some of them twice; whoever reads drops what has come already. Of two decisions about one original the later one
always stands later: it waited for the first one's transaction, and the file that lines go to never goes back in time.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, any_, exists, func, literal, not_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.overlay.lines import ActLine, EventLine, line_of_act, line_of_event, read_line
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Shared.database import Database
from Src.Shared.disk.beneath import open_beneath, open_folder
from Src.Shared.disk.locks import open_lock, take
from Src.Shared.disk.making import PRIVATE, PRIVATE_FILE, make_folder, make_in
from Src.Shared.disk.syncing import fsync
from Src.Shared.models import Act, OverlayEvent

FOLDER = "Overlay"
_AT_ONCE = 5000
_END = 1 << 18  # bytes in which the last events are looked for: about a thousand, and one with the longest description
_PATIENCE = 30.0  # seconds for another process that writes there
_YEAR = re.compile(r"\d{4}")
_MONTH = re.compile(r"(\d{4})-(?:0[1-9]|1[0-2])\.jsonl")
_TO_LIST = os.O_RDONLY | os.O_DIRECTORY


class Unread(NamedTuple):
    """A line, or a file, that cannot be read: where, and why."""

    where: str
    why: str


class Mirror:
    """The overlay's files of one vault."""

    def __init__(self, vault: Vault, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._vault = vault
        self._now = now

    def bring_up(self, database: Database, belonging: Belonging | None) -> int:
        """Appends what the ledger has and the mirror has not; how many events. Cheap where that is none.

        `belonging`: knows that ledger and vault belong together; None: the caller has made sure. Raises VaultTrouble,
        and LedgerUnavailable.
        """
        with database.session() as session:
            if session.execute(select(exists().where(not_(OverlayEvent.is_mirrored)))).scalar() is not True:
                return 0
        self._vault.check()
        written = 0
        with self._lock():
            self._forget_if_lost(database)
            while True:
                with database.session() as session:
                    if belonging is not None:
                        belonging.check(session)
                    events = _waiting(session)
                    acts = _acts_of(session, events)
                if not events:
                    return written
                self._append(acts, events)
                with database.session() as session:
                    seqs = [one.seq for one in events]
                    these = OverlayEvent.seq == any_(literal(seqs, ARRAY(BigInteger)))
                    session.execute(update(OverlayEvent).where(these).values(is_mirrored=True))
                written += len(events)

    def read(self, unread: list[Unread]) -> Iterator[ActLine | EventLine]:
        """All lines in their order, each act and event once; what cannot be read is added to `unread`.

        Raises VaultTrouble.
        """
        seen: set[uuid.UUID] = set()
        for where, line in self._lines(unread):
            try:
                one = read_line(line)
            except ValueError as error:
                unread.append(Unread(where, str(error)))
                continue
            if one.id not in seen:
                seen.add(one.id)
                yield one

    def knows_more(self, session: Session) -> bool:
        """Whether one of its last decisions is none of the ledger's: then that was restored from an older backup.

        Of its last ones, not the very last: what is decided after the restore stands behind what the ledger lacks.
        Raises VaultTrouble.
        """
        ids: set[uuid.UUID] = set()
        left = _END
        for path in reversed(self.files()):  # a month may just have begun
            with vault_trouble(f"read {path}"), self._opened(path) as fd:
                size = os.fstat(fd).st_size
                end = os.pread(fd, left, max(0, size - left))
            ids |= _events_in(end)
            left -= len(end)
            if left <= 0:
                break
        known = select(func.count()).where(OverlayEvent.id == any_(literal(list(ids), ARRAY(UUID(as_uuid=True)))))
        return bool(ids) and session.execute(known).scalar_one() < len(ids)

    def files(self) -> list[str]:
        """The files, relative to the storage root, in the order of time. Raises VaultTrouble."""
        with vault_trouble(f"read {self._vault.storage / FOLDER}"), self._top() as top:
            if top is None:
                return []
            return [f"{FOLDER}/{year}/{name}" for year in _years(top) for name in _months(top, year)]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        doing = f"write {self._vault.storage / FOLDER}"
        with vault_trouble(doing):
            make_folder(self._vault.state, PRIVATE)
            fd = open_lock(self._vault.state / "overlay.lock")
        try:

            def waiting(seconds: float) -> None:
                if seconds > _PATIENCE:
                    raise VaultTrouble(f"cannot {doing}: another process has been writing there for {seconds:.0f} s")

            with vault_trouble(doing):
                take(fd, waiting)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def _top(self) -> Iterator[int | None]:
        """The open folder of all of them; None where there is none."""
        storage = open_folder(self._vault.storage)
        try:
            top = open_beneath(storage, FOLDER, _TO_LIST)
        except FileNotFoundError:
            yield None
            return
        finally:
            os.close(storage)
        try:
            yield top
        finally:
            os.close(top)

    def _forget_if_lost(self, database: Database) -> None:
        """Where nothing of the mirror is there any more, all of it is written anew."""
        if not self.files():
            with database.session() as session:
                session.execute(update(OverlayEvent).where(OverlayEvent.is_mirrored).values(is_mirrored=False))

    def _append(self, acts: Sequence[Act], events: Sequence[OverlayEvent]) -> None:
        lines: list[str] = []
        of_id = {act.id: act for act in acts}
        for event in events:
            act = of_id.pop(event.act_id, None)
            if act is not None:
                lines.append(line_of_act(act))
            lines.append(line_of_event(event))
        with vault_trouble(f"write {self._vault.storage / FOLDER}"):
            storage = os.open(self._vault.storage, _TO_LIST | os.O_CLOEXEC)
            try:
                top = _made(storage, FOLDER)
            finally:
                os.close(storage)
            try:
                name = self._newest(top)
                year = _made(top, name[:4])
                try:
                    _append_to(year, name, "".join(lines).encode())
                finally:
                    os.close(year)
            finally:
                os.close(top)

    def _newest(self, top: int) -> str:
        """The file to write into: this month's, or a later one that a wrong clock has made."""
        last = [name for year in _years(top)[-1:] for name in _months(top, year)[-1:]]
        return max([f"{self._now():%Y-%m}.jsonl", *last])

    def _lines(self, unread: list[Unread]) -> Iterator[tuple[str, bytes]]:
        for path in self.files():
            try:
                with vault_trouble(f"read {path}"), self._opened(path) as fd, open(fd, "rb", closefd=False) as file:
                    for number, line in enumerate(file, 1):
                        if line.strip():
                            yield f"{path}:{number}", line
            except VaultTrouble as error:
                unread.append(Unread(path, str(error)))

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        storage = open_folder(self._vault.storage)
        try:
            fd = open_beneath(storage, path, os.O_RDONLY | os.O_NONBLOCK)
        finally:
            os.close(storage)
        try:
            _refuse_what_is_no_file(fd, path)
            yield fd
        finally:
            os.close(fd)


def _events_in(lines: bytes) -> set[uuid.UUID]:
    """The ids of the events in some lines, of which the first may be half of one."""
    found: set[uuid.UUID] = set()
    for line in lines.split(b"\n"):
        try:
            one = read_line(line)
        except ValueError:  # empty, cut off, or none of ours
            continue
        if isinstance(one, EventLine):
            found.add(one.id)
    return found


def _waiting(session: Session) -> Sequence[OverlayEvent]:
    asked = select(OverlayEvent).where(not_(OverlayEvent.is_mirrored)).order_by(OverlayEvent.seq).limit(_AT_ONCE)
    return session.scalars(asked).all()


def _acts_of(session: Session, events: Sequence[OverlayEvent]) -> Sequence[Act]:
    ids = list({one.act_id for one in events})
    return session.scalars(select(Act).where(Act.id == any_(literal(ids, ARRAY(UUID(as_uuid=True)))))).all()


def _made(parent: int, name: str) -> int:
    """A folder in an open one, made durably where it is missing, open."""
    try:
        return open_beneath(parent, name, _TO_LIST)
    except FileNotFoundError:
        make_in(parent, name, PRIVATE)
        fd = open_beneath(parent, name, _TO_LIST)
        fsync(parent)
        return fd


def _append_to(folder: int, name: str, data: bytes) -> None:
    """Durably; all, or, where OSError is raised, nothing that counts."""
    fd = open_beneath(folder, name, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, PRIVATE_FILE)
    try:
        _refuse_what_is_no_file(fd, name)
        end = os.fstat(fd).st_size
        if end and os.pread(fd, 1, end - 1) != b"\n":  # a line that was cut off stays one of its own
            data = b"\n" + data
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            fsync(fd)
            if not end:
                fsync(folder)
        except OSError:
            os.ftruncate(fd, end)
            raise
    finally:
        os.close(fd)


def _refuse_what_is_no_file(fd: int, name: str) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, "something else than a file stands there", name)


def _years(top: int) -> list[str]:
    return sorted(name for name in os.listdir(top) if _YEAR.fullmatch(name))


def _months(top: int, year: str) -> list[str]:
    fd = open_beneath(top, year, _TO_LIST)
    try:
        return sorted(name for name in os.listdir(fd) if (month := _MONTH.fullmatch(name)) and month[1] == year)
    finally:
        os.close(fd)
