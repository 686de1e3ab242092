"""A drill: a random day and the database are restored from a copy into a scratch folder, and compared."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from Src.Library.custody.copies.done import as_ledger_names
from Src.Library.custody.copies.rows import CopyRow, CopyRows, There
from Src.Library.custody.copies.target import Target
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused, NotThere
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.errors import FactoryError

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")  # of sha256sum; names with other bytes are escaped, and begin with \


@dataclass(slots=True)
class Drilled:
    """What was found. Names are paths as on disk, relative to the copy."""

    name: str
    day: str | None = None
    files: int = 0  # that were restored
    bytes: int = 0
    ok: int = 0
    wrong: dict[str, str] = field(default_factory=dict)
    listed: int = 0  # lines of the copy's own signed list of that day which were compared
    database: str | None = None  # the dump
    database_ok: bool | None = None  # None: there is none, or it cannot be restored here
    database_why: str = ""
    database_rows: int = 0

    @property
    def is_well(self) -> bool:
        return self.day is not None and not self.wrong and self.database_ok is True

    def as_json(self) -> dict[str, Any]:
        """The form that stays."""
        database = {
            "file": self.database,
            "ok": self.database_ok,
            "rows": self.database_rows,
            "why": self.database_why,
        }
        names = ("name", "day", "files", "bytes", "ok", "listed")
        return {
            **{name: getattr(self, name) for name in names},
            "wrong": as_ledger_names(self.wrong),
            "database": database,
            "well": self.is_well,
        }


class Drill:
    """One drill of one copy."""

    def __init__(
        self, rows: CopyRows, row: CopyRow, target: Target, scratch: Path, still_here: Callable[[], None]
    ) -> None:
        """`scratch`: a folder that is made, and goes with all in it. `still_here` raises where the copy is gone."""
        self._rows = rows
        self._row = row
        self._target = target
        self._scratch = scratch
        self._still_here = still_here
        self.done = Drilled(row.name)

    def run(self, restore: Callable[[Path], dict[str, int]], day: str | None = None) -> Drilled:
        """`restore` brings a dump into a scratch database, and gives the rows of each table; it may raise
        FactoryError. `day`: YYYY-MM-DD; None: by chance. Raises CopyTrouble, and OSError for the scratch folder."""
        _clear(self._scratch)
        make_folder(self._scratch, PRIVATE)
        try:
            self._day(day)
            self._database(restore)
        finally:
            _clear(self._scratch)
        self._rows.drilled(self._row.id, self.done.as_json())
        return self.done

    def _day(self, day: str | None) -> None:
        days = self._rows.days(self._row.id)
        if day is not None:
            if _DAY.fullmatch(day) is None or (folder := f"Originals/{day[:4]}/{day}") not in days:
                raise CopyTrouble(f"{self._row.name}: has no photos of the day {day}")
        elif not days:
            return
        else:
            folder = random.choice(days)  # which day is no secret
        self.done.day = folder.rpartition("/")[2]
        expected = {one.path: one for page in self._rows.there(self._row.id, f"{folder}/") for one in page}
        bad: list[There] = []
        try:
            standing = [path for path, _ in self._target.files(folder)]
        except FileRefused as error:
            standing, self.done.wrong[folder] = [], str(error)
        for number, path in enumerate(sorted({*expected, *standing})):
            found = self._restored(path, self._scratch / str(number))
            one = expected.get(path)
            if one is None:  # of a run that has not come to its end, or of somebody else: it counts for nothing
                continue
            if found == one.sha256:
                self.done.ok += 1
            else:
                self.done.wrong.setdefault(path, "it has other bytes there")
                bad.append(one)
        self._compare_with_list(folder, expected)
        self._still_here()
        self._rows.forget(self._row.id, bad)  # the next run puts them right

    def _restored(self, path: str, to: Path, *, stays: bool = False) -> str | None:
        """The hash of what was restored, as it is on the disk here; None: nothing could be."""
        try:
            with open(to, "xb") as file:
                for piece in self._target.read(path):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            with open(to, "rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except NotThere:
            self.done.wrong[path] = "it is not there any more"
            return None
        except FileRefused as error:
            self.done.wrong[path] = str(error)
            return None
        self.done.files += 1
        self.done.bytes += to.stat().st_size
        if not stays:
            to.unlink()
        return sha256

    def _compare_with_list(self, folder: str, expected: dict[str, There]) -> None:
        """With the copy's own list of that day, as a person would who has nothing but the copy."""
        day = folder.rpartition("/")[2]
        path = f"Manifests/{day[:4]}/{day}.sha256"
        try:
            lines = b"".join(self._target.read(path)).split(b"\n")
        except NotThere:
            return  # it is written up to a minute later than the photos, and comes with the next run
        except FileRefused as error:
            self.done.wrong[path] = str(error)
            return
        for line in lines:
            match = _LINE.fullmatch(os.fsdecode(line))
            if match is None:
                continue
            one = expected.get(f"Originals/{match[2]}")
            if one is not None and one.is_original:
                self.done.listed += 1
                if one.sha256 != match[1]:
                    self.done.wrong.setdefault(one.path, "the signed list has another hash for it")

    def _database(self, restore: Callable[[Path], dict[str, int]]) -> None:
        done, row = self.done, self._row
        done.database = row.dump_path
        if row.dump_path is None:
            done.database_why = "no backup of the database is there yet"
            return
        file = self._scratch / "database.dump"
        found = self._restored(row.dump_path, file, stays=True)
        if found is None:
            done.database_ok, done.database_why = False, done.wrong[row.dump_path]
            return
        if found != row.dump_hash:
            there = self._rows.at(row.id, row.dump_path)
            self._still_here()
            self._rows.forget(row.id, [] if there is None else [there])
            done.database_ok, done.database_why = False, "it has other bytes there"
            done.wrong[row.dump_path] = done.database_why
            return
        try:
            rows = restore(file)
        except FactoryError as error:
            done.database_ok, done.database_why = False, f"it cannot be restored: {error}"
            done.wrong[row.dump_path] = done.database_why
            return
        done.database_rows = sum(rows.values())
        done.database_ok = rows == row.dump_rows
        if not done.database_ok:
            done.database_why = "the tables have other numbers of rows than when it was made"
            done.wrong[row.dump_path] = done.database_why


def _clear(folder: Path) -> None:
    if os.path.lexists(folder):
        shutil.rmtree(folder)
