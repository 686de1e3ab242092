"""One run to one copy: what is not there is brought there, and read back from there before it counts.

A file of the copy is in the ledger only when all of its bytes were read back from the medium, and right. So a run may
end anywhere: the next one looks what stands at the place of what does not count yet, and reads it. What is found wrong
stops to count before anything else is done about it.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import chain

from sqlalchemy.orm import Session

from Src.Library.belonging import Belonging
from Src.Library.custody.copies import readme
from Src.Library.custody.copies.done import CopyDone
from Src.Library.custody.copies.dumps import Dump, DumpsThere
from Src.Library.custody.copies.opening import check_marker
from Src.Library.custody.copies.pace import Pace, Stopped
from Src.Library.custody.copies.place import has_own_disk
from Src.Library.custody.copies.rows import CopyRow, CopyRows, There
from Src.Library.custody.copies.storage_files import begins_with, companions, decisions_and_lists, log_like
from Src.Library.custody.copies.target import Stored, Target, sha256_at
from Src.Library.custody.copies.trouble import CopyTrouble, FileRefused, NotThere
from Src.Library.custody.copies.wanted import NotHere, Wanted
from Src.Library.custody.rows import Rows
from Src.Library.operation import Progress
from Src.Library.vault import Vault
from Src.Library.vault_here import check_here, open_originals
from Src.Shared.database import Database
from Src.Shared.disk.beneath import open_folder
from Src.Shared.settings import Settings

logger = logging.getLogger(__name__)

GRACE = timedelta(days=30)  # from emptying the trash here to removing it there
REREAD_AFTER = timedelta(days=60)  # well before what `safe` asks for
_NOTED = 100  # of what is wrong, or failed, in the copy's row
_BATCH_FILES, _BATCH_BYTES = 100, 256 << 20


class CopyRun:
    """One run."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        row: CopyRow,
        *,
        pace: Pace,
        dump: Dump | None = None,
        reads_all: bool = False,
    ) -> None:
        """`reads_all`: everything that is there is read back anew."""
        self._settings = settings
        self._vault = Vault(settings.storage)
        self._database = database
        self._belonging = Belonging(settings, self._vault)
        self._copy = row
        self._rows = CopyRows(self.session)
        self._items = Rows(self.session)
        self._pace = pace
        self._dump = dump
        self._reads_all = reads_all
        self._began = datetime.now(UTC)
        self._batch: list[Wanted] = []
        self._batch_bytes = 0
        self._steps = self._bytes = 0
        self.progress: Progress | None = None
        self.done = CopyDone(row.name)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """With the vault's own ledger."""
        with self._database.session() as session:
            self._belonging.check(session)
            yield session

    def run(self, target: Target) -> CopyDone:
        """Raises VaultTrouble, WrongLedger, LedgerUnavailable; what the copy's trouble is stands in `done`."""
        self._target = target
        self._vault.check()
        self._belonging.establish(self._database)
        originals = open_originals(self._vault)
        try:
            self._originals = originals
            storage = open_folder(self._vault.storage)
            try:
                self._storage = storage
                self._check()
                with suppress(Stopped):
                    self._work()
                    self.done.is_complete = True
            finally:
                os.close(storage)
        except CopyTrouble as trouble:
            self.done.trouble = str(trouble)
        except (FileRefused, NotThere, OSError) as error:  # of what is more than one file
            logger.warning("%s: cannot go on: %r", self._copy.name, error)
            self.done.trouble = f"{target.name}: cannot go on: {str(error) or 'something of it is gone'}"
        finally:
            os.close(originals)
        self.done.originals, self.done.there = self._rows.originals(), self._rows.counts(self._copy.id).originals
        self._rows.ran(self._copy.id, self.done.as_json(_NOTED))
        return self.done

    def _work(self) -> None:
        """What is small and says most of it comes first: whatever ends a run then leaves a copy that can be used."""
        dumps = DumpsThere(self._rows, self._copy, self._target, self.done, self._aside("Damaged"), self._check)
        self._rows.set_all_flags()
        self._rows.has_own_disk(self._copy.id, has_own_disk(self._settings, self._copy))
        self._look()
        self._plan()
        self._bring(self._beside())
        self._bring(self._around())
        if self._dump is not None:
            dumps.bring(self._dump)
        self._bring(self._originals_left())
        self._bring(self._around())  # what was written meanwhile
        self._put_earlier()
        self._remove_emptied()
        if self.done.database is not None:
            dumps.remove_old()
        self._reread()

    def _check(self) -> None:
        """Here and there it is what it was when this began. Raises VaultTrouble, CopyTrouble."""
        check_here(self._vault, self._originals, self._belonging.vault_id)
        assert self._belonging.vault_id is not None
        check_marker(self._target, self._copy, self._belonging.vault_id)

    # What counts already

    def _look(self) -> None:
        """What is gone from the copy, or may have been written to, stops to count, or is read anew."""
        for folder in self._rows.folders(self._copy.id):
            try:
                standing = dict(self._target.files(folder))
            except FileRefused as error:  # nothing that counts stands there
                logger.warning("%s: %s: %s", self._copy.name, folder, error)
                standing = {}
            self._check()  # what is not plugged in any more has no missing files
            for page in self._rows.there(self._copy.id, f"{folder}/"):
                gone = [one for one in page if one.path not in standing]
                self._forget(gone, "it was not there any more")
                for one in page:
                    self._pace.go_on()
                    now = standing.get(one.path)
                    if now is not None and (now.stamp != one.stamp or (self._reads_all and one.is_original)):
                        self._read_again(one)

    def _read_again(self, one: There) -> bool:
        """Whether it is right. What is wrong counts no more."""
        why, stored = "it had other bytes there", None
        try:
            found, stored = self._found_at(one.path)
            is_right = found == one.sha256
        except NotThere:
            is_right, why = False, "it was not there any more"
        except FileRefused as error:
            is_right, why = False, str(error)
        self._check()
        if is_right and stored is not None:
            self._rows.note_there(self._copy.id, [one._replace(stamp=stored.stamp, read_back_at=datetime.now(UTC))])
            self.done.reread += 1
            return True
        self._forget([one], why)
        return False

    def _forget(self, files: list[There], why: str) -> None:
        self._rows.forget(self._copy.id, files)
        for one in files:
            logger.warning("%s: %s: %s", self._copy.name, one.path, why)
            self.done.wrong[one.path] = why

    def _reread(self) -> None:
        """What was read back longest ago. A medium for which each byte is paid is only read where a person asks."""
        if self._copy.kind == "s3" and not self._reads_all:
            return
        for page in self._rows.there(self._copy.id, before=self._began - REREAD_AFTER):
            for one in page:
                self._pace.go_on()
                self._read_again(one)

    # What is to be there

    def _originals_left(self) -> Iterator[Wanted]:
        for page in self._rows.originals_left(self._copy.id):
            for left in page:
                yield Wanted(left.path, left.sha256, left.size, left.sha256, left.stands_at)

    def _beside(self) -> Iterator[Wanted]:
        """The page of instructions, and companions: what is not there as it is now."""
        content = readme.CONTENT.encode()
        sha256 = hashlib.sha256(content).hexdigest()
        page = Wanted(readme.NAME, sha256, len(content), None, content=content, may_change=True)
        for wanted in chain([page], companions(self._items, self._storage, self._fail)):
            if not self._is_there(wanted):
                yield wanted

    def _around(self) -> Iterator[Wanted]:
        """The signed lists, and what people have decided: what is not there as it is now."""
        self._stand_around: set[str] = set()
        for wanted in decisions_and_lists(self._storage, self._fail):
            self._stand_around.add(wanted.path)
            self.done.failed.pop(wanted.path, None)  # of the first time in this run
            if not self._is_there(wanted):
                yield wanted

    def _put_earlier(self) -> None:
        """What belongs to an original that stands elsewhere by now, and lists that are not here any more."""
        gone = self._rows.companions_left_behind(self._copy.id)
        if not self.done.failed:  # else nobody knows what is here
            lists = (one for page in self._rows.there(self._copy.id, "Manifests/") for one in page)
            gone += [one for one in lists if one.path not in self._stand_around]
        for one in gone:
            self._check()
            self._rows.forget(self._copy.id, [one])
            with suppress(FileRefused):
                self._target.move(one.path, f"{self._aside('Earlier')}/{one.path}")

    def _aside(self, folder: str) -> str:
        return f"{folder}/{self._began:%Y-%m-%dT%H%M%S.%fZ}"  # no two runs have the same

    def _is_there(self, wanted: Wanted) -> bool:
        there = self._rows.at(self._copy.id, wanted.path)
        return there is not None and there.sha256 == wanted.sha256

    def _bring(self, wanted: Iterable[Wanted]) -> None:
        try:
            for one in wanted:
                self._pace.go_on()
                if not self._put(one):
                    continue
                self._batch.append(one)
                self._batch_bytes += one.size
                if len(self._batch) >= _BATCH_FILES or self._batch_bytes >= _BATCH_BYTES:
                    self._settle()
        except CopyTrouble:
            with suppress(CopyTrouble):  # what was put before a disk was full can count
                self._settle()
            raise
        self._settle()

    def _put(self, one: Wanted) -> bool:
        """Whether it was put now, and is to be read back."""
        try:
            if self._stands_there_already(one):
                return False
            self._target.put(one.path, one.pieces(self._storage, self._pace.go_on), replaces=one.may_change)
        except (NotHere, FileRefused) as error:
            self._fail(one.path, str(error))
            return False
        except NotThere:
            raise CopyTrouble(f"{self._target.name}: a folder of it went away meanwhile") from None
        return True

    def _stands_there_already(self, one: Wanted) -> bool:
        """Of a killed run, or at its former place. What is wrong there goes aside. Raises FileRefused."""
        if self._target.stored(one.path) is None:
            if one.stands_at is None or one.stands_at == one.path:
                return False
            self._counts_no_more(one.stands_at)
            if not self._target.move(one.stands_at, one.path):
                return False
            self.done.moved += 1
        try:
            found, stored = self._found_at(one.path)
        except FileRefused as error:  # it cannot be read, or decrypted
            found, stored = "", Stored(0, "")
            logger.warning("%s: %s: %s", self._copy.name, one.path, error)
        if found == one.sha256:
            self._note([(one, stored)])
            return True
        if self._rows.has_original(self._copy.id, found):
            raise FileRefused("what stands there is another photo's copy, whose name the disk takes for the same")
        self._counts_no_more(one.path)
        if one.may_change and (one.path == readme.NAME or not self._keeps_earlier(one)):
            return False  # it is replaced
        folder = "Earlier" if one.may_change or one.path.startswith("Overlay/") else "Damaged"
        aside = f"{self._aside(folder)}/{one.path}"
        if not self._target.move(one.path, aside):
            raise FileRefused("what stands there in its place cannot be put aside")
        if folder == "Damaged":
            self.done.wrong[one.path] = f"other bytes stood there; they are in {aside}"
            logger.warning("%s: %s: other bytes stood there; they are in %s", self._copy.name, one.path, aside)
        return False

    def _counts_no_more(self, path: str) -> None:
        """Before something else gets its place, or it goes from there: a kill in between must leave no row of it."""
        there = self._rows.at(self._copy.id, path)
        if there is not None:
            self._rows.forget(self._copy.id, [there])

    def _keeps_earlier(self, one: Wanted) -> bool:
        """Whether what stands there is kept when it is replaced. A log that has only grown holds all of it.

        Raises NotHere.
        """
        if not log_like(one.path):
            return not one.path.startswith("Manifests/")
        try:
            return not begins_with(one.pieces(self._storage, self._pace.go_on), self._target.read(one.path))
        except FileRefused:
            return True

    def _settle(self) -> None:
        """What was put is brought to the medium, read back from there, and counts."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if not batch:
            return
        try:
            self._target.settle()
        except NotThere:
            raise CopyTrouble(f"{self._target.name}: what was written there is gone") from None
        right: list[tuple[Wanted, Stored]] = []
        for one in batch:
            try:
                found, stored = self._found_at(one.path)
            except (NotThere, FileRefused) as error:
                self._fail(one.path, str(error) or "it is not there, where it was just written")
                continue
            if found == one.sha256:
                right.append((one, stored))
            else:
                self._fail(one.path, "what was written there reads back as other bytes; check that disk")
        self._note(right)

    def _found_at(self, path: str) -> tuple[str, Stored]:
        """The hash of a file at the copy, and how it stood when its reading began. Raises NotThere, FileRefused."""
        stored = self._target.stored(path)
        if stored is None:
            raise NotThere
        return sha256_at(self._target, path)[0], stored

    def _note(self, read_back: list[tuple[Wanted, Stored]]) -> None:
        """These were read back just now, and right."""
        self._check()
        now = datetime.now(UTC)
        there = [There(one.path, one.sha256, one.size, one.original, stored.stamp, now) for one, stored in read_back]
        self._rows.note_there(self._copy.id, there)
        for noted in there:
            if noted.is_original:
                self.done.copied += 1
                self.done.bytes += noted.size
            else:
                self.done.others += 1
            self._step(noted.path, noted.size)
            if self.progress is not None:
                self.progress.reached(noted.path, noted.sha256)

    def _fail(self, path: str, why: str) -> None:
        logger.warning("%s: %s: not copied: %s", self._copy.name, path, why)
        self.done.failed[path] = why

    # The database, and what goes

    def _remove_emptied(self) -> None:
        """What a person has removed for good here goes there too, after a grace: only the very bytes.

        That the grace is over, the run before this one must have seen too: one look at a wrong clock removes nothing.
        """
        before = self._copy.ran_at
        if before is None or before > self._began:
            return
        for one in self._rows.emptied(self._copy.id, before - GRACE):
            self._pace.go_on()
            self._check()
            try:
                is_it = sha256_at(self._target, one.path)[0] == one.sha256
                self._rows.forget(self._copy.id, [one])
                if is_it:
                    self._target.remove(one.path)
                    self.done.removed += 1
            except NotThere:
                self._rows.forget(self._copy.id, [one])
            except FileRefused as error:
                self._fail(one.path, str(error))

    # How far it is

    def _plan(self) -> None:
        if self.progress is not None:
            self.progress.plan(*self._rows.left(self._copy.id))

    def _step(self, path: str, size: int) -> None:
        self._steps, self._bytes = self._steps + 1, self._bytes + size
        if self.progress is not None:
            failed = len(self.done.failed)
            counts = {"failed": failed}
            at = os.path.dirname(path)
            self.progress.steps(self._steps, self._bytes, at=at, errors=failed, counts=counts)
