"""`undo`: takes acts back."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Text, any_, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from Src.Factory import report
from Src.Factory.acting import acting, carry_out
from Src.Factory.decide import deciding
from Src.Factory.moments import moment
from Src.Factory.problems import Problem
from Src.Library.file_acts import ActRefused, FileActs, undo_moves
from Src.Library.overlay.undo import MovesFiles, Undone, acts_since, last_act
from Src.Library.overlay.undo import undo as take_back
from Src.Shared.database import Database
from Src.Shared.errors import ExitCode
from Src.Shared.models import Act, MediaAsset, OverlayEvent, TrashItem
from Src.Shared.person import login_name
from Src.Shared.settings import Settings
from Src.Shared.words import counted


def undo(settings: Settings, *, operation: str | None, since: str | None, as_json: bool, dry_run: bool) -> int:
    """Takes the last act back, or those that are named. FOUND: there is none, or something was changed since.

    Raises ActRefused, VaultTrouble, WrongLedger, LedgerUnavailable.
    """
    if operation is not None and since is not None:
        raise Problem("undo: give --operation or --since, not both")
    begun = None if since is None else moment(since, settings.zone, datetime.now(UTC), about="undo")
    done: list[Undone] = []
    with deciding(settings, dry_run=dry_run) as database:
        with database.session() as session:
            meant = _meant(session, operation, begun)
        if dry_run:
            done = _tried(settings, database, meant)
        for act in () if dry_run else meant:
            try:
                with database.session() as session:
                    done.append(take_back(session, session.get_one(Act, act.id), login_name()))
            except MovesFiles:
                done.append(_move_back(settings, act, dry_run=False, alone=len(meant) == 1))
        left = sum(one.left for one in done)
        if as_json:
            report.print_json({"dry_run": dry_run, "undone": [_as_json(one) for one in done], "left": left})
        elif not done:
            report.say("There is nothing to undo.")
        for one in () if as_json else done:
            when = one.act.happened_at.astimezone(settings.zone).strftime("%Y-%m-%d %H:%M:%S")
            would = "would be as before" if dry_run else "as before"
            what = f"{one.act.kind} {one.act.selection or ''}".strip()
            words = f"{what}, by {one.act.who} at {when}: {counted(one.restored, 'original')} {would}"
            report.say(f"{words}{f', {one.left:,} left: {_why_left(one.act)}' if one.left else ''}.")
    return ExitCode.WELL if done and not left else ExitCode.FOUND


def _why_left(act: Act) -> str:
    return "gone for good" if act.kind == "empty" else "changed since"


def _meant(session: Session, operation: str | None, since: datetime | None) -> Sequence[Act]:
    if since is not None:
        return acts_since(session, since)
    if operation is None:
        last = last_act(session)
        return [] if last is None else [last]
    if not re.fullmatch("[0-9a-f-]{8,36}", operation.lower()):
        raise Problem(f"undo: {operation!r} is no id of an act, nor its first eight letters; ./factory history has ids")
    found = session.scalars(select(Act).where(cast(Act.id, Text).startswith(operation.lower())).limit(2)).all()
    if len(found) > 1:
        raise Problem(f"undo: several acts have ids that begin with {operation}; write more of it")
    return found


def _tried(settings: Settings, database: Database, meant: Sequence[Act]) -> list[Undone]:
    """What would come of taking these acts back, one after the other; nothing of it is kept."""
    done: dict[uuid.UUID, Undone] = {}
    with database.session() as session:
        for act in meant:
            try:
                tried = take_back(session, session.get_one(Act, act.id), login_name())
            except MovesFiles:
                continue
            done[act.id] = tried._replace(act=act, by=None)
        session.rollback()
    for act in meant:
        if act.id not in done:
            done[act.id] = _move_back(settings, act, dry_run=True, alone=len(meant) == 1)
    return [done[act.id] for act in meant]


def _move_back(settings: Settings, act: Act, *, dry_run: bool, alone: bool) -> Undone:
    """Takes back an act that has moved files, by one that moves them back.

    Raises ActRefused where that cannot be; of several acts (not `alone`) one that cannot is left.
    """
    try:
        return _moved_back(settings, act, dry_run=dry_run)
    except ActRefused:
        if alone:
            raise
        return Undone(act, 0, len(act.parameters.get("hashes", ())), None)


def _moved_back(settings: Settings, act: Act, *, dry_run: bool) -> Undone:

    def begin(session: Session, file_acts: FileActs) -> Act:
        return undo_moves(session, file_acts, session.get_one(Act, act.id), login_name())

    with acting(settings, lists=False) as file_acts:
        if dry_run:
            with file_acts.session() as session:
                back = begin(session, file_acts)
                hashes = back.parameters["hashes"]
                session.rollback()
                count = _there(session, act, hashes)
            return Undone(act, count, len(hashes) - count, None)
        progress, _ = carry_out(file_acts, begin, "Undoing")
        with file_acts.session() as session:
            by = session.get_one(Act, progress.act)
    return Undone(act, progress.done, progress.wanted - progress.done, by)


def _there(session: Session, act: Act, hashes: Sequence[str]) -> int:
    """How many of these originals are where an act has left them: in the trash, or in the library."""
    asked = select(OverlayEvent.after).where(OverlayEvent.act_id == act.id, OverlayEvent.field == "removed").limit(1)
    has_removed = session.scalars(asked).first() is True
    sha256 = TrashItem.file_hash if has_removed else MediaAsset.file_hash
    among = sha256 == any_(literal(list(hashes), ARRAY(Text)))
    return session.execute(select(func.count()).where(among)).scalar_one()


def _as_json(one: Undone) -> dict[str, Any]:
    return {
        "act": str(one.act.id),
        "kind": one.act.kind,
        "selection": one.act.selection,
        "who": one.act.who,
        "happened_at": one.act.happened_at,
        "restored": one.restored,
        "left": one.left,
        "by": None if one.by is None else str(one.by.id),
    }
