"""Writes what people decided into the XMP files beside originals, a batch at a time, and takes over what others wrote.

Under the vault's lock, and in this order: what stands there is read; what another program has changed is taken over;
the ledger names the hash of what is about to be written; that is written beside it, synced, and gets its name in one
step; then the ledger says that the decisions are said. A kill leaves decisions that wait still, and a file that is as
it was or as the ledger has announced it, so that nobody takes it for another program's.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from Src.Library.file_acts import FileActs
from Src.Library.kept_xmp import KeptXmp
from Src.Library.open_places import OpenPlaces
from Src.Library.overlay.current import Key, values
from Src.Library.overlay.mirror import FOLDER, Mirror
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Library.xmp import files, foreign, rows
from Src.Library.xmp.carrying import carry_out
from Src.Library.xmp.files import Found, Unusable
from Src.Library.xmp.foreign import Edited
from Src.Library.xmp.rows import Coming, NewFile, Row, Seen
from Src.Library.xmp.saying import Decided, as_json, wanted
from Src.Library.xmp.work import Work, said_in, seen_of
from Src.Media.companion_names import names_beside
from Src.Media.xmp_document import NotXmp
from Src.Media.xmp_sidecar import Said, read_sidecar
from Src.Media.xmp_writing import written_where_possible
from Src.Shared.disk.syncing import fsync_path
from Src.Shared.ledger_text import int8

logger = logging.getLogger(__name__)

BATCH = 200  # originals: while their files are written, nothing is filed
_AGAIN = 60.0  # seconds until a file that could not be written is tried again
_UNSAYABLE = 600.0  # where a file cannot say it: that changes only where somebody changes the file, or decides again
_MOST_NAMES = 9  # that are tried for a new file
_OF_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no folder would fare better
DAMAGED = (
    "its bytes are others, and its size and time are not: check the disk and copy it back; or, if a program has "
    "written it and put its time back, touch it"
)


@dataclass
class Done:
    """What came of a batch, or of several."""

    originals: int = 0  # whose files say now all that was decided
    written: int = 0  # files
    taken_over: int = 0  # files of other programs
    left: dict[str, str] = field(default_factory=dict)  # path: why a file is as it was

    def add(self, other: Done) -> None:
        self.originals += other.originals
        self.written += other.written
        self.taken_over += other.taken_over
        self.left |= other.left


class XmpFiles:
    """The XMP files of one vault."""

    def __init__(
        self, vault: Vault, file_acts: FileActs, now: Callable[[], float] = time.monotonic, *, writes: bool = True
    ) -> None:
        """Not `writes`: only what other programs wrote is taken over."""
        self._writes = writes
        self._vault = vault
        self._acts = file_acts
        self._kept = KeptXmp(vault.storage)
        self._now = now
        self._mirror = Mirror(vault)
        self._is_reported = False
        self._blocked: dict[str, float] = {}  # by the original's hash: until when it waits

    def are_waiting(self) -> bool:
        """Whether decisions are to be written. Cheap. Raises LedgerUnavailable."""
        with self._acts.session() as session:
            return bool(rows.waiting(session, 1, self._waiting_still()))

    def finish_left(self) -> None:
        """Brings to its end what a killed run was about to write. Under the vault's lock. Raises VaultTrouble."""
        with self._acts.session() as session:
            left = rows.coming(session)
        if not left:
            return
        noted: list[Seen] = []
        nowhere: list[uuid.UUID] = []
        settled: list[uuid.UUID] = []
        with vault_trouble(f"read {self._vault.storage}"), OpenPlaces(self._vault.storage) as places:
            for row in left:
                if row.path is None:
                    settled.append(row.id)
                    continue
                try:
                    folder, _ = places.parent(row.path)
                    files.drop(folder, files.temporary_of(row.id))
                    found = files.read(places, row.path)
                except FileNotFoundError:
                    found = None
                except (Unusable, OSError) as problem:  # it is asked again
                    logger.debug("the XMP file %s is not brought to its end yet: %s", row.path, problem)
                    continue
                if found is not None and found.sha256 == row.coming_hash:
                    with vault_trouble(f"sync {row.path}"):
                        fsync_path(".", os.O_DIRECTORY, dir_fd=folder)
                    noted.append(seen_of(row.id, found, is_ours=True))
                elif not row.is_filed:
                    nowhere.append(row.id)
                else:
                    settled.append(row.id)
        with self._acts.session() as session:
            rows.seen(session, noted)
            rows.gone(session, nowhere)
            rows.nothing_comes(session, settled)

    def write(self, limit: int = BATCH) -> Done:
        """Writes the decisions that have waited longest. Raises VaultTrouble, LedgerUnavailable.

        Nothing came of it: nothing waits, but what is tried again later.
        """
        with self._vault.lock():
            if not self._prepared():
                return Done()
            with self._acts.session() as session:
                hashes = rows.waiting(session, limit, self._waiting_still())
            return self._batch(hashes, []) if hashes else Done()

    def take_over(self, changed: Sequence[uuid.UUID], new: Mapping[str, str]) -> Done:
        """Takes over XMP files that are not as the ledger knows them, and writes what waits for them.

        `changed`: ids of rows. `new`: files without a row, and whose each is (a hash), by path. Raises VaultTrouble,
        LedgerUnavailable.
        """
        done = Done()
        paths: defaultdict[str, list[str]] = defaultdict(list)
        for path, sha256 in new.items():
            paths[sha256].append(path)
        with self._acts.session() as session:
            ours = sorted({row.original_hash for row in rows.with_ids(session, changed)} | set(paths))
        for first in range(0, len(ours), BATCH):
            some = ours[first : first + BATCH]
            with self._vault.lock():  # for a batch: photos wait to be filed
                if not self._prepared():
                    break
                done.add(self._batch(some, [(path, sha256) for sha256 in some for path in paths.get(sha256, ())]))
        return done

    def _prepared(self) -> bool:
        """Whether anything may be read and written now.

        A ledger that was restored from an older backup would take what we wrote since for another program's.
        """
        self._vault.check()
        with self._acts.session() as session:
            is_behind = self._mirror.knows_more(session)
        if is_behind:
            if not self._is_reported:
                logger.error(
                    "the database is older than %s: XMP files are left as they are; "
                    "./factory rebuild --missing brings it up to date",
                    self._vault.storage / FOLDER,
                )
            self._is_reported = True
            return False
        self._is_reported = False
        self._acts.finish_left()
        self.finish_left()
        return True

    def _waiting_still(self) -> list[str]:
        now = self._now()
        self._blocked = {sha256: until for sha256, until in self._blocked.items() if until > now}
        return list(self._blocked)

    def _batch(self, hashes: Sequence[str], new: Sequence[tuple[str, str]]) -> Done:
        done = Done()
        with (
            vault_trouble(f"write XMP files in {self._vault.storage}"),
            OpenPlaces(self._vault.storage) as places,
        ):
            with self._acts.session() as session:
                work = self._read(session, places, hashes, new, done)
            with self._acts.session() as session:
                seqs = self._plan(session, work, hashes, done)
            noted = carry_out(
                self._vault, places, [one for one in work if one.content is not None], partial(self._leave, done)
            )
            done.written += len(noted)
        blocked = self._waiting_still()
        with self._acts.session() as session:
            rows.seen(session, noted)
            these = [sha256 for sha256 in seqs if sha256 not in blocked]
            rows.said(session, [seq for sha256 in these for seq in seqs[sha256]])
        done.originals = len(these)
        return done

    def _read(
        self, session: Session, places: OpenPlaces, hashes: Sequence[str], new: Sequence[tuple[str, str]], done: Done
    ) -> list[Work]:
        """All XMP files of originals, those too that other programs have just made."""
        work: list[Work] = []
        known = rows.of_originals(session, hashes)
        for sha256 in hashes:
            for row in known.get(sha256, ()):
                if row.path is None or not row.is_filed:
                    continue
                one = Work(row, sha256, row.path, id=row.id)
                if self._look(places, one, done):
                    work.append(one)
        for path, sha256 in new:
            one = Work(None, sha256, path)
            if self._look(places, one, done) and one.found is not None:
                work.append(one)
        return work

    def _look(self, places: OpenPlaces, one: Work, done: Done) -> bool:
        """Reads a file; whether it can be gone on with."""
        try:
            one.found = files.read(places, one.path)
            if one.found is not None:
                if one.row is not None and _is_damaged(one.row, one.found):
                    raise Unusable(DAMAGED)
                one.said = read_sidecar(one.found.content)
        except (Unusable, NotXmp) as problem:
            self._leave(done, one, str(problem))
            return False
        except OSError as error:
            self._leave(done, one, f"it cannot be read ({error.strerror})")
            return False
        return True

    def _leave(self, done: Done, one: Work, reason: str, pause: float = _AGAIN) -> None:
        logger.warning("the XMP file %s stays as it is for now: %s", one.path, reason)
        self._blocked[one.original] = self._now() + pause
        done.left[one.path] = reason

    def _plan(self, session: Session, work: list[Work], hashes: Sequence[str], done: Done) -> dict[str, list[int]]:
        """Takes over what others wrote, and says what is to be written; the decisions that are said then."""
        now = values(session, hashes, lock=True)
        decided = rows.decided(session, hashes)
        noted: list[Seen] = []
        edited: list[Edited] = []
        unsaid: list[int] = []
        for one in work:
            if self._compare(session, one, noted, edited):
                unsaid += [event.seq for event in decided[one.original]]
        done.taken_over += foreign.take_over(session, self._acts, edited, decided, now)
        unsaid += foreign.not_said(edited, decided)
        rows.unsaid(session, unsaid)  # with what is noted of the files: a kill must not come in between
        if edited or unsaid:
            now, decided = values(session, hashes), rows.decided(session, hashes)
        rows.seen(session, noted)
        paths = rows.paths_of(session, hashes)
        have = {one.original for one in work}
        seqs: dict[str, list[int]] = {}
        without: list[str] = []
        for sha256 in hashes:
            waiting = [event.seq for event in decided[sha256] if not event.is_in_xmp]
            if not self._writes or sha256 in self._blocked or sha256 not in paths or not waiting:
                continue
            seqs[sha256] = waiting
            if sha256 not in have:
                without.append(sha256)
        work += self._new(session, {sha256: paths[sha256] for sha256 in without}, done)
        coming: list[Coming] = []
        made: list[Work] = []
        files_to_make: list[NewFile] = []
        for one in work:
            if one.original in seqs and self._compose(one, decided[one.original], now, done):
                assert one.content is not None
                sha256, size = hashlib.sha256(one.content).hexdigest(), len(one.content)
                if one.id is None:
                    made.append(one)
                    files_to_make.append(NewFile(one.original, one.path, sha256, size))
                else:
                    coming.append(Coming(one.id, sha256, size, one.path))
        rows.about_to_change(session, coming)
        for one, id_ in zip(made, rows.about_to_stand(session, files_to_make), strict=True):
            one.id = id_
        return seqs

    def _compare(self, session: Session, one: Work, noted: list[Seen], edited: list[Edited]) -> bool:
        """What is known of a file by now, and whether another program has written it.

        Whether it is what came in once more, which decides nothing: what was decided since must be written again.
        """
        row, found = one.row, one.found
        if found is None:
            return False
        came_again = False
        before: Mapping[str, Any] | None
        if row is None:  # what came in, before the first change
            self._kept.keep(found.content)
            one.id = rows.stands(session, NewFile(one.original, one.path, found.sha256, found.status.st_size))
            is_ours, is_edit, before = False, True, None
        elif row.standing_hash is None and found.sha256 == row.came_hash:
            is_ours, is_edit, before = row.made_here, False, None
        elif found.sha256 in (row.standing_hash, row.coming_hash):
            is_ours, is_edit, before = row.is_ours or found.sha256 == row.coming_hash, False, None
        elif found.sha256 == row.came_hash:  # a backup was put back, or the same card was imported again
            is_ours, is_edit, before, came_again = row.made_here, False, None, True
        else:
            is_ours, is_edit, before = False, True, row.says
            if before is None:
                came = self._kept.content(row.came_hash)
                before = None if came is None else as_json(said_in(came))
        assert one.id is not None
        known = row is not None and (row.standing_hash, row.standing_mtime_ns) == (
            found.sha256,
            int8(found.status.st_mtime_ns),
        )
        if is_edit:
            program = foreign.program_of(found.content)
            at = foreign.written_at(found.status.st_mtime_ns)
            is_older = row is not None and foreign.is_before(int8(found.status.st_mtime_ns), row.standing_mtime_ns or 0)
            edited.append(Edited(one.original, one.path, program, one.said, before, at, is_older))
        if not known:
            noted.append(seen_of(one.id, found, is_ours=is_ours))
        return came_again

    def _new(self, session: Session, originals: Mapping[str, str], done: Done) -> list[Work]:
        """Files that are to be made beside originals (paths, by hash) that have none.

        Each has its original's whole name, so that programs know whose it is.
        """
        if not originals:
            return []
        known = rows.of_originals(session, list(originals))
        names = {sha256: _names(path) for sha256, path in originals.items()}
        taken = rows.known_paths(session, [path for paths in names.values() for path in paths])
        work: list[Work] = []
        for sha256, paths in names.items():
            row = next((row for row in known.get(sha256, ()) if row.path is None), None)
            one = Work(row, sha256, paths[0], id=None if row is None else row.id)
            try:
                one.path = next(path for path in paths if path not in taken and self._is_free(path))
            except StopIteration:
                self._leave(done, one, "no name is free for it")
            except VaultTrouble as trouble:  # its folder's: that of another day may be well
                if getattr(trouble.__cause__, "errno", None) in _OF_ALL:
                    raise
                self._leave(done, one, str(trouble))
            else:
                taken.add(one.path)  # two long names may be cut to the same one
                work.append(one)
        return work

    def _is_free(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return self._vault.folder(folder).holder(name) is None

    def _compose(self, one: Work, decided: Sequence[Decided], now: Mapping[Key, Any], done: Done) -> bool:
        """What a file is to hold; whether that is another content than it has."""
        standing = None if one.found is None else one.found.content
        came_in: bytes | None = None
        if one.row is not None and not one.row.made_here:
            came_in = self._kept.content(one.row.came_hash)
        if standing is None:  # somebody has taken it away, or there was none
            standing = came_in
            one.said = Said() if standing is None else said_in(standing)
        came = Said() if came_in is None else said_in(came_in)
        changes = wanted(decided, now, one.original, came, one.said.tags)
        try:
            content, problems = written_where_possible(standing, changes)
        except NotXmp as problem:  # the bytes that came in
            self._leave(done, one, str(problem), _UNSAYABLE)
            return False
        if problems:  # what was decided waits, but for what the other fields say: they are written
            self._leave(done, one, "; ".join(problems), _UNSAYABLE)
            if standing is None and said_in(content) == Said():
                return False
        if one.found is not None and content == one.found.content:
            return False
        if one.found is not None and not (
            one.row is not None and one.row.is_ours and one.found.sha256 in (one.row.standing_hash, one.row.coming_hash)
        ):
            self._kept.keep(one.found.content)
        one.content = content
        return True


def _names(original: str) -> list[str]:
    folder, name = os.path.split(original)
    return [f"{folder}/{one}" for one in islice(names_beside("x.jpg.xmp", name), _MOST_NAMES)]


def _is_damaged(row: Row, found: Found) -> bool:
    """Whether it has other bytes with the size and time that it had: so a disk loses bits, and hardly a program writes.

    (Its ctime would not tell: whoever moves it, or changes its mode, sets that too.)
    """
    known = (row.standing_size, row.standing_mtime_ns)
    return (
        row.standing_hash is not None
        and found.sha256 not in (row.standing_hash, row.coming_hash, row.came_hash)
        and known == (found.status.st_size, int8(found.status.st_mtime_ns))
    )
