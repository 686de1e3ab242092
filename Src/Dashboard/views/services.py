"""Services: the state of each, how it did over time, and what it said last."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import streamlit as st

from Src.Dashboard import charts, look, words
from Src.Dashboard.data import logs, services, situation, uptime
from Src.Dashboard.data.situation import Found
from Src.Dashboard.health import Service
from Src.Dashboard.plain import markdown, plain
from Src.Dashboard.resources import settings
from Src.Shared.docker_api import DockerUnavailable
from Src.Shared.logs import local_log

LOG_LINES = 200


def show() -> None:
    """The page."""
    st.title("Services")
    _live()
    _log()


@st.fragment(run_every=look.REFRESH)
def _live() -> None:
    found = situation.look_around()
    look.ledger_notice()
    for what, reason in found.missing.items():
        look.missing(what, reason)
    names = [period.name for period in uptime.PERIODS]
    chosen = st.segmented_control(
        "Uptime over", names, default=names[0], required=True, label_visibility="collapsed", key="uptime_period"
    )
    period = uptime.PERIODS[names.index(chosen or names[0])]
    strips: dict[str, uptime.Strip] = {}
    with look.asking_ledger("Uptime"):
        strips = uptime.strips(period)
    for service in found.services:
        _card(service, found, strips.get(service.name), period)


def _card(service: Service, found: Found, strip: uptime.Strip | None, period: uptime.Period) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            look.name(service.name)
            look.light(service)
        st.caption(look.heartbeat_words(service))
        if service.message:
            st.text(plain(service.message))
        container = found.containers.get(service.name)
        if container is not None:
            since = container.started_at if container.state == "running" else container.finished_at
            told = f"container {plain(container.name)} {plain(container.state)}"
            if since is not None:
                told += f" for {words.span((datetime.now(UTC) - since).total_seconds())}"
            st.caption(markdown(f"{told} · {words.counted(container.restart_count, 'restart')}"))
        if strip is not None and strip.slots:
            charts.uptime(strip, period, alt=f"Uptime of the last {period.name}")
            st.caption(f"{100 * strip.up:.2f} % of its heartbeats came in the last {period.name}")


@st.fragment(run_every=look.REFRESH)
def _log() -> None:
    st.subheader("Log")
    known = [*services.KNOWN] if settings().docker_host else _with_local_log()
    if not known:
        st.caption("There is no log to show: neither Docker nor `./factory up` keeps one here.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        service = st.selectbox("Service", known, key="log_service", width=220) or known[0]
        level = st.segmented_control(
            "At least", logs.LEVELS, default="INFO", required=True, key="log_level", format_func=str.lower
        )
    try:
        lines = logs.leveled(_lines(service))
    except (DockerUnavailable, OSError) as error:
        look.missing("The log cannot be read", str(error))
        return
    shown = logs.at_least(lines, level or "INFO")[-LOG_LINES:]
    if shown:
        height: int | Literal["content"] = 420 if len(shown) > 15 else "content"
        # As code without a language: neither Markdown nor HTML. The newest line comes first.
        st.code("\n".join(plain(line.text) for line in reversed(shown)), language=None, height=height, wrap_lines=True)
    else:
        st.caption("Nothing of this level lately.")


def _lines(service: str) -> list[str]:
    if settings().docker_host:
        return [line.text for line in services.container_log(service, LOG_LINES)]
    return logs.read_tail(local_log(settings(), service))


def _with_local_log() -> list[str]:
    return [name for name in services.KNOWN if local_log(settings(), name).is_file()]
