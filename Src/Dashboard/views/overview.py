"""Overview: is everything working, and what came in?"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import streamlit as st

from Src.Dashboard import charts, look, words
from Src.Dashboard.components import photo_grid
from Src.Dashboard.data import arrivals, inbox, library, machine, situation
from Src.Dashboard.health import Disk
from Src.Dashboard.photo_view import show_photo
from Src.Dashboard.plain import plain
from Src.Dashboard.resources import ledger, settings
from Src.Shared.database import LedgerUnavailable

LATEST = 12  # photos
SLOWER = 10.0  # seconds between two looks at the charts
SOON = 0.7  # seconds
_CHARTS = "overview_charts"  # in the session: False since the first look, then True


def show() -> None:
    """The page."""
    st.title("Overview")
    _now()
    _last_photos()
    _machine()
    if st.session_state.get(_CHARTS):
        _over_time()
    else:
        _over_time_soon()


@st.fragment(run_every=look.REFRESH)
def _now() -> None:
    """All that may change from one moment to the next."""
    found = situation.look_around()
    look.show_verdict(found.verdict)
    if ledger().away_for() is not None:
        st.text(plain(f"Its answer: {ledger().reason}", look.SHORT))
    totals = None
    with look.asking_ledger("Totals"):
        totals = arrivals.totals()
        if totals.originals == 0:
            _first_run()
    _numbers(totals)
    st.subheader("Services")
    with look.grid("cards-services"):
        for service in found.services:
            look.service_card(service)
    for what, reason in found.missing.items():
        look.missing(what, reason)


def _first_run() -> None:
    with st.container(border=True):
        st.subheader("Waiting for the first photo")
        st.markdown("Put photos and videos into the inbox; each is filed within seconds:")
        st.code(plain(settings().inbox), language=None)
        st.markdown(
            "- **From a phone**: the page Phone shows what to scan.\n"
            "- **What you have already**: `./factory import FOLDER` copies it in and leaves the folder as it is."
        )


def _numbers(totals: arrivals.Totals | None) -> None:
    known = None
    with suppress(LedgerUnavailable):
        known = inbox.stays()
    files = inbox.found()
    with look.grid("numbers"):
        if totals is not None:
            more = totals.last_hour > arrivals.COUNTED_AT_MOST
            last_hour = f"{min(totals.last_hour, arrivals.COUNTED_AT_MOST):,}{'+' if more else ''}"
            look.number("Originals", f"{totals.originals:,}")
            look.number("Size", words.size(totals.bytes))
            look.number("Filed today", f"{totals.today:,}")
            look.number("Last hour", last_hour)
        look.number("Waiting", "no inbox" if files is None else inbox.waiting(files, known))
        if known is not None:
            look.number("Not media", f"{known.not_media:,}")
            look.number("Failing", f"{known.failing + known.dead_letters:,}")


@st.fragment(run_every=look.REFRESH)
def _last_photos() -> None:
    with look.asking_ledger("The last photos"):
        latest = library.latest(LATEST)
        if not latest:
            return
        st.subheader("Last photos")
        chosen = photo_grid(latest, key="last_photos", by_day=False)
        if chosen is not None:
            show_photo(chosen)


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
            st.subheader("Filed per hour")
            charts.counts(hours, "hour", alt="Files filed in each of the last 48 hours")
        with right:
            st.subheader("Filed per day")
            charts.counts(days, "day", alt="Files filed on each of the last 30 days")


@st.fragment(run_every=look.REFRESH)
def _machine() -> None:
    st.subheader("Machine")
    now = machine.machine()
    with look.grid("cards-machine"):
        look.gauge("CPU", now.cpu / 100, f"{now.cpu:.0f} % of {words.counted(now.cores, 'core')}")
        used = f"{words.size(now.memory_used)} of {words.size(now.memory_total)}"
        look.gauge("Memory", now.memory_used / max(1, now.memory_total), used)
        for disk in now.disks:
            look.gauge(f"Disk of {disk.name}", 1 - disk.percent_free / 100, _room(disk))
    st.caption(f"As of {datetime.now(UTC).astimezone(settings().zone):%H:%M:%S}")


def _room(disk: Disk) -> str:
    return f"{words.size(disk.total - disk.free)} of {words.size(disk.total)}, {words.size(disk.free)} free"
