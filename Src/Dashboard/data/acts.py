"""What people do to originals from a page: one function for each act, for one original or for many at once.

An act that touches only the ledger is done when its function returns. One that touches files (dates, removing,
restoring, emptying, and what takes these back) waits for the Librarian: its function returns what stands in the ledger,
and `standing` says later what became of it. Whatever keeps an act from being written is raised as `NotDone`: then
nothing was changed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import streamlit as st
from sqlalchemy import Text, any_, literal, select, text
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Session

from Src.Accounts.sessions import OWNER
from Src.Dashboard import resources
from Src.Dashboard.data import library
from Src.Dashboard.data.standing import Standing, Submitted, standing_of
from Src.Dashboard.ledger import Crossed, TooSlow
from Src.Dashboard.resources import ledger, settings
from Src.Library import asked_acts, redating
from Src.Library.asked_acts import OPEN
from Src.Library.overlay import albums, changes
from Src.Library.overlay.acts import NOBODY as PROGRAMS
from Src.Library.overlay.changes import Decision, carry_out
from Src.Library.overlay.keeping import may_decide
from Src.Library.overlay.undo import MovesFiles
from Src.Library.overlay.undo import undo as take_back
from Src.Shared.errors import FactoryError
from Src.Shared.ledger_way import one_line
from Src.Shared.models import Act, Album, MediaAsset, TrashItem

NOBODY = "dashboard"  # who acts where nobody has to log in


class NotDone(FactoryError):
    """An act that could not be written. The message is one line, for people; nothing was changed."""

    about = "act"


class _Crossed(NotDone):
    """Another act was first."""


# Who, and whether at all


def who() -> str:
    """Who acts: the login's name, where there is a login."""
    email = st.user.get("email") if st.user.get("is_logged_in") else None
    if isinstance(email, str) and email:
        return email
    return NOBODY if resources.sessions is None else OWNER


@st.cache_data(ttl=10, show_spinner=False)
def refusal() -> str | None:
    """Why nobody can act here; None: people can. Pages show no buttons where they cannot. Raises LedgerUnavailable."""
    with ledger().session() as session:
        may, copies = session.execute(_MAY).one()
    if copies:
        return "The database is a copy that can only be read"
    return None if may else "The dashboard's role in the database may only look"


_MAY = text(
    "SELECT has_table_privilege('acts', 'INSERT') AND has_table_privilege('overlay_events', 'INSERT') "
    "AND has_column_privilege('media_assets', 'rating', 'UPDATE'), "
    "pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool"
)

# Acts that touch only the ledger


def rate(ids: Sequence[uuid.UUID], rating: int) -> Submitted:
    """0 to 5 stars."""
    return _decide(ids, lambda _: changes.rate(rating))


def favourite(ids: Sequence[uuid.UUID], *, off: bool = False) -> Submitted:
    return _decide(ids, lambda _: changes.favour(off))


def hide(ids: Sequence[uuid.UUID], *, off: bool = False) -> Submitted:
    return _decide(ids, lambda _: changes.hide(off))


def tag(ids: Sequence[uuid.UUID], words: Sequence[str], *, remove: bool = False) -> Submitted:
    return _decide(ids, lambda _: changes.tag(words, remove=remove))


def title(ids: Sequence[uuid.UUID], said: str) -> Submitted:
    """An empty text takes it away."""
    return _decide(ids, lambda _: changes.title(said))


def describe(ids: Sequence[uuid.UUID], said: str) -> Submitted:
    """An empty text takes it away."""
    return _decide(ids, lambda _: changes.describe(said))


def place(ids: Sequence[uuid.UUID], latitude: float, longitude: float) -> Submitted:
    """Where they were taken, in signed degrees."""
    return _decide(ids, lambda _: changes.place(latitude, longitude))


def rotate(ids: Sequence[uuid.UUID], degrees: int) -> Submitted:
    """Shown turned clockwise by 90, 180 or 270 degrees, from how they are shown now."""
    return _decide(ids, lambda _: changes.rotate(degrees))


def add_to_album(ids: Sequence[uuid.UUID], name: str) -> Submitted:
    """Into the album of that name, which is made where there is none."""
    return _decide(ids, lambda _: albums.add(name))


def remove_from_album(ids: Sequence[uuid.UUID], name: str) -> Submitted:
    return _decide(ids, lambda session: albums.remove(_album(session, name)))


def make_album(name: str) -> Submitted:
    """One with nothing in it yet."""
    return _of_album(lambda session: albums.make(session, name, who()))


def rename_album(name: str, new: str) -> Submitted:
    return _of_album(lambda session: albums.rename(session, _album(session, name), new, who()))


def put_on_cover(name: str, photo: uuid.UUID) -> Submitted:
    """The photo that stands for an album."""

    def put(session: Session) -> Act | None:
        hashes = _hashes(session, [photo])
        _gone(len(hashes), 1)
        return albums.put_on_cover(session, _album(session, name), hashes[0], who())

    return _of_album(put)


# Acts that touch files


def redate_by(ids: Sequence[uuid.UUID], shift: str) -> Submitted:
    """All dates go by the same time: `-7:12`, `+1:0:00:00` (days, hours, minutes, seconds)."""
    return _redate(ids, lambda: redating.shift_parameters(redating.read_shift(shift)))


def redate_to(ids: Sequence[uuid.UUID], when: str, every: str | None = None) -> Submitted:
    """One date (`2019`, `2019-07-04`, `2019-07-04 12:30:00`) for all; `every`: seconds from one to the next."""
    return _redate(ids, lambda: redating.set_parameters(when, every))


def remove(ids: Sequence[uuid.UUID]) -> Submitted:
    """Into the trash."""
    return _ask("remove", lambda session: _hashes(session, ids), len(set(ids)))


def restore(hashes: Sequence[str]) -> Submitted:
    """Out of the trash, by SHA-256."""
    return _ask("restore", lambda session: _in_trash(session, hashes), len(set(hashes)))


def empty(hashes: Sequence[str], *, said_twice: bool) -> Submitted:
    """Out of the trash for good. The page has asked twice, and named what goes: the caller says so."""
    if not said_twice:
        raise NotDone("the trash is emptied only when a person has said so twice")
    return _ask("empty", lambda session: _in_trash(session, hashes), len(set(hashes)), {"really": True})


# What takes an act back, and how one stands


def undo(act: uuid.UUID) -> Submitted:
    """Takes an act back: what waits is withdrawn, what touched files is asked of the Librarian. An undo, too."""
    with _acting() as session:
        row = session.get(Act, act, with_for_update=True)
        if row is None:
            raise NotDone("there is no such act any more")
        if asked_acts.withdraw(session, row):
            return Submitted(standing_of(session, act), 0, 0)
        try:
            if row.status in OPEN:
                raise NotDone("it is being carried out; it can be taken back when that is done")
            done = take_back(session, row, who())
        except MovesFiles:
            back = asked_acts.ask_back(session, row, who())
            return Submitted(standing_of(session, back.id), len(back.parameters["hashes"]), 0)
        if done.by is None:
            raise NotDone("nothing of it can be taken back: it was taken back already, or changed since")
        return Submitted(standing_of(session, done.by.id), done.restored + done.left, done.restored)


def standing(act: uuid.UUID) -> Standing | None:
    """How an act stands now; None: there is no such act. Raises LedgerUnavailable, TooSlow."""
    with ledger().session() as session:
        found = standing_of(session, act)
    if found is not None and not found.is_open:
        look_again()  # its originals may be elsewhere by now
    return found


@st.cache_data(ttl=1, show_spinner=False)
def open_acts() -> list[Standing]:
    """What waits for the Librarian, or is being carried out, the oldest first. Raises LedgerUnavailable, TooSlow."""
    asked = select(Act.id).where(Act.status.in_(OPEN)).order_by(Act.happened_at, Act.id).limit(50)
    with ledger().session() as session:
        ids = session.execute(asked).scalars().all()
        return [found for one in ids if (found := standing_of(session, one)) is not None]


@st.cache_data(ttl=2, show_spinner=False)
def recent(most: int = 10) -> list[Standing]:
    """What people did last, the last first. Raises LedgerUnavailable, TooSlow."""
    asked = select(Act.id).where(Act.who.not_in(PROGRAMS)).order_by(Act.happened_at.desc(), Act.id.desc()).limit(most)
    with ledger().session() as session:
        ids = session.execute(asked).scalars().all()
        return [found for one in ids if (found := standing_of(session, one)) is not None]


def look_again() -> None:
    """What pages remember of originals is asked anew."""
    for found in (library.one, open_acts, recent, *_MORE):
        found.clear()
    library.look_again()


# Parts


_MORE: list[Any] = []  # what other modules remember of what acts change


def forget_with(remembered: Any) -> Any:
    """For a cached function of another module: an act makes it look anew."""
    _MORE.append(remembered)
    return remembered


@contextmanager
def _acting() -> Iterator[Session]:
    """A transaction that may write, with the vault's own ledger. Raises NotDone."""
    try:
        with ledger().session():  # is it there? what follows would wait for it
            pass
        may_decide(settings(), ledger().database)
        with ledger().session(writes=True) as session:
            yield session
    except NotDone:
        raise
    except FactoryError as error:
        raise NotDone(str(error)) from error
    except Crossed as error:
        raise _Crossed(f"{error}, so nothing was changed; try again") from error
    except TooSlow as error:
        raise NotDone(f"{error}, so nothing was changed; take fewer photos at once, or try again") from error
    except sa_exc.DBAPIError as error:
        raise NotDone(f"the database refuses it: {one_line(error.orig)}") from error
    finally:
        look_again()


def _decide(ids: Sequence[uuid.UUID], decision: Callable[[Session], Decision]) -> Submitted:
    try:
        return _decided(ids, decision)
    except _Crossed:  # once more: the other one has gone on
        return _decided(ids, decision)


def _decided(ids: Sequence[uuid.UUID], decision: Callable[[Session], Decision]) -> Submitted:
    with _acting() as session:
        meant = MediaAsset.id == any_(literal(list(ids), ARRAY(UUID(as_uuid=True))))
        done = carry_out(session, decision(session), meant, who=who())
        gone = _gone(done.meant, len(set(ids)))
        standing = None if done.act is None else standing_of(session, done.act.id)
    return Submitted(standing, done.meant, done.changed, gone)


def _of_album(do: Callable[[Session], Act | None]) -> Submitted:
    with _acting() as session:
        act = do(session)
        return Submitted(None if act is None else standing_of(session, act.id), 0, 0)


def _redate(ids: Sequence[uuid.UUID], given: Callable[[], Mapping[str, Any]]) -> Submitted:
    def check(session: Session, hashes: Sequence[str], parameters: Mapping[str, Any]) -> None:
        latest = datetime.now(settings().zone).replace(tzinfo=None)
        redating.Redate({**parameters, "hashes": hashes}, latest).check(session, hashes)

    try:
        parameters = given()
    except redating.DateRefused as refused:
        raise NotDone(_without_options(str(refused))) from refused
    return _ask("redate", lambda session: _hashes(session, ids), len(set(ids)), parameters, check)


def _without_options(words: str) -> str:
    """A command's answer, where nobody has written a command."""
    return words.removeprefix("--shift ").removeprefix("--set ").removeprefix("--every ").partition(", as --")[0]


def _ask(
    kind: str,
    meant: Callable[[Session], list[str]],
    given: int,
    parameters: Mapping[str, Any] | None = None,
    check: Callable[[Session, Sequence[str], Mapping[str, Any]], None] | None = None,
) -> Submitted:
    with _acting() as session:
        hashes = meant(session)
        gone = _gone(len(hashes), given)
        if check is not None:
            check(session, hashes, parameters or {})
        act = asked_acts.ask(session, kind, who(), hashes, parameters)
        return Submitted(standing_of(session, act.id), len(hashes), 0, gone)


def _gone(there: int, given: int) -> int:
    """How many of those that were given are not there any more. Raises NotDone where none is."""
    if not there:
        what = "it is not" if given == 1 else "none of them is"
        raise NotDone(f"{what} there any more: somebody has moved it to the trash or out of it")
    return given - there


def _hashes(session: Session, ids: Sequence[uuid.UUID]) -> list[str]:
    """As they were taken."""
    among = MediaAsset.id == any_(literal(list(ids), ARRAY(UUID(as_uuid=True))))
    asked = select(MediaAsset.file_hash).where(among).order_by(MediaAsset.captured_at, MediaAsset.id)
    return list(session.execute(asked).scalars())


def _in_trash(session: Session, hashes: Sequence[str]) -> list[str]:
    among = TrashItem.file_hash == any_(literal(list(hashes), ARRAY(Text)))
    asked = select(TrashItem.file_hash).where(among).order_by(TrashItem.removed_at, TrashItem.trash_path)
    return list(session.execute(asked).scalars())


def _album(session: Session, name: str) -> Album:
    album = albums.album_named(session, name)
    if album is None:
        raise NotDone("there is no such album any more")
    return album
