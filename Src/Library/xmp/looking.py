"""Notices that another program has written XMP files in the vault: by sizes and times, a slice at a time.

A file that is known is looked at by its own size and time; that another program has made one shows in the time of its
day's folder. Only what differs is read. One round takes as many slices as it needs; then there is a pause.
"""

from __future__ import annotations

import logging
import os
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date

from sqlalchemy import select

from Src.Library.file_acts import FileActs
from Src.Library.open_places import OpenPlaces
from Src.Library.vault import Vault
from Src.Library.vault_trouble import vault_trouble
from Src.Library.xmp import rows
from Src.Library.xmp.writing import Done, XmpFiles
from Src.Media.companion_names import stands_beside
from Src.Media.companions import is_sidecar
from Src.Shared.ledger_text import int8
from Src.Shared.models import LibraryDay

logger = logging.getLogger(__name__)

_FILES, _DAYS = 500, 100  # in a slice
_FRESH = 2.0  # seconds: a program may still be writing a file that is younger
_NUMBER = re.compile(r"_\d{1,9}\Z")
_OWN = ".factory-"


class XmpLook:
    """Looks at all XMP files of the vault, again and again."""

    def __init__(self, vault: Vault, file_acts: FileActs, xmp_files: XmpFiles) -> None:
        self._vault = vault
        self._acts = file_acts
        self._files = xmp_files
        self._days: dict[str, int] = {}  # by a day's folder: its time when its names were last read

    def round(self, clock: Callable[[], float] = time.time) -> Iterator[Done]:
        """One round, slice by slice, each with what came of it. Raises VaultTrouble, LedgerUnavailable."""
        yield from self._known(clock)
        yield from self._new(clock)

    def _known(self, clock: Callable[[], float]) -> Iterator[Done]:
        last: uuid.UUID | None = None
        while True:
            with self._acts.session() as session:
                some = rows.standing_after(session, last, _FILES)
            if not some:
                return
            last = some[-1].id
            changed: list[uuid.UUID] = []
            with vault_trouble(f"look into {self._vault.storage}"), OpenPlaces(self._vault.storage) as places:
                for row in some:
                    assert row.path is not None
                    try:
                        status = places.lstat(row.path)
                    except OSError:  # somebody has taken it away, or it is away: that decides nothing
                        continue
                    is_known = (row.standing_size, row.standing_mtime_ns) == (
                        status.st_size,
                        int8(status.st_mtime_ns),
                    )
                    if not is_known and _is_settled(status, clock):
                        changed.append(row.id)
            yield self._files.take_over(changed, {}) if changed else Done()

    def _new(self, clock: Callable[[], float]) -> Iterator[Done]:
        with self._acts.session() as session:
            days = list(session.execute(select(LibraryDay.day).where(LibraryDay.originals > 0)).scalars())
        for first in range(0, len(days), _DAYS):
            done = Done()
            for day in days[first : first + _DAYS]:
                done.add(self._day(day, clock))
            yield done

    def _day(self, day: date, clock: Callable[[], float]) -> Done:
        folder = self._vault.day_folder(day)
        try:
            with self._vault.opened(folder) as fd:
                changed_at = os.fstat(fd).st_mtime_ns
                if self._days.get(folder) == changed_at:
                    return Done()
                names = os.listdir(fd)
                of_xmp = [name for name in names if is_foreign_xmp(name)]
                settled = [name for name in of_xmp if _is_settled(os.lstat(name, dir_fd=fd), clock)]
        except FileNotFoundError:  # nothing of that day is there, or a file has just gone: the next round sees
            return Done()
        except OSError as error:
            logger.warning("the folder %s cannot be looked into: %s", folder, error.strerror)
            return Done()
        new = self._owners(folder, names, settled)
        done = self._files.take_over([], new) if new else Done()
        if len(settled) == len(of_xmp) and not done.left and not _is_fresh(changed_at, clock):
            self._days[folder] = changed_at
        return done

    def _owners(self, folder: str, names: list[str], of_xmp: list[str]) -> dict[str, str]:
        """The originals (by hash) to which XMP files belong that the ledger does not know, by their paths."""
        if not of_xmp:
            return {}
        beside = Beside(names)
        with self._acts.session() as session:
            known = rows.known_paths(session, [f"{folder}/{name}" for name in of_xmp])
            ranked = {
                name: [f"{folder}/{other}" for other in beside.originals(name)]
                for name in of_xmp
                if f"{folder}/{name}" not in known
            }
            originals = rows.originals_at(session, [path for paths in ranked.values() for path in paths])
        found = {
            f"{folder}/{name}": next((originals[path] for path in paths if path in originals), None)
            for name, paths in ranked.items()
        }
        return {path: sha256 for path, sha256 in found.items() if sha256 is not None}


class Beside:
    """The names in a folder, among which those of an XMP file's original are found without a look at each."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_stem[os.path.splitext(name)[0]].append(name)

    def originals(self, name: str) -> list[str]:
        """The originals to which an XMP file may belong by its name, the best first."""
        stem = os.path.splitext(name)[0]
        whole = {stem, _NUMBER.sub("", stem)} & self._names
        some = whole.union(self._by_stem.get(stem, ()))
        ranks = [(rank, other) for other in some if (rank := stands_beside("xmp", name, other)) is not None]
        return [other for _, other in sorted(ranks)]


def is_foreign_xmp(name: str) -> bool:
    """Whether a name may be that of an XMP file of another program: none of ours is under way under it."""
    return is_sidecar(name) and not name.startswith(_OWN)


def _is_settled(status: os.stat_result, clock: Callable[[], float]) -> bool:
    return not _is_fresh(status.st_mtime_ns, clock)


def _is_fresh(mtime_ns: int, clock: Callable[[], float]) -> bool:
    """(A time that is to come, of a wrong clock, is as good as an old one.)"""
    return 0 <= clock() - mtime_ns / 1e9 < _FRESH
