"""Operations: long work with its progress, what waits to be carried out, and what people did last."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

import streamlit as st

from Src.Dashboard import act_bar, look, words
from Src.Dashboard.data import acts, operations
from Src.Dashboard.data.standing import Standing
from Src.Dashboard.plain import markdown, plain
from Src.Dashboard.resources import settings
from Src.Library.operation import Operation, OperationProblem, short
from Src.Shared.database import LedgerUnavailable

_KINDS = {
    "import": "Import", "rebuild": "Rebuild", "verify": "Verify all photos", "look": "Nightly look at all photos",
}  # fmt: skip
_STATES = {
    "pending": "waits for its turn", "running": "running", "paused": "paused", "completed": "done",
    "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip
_ACTS = {
    "rate": "Stars", "favourite": "Favourite", "hide": "Hidden", "tag": "Tags", "title": "Title",
    "describe": "Description", "place": "Place", "rotate": "Turned", "album": "Album", "redate": "Date",
    "remove": "To the trash", "restore": "Out of the trash", "empty": "Deleted for good", "undo": "Taken back",
}  # fmt: skip


def show() -> None:
    """The page."""
    st.title("Operations")
    _live()


@look.live
def _live() -> None:
    act_bar.follow()
    look.ledger_notice()
    may_act = act_bar.may_act()
    look.show_answer("operations")
    with look.asking_ledger("What waits"):
        _waiting(may_act)
    with look.asking_ledger("Long operations"):
        _long(may_act)
    with look.asking_ledger("What was done last"):
        _done(may_act)


def _waiting(may_act: bool) -> None:
    waiting = acts.open_acts()
    if not waiting:
        return
    st.header("What waits to be carried out")
    for one in waiting:
        with st.container(border=True, gap="xsmall"):
            act_bar.show_standing(one, act_words(one))
            st.caption(_by(one))
            if may_act and one.can_undo:
                _undo(one, "Take back")


def _long(may_act: bool) -> None:
    st.header("Long operations")
    found = operations.listed()
    if not found:
        st.info("No import, rebuild, verify or look at all photos within the last 30 days.", icon=":material/done_all:")
    for one in found:
        _card(one, may_act)


def _card(one: Operation, may_act: bool) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            sources = " ".join(plain(source, 80) for source in one.parameters.get("sources", ()))
            look.name(f"{_KINDS.get(one.kind, one.kind)} {sources}".strip())
            state, colour = _state(one)
            st.badge(state, color=colour)  # type: ignore[arg-type]
        if one.total and (one.is_alive or one.is_stopped):
            st.progress(min(1.0, one.done / one.total), text=_far(one))
        else:
            st.text(_far(one))
        details = _details(one)
        if details:
            st.text(plain(details))
        st.caption(markdown(f"{one.who} · {_when(one)} · {short(one.id)}"))
        if not may_act or one.is_scheduled:
            return
        if one.is_stopped:
            st.markdown("It goes on from there with this command, on the machine that has its folders:")
            st.code(f"./factory operations resume {short(one.id)}", language=None)
            _ask("Discard", ":material/delete:", f"discard-{one.id}", partial(_discard, one.id))
        elif one.is_alive:
            if one.asked == "cancel":
                st.caption("It was asked to end, and does so within seconds.")
            else:
                _ask("Cancel", ":material/cancel:", f"cancel-{one.id}", partial(_cancel, one.id))


def _ask(label: str, icon: str, key: str, do: Callable[[], str]) -> None:
    st.button(label, icon=icon, key=key, on_click=_answered, args=(do,))


def _answered(do: Callable[[], str]) -> None:
    try:
        look.answer("operations", do())
    except (OperationProblem, LedgerUnavailable) as problem:
        look.answer("operations", f"Nothing was changed: {problem}", well=False)


def _cancel(id_: uuid.UUID) -> str:
    if operations.cancel(id_):
        return "It ends within seconds; what it has done stays done."
    return "It had stopped, and is not offered any more."


def _discard(id_: uuid.UUID) -> str:
    operations.discard(id_)
    return "It is not offered any more; what it has done stays done."


def _state(one: Operation) -> tuple[str, str]:
    if one.status == "failed":
        return "failed", "red"
    if one.is_stopped:
        return "stopped", "orange"
    if one.status == "completed" and one.errors:
        return f"done, {words.number(one.errors)} {one.errors_word}", "orange"
    return _STATES[one.status], {"completed": "green", "cancelled": "gray"}.get(one.status, "blue")


def _far(one: Operation) -> str:
    done = words.number(one.done)
    return f"{done} of {words.counted(one.total, 'file')}" if one.total is not None else words.counted(one.done, "file")


def _details(one: Operation) -> str:
    parts = []
    if one.is_alive and one.per_second:
        parts.append(f"{words.number(round(one.per_second))} files/s")
        if one.total is not None and one.total > one.done:
            parts.append(f"{words.span((one.total - one.done) / one.per_second)} left")
    if one.errors and one.status != "completed":  # then the badge says it
        parts.append(f"{words.number(one.errors)} {one.errors_word}")
    if one.message:
        parts.append(one.message)
    if one.current_item and (one.is_alive or one.is_stopped):
        parts.append(f"at {one.current_item}")
    return " · ".join(parts)


def _when(one: Operation) -> str:
    return words.moment((one.ended_at or one.heartbeat_at).astimezone(settings().zone))


def _done(may_act: bool) -> None:
    found = [one for one in acts.recent() if not one.is_open]
    if not found:
        return
    st.header("What was done last")
    for one in found:
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                count = f", {words.counted(one.changed, 'photo')}" if one.changed else ""
                look.name(f"{act_words(one)}{count}")
                colour = {"done": "green", "failed": "red"}.get(one.state, "gray")
                st.badge(act_bar.STATES[one.state], color=colour)  # type: ignore[arg-type]
            if one.message:
                st.text(plain(one.message))
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.caption(_by(one), width="content")
                if may_act and one.can_undo:
                    _undo(one, "Do it again" if one.undoes else "Undo")


def act_words(one: Standing) -> str:
    """What an act did, in a word or two."""
    what = _ACTS.get(one.of, one.of)
    return f"Taken back: {what}" if one.undoes else what


def _by(one: Standing) -> str:
    return markdown(f"{plain(one.who, 80)} · {words.moment(one.at.astimezone(settings().zone))}")


def _undo(one: Standing, label: str) -> None:
    said = f"Taken back: {act_words(one)}"
    st.button(
        label,
        icon=":material/undo:",
        key=f"undo-{one.id}",
        on_click=act_bar.do,
        args=(partial(acts.undo, one.id), said),
    )
