"""Trash: what people have removed. It goes back to its day, or for good; and that is asked twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

import streamlit as st

from Src.Dashboard import act_bar, look, words
from Src.Dashboard.components import shown_name
from Src.Dashboard.data import acts, trash
from Src.Dashboard.data.standing import Submitted
from Src.Dashboard.data.trash import Removed
from Src.Dashboard.ledger import TooSlow
from Src.Dashboard.plain import markdown, plain
from Src.Dashboard.resources import settings
from Src.Shared.database import LedgerUnavailable

_NAMED = 20  # that are named before they go for good
_ASKED = "emptying"  # in the session: what somebody has been asked about
_LIST = "trash_list"  # and a digest of what is listed: what is chosen is a row, and rows move as the trash changes


def show() -> None:
    """The page."""
    st.title("Trash")
    look.ledger_notice()
    with look.asking_ledger("The trash"):
        totals = trash.totals()
        if not totals.originals:
            look.empty(
                "The trash is empty. What you move to the trash stays here until you bring it back or empty the trash.",
                ":material/photo_library:", "To the photos", "gallery",
            )  # fmt: skip
            look.wait_for(_is_there)
            return
        st.markdown(
            f"{words.counted(totals.originals, 'photo')}, {words.size(totals.size)}. Nothing here goes by itself: "
            "bring photos back, or empty the trash."
        )
        rows = trash.listed()
        chosen = _listed(rows)
        if len(rows) < totals.originals:
            st.caption(f"Listed is what was removed last: {words.counted(len(rows), 'photo')}.")
        if act_bar.may_act():
            _buttons(chosen)


def _is_there() -> bool:
    trash.totals.clear()
    return bool(trash.totals().originals)


def _listed(rows: Sequence[Removed]) -> list[Removed]:
    """The list; what is chosen of it."""
    zone = settings().zone
    is_phone = look.is_phone()
    shown = [
        {
            "Name": shown_name(one.original_name),
            "Taken": words.moment(one.captured_at),
            "Removed": (words.day if is_phone else words.moment)(one.removed_at.astimezone(zone)),
            "By": plain(one.removed_by),
            "Size": words.size(one.size),
            "A copy elsewhere": "yes" if one.has_copy else "none" if is_phone else "none is known",
        }
        for one in rows
    ]
    listed = "".join(one.file_hash for one in rows)
    key = f"{_LIST}-{hashlib.sha256(listed.encode()).hexdigest()[:16]}"
    columns = _ON_A_PHONE if is_phone else _COLUMNS
    look.table(
        shown, key=key, on_select="rerun", selection_mode="multi-row", column_config=columns,
        column_order=list(_ON_A_PHONE) if is_phone else None,
    )  # fmt: skip
    numbers = st.session_state[key]["selection"]["rows"]
    return [rows[number] for number in numbers if number < len(rows)]


_COLUMNS = {"Name": st.column_config.TextColumn(width="medium")}
# What somebody asks before they bring a photo back or let it go for good, in the width of a phone; pixels.
_ON_A_PHONE = {
    "Name": st.column_config.TextColumn(width=110),
    "Removed": st.column_config.TextColumn(width=90),
    "Size": st.column_config.TextColumn(width=64),
    "A copy elsewhere": st.column_config.TextColumn("Copy", width=56),
}


def _buttons(chosen: Sequence[Removed]) -> None:
    hashes = [one.file_hash for one in chosen]
    count = words.counted(len(chosen), "photo")
    with st.container(horizontal=True):
        if chosen:
            st.button(
                f"Bring {count} back", icon=":material/restore_from_trash:", key="restore",
                on_click=act_bar.do, args=(partial(acts.restore, hashes), "Out of the trash"),
            )  # fmt: skip
        else:
            st.button(
                "Bring all back", icon=":material/restore_from_trash:", key="restore",
                on_click=act_bar.do, args=(_restore_all, "Out of the trash"),
            )  # fmt: skip
        label = f"Delete {count} for good" if chosen else "Empty the trash"
        st.button(label, icon=":material/delete_forever:", key="empty", on_click=_ask, args=(chosen,))
    if not chosen:
        st.caption("Choose rows to bring only some back.")
    if st.session_state.get(_ASKED) is not None:
        _dialog()


def _restore_all() -> Submitted:
    return acts.restore([one.file_hash for one in trash.all_of_it()])


def _ask(chosen: Sequence[Removed]) -> None:
    """What somebody is asked about is what is there now: what comes into the trash meanwhile stays."""
    try:
        st.session_state[_ASKED] = (tuple(chosen) or tuple(trash.all_of_it()), False)
    except (LedgerUnavailable, TooSlow) as trouble:
        act_bar.refuse("The trash", str(trouble))


def _close() -> None:
    st.session_state.pop(_ASKED, None)


@st.dialog("Delete for good?", width="medium", on_dismiss=_close)
def _dialog() -> None:
    asked: tuple[tuple[Removed, ...], bool] | None = st.session_state.get(_ASKED)
    if asked is None:
        st.rerun()
    meant, is_second = asked
    count = words.counted(len(meant), "photo")
    size = words.size(sum(one.size for one in meant))
    without = sum(not one.has_copy for one in meant)
    st.markdown(f"**{count}, {size}, go for good. Nobody can bring them back.**")
    if without:
        st.warning(f"Of {words.counted(without, 'photo')} no copy is known.", icon=":material/warning:")
    names = [shown_name(one.original_name) for one in meant[:_NAMED]]
    more = f"\nand {words.number(len(meant) - _NAMED)} more" if len(meant) > _NAMED else ""
    st.text("\n".join(names) + more)
    with st.container(horizontal=True):
        if is_second:
            st.markdown(f"Once more: delete {markdown(count)} for good?")
            if st.button("Yes, for good", icon=":material/delete_forever:", key="really"):
                _close()
                act_bar.do(partial(acts.empty, [one.file_hash for one in meant], said_twice=True), "Deleted for good")
                st.rerun()
        else:
            st.button("Delete them", icon=":material/delete_forever:", key="first", on_click=_again, args=(meant,))
        if st.button("Keep them", key="keep"):
            _close()
            st.rerun()


def _again(meant: tuple[Removed, ...]) -> None:
    st.session_state[_ASKED] = (meant, True)
