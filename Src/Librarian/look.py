"""The look at all originals: is each still there, as it was filed? In the background, idle and bounded.

It runs in a thread of its own, shortly after watching has begun and each night, and reads a file only where its time
has changed. (To read every file again and again is custody's work, to come.) What it finds is in the ledger until the
file is right again; it repairs nothing. A vault that is not there has no missing originals.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from sqlalchemy import Table, and_, any_, delete, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.finding_rows import (
    ONLY_READING_TAKES_BACK,
    KnownTime,
    Wrong,
    note_right,
    note_times,
    note_wrong,
    times_when_filed,
)
from Src.Library.findings import Findings, read_findings
from Src.Library.operation import Operation
from Src.Library.operations import Operations
from Src.Library.original_path import is_path
from Src.Library.running_operation import RunningOperation
from Src.Library.vault import Vault
from Src.Library.vault_here import check_here, open_originals
from Src.Library.vault_trouble import VaultTrouble
from Src.Shared.database import Database, LedgerUnavailable, asking
from Src.Shared.disk.files import OPEN_FLAGS
from Src.Shared.disk.filesystem import NO_MODES, NO_TIMES, filesystem_type
from Src.Shared.idle import be_idle
from Src.Shared.ledger_text import from_ledger, int8, to_ledger
from Src.Shared.models import IngestEvent, MediaAsset, OriginalFinding, OriginalLook, VaultRow
from Src.Shared.services import LIBRARIAN
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

KIND = "look"  # of operation
NIGHT = 3  # o'clock
FIRST_NAMES = 3  # in a heartbeat
_PAGE = 500
_REST = 3.0  # times as long as it has worked
_LEAST_REST = 0.02  # seconds after a page
_AGAIN = 300.0  # seconds until what was found is looked at again
_MOST_AGAIN = 500
_WHILE_AWAY = 30.0  # seconds until the ledger is asked again
_TICK = 1.0
_GOES_ON_WITHIN = timedelta(hours=12)
_CHUNK = 1 << 20
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_ASSETS = cast(Table, MediaAsset.__table__)
_EVENTS = cast(Table, IngestEvent.__table__)
_FINDINGS = cast(Table, OriginalFinding.__table__)
_LOOKS = cast(Table, OriginalLook.__table__)
_VAULT = cast(Table, VaultRow.__table__)


class _Row(NamedTuple):
    """An original, and what is known of its file."""

    id: uuid.UUID
    final_path: str  # ledger text
    size: int
    sha256: str
    ingested_at: datetime
    mtime_ns: int | None  # with which its bytes are known to be right
    is_remembered: bool  # that time is in `original_looks`
    found: str | None


class _Seen(NamedTuple):
    """A file as it was looked at."""

    finding: str | None
    message: str = ""
    mtime_ns: int | None = None  # to be remembered: its bytes are right


@dataclass(slots=True)
class _Day:
    """The folder that was looked into last."""

    path: tuple[str, str]
    fd: int | None
    error: OSError | None


class OriginalsLook:
    """Looks at all originals until told to stop."""

    def __init__(
        self,
        settings: Settings,
        vault: Vault,
        database: Database,
        belonging: Belonging,
        *,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._delay = settings.look_delay
        self._operations = Operations(settings, database)
        self._working: RunningOperation | None = None
        self._vault = vault
        self._database = database
        self._belonging = belonging
        self._now = now or (lambda: datetime.now(settings.zone))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="look", daemon=True)
        self.findings = Findings()

    def start(self) -> None:
        """Begins, some time from now."""
        self._thread.start()

    def stop(self) -> None:
        """Ends soon. Signal-safe."""
        self._stopping.set()

    def join(self, limit: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(limit)

    def _run(self) -> None:
        be_idle()
        due, again = time.monotonic() + self._delay, 0.0
        night: datetime | None = None
        known = False
        while not self._stopping.wait(_TICK):
            if self._belonging.vault_id is None:  # nobody knows yet whose ledger it is
                continue
            try:
                if not known:
                    self._read_findings()
                    known = True
                if night is not None and self._now() >= night:
                    due = 0.0
                if time.monotonic() >= due:
                    self.look()
                    due, night = float("inf"), self._next_night()
                elif self.findings.count and time.monotonic() >= again:
                    self.look_again()
                    again = time.monotonic() + _AGAIN
            except LedgerUnavailable:
                self._stopping.wait(_WHILE_AWAY)
            except VaultTrouble as trouble:
                logger.debug("no look at the originals now: %s", trouble)
                self._stopping.wait(_WHILE_AWAY)
            except Exception:
                logger.exception("a defect, please report it: the look at all originals has ended")
                known, due, night = True, float("inf"), self._next_night()

    def _next_night(self) -> datetime:
        now = self._now()
        night = now.replace(hour=NIGHT, minute=0, second=0, microsecond=0)
        return night if night > now else night + timedelta(days=1)

    # Looking

    def look(self) -> int:
        """One look at all originals; how many there are.

        Raises LedgerUnavailable and VaultTrouble; what was found by then is kept, and is told.
        """
        before = self._operations.like(KIND, {})
        with RunningOperation(
            self._operations, KIND, {}, is_scheduled=True, who=LIBRARIAN, resumes=before, waiting=self._wait_for_turn
        ) as self._working:
            try:
                after, count = self._where_it_stopped(before)
                self._working.plan(self._all())
                while not self._stopping.is_set():
                    began = time.monotonic()
                    rows = self._page(None if after is None else _ASSETS.c.id > after)
                    self._look_at(rows)
                    count += len(rows)
                    if rows:
                        after = rows[-1].id
                        self._working.reached(from_ledger(rows[-1].final_path), rows[-1].sha256)
                    self._working.steps(count)
                    if len(rows) < _PAGE:
                        self._finish(count)
                        break
                    self._rest(began)
                if self._stopping.is_set():
                    self._working.stopped()
            finally:
                self._working = None
        return count

    def _wait_for_turn(self, holder: str, _seconds: float) -> None:
        if self._stopping.is_set():
            raise VaultTrouble(f"stopped while {holder} had its turn")

    def _where_it_stopped(self, before: Operation | None) -> tuple[uuid.UUID | None, int]:
        """After which original a look goes on that stopped within the last hours, and how many it has looked at."""
        at = before.checkpoint if before is not None else None
        if before is None or at is None or self._now() - before.heartbeat_at > _GOES_ON_WITHIN:
            return None, 0
        same = (_ASSETS.c.final_path == to_ledger(at["path"])) & (_ASSETS.c.file_hash == at["sha256"])
        with self._session() as session:
            after = session.execute(select(_ASSETS.c.id).where(same)).scalar_one_or_none()
        return (after, before.done) if after is not None else (None, 0)

    def _all(self) -> int:
        with self._session() as session:
            return int(session.execute(select(func.count()).select_from(_ASSETS)).scalar_one())

    def look_again(self) -> None:
        """Looks at the first of those with which something was wrong. Raises LedgerUnavailable, VaultTrouble."""
        found = select(_FINDINGS.c.asset_id).order_by(_FINDINGS.c.last_seen_at).limit(_MOST_AGAIN)
        self._look_at(self._page(_ASSETS.c.id.in_(found)))
        self._read_findings()

    def _look_at(self, rows: Sequence[_Row]) -> None:
        seen = self._examine_all(rows)
        bad = {row.id for row, one in zip(rows, seen, strict=True) if one.finding is not None}
        if bad:  # it may have been filed anew, or moved, since the page was read
            now = {row.id: row for row in self._page(_ASSETS.c.id == any_(literal(list(bad), ARRAY(UUID))))}
            same = [row for row in rows if row.id in bad and (one := now.get(row.id)) and one[:5] == row[:5]]
            anew = dict(zip([row.id for row in same], self._examine_all(same), strict=True))
            pairs = [(row, anew.get(row.id) if row.id in bad else one) for row, one in zip(rows, seen, strict=True)]
        else:
            pairs = list(zip(rows, seen, strict=True))
        self._write([(row, one) for row, one in pairs if one is not None])
        if bad:
            self._read_findings()

    def _examine_all(self, rows: Sequence[_Row]) -> list[_Seen]:
        """Raises VaultTrouble where the vault is not there, or was not all the time."""
        top = open_originals(self._vault)
        day = _Day(("", ""), None, None)
        kind = filesystem_type(self._vault.originals)
        try:
            seen = []
            for row in rows:
                if self._stopping.is_set():
                    raise VaultTrouble("stopped while looking")
                day, one = self._examine(row, top, day, kind)
                seen.append(one)
            check_here(self._vault, top, self._belonging.vault_id)
            return seen
        finally:
            _close(day)
            os.close(top)

    def _examine(self, row: _Row, top: int, day: _Day, kind: str) -> tuple[_Day, _Seen]:
        path = from_ledger(row.final_path)
        if not is_path(path):
            return day, _Seen("gone", "its path in the database is none of the vault's")
        _, in_year, in_day, name = path.split("/")
        if day.path != (in_year, in_day):
            _close(day)
            day = _open_day(top, in_year, in_day)
        try:
            if day.fd is None:
                assert day.error is not None
                raise day.error
            status = os.stat(name, dir_fd=day.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return day, _Seen("gone", "no file stands there")
        except OSError as error:
            return day, _Seen("unreadable", f"cannot be looked at: {error.strerror}")
        if not stat.S_ISREG(status.st_mode):
            return day, _Seen("not_a_file", "a link, a folder or something else stands there")
        if status.st_size != row.size:
            return day, _Seen("size", f"{status.st_size:,} bytes instead of {row.size:,}")
        mtime_ns = int8(status.st_mtime_ns)
        is_writable = status.st_mode & 0o222 and not NO_MODES.fullmatch(kind)
        writable = _Seen("writable", f"its mode is {stat.S_IMODE(status.st_mode):04o}") if is_writable else _Seen(None)
        is_known = row.mtime_ns is not None and (mtime_ns == row.mtime_ns or NO_TIMES.fullmatch(kind))
        if is_known and row.found not in ONLY_READING_TAKES_BACK:
            return day, writable._replace(mtime_ns=mtime_ns)
        try:
            sha256 = self._read(name, day.fd)
        except OSError as error:
            return day, _Seen("unreadable", f"cannot be read: {error.strerror}")
        if sha256 != row.sha256:
            return day, _Seen("content", "as many bytes, but others")
        return day, writable._replace(mtime_ns=mtime_ns)

    def _read(self, name: str, folder: int) -> str:
        """SHA-256 of a file, read with rests. Raises OSError, and VaultTrouble where somebody stops the look."""
        fd = os.open(name, OPEN_FLAGS, dir_fd=folder)
        try:
            digest, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
            while True:
                began = time.monotonic()
                count = os.readv(fd, [buffer])
                if not count:
                    return digest.hexdigest()
                digest.update(buffer[:count])
                self._rest(began, 0.0)
                if self._stopping.is_set():
                    raise VaultTrouble("stopped while looking")
        finally:
            os.close(fd)

    def _rest(self, began: float, least: float = _LEAST_REST) -> None:
        if self._working is not None:
            self._working.give_way()
        self._stopping.wait(max(least, _REST * (time.monotonic() - began)))

    # The ledger

    def _page(self, which: Any) -> list[_Row]:
        """Originals in the order of their ids, at most a page."""
        known = and_(_LOOKS.c.asset_id == _ASSETS.c.id, _LOOKS.c.ingested_at == _ASSETS.c.ingested_at)
        columns = (
            *(_ASSETS.c[name] for name in ("id", "final_path", "file_size", "file_hash", "ingested_at")),
            _LOOKS.c.mtime_ns,
            _LOOKS.c.mtime_ns.is_not(None),
            _FINDINGS.c.finding,
        )
        found = _FINDINGS.c.asset_id == _ASSETS.c.id
        page = select(*columns).outerjoin(_LOOKS, known).outerjoin(_FINDINGS, found).order_by(_ASSETS.c.id)
        if which is not None:
            page = page.where(which)
        with self._session() as session:
            rows = [_Row(*row) for row in session.execute(page.limit(_PAGE))]
            new = [row.sha256 for row in rows if row.mtime_ns is None]
            filed = times_when_filed(session, new)
        return [
            row if row.mtime_ns is not None else row._replace(mtime_ns=filed.get((row.sha256, row.final_path)))
            for row in rows
        ]

    def _write(self, pairs: Sequence[tuple[_Row, _Seen]]) -> None:
        bad = [Wrong(row.id, one.finding, row.final_path, one.message) for row, one in pairs if one.finding is not None]
        right = [row.id for row, one in pairs if one.finding is None and row.found is not None]
        times = [
            KnownTime(row.id, one.mtime_ns, row.ingested_at)
            for row, one in pairs
            if one.mtime_ns is not None and not (row.is_remembered and row.mtime_ns == one.mtime_ns)
        ]
        with self._session() as session:
            note_wrong(session, bad)
            note_right(session, right)
            note_times(session, times)

    def _finish(self, count: int) -> None:
        with self._session() as session:
            lives = exists(select(_ASSETS.c.id).where(_ASSETS.c.id == _FINDINGS.c.asset_id))
            session.execute(delete(_FINDINGS).where(~lives))
            session.execute(update(_VAULT).values(looked_at=func.now(), looked_originals=count))
        self._read_findings()
        if self.findings.count:
            logger.error("%s", self.findings.sentence)
        elif count:
            logger.info("looked at all %d originals: each is there as it was filed", count)

    def _read_findings(self) -> None:
        with self._session() as session:
            self.findings = read_findings(asking(session), FIRST_NAMES)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """With the vault's own ledger."""
        with self._database.session() as session:
            self._belonging.check(session)
            yield session


def _open_day(top: int, year: str, day: str) -> _Day:
    """By descriptor and through no link."""
    try:
        above = os.open(year, _OPEN_FOLDER, dir_fd=top)
        try:
            return _Day((year, day), os.open(day, _OPEN_FOLDER, dir_fd=above), None)
        finally:
            os.close(above)
    except OSError as error:
        return _Day((year, day), None, error)


def _close(day: _Day) -> None:
    if day.fd is not None:
        os.close(day.fd)
        day.fd = None
