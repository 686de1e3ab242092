"""Acts that touch files, from the first plan to the last row: redate, remove, restore, empty, and what takes them back.

An act names the originals that it means from its beginning. They are worked off in batches, each under the vault's
lock: the plan is committed, the files are renamed and synced, then rows and events are committed and the plan goes. A
run that is killed leaves at most one batch in between, and `finish_left` brings that to its end before anybody decides
or records anything else. The rest of the act is done by whoever carries out acts next.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import groupby
from typing import Any, cast

from sqlalchemy import Row, Table, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from Src.Library.asked_acts import OPEN, changed_by
from Src.Library.belonging import Belonging
from Src.Library.deed import Deed, Settled
from Src.Library.move_plan import forget, moves_left, plan
from Src.Library.moves import Answer, Move, Moved, Mover, Stays
from Src.Library.open_places import OpenPlaces
from Src.Library.original_path import is_in_trash
from Src.Library.overlay import acts
from Src.Library.overlay.events import EMPTIED
from Src.Library.redating import Redate, RedateBack
from Src.Library.trash import Empty, Remove, Restore, drop, removed
from Src.Library.vault import Vault
from Src.Library.vault_trouble import VaultTrouble, vault_trouble
from Src.Library.verdict import Gone, Living
from Src.Shared.database import Database, LedgerUnavailable
from Src.Shared.disk.locks import lock_now, note_holder, open_lock, take
from Src.Shared.disk.making import PRIVATE, make_folder
from Src.Shared.disk.syncing import fsync_path
from Src.Shared.errors import FactoryError
from Src.Shared.ledger_text import from_ledger, to_ledger
from Src.Shared.models import Act, LeftPath, MediaAsset, OverlayEvent, TrashItem
from Src.Shared.words import counted

logger = logging.getLogger(__name__)

BATCH = 500  # originals: while they are moved, nothing is filed
_ROUNDS = 3  # for names that others took meanwhile
KINDS = ("redate", "remove", "restore", "empty")

_ASSETS = cast(Table, MediaAsset.__table__)
_TRASH = cast(Table, TrashItem.__table__)
_EVENTS = cast(Table, OverlayEvent.__table__)
_LEFT = cast(Table, LeftPath.__table__)


_UNWANTED = text(
    "SELECT a.file_hash, a.file_size, a.final_path, t.trash_path FROM media_assets AS a "
    "JOIN (SELECT file_hash FROM trash UNION SELECT file_hash FROM tombstones) AS r ON r.file_hash = a.file_hash "
    "LEFT JOIN trash AS t ON t.file_hash = a.file_hash"
)


class ActRefused(FactoryError):
    """An act that cannot be carried out. The message is one line; nothing was changed."""

    about = "act"


@dataclass
class Progress:
    """How far an act is."""

    act: uuid.UUID
    wanted: int  # originals
    done: int = 0
    stay: dict[str, str] = field(default_factory=dict)  # by hash: why an original stays as it was

    @property
    def message(self) -> str | None:
        """What the act's row says in the end."""
        if not self.stay:
            return None
        reason = next(iter(self.stay.values()))
        more = f"; {len(self.stay) - 1:,} more stay too" if len(self.stay) > 1 else ""
        return f"{self.done:,} of {counted(self.wanted, 'original')} done; one stays, for {reason}{more}"


class FileActs:
    """Carries out acts that touch files, for one vault and its ledger."""

    def __init__(
        self, vault: Vault, database: Database, zone: tzinfo = UTC, belonging: Belonging | None = None
    ) -> None:
        """`zone`: by whose clock nothing is to come. `belonging`: whether the ledger is the vault's; None: it is."""
        self._vault = vault
        self._database = database
        self._zone = zone
        self._belonging = belonging
        self._mover = Mover(vault)
        self.have_begun = False  # files may have moved

    @contextmanager
    def session(self) -> Iterator[Session]:
        """With the vault's own ledger. Raises WrongLedger, LedgerUnavailable."""
        with self._database.session() as session:
            if self._belonging is not None:
                self._belonging.check(session)
            yield session

    @contextmanager
    def turn(self, waiting: Callable[[float], None] | None = None) -> Iterator[bool]:
        """Only one process at a time carries out acts; whether this one may now.

        `waiting` is called while another does, with the seconds that have passed, and may raise; None: nobody waits.
        """
        with vault_trouble(f"write in {self._vault.state}"):
            os.stat(self._vault.storage)  # never made here: its disk may not be mounted
            make_folder(self._vault.state, PRIVATE)
            fd = open_lock(self._vault.state / "acts.lock")
        try:
            if waiting is None:
                mine = lock_now(fd)
            else:
                take(fd, waiting)
                mine = True
            if mine:
                note_holder(fd)
            yield mine
        finally:
            os.close(fd)

    # What killed runs have left

    def finish_left(self) -> int:
        """Brings moves to their end that a run before has begun; how many. Cheap where there are none.

        Under the vault's lock. Raises VaultTrouble, LedgerUnavailable.
        """
        with self.session() as session:
            moves = moves_left(session)
        for act, some in groupby(moves, key=lambda move: move.act_id):
            group = list(some)
            answers = self._mover.carry_out(group, again=True)
            self._settle(act, group, answers, ())
            logger.info("act %s: finished %s that a killed run had begun", act, counted(len(group), "move"))
        return len(moves)

    def open_acts(self) -> list[uuid.UUID]:
        """Acts that nobody carries out: those of killed runs, and those that wait for the Librarian. In their turn."""
        # (what takes back an act that touches only the ledger is done as soon as it is written)
        asked = text(
            "SELECT id FROM acts WHERE status IN ('pending', 'running') "
            "AND (kind = ANY (:kinds) OR undoes IS NOT NULL) ORDER BY happened_at, id"
        )
        with self.session() as session:
            return list(session.execute(asked, {"kinds": list(KINDS)}).scalars())

    def sweep(self) -> dict[str, str]:
        """Takes out of the library what a person has removed and what came in again; by hash, where in the trash it is.

        What has a living copy in the trash is dropped against that, the rest is moved there. Under the vault's lock.
        Raises VaultTrouble, LedgerUnavailable.
        """
        with self.session() as session:
            rows = session.execute(_UNWANTED).all()
        if not rows:
            return {}
        where: dict[str, str] = {}
        to_move: list[str] = []
        for row in rows:
            trash_path = None if row.trash_path is None else from_ledger(row.trash_path)
            if trash_path is None or not self._lives(trash_path, row):
                to_move.append(row.file_hash)
            elif self._dropped(from_ledger(row.final_path), row):
                where[row.file_hash] = trash_path
        with self.session() as session:
            drop(session, list(where))
        for first in range(0, len(to_move), BATCH):
            some = to_move[first : first + BATCH]
            with self.session() as session:
                act = self.begin(session, "remove", acts.ITSELF, some)
            progress = Progress(act.id, len(some))
            self._batch(act.id, some, progress)
            self._finish(act.id, "done", progress.message or "removed before, and came in again")
            with self.session() as session:
                gone = removed(session, some)
            where |= {one: path for one in some if one not in progress.stay and (path := gone[one].trash_path)}
        logger.info("%s that had been removed came in again: to the trash", counted(len(where), "original"))
        return where

    def _lives(self, path: str, row: Row[Any]) -> bool:
        return isinstance(self._vault.verdict(path, row.file_hash, row.file_size), Living)

    def _dropped(self, path: str, row: Row[Any]) -> bool:
        """Removes a second copy of what lives in the trash; whether nothing of it stands there now."""
        verdict = self._vault.verdict(path, row.file_hash, row.file_size)
        if isinstance(verdict, Living):
            with vault_trouble(f"remove {path}"), OpenPlaces(self._vault.storage) as places:
                folder, name = places.parent(path)
                os.unlink(name, dir_fd=folder)
                fsync_path(".", os.O_DIRECTORY, dir_fd=folder)
        return isinstance(verdict, Living | Gone)

    # One act

    def begin(
        self,
        session: Session,
        kind: str,
        who: str,
        hashes: Sequence[str],
        parameters: Mapping[str, Any] | None = None,
        *,
        selection: str | None = None,
        undoes: uuid.UUID | None = None,
    ) -> Act:
        """Writes an act that `steps` is to carry out, and sees whether it can be. Raises FactoryError."""
        given = {**(parameters or {}), "hashes": list(hashes)}
        act = acts.begin(session, kind, who, selection=selection, parameters=given, undoes=undoes, status="running")
        self.deed(session, act).check(session, hashes)
        return act

    def deed(self, session: Session, act: Act) -> Deed:
        """What an act does. Raises FactoryError where nobody understands it."""
        match "undo" if act.undoes is not None else act.kind:
            case "undo":
                return self._undoing(session, act)
            case "redate":
                return Redate(act.parameters, datetime.now(self._zone).replace(tzinfo=None))
            case "remove":
                return Remove()
            case "restore":
                return Restore()
            case "empty":
                return Empty()
        raise ActRefused(f"nobody knows how to {act.kind}")

    def _undoing(self, session: Session, act: Act) -> Deed:
        """What takes back an act, by what that has changed: so what takes back can be taken back too."""
        asked = select(_EVENTS.c.field, _EVENTS.c.after).where(_EVENTS.c.act_id == act.undoes).limit(1)
        changed = session.execute(asked).first()
        if changed is not None and act.undoes is not None:
            if changed.field == "captured_at":
                return RedateBack(session, act.undoes)
            if changed.field == "removed" and changed.after != EMPTIED:
                return Restore() if changed.after else Remove()
        if changed is not None and changed.after == EMPTIED:
            raise ActRefused(f"{act.undoes} emptied the trash, and what has gone for good cannot be taken back")
        raise ActRefused(f"what act {act.undoes} did cannot be taken back")

    def steps(self, act_id: uuid.UUID) -> Generator[Progress, None, None]:
        """Carries out an act, batch by batch; whoever leaves it between two leaves it open, to be gone on with.

        In the turn of this process. Raises FactoryError, and then the act has failed; LedgerUnavailable: it is open.
        """
        folders: set[str] = set()
        is_moving = False
        try:
            with self._vault.lock():
                self.finish_left()  # of this very act too: then it is done
            with self.session() as session:
                act, todo = self._read(session, act_id)
                if act.status not in OPEN:  # a person has taken it back before anybody began
                    return
                progress = Progress(act_id, len(act.parameters["hashes"]))
                progress.done = progress.wanted - len(todo)
            for first in range(0, len(todo), BATCH):
                with self._vault.lock():
                    self._vault.check()
                    is_moving = True
                    folders |= self._batch(act_id, todo[first : first + BATCH], progress)
                is_moving = False
                yield progress
            if not todo:
                yield progress
            self._clean_up(act_id, folders)
        except FactoryError as error:
            # While the ledger or the vault is away, or somebody has its lock, the act waits.
            is_away = error.about == LedgerUnavailable.about or (isinstance(error, VaultTrouble) and not is_moving)
            if not is_away:
                self._finish(act_id, "failed", str(error))
            raise
        nothing = progress.done == 0 and progress.wanted > 0
        self._finish(act_id, "failed" if nothing else "done", progress.message)

    def fail(self, act_id: uuid.UUID, reason: str) -> None:
        """Ends an act that nobody can carry out."""
        self._finish(act_id, "failed", reason)

    def give_up(self, progress: Progress) -> None:
        """A person has stopped an act between two batches."""
        self._clean_up(progress.act, set())
        done = f"stopped after {progress.done:,} of {progress.wanted:,}"
        self._finish(progress.act, "failed", f"{done}; ./factory undo --operation {progress.act} takes that back")

    def _read(self, session: Session, act_id: uuid.UUID) -> tuple[Act, list[str]]:
        """The act, and which originals it has not come to yet."""
        act = session.get(Act, act_id, with_for_update=True)  # who takes it back at this moment comes before or after
        if act is None:
            raise ActRefused(f"there is no act {act_id}")
        if act.status == "pending":
            self._take_up(session, act)
        events = select(_EVENTS.c.file_hash).where(_EVENTS.c.act_id == act.id)
        done = set(session.execute(events).scalars())
        return act, [sha256 for sha256 in act.parameters["hashes"] if sha256 not in done]

    def _take_up(self, session: Session, act: Act) -> None:
        """An act that the dashboard has written: it names originals by hash or id."""
        given = dict(act.parameters)
        try:
            hashes = [str(one) for one in given.get("hashes") or ()]
            ids = [uuid.UUID(str(one)) for one in given.pop("ids", None) or ()]
        except (TypeError, ValueError) as error:
            raise ActRefused(f"which originals it means is not understood: {error}") from error
        if ids:
            found = session.execute(
                select(_ASSETS.c.file_hash).where(_ASSETS.c.id.in_(ids)).order_by(_ASSETS.c.captured_at, _ASSETS.c.id)
            )
            hashes += found.scalars()
        given["hashes"] = list(dict.fromkeys(hashes))
        if act.kind == "empty" and given.get("really") is not True:
            raise ActRefused("the trash is emptied only when a person has said so twice")
        act.parameters = given
        self.deed(session, act).check(session, given["hashes"])
        # (the role of the service may write these two columns, and no others)
        values = {"parameters": given, "status": "running"}
        session.execute(
            update(Act).where(Act.id == act.id).values(**values).execution_options(synchronize_session=False)
        )
        session.expire(act)

    def _batch(self, act_id: uuid.UUID, hashes: Sequence[str], progress: Progress) -> set[str]:
        """One batch, under the vault's lock; the folders that files left or should have come to."""
        folders: set[str] = set()
        for _ in range(_ROUNDS):
            with (
                vault_trouble(f"move files in {self._vault.storage}"),
                OpenPlaces(self._vault.storage) as places,
                self.session() as session,
            ):
                act = session.get_one(Act, act_id)
                asked = self.deed(session, act).wanted(session, hashes, places)
                planned = plan(session, act_id, asked.wanted, self._vault)
            progress.stay |= asked.refused | planned.refused
            answers = self._mover.carry_out(planned.moves)
            staying = self._settle(act_id, planned.moves, answers, asked.in_place)
            progress.stay |= staying
            folders |= {
                os.path.dirname(path) for move in planned.moves for path in (move.from_path, move.to_path) if path
            }
            hashes = [
                move.file_hash
                for move, answer in zip(planned.moves, answers, strict=True)
                if isinstance(answer, Stays) and answer.is_taken and move.companion is None
            ]
            moved = [
                move.file_hash
                for move, answer in zip(planned.moves, answers, strict=True)
                if isinstance(answer, Moved) and move.companion is None
            ]
            done = {*moved, *asked.in_place} - staying.keys()  # a row that was refused has taken its file back
            progress.done += len(done)
            for one in done:  # whose name was taken the first time
                progress.stay.pop(one, None)
            for answer in answers:
                if isinstance(answer, Stays) and answer.is_of_the_disk:
                    raise VaultTrouble(f"{progress.done:,} of {progress.wanted:,} done, then {answer.reason}")
            if not hashes:
                break
        return folders

    def _settle(
        self, act_id: uuid.UUID, moves: Sequence[Move], answers: Sequence[Answer], in_place: Sequence[str]
    ) -> dict[str, str]:
        """Writes rows and events of what was moved, and forgets the plan, in one transaction; why others stay.

        What the ledger refuses goes back to where it stood.
        """
        pairs = list(zip(moves, answers, strict=True))
        stay = {move.file_hash: a.reason for move, a in pairs if isinstance(a, Stays) and move.companion is None}
        moved = [move for move, answer in pairs if isinstance(answer, Moved)]
        try:
            with self.session() as session:
                self._write(session, act_id, moved, in_place)
                forget(session, moves)
        except DBAPIError as error:
            hashes = list(dict.fromkeys([*in_place, *(move.file_hash for move in moves)]))
            if len(hashes) > 1:
                for sha256 in hashes:
                    own = [(move, answer) for move, answer in pairs if move.file_hash == sha256]
                    of_it = [one for one in in_place if one == sha256]
                    stay |= self._settle(act_id, [move for move, _ in own], [answer for _, answer in own], of_it)
                return stay
            self._take_back(moved)
            with self.session() as session:
                forget(session, moves)
            stay[hashes[0]] = f"the database refuses its row: {str(error.orig).strip().partition(chr(10))[0]}"
        return stay

    def _write(self, session: Session, act_id: uuid.UUID, moved: Sequence[Move], in_place: Sequence[str]) -> None:
        if not moved and not in_place:
            return
        act = session.get_one(Act, act_id)
        settled = Settled(dict.fromkeys(in_place))
        for move in moved:
            if move.companion is None:
                settled.paths[move.file_hash] = move.to_path
            else:
                settled.companions[move.companion] = move.to_path
        left = [
            {"final_path": to_ledger(move.from_path), "file_hash": move.file_hash, "act_id": act_id}
            for move in moved
            if not is_in_trash(move.from_path)
        ]
        if left:
            put = insert(_LEFT)
            again = put.on_conflict_do_update(index_elements=["final_path"], set_={"act_id": put.excluded.act_id})
            session.execute(again.returning(_LEFT.c.final_path), left)  # else each row would be sent by itself
        self.deed(session, act).settle(session, act, settled)

    def _take_back(self, moved: Sequence[Move]) -> None:
        """Raises VaultTrouble where it cannot be: then it is tried again from the plan."""
        back = [
            move._replace(from_path=move.to_path, to_path=move.from_path) for move in moved if move.to_path is not None
        ]
        for move, answer in zip(back, self._mover.carry_out(back), strict=True):
            if isinstance(answer, Stays):
                raise VaultTrouble(f"{move.from_path} cannot go back to {move.to_path}: {answer.reason}")

    def _clean_up(self, act_id: uuid.UUID, folders: set[str]) -> None:
        """Removes days' folders that the act has emptied; of a run that was killed, those that it left too."""
        with self.session() as session:
            left = session.execute(select(_LEFT.c.final_path).where(_LEFT.c.act_id == act_id)).scalars()
            days = {os.path.dirname(path) for path in left} | folders | self._days_of_trash()
        with self._vault.lock(), vault_trouble(f"look into {self._vault.storage}"):
            self._mover.remove_empty(days)

    def _days_of_trash(self) -> set[str]:
        top = self._vault.storage / "Trash"
        try:
            return {str(day.relative_to(self._vault.storage)) for day in top.glob("[0-9]*/[0-9]*")}
        except OSError:
            return set()

    def _finish(self, act_id: uuid.UUID, status: acts.Status, message: str | None) -> None:
        with self.session() as session:
            act = session.get(Act, act_id)
            if act is None:
                return
            acts.finish(session, act, status, message)
            if status == "done" and act.undoes is not None:
                acts.took_back(session, act)


def undo_moves(session: Session, file_acts: FileActs, act: Act, who: str) -> Act:
    """Begins the act that takes another back; `FileActs.steps` carries it out. Raises ActRefused.

    What was redated gets its date and its day back where nobody has changed it since, what was removed is restored,
    what was restored is removed. What was emptied is gone.
    """
    if act.status in (*OPEN, "undone"):
        raise ActRefused(f"the act {act.id} ({act.kind}) is {act.status}: it cannot be taken back now")
    return file_acts.begin(session, "undo", who, changed_by(session, act.id), undoes=act.id)
