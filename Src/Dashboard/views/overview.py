"""Overview: is everything working, and what came in? Photos come first, the machine last."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import streamlit as st

from Src.Dashboard import addresses, charts, look, words
from Src.Dashboard.components import strip
from Src.Dashboard.data import arrivals, inbox, library, machine, phones, situation
from Src.Dashboard.data.library import Photo
from Src.Dashboard.health import Disk
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import ledger, settings
from Src.Dashboard.views.activity import WAITING
from Src.Shared.database import LedgerUnavailable
from Src.Shared.syncthing.client import SyncthingError

LATEST, ON_A_PHONE = 12, 6  # photos of each kind
SLOWER = 10.0  # seconds between two looks at the charts
SOON = 0.7  # seconds
_CHARTS = "overview_charts"  # in the session: False since the first look, then True


def show() -> None:
    """The page."""
    st.title("Overview")
    _verdict()
    _photos()
    _numbers()
    with st.expander("Services", expanded=not look.is_phone(), icon=":material/dns:"):
        _services()
    with st.expander("Machine", expanded=not look.is_phone(), icon=":material/memory:"):
        _machine()
    if st.session_state.get(_CHARTS):
        _over_time()
    else:
        _over_time_soon()


@look.live
def _verdict() -> None:
    look.show_verdict(situation.look_around().verdict)
    if ledger().away_for() is not None:
        st.text(plain(f"Its answer: {ledger().reason}", look.SHORT))


# -- photos --------------------------------------------------------------------------------------------------


@look.live
def _photos() -> None:
    with look.asking_ledger("The last photos"):
        most = ON_A_PHONE if look.is_phone() else LATEST
        latest = library.added(most)
        if not latest:
            _first_steps()
            return
        _row("Recently added", latest, _added_today(), order="added")
        taken = library.newest(most)
        if {photo.id for photo in taken} != {photo.id for photo in latest}:
            _row("Recently taken", taken)
        today = datetime.now(settings().zone).date()
        earlier = library.on_this_day(today, most)
        if earlier:
            _row("On this day", earlier, _years(earlier), order="this-day")


def _row(title: str, photos: Sequence[Photo], caption: str = "", **among: str) -> None:
    """Some of the photos for which `among` asks in the gallery."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.header(title)
        addresses.link("See all", "gallery", icon=":material/arrow_forward:", **among)
    if caption:
        st.caption(caption)
    strip(photos, **among)


def _added_today() -> str:
    today = arrivals.totals().today
    return f"{words.counted(today, 'photo')} added today." if today else "None today yet."


def _years(photos: Sequence[Photo]) -> str:
    return "In " + ", ".join(str(year) for year in sorted({photo.captured_at.year for photo in photos}, reverse=True))


def _first_steps() -> None:
    """What to do where there is no photo yet."""
    st.header("Add your first photos")
    st.markdown("Any of these three ways. Photos show up here within seconds; the page looks again by itself.")
    one, two, three = st.columns(3, gap="medium")
    with one, st.container(border=True):
        st.markdown("**Put them into the inbox.** Copy photos and videos into this folder:")
        st.code(plain(settings().inbox), language=None, wrap_lines=True)
        st.caption("Each file moves from the inbox to the library as soon as it is complete.")
    with two, st.container(border=True):
        if _has_syncthing():
            st.markdown("**Send them from a phone.** Scan a code, and new photos come by themselves.")
        else:
            st.markdown("**Send them from a phone.** This needs Syncthing, a free program that is not set up here yet.")
        addresses.link("Connect a phone", "phone", icon=":material/smartphone:")
    with three, st.container(border=True):
        st.markdown("**Import a folder.** This copies it and leaves the folder as it is. In a terminal:")
        st.code("./factory import ~/Pictures", language=None, wrap_lines=True)


def _has_syncthing() -> bool:
    with suppress(SyncthingError):
        phones.overview()
        return True
    return False


# -- numbers -------------------------------------------------------------------------------------------------


@look.live
def _numbers() -> None:
    totals, known = None, None
    with look.asking_ledger("Numbers"):
        totals = arrivals.totals()
    with suppress(LedgerUnavailable):
        known = inbox.held()
    files = inbox.found()
    with look.grid("numbers"):
        if totals is not None:
            look.tile(
                "Photos and videos", words.number(totals.originals), f"Gallery, {words.size(totals.bytes)}", "gallery"
            )
            look.tile("Added today", words.number(totals.today), "Recently added", "gallery", order="added")
        waiting = "no inbox" if files is None else inbox.waiting(files, known)
        look.tile("Waiting", waiting, "Files in the inbox", "activity", show=WAITING)
        if known is not None:
            look.tile("Not photos", words.number(known.not_media), "Which files", "problems", show="not_photos")
            look.tile("Failed", words.number(known.failing + known.dead_letters), "Reasons", "problems", show="failed")
    leaving = inbox.leaving()
    if leaving.files:
        st.caption(
            f"{words.counted(leaving.files, 'file')} ({words.size(leaving.bytes)}) left the inbox just now. "
            "Their inbox copies are kept aside for a while, and then removed."
        )


# -- services and the machine --------------------------------------------------------------------------------


@look.live
def _services() -> None:
    found = situation.look_around()
    with look.grid("cards-services"):
        for service in found.services:
            look.service_card(service)
    for what, reason in found.missing.items():
        look.missing(what, reason)


@look.live
def _machine() -> None:
    now = machine.machine()
    with look.grid("cards-machine"):
        look.gauge("CPU", now.cpu / 100, f"{words.percent(round(now.cpu))} of {words.counted(now.cores, 'core')}")
        used = f"{words.size(now.memory_used)} of {words.size(now.memory_total)}"
        look.gauge("Memory", now.memory_used / max(1, now.memory_total), used)
        for disk in now.disks:
            look.gauge(f"Disk of {disk.name}", 1 - disk.percent_free / 100, _room(disk))
    st.caption(f"As of {words.time(datetime.now(UTC).astimezone(settings().zone))}")


def _room(disk: Disk) -> str:
    return f"{words.size(disk.total - disk.free)} of {words.size(disk.total)}, {words.size(disk.free)} free"


@st.fragment(run_every=SOON)
def _over_time_soon() -> None:
    """The script that draws charts is as large as all others: numbers and photos do not wait until a browser has it."""
    if _CHARTS in st.session_state:
        st.session_state[_CHARTS] = True
        st.rerun()
    st.session_state[_CHARTS] = False


@st.fragment(run_every=SLOWER)
def _over_time() -> None:
    with look.asking_ledger("Files per hour and day"):
        hours, days = arrivals.hours(), arrivals.days()
        if not any(count for _, count in days):
            return
        left, right = st.columns(2, gap="medium")
        with left:
            st.header("Added per hour")
            charts.counts(hours, "hour", alt="Photos added in each of the last 48 hours")
        with right:
            st.header("Added per day")
            charts.counts(days, "day", alt="Photos added on each of the last 30 days")
