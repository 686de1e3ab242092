"""Receipts: does the vault have the bytes of a file elsewhere, and when were they last read back?

Only bytes count, by their SHA-256: those of the file elsewhere were read just now (or a list gives their hash), those
in the vault within so many days, and nobody has written to them since, by size, time and ctime. A name or a size alone
never says that a file is safe.
"""

from __future__ import annotations

import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.copies.rows import copies_of
from Src.Library.custody.examine import Examiner
from Src.Library.custody.item import Item, Seen
from Src.Library.custody.past_cache import sha256_past_cache
from Src.Library.custody.rows import PAGE, Called, Rows
from Src.Library.custody.verify import Plan, Verify
from Src.Library.finding_rows import SPEAKS_OF_MODE
from Src.Library.kept_xmp import KeptXmp
from Src.Library.trash import removed, removed_words
from Src.Library.vault import Vault
from Src.Library.vault_here import check_here, open_originals
from Src.Media.companions import is_sidecar
from Src.Shared.database import Database
from Src.Shared.disk.files import FileState, NotARegularFile, open_regular, regular_file_state
from Src.Shared.ledger_text import to_ledger
from Src.Shared.settings import Settings
from Src.Shared.words import counted

Verdict = Literal["safe", "not_reread", "other_bytes", "not_here", "own"]
VERDICTS: tuple[Verdict, ...] = ("safe", "not_reread", "other_bytes", "not_here", "own")
_AHEAD = timedelta(minutes=5)  # by which two clocks may differ
_NO_HASH = "its bytes are not known: nothing gives their hash"
_OWN = "it is the vault's own file, and no other copy"
_MAY_BE_OWN = "it was changed in the same instant as the vault's file: it may be that file, reached by another way"
_OWN_PLACE = "it stands at the vault's own place for it: it may be the vault's file itself, on one of its disks"
_NO_CLOCK = "on a share nobody sees whether it was written to since it was read back"


class Elsewhere(NamedTuple):
    """A file elsewhere, as it was compared or as a list names it."""

    path: str  # as `os.fsdecode` gives it
    sha256: str | None  # None: nobody knows its bytes
    size: int | None = None
    why: str = ""  # what is to be said of it where it is not safe: why nobody could read it, for one
    state: FileState | None = None  # of the file itself, where it is one here

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Line(NamedTuple):
    """What is said of one file elsewhere."""

    path: str
    verdict: Verdict
    kept_at: str | None  # of these bytes, or of others of that name; relative to the storage root
    read_back_at: datetime | None
    copies: int  # elsewhere
    reason: str
    sha256: str | None
    size: int | None

    def as_json(self) -> dict[str, Any]:
        said = self._asdict()
        for name in ("path", "kept_at"):
            said[name] = None if said[name] is None else to_ledger(said[name])
        return said


class Own(NamedTuple):
    """A file of the vault."""

    path: str  # relative to the storage root
    state: FileState | None

    def why_it_is(self, other: Elsewhere) -> str | None:
        """Why a file elsewhere is, or may be, this one: by another way to it nothing of it need look the same."""
        if f"/{other.path}".endswith(f"/{self.path}"):
            return _OWN_PLACE
        if self.state is None or other.state is None:
            return None
        is_same = (self.state.device, self.state.inode) == (other.state.device, other.state.inode)
        if is_same:
            return _OWN
        own = _ctime_of_its_own(self.state)
        return _MAY_BE_OWN if own is not None and own == _ctime_of_its_own(other.state) else None


def _ctime_of_its_own(state: FileState) -> tuple[int, int] | None:
    """Nobody can set a ctime, so two files do not share one to the nanosecond; one file does, seen through a pool or a
    share. FAT has no such time."""
    is_exact = state.ctime_ns != state.mtime_ns and state.ctime_ns % 10_000_000 != 0
    return (state.size, state.ctime_ns // 100) if is_exact else None  # (SMB has tenths of a microsecond)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the vault is known to have of some bytes."""

    item: Item
    is_there: bool  # as its row says, as far as can be told without reading it
    read_back_at: datetime | None  # since when nobody has written to it; None: not known to be right
    reason: str


def asking_copies(lines: Sequence[Line], copies: int, within: timedelta) -> list[Line]:
    """Nothing is safe that is not at so many copies elsewhere."""
    return [
        line._replace(
            verdict="not_reread",
            reason=f"{counted(copies, 'copy', 'copies')} elsewhere asked, and it was read back from {line.copies} "
            f"on other disks than the vault's within {counted(within.days, 'day')}: ./factory copies run",
        )
        if line.verdict == "safe" and line.copies < copies
        else line
        for line in lines
    ]


class Receipts:
    """Asks one vault. Raises WrongLedger, VaultTrouble and LedgerUnavailable."""

    def __init__(self, settings: Settings, database: Database, *, within: timedelta) -> None:
        """`within`: how long ago bytes may have been read back."""
        self._settings = settings
        self._database = database
        self._vault = Vault(settings.storage)
        self._belonging = Belonging(settings, self._vault)
        self._rows = Rows(self._session)
        self._within = within
        self._now = datetime.now(UTC)
        self._read: dict[uuid.UUID, FileState] = {}  # by `read_back`
        self._read_at = self._now

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._database.session() as session:
            self._belonging.check(session)
            yield session

    def lines(self, files: Sequence[Elsewhere], go_on: Callable[[], None] = lambda: None) -> list[Line]:
        """One for each file, in order."""
        self._vault.check()
        self._belonging.establish(self._database)
        said: list[Line] = []
        root = open_originals(self._vault)
        try:
            check_here(self._vault, root, self._belonging.vault_id)
            examiner = Examiner(self._vault.originals, root, go_on)
            for start in range(0, len(files), PAGE):
                go_on()
                said += self._with_copies(self._page(examiner, files[start : start + PAGE]))
            check_here(self._vault, root, self._belonging.vault_id)
        finally:
            os.close(root)
        return said

    def to_read(self, files: Sequence[Elsewhere], lines: Sequence[Line]) -> list[Item]:
        """The originals that would have to be read back for more of these files to be safe."""
        judged = zip(files, lines, strict=True)
        hashes = sorted({one.sha256 for one, line in judged if line.verdict == "not_reread" and one.sha256 is not None})
        pages = (hashes[start : start + PAGE] for start in range(0, len(hashes), PAGE))
        return [item for page in pages for item in self._rows.with_hashes(page)]

    def reading(self, items: Sequence[Item], journaled: Callable[[], set[str]]) -> Verify:
        """What reads originals back; once it has run, `take_over` has what it found."""
        self._read_at = datetime.now(UTC)
        plan = Plan("these", these=tuple(one.id for one in items))
        return Verify(self._settings, self._database, plan, journaled=journaled)

    def take_over(self, verify: Verify) -> None:
        """Believes what was just read, and right."""
        self._read |= verify.read_right
        self._now = datetime.now(UTC)

    # One page

    def _with_copies(self, lines: Sequence[Line]) -> list[Line]:
        """At how many copies elsewhere what the vault has was read back, within as long as is asked of the vault."""
        hashes = sorted({one.sha256 for one in lines if one.sha256 is not None and one.kept_at is not None})
        if not hashes:
            return list(lines)
        with self._session() as session:
            found = copies_of(session, hashes, self._now - self._within)
        has_copies = ("safe", "not_reread", "own")  # of the same bytes
        return [
            one._replace(copies=found.get(one.sha256 or "", 0)) if one.verdict in has_copies else one for one in lines
        ]

    def _page(self, examiner: Examiner, files: Sequence[Elsewhere]) -> list[Line]:
        hashes = sorted({one.sha256 for one in files if one.sha256 is not None})
        kept: dict[str, _Kept] = {}
        own: defaultdict[str, list[Own]] = defaultdict(list)
        for item in [*self._rows.with_hashes(hashes), *self._rows.companions_with_hashes(hashes)] if hashes else []:
            known = self._kept(examiner, item)
            own[item.sha256].append(Own(item.path, _state_of(examiner.stat(item))))
            if item.sha256 not in kept or _rank(known) > _rank(kept[item.sha256]):
                kept[item.sha256] = known
        for one in files:
            if one.sha256 is not None and is_sidecar(one.name) and not _is_there(kept.get(one.sha256)):
                as_it_came = self._as_it_came(one.sha256)
                kept |= {} if as_it_came is None else {one.sha256: as_it_came}
            if one.sha256 is not None and is_sidecar(one.name):
                at = self._place_as_it_came(one.sha256)
                own[one.sha256].append(Own(str(at.relative_to(self._vault.storage)), _state_at(at)))
        others = sorted({one.name for one in files if one.sha256 not in kept})
        called = self._rows.called(others) if others else {}
        gone = self._removed([one for one in hashes if one not in kept])
        lines = [self._line(one, kept, called, gone) for one in files]
        return [
            _own_line(line, own[one.sha256], one) if one.sha256 is not None else line
            for one, line in zip(files, lines, strict=True)
        ]

    def _kept(self, examiner: Examiner, item: Item) -> _Kept:
        if item.companion is not None:
            return self._companion(examiner, item)
        if item.found is not None and item.found != SPEAKS_OF_MODE:
            return _Kept(item, False, None, "the last look at it found it wrong: ./factory problems says how")
        look = examiner.stat(item)
        if isinstance(look, Seen):
            return _Kept(item, False, None, look.why)
        if self._read.get(item.id) == FileState.of(look):
            return _Kept(item, True, self._read_at, "")
        if item.verified_at is None:
            return _Kept(item, True, None, "it was not read back since it came")
        if not examiner.sees_changes(item, look):
            return _Kept(item, True, None, _NO_CLOCK)
        if not examiner.is_as_known(item, look) or examiner.was_changed_since(item, look):
            return _Kept(item, True, None, "it may have been written to since it was read back")
        if item.verified_at > self._now + _AHEAD:
            return _Kept(item, True, None, "it was read back at a time that is still to come: a clock is wrong")
        return _Kept(item, True, item.verified_at, "")

    def _companion(self, examiner: Examiner, item: Item) -> _Kept:
        """Companions are small, and when they were read is not noted: they are read now."""
        seen = examiner.read(item)
        if seen.word in ("ok", "mode") and seen.state is not None and not seen.is_in_use:
            return _Kept(item, True, datetime.now(UTC), "")
        return _Kept(item, False, None, seen.why or "other bytes than when it was last seen")

    def _as_it_came(self, sha256: str) -> _Kept | None:
        """An XMP file beside an original is changed later; the bytes that came are kept by themselves."""
        path = self._place_as_it_came(sha256)
        try:
            fd = open_regular(str(path))
        except (OSError, NotARegularFile):
            return None
        try:
            read, size = sha256_past_cache(fd, lambda: None)
        except OSError:
            return None
        finally:
            os.close(fd)
        at = str(path.relative_to(self._vault.storage))
        item = Item(uuid.UUID(int=0), "xmp", to_ledger(at), at, size, sha256, None)
        return _Kept(item, True, datetime.now(UTC), "") if read == sha256 else None

    def _place_as_it_came(self, sha256: str) -> Path:
        return KeptXmp(self._vault.storage).folder / f"{sha256}.xmp"

    def _removed(self, hashes: Sequence[str]) -> dict[str, str]:
        """Of contents that a person has removed: when, by whom, and where they are."""
        if not hashes:
            return {}
        with self._session() as session:
            return {sha256: removed_words(one) for sha256, one in removed(session, hashes).items()}

    def _line(
        self,
        one: Elsewhere,
        kept: Mapping[str, _Kept],
        called: Mapping[str, Sequence[Called]],
        gone: Mapping[str, str],
    ) -> Line:
        def say(verdict: Verdict, reason: str = "", at: str | None = None, read: datetime | None = None) -> Line:
            return Line(one.path, verdict, at, read, 0, reason or one.why, one.sha256, one.size)

        found = kept.get(one.sha256) if one.sha256 is not None else None
        if found is not None and one.size is not None and one.size != found.item.size:
            return say("other_bytes", f"{one.size:,} bytes are not those of this hash", found.item.path)
        if found is not None and not found.is_there:
            return say("not_here", f"it was filed as {found.item.path}, and {found.reason}")
        if found is not None:
            if found.read_back_at is None:
                return say("not_reread", found.reason, found.item.path)
            if self._now - found.read_back_at > self._within:
                return say("not_reread", "it was read back longer ago", found.item.path, found.read_back_at)
            return say("safe", "", found.item.path, found.read_back_at)
        if one.sha256 is not None and one.sha256 in gone:
            return say("not_here", one.why or gone[one.sha256])
        same_name = called.get(one.name, ())
        if one.sha256 is None and any(other.size == one.size or one.size is None for other in same_name):
            return say("not_here", one.why or f"{_NO_HASH}; an original of that name is {same_name[0].path}")
        if same_name:
            return say("other_bytes", one.why or "an original of that name has other bytes", same_name[0].path)
        return say("not_here", one.why or (_NO_HASH if one.sha256 is None else ""))


def _own_line(line: Line, own: Sequence[Own], one: Elsewhere) -> Line:
    """What is the vault's own file is never safe. Where something else is wrong, that is said."""
    for file in own if line.verdict in ("safe", "not_reread") else ():
        if (why := file.why_it_is(one)) is not None:
            return line._replace(verdict="own", kept_at=file.path, read_back_at=None, reason=why)
    return line


def _state_at(path: Path) -> FileState | None:
    try:
        return regular_file_state(str(path))
    except OSError:
        return None


def _state_of(look: os.stat_result | Seen) -> FileState | None:
    return None if isinstance(look, Seen) else FileState.of(look)


def _is_there(kept: _Kept | None) -> bool:
    return kept is not None and kept.is_there


def _rank(kept: _Kept) -> tuple[bool, float]:
    return kept.is_there, kept.read_back_at.timestamp() if kept.read_back_at is not None else 0.0
