"""What the last act of this browser came to, with a button that takes it back: waiting, done or failed.

Buttons call `do`; each page begins with `show`. Nothing here raises: what cannot be done is said.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st

from Src.Dashboard import words
from Src.Dashboard.data import acts, services
from Src.Dashboard.data.acts import NotDone
from Src.Dashboard.data.standing import Standing, Submitted
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.plain import markdown
from Src.Shared.database import LedgerUnavailable

LASTS = 60.0  # seconds that what came of an act stays, if nobody closes it
_LAST = "last_act"  # in the session
_COUNT = "acts_asked_for"  # in the session
_NEW = "new_act"  # in the session: the bar on the page has not shown it yet
_LOOKS_EVERY = 1.0  # seconds, while an act waits

_TAKEN_BACK = "Taken back: "
WAITS = "It waits for the librarian, which carries it out within seconds."
NOBODY_CARRIES_OUT = (
    "It waits: the librarian, which moves files, does not run now. It is carried out when the factory runs again "
    "(./factory up)."
)
STATES = {
    "waiting": "waiting",
    "running": "being carried out",
    "done": "done",
    "failed": "failed",
    "undone": "taken back",
}


@dataclass(frozen=True, slots=True)
class _Last:
    """The act that the bar is about."""

    said: str  # what it was, as a person says it: "4 stars"
    until: float  # by our monotonic clock
    submitted: Submitted | None = None
    refused: str | None = None
    was_open: bool = False

    @property
    def is_taken_back(self) -> bool:
        """Whether the act took another one back."""
        return self.said.startswith(_TAKEN_BACK)


@dataclass
class _Kept:
    """What the session keeps for the bar."""

    last: _Last | None = None

    def refuse(self, said: str, reason: str) -> None:
        self.last = _Last(said, time.monotonic() + LASTS, refused=reason)


def _kept() -> _Kept:
    found: _Kept = st.session_state.setdefault(_LAST, _Kept())
    return found


def do(act: Callable[[], Submitted], said: str) -> None:
    """Asks for an act and remembers what came of it, for the bar. For a button's `on_click`.

    Streamlit may end this wherever something touches the session, if another click has come meanwhile. So from the act
    on nothing does: what was done is said.
    """
    st.session_state[_NEW] = True
    st.session_state[_COUNT] = count() + 1
    kept = _kept()
    try:
        submitted = act()
    except (NotDone, LedgerUnavailable, TooSlow) as refused:
        kept.refuse(said, str(refused))
        return
    is_open = submitted.standing is not None and submitted.standing.is_open
    kept.last = _Last(said, time.monotonic() + LASTS, submitted, was_open=is_open)


def may_act() -> bool:
    """Whether people can act here; where not, says why. Pages show no buttons then."""
    try:
        reason = acts.refusal()
    except (LedgerUnavailable, TooSlow):
        return False
    if reason is not None:
        st.caption(f"{markdown(reason)}: photos can be looked at, and nothing changed.")
    return reason is None


def show() -> None:
    """The bar, where there is something to say."""
    st.session_state.pop(_NEW, None)
    last = _kept().last
    if last is None or (time.monotonic() >= last.until and not last.was_open):
        return
    every = _LOOKS_EVERY if last.was_open else None
    st.fragment(_bar, run_every=every)()


def refuse(said: str, reason: str) -> None:
    """Says that something could not be asked for."""
    _kept().refuse(said, reason)


def count() -> int:
    """How often somebody has acted in this browser's session."""
    asked: int = st.session_state.get(_COUNT, 0)
    return asked


def follow() -> None:
    """For a part of a page that runs by itself and has buttons: the bar stands outside of it, so all of it runs."""
    if st.session_state.get(_NEW):
        st.rerun()


def close() -> None:
    """Puts the bar away."""
    _kept().last = None


def _bar() -> None:
    follow()  # its own buttons change what the page shows
    last = _kept().last
    if last is None:
        return
    with st.container(key="act-bar", border=True, gap="xsmall"):
        if last.refused is not None:
            st.error(f"**{markdown(last.said)}:** {markdown(last.refused)}.", icon=":material/block:")
            _buttons(None, last)
            return
        submitted = last.submitted
        assert submitted is not None
        if submitted.standing is None:
            st.info(f"**{markdown(last.said)}:** it is so already.", icon=":material/check:")
            _buttons(None, last)
            return
        try:
            now = acts.standing(submitted.standing.id) if last.was_open else submitted.standing
        except (LedgerUnavailable, TooSlow):
            st.caption("How it stands is not known while the database is away.")
            return
        if now is None:
            close()
            return
        show_standing(now, last.said, submitted.gone)
        _buttons(now, last)
    if last.was_open and not now.is_open:
        ended = replace(
            last, submitted=replace(submitted, standing=now), was_open=False, until=time.monotonic() + LASTS
        )
        _kept().last = ended
        st.rerun()  # the page shows originals that are elsewhere by now


def show_standing(now: Standing, said: str, gone: int = 0) -> None:
    """How an act stands, in words."""
    name = f"**{markdown(said)}**"
    left = f" {words.counted(gone, 'photo')} of them had gone meanwhile." if gone else ""
    if now.state == "waiting":
        runs = services.librarian_runs()
        show_ = st.info if runs else st.warning
        icon = ":material/hourglass_top:" if runs else ":material/pause_circle:"
        show_(f"{name}, {words.counted(now.meant, 'photo')}. {WAITS if runs else NOBODY_CARRIES_OUT}{left}", icon=icon)
    elif now.state == "running":
        far = f"{words.number(now.changed)} of {words.counted(now.meant, 'photo')}"
        st.progress(now.changed / now.meant if now.meant else 0.0, text=f"{name}: {far}.{left}")
        if not services.librarian_runs():
            st.caption(NOBODY_CARRIES_OUT)
    elif now.state == "failed":
        st.error(f"{name} failed: {markdown(now.message or 'no reason is known')}.", icon=":material/error:")
    elif now.state == "undone":
        what, came = _taken_back(now, said)
        st.info(f"**{markdown(what)}**: {came}.", icon=":material/undo:")
    else:
        count = f", {words.counted(now.changed, 'photo')}" if now.changed else ""
        more = f" {markdown(now.message)}." if now.message else ""
        st.success(f"{name}{count}.{more}{left}", icon=":material/check_circle:")


def _taken_back(now: Standing, said: str) -> tuple[str, str]:
    """What is so no more, by its name, and what became of it. `now` is the act that is withdrawn, not one after it."""
    return said.removeprefix(_TAKEN_BACK), STATES["undone"] if now.undoes is None else "no longer taken back"


def _buttons(now: Standing | None, last: _Last) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        if now is not None and now.can_undo:
            icon = ":material/redo:" if last.is_taken_back else ":material/undo:"
            st.button(_undo_label(last), icon=icon, key="act-bar-undo", on_click=take_back, args=(now.id,))
        st.button("Close", icon=":material/close:", key="act-bar-close", on_click=close)


def _undo_label(last: _Last) -> str:
    return "Do it again" if last.is_taken_back else "Undo"


Doing = Callable[[Callable[[], Submitted]], Submitted]


def take_back(act: uuid.UUID, doing: Doing = lambda ask: ask()) -> None:
    """Takes back the act that the bar is about, or another one. `doing` asks for it, if something must go with that."""
    last = _kept().last
    standing = last.submitted.standing if last is not None and last.submitted is not None else None
    if last is None or standing is None or standing.id != act:
        said = "Taken back"
    elif last.is_taken_back:
        said = last.said.removeprefix(_TAKEN_BACK)
    else:
        said = f"{_TAKEN_BACK}{last.said}"
    do(partial(doing, partial(acts.undo, act)), said)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the last act came to, for a part of a page that says it by itself."""

    which: str  # another one where something else is so by now
    said: str
    is_bad: bool = False
    undo: str | None = None  # the act that may be taken back
    undo_label: str = "Undo"


def outcome() -> Outcome | None:
    """Of the last act of this browser; None: there was none, or it was put away."""
    last = _kept().last
    if last is None:
        return None
    if last.refused is not None:
        return Outcome(f"{count()} {last.said}", f"{last.said}: {last.refused}.", is_bad=True)
    standing = last.submitted.standing if last.submitted else None
    if standing is None:
        return Outcome(f"{count()} {last.said}", f"{last.said}: it is so already.")
    name, came = last.said, standing.message or STATES[standing.state]
    if standing.state == "undone":
        name, came = _taken_back(standing, last.said)
    elif standing.state == "waiting" and not _librarian_runs():
        came = "it waits, for the librarian, which moves files, does not run now"
    return Outcome(
        f"{standing.id} {standing.state} {standing.changed}",
        f"{name}: {came}.",
        is_bad=standing.state == "failed",
        undo=str(standing.id) if standing.can_undo else None,
        undo_label=_undo_label(last),
    )


def _librarian_runs() -> bool:
    try:
        return services.librarian_runs()
    except (LedgerUnavailable, TooSlow):
        return True  # as far as is known
