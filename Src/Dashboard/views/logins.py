"""Logins: the devices on which somebody is logged in, and a way to end each."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import streamlit as st

from Src.Accounts.sessions import Device, Sessions, end_all
from Src.Dashboard import look, resources, words
from Src.Dashboard.login import COOKIE
from Src.Dashboard.plain import markdown, plain
from Src.Shared.database import LedgerUnavailable


def show() -> None:
    """The page."""
    st.title("Logins")
    sessions = resources.sessions
    if sessions is None:
        st.info("There is no password here, so nobody has to log in. `DASHBOARD_PASSWORD` in `.env` sets one.")
        return
    _live(sessions)


@look.live
def _live(sessions: Sessions) -> None:
    look.show_answer("logins")
    with look.asking_ledger("Logins"):
        mine = sessions.id_of(str(st.context.cookies.get(COOKIE, "")))
        for device in sessions.devices():
            _card(sessions, device, is_mine=device.id == mine)
    look.ledger_notice()
    left, right = st.columns(2)
    left.link_button("Log out here", "./logout", icon=":material/logout:", width="stretch")
    right.button("Log out everywhere", icon=":material/phonelink_erase:", width="stretch", on_click=_end_all)


def _card(sessions: Sessions, device: Device, *, is_mine: bool) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            look.name(described(device.device))
            if is_mine:
                st.badge("this one", color="green")
        since, seen = (words.ago((datetime.now(UTC) - at).total_seconds()) for at in (device.begun_at, device.seen_at))
        st.caption(markdown(f"logged in {since} from {device.address} · last seen {seen}"))
        if not is_mine:
            st.button(
                "Log out", icon=":material/logout:", key=f"end_{device.id}", on_click=_end, args=(sessions, device.id)
            )


def _end(sessions: Sessions, id_: uuid.UUID) -> None:
    try:
        sessions.end_one(id_)
    except LedgerUnavailable as error:
        look.answer("logins", f"The database cannot be reached, so nothing was ended: {error}", well=False)
    else:
        look.answer("logins", "That device is logged out.")


def _end_all() -> None:
    try:
        end_all(resources.connect_to_write)
    except LedgerUnavailable as error:
        look.answer("logins", f"The database cannot be reached, so nobody was logged out: {error}", well=False)
    else:
        look.answer("logins", "Every device is logged out within seconds, this one too.")


def described(device: str) -> str:
    """A browser's own words about itself, as short as a person would say them."""
    browser = next((name for mark, name in _BROWSERS if mark in device), "")
    system = next((name for mark, name in _SYSTEMS if mark in device), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or plain(device, 80) or "a program that does not say what it is"


# The first that is found counts: browsers name others, to be taken for them.
_BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
